package daemon

import (
	"errors"
	"fmt"
	"image"
	"strconv"
	"time"

	"github.com/oklog/ulid/v2"

	"sightd/camera"
	"sightd/camera/capture"
	"sightd/camera/picture"
	"sightd/camera/view"
	"sightd/decide"
	"sightd/preprocess"
)

// observer is what the pictures of one live source or recording go through before and after the network: decoded, turned, compared
// with those before, decided upon. It takes all times from its caller. One goroutine at a time uses it.
type observer struct {
	config  SourceConfig
	decoder *camera.Decoder
	turner  *camera.Turner
	grey    *camera.Grey
	eye     *view.Eye
	engine  *Engine // whose labels are decided upon
	decider *decide.Decider
	ring    *decide.Ring

	last   time.Time // when the last picture was due that was looked at
	thumb  view.Picture
	frame  camera.Frame // the last picture that was decoded; its Mat belongs to the decoder or the turner
	scores []float32    // of the last picture that was judged
	good   time.Time    // when something was last seen
}

// lost reports whether a problem is a loss of sight: nothing was seen for a while.
func (o *observer) lost(problem string, now time.Time) bool {
	return problem != "" && now.Sub(o.good) >= unseen
}

// newObserver makes an observer for the pictures of c, whose scores come from engine.
func newObserver(c SourceConfig, rules DecideConfig, engine *Engine, limits picture.Limits) (*observer, error) {
	if err := rules.CheckLabels(engine.Labels); err != nil {
		return nil, err
	}
	turner, err := camera.NewTurner(c.turn())
	if err != nil {
		return nil, fmt.Errorf("open source %s: %w", c.Name, err)
	}
	o := &observer{
		config: c, turner: turner, decoder: camera.NewDecoder(limits), grey: camera.NewGrey(),
		eye: view.New(view.Options{Motion: c.motion(), Refresh: c.Refresh, Frozen: c.Frozen}),
	}
	if err := o.follow(engine, rules); err != nil {
		return nil, errors.Join(err, o.close())
	}
	return o, nil
}

// follow begins to decide anew, on the labels of engine. What was decided before is forgotten.
func (o *observer) follow(engine *Engine, rules DecideConfig) error {
	decider, err := decide.New(rules.rules(), engine.Labels, engine.Temperature)
	if err != nil {
		return err
	}
	o.engine, o.decider, o.ring = engine, decider, decide.NewRing(decide.DefaultRing, decider)
	return nil
}

func (o *observer) close() error {
	return errors.Join(o.decoder.Close(), o.turner.Close(), o.grey.Close())
}

// hurried is how many times as often as interval says pictures are looked at while a decision is pending.
const hurried = 10

// early is by how much at most a picture may come before it is due: cameras don't keep the beat.
const early = 25 * time.Millisecond

// mayLook keeps the pace: on the average no more pictures than fps and interval allow, and fewer on a board that is hot. While the
// last pictures may become an event if more are like them, the interval is a tenth.
func (o *observer) mayLook(taken time.Time, heat float64) bool {
	pace := o.config.Interval
	if pace > 0 && o.decider.Wants(taken) {
		pace /= hurried
	}
	if o.config.FPS > 0 {
		pace = max(pace, time.Duration(float64(time.Second)/o.config.FPS))
	}
	pace = time.Duration(heat * float64(pace))
	if taken.Before(o.last.Add(pace - min(early, pace/2))) {
		return false
	}
	if o.last = o.last.Add(pace); taken.Sub(o.last) > pace {
		o.last = taken // it couldn't keep up, or just begins
	}
	return true
}

// blindness is what is decided where nothing is seen.
var blindness = map[view.Sight]decide.Gate{view.Black: decide.Black, view.Overexposed: decide.Overexposed, view.Covered: decide.Covered}

// see looks at a picture. What it found is in the gate: decide.Decided for one that the network is to look at, which is then in
// o.frame. A picture that can't be decoded is a *picture.RefusedError; any other error is a fault of the machine.
func (o *observer) see(s *capture.Shot, now time.Time) (view.Look, decide.Gate, error) {
	var look view.Look
	if o.eye.Identical(s.Data, now) {
		look = o.eye.Again(now) // o.frame shows it already
	} else {
		if err := o.decode(s); err != nil {
			return look, decide.Stale, err
		}
		look = o.eye.Look(&o.thumb, now)
	}
	o.frame.Time, o.frame.Seq, o.frame.Source, o.frame.File = s.Time, s.Seq, o.config.Name, s.File
	return look, o.gate(look, now), nil
}

// gate says what becomes of a picture that looks so.
func (o *observer) gate(look view.Look, now time.Time) decide.Gate {
	switch {
	case look.Frozen:
		return decide.Frozen
	case look.Sight != view.Clear:
		return blindness[look.Sight]
	case !look.Changed && !o.decider.Wants(now):
		return decide.Unchanged
	}
	return decide.Decided
}

// decode makes o.frame the upright picture, and o.thumb the thumbnail of the part that the network sees. After an error there is no
// frame: the decoder may have freed the last one.
func (o *observer) decode(s *capture.Shot) error {
	o.frame = camera.Frame{}
	mat, err := o.decoder.DecodeShot(s)
	if err != nil {
		return err
	}
	if mat, err = o.turner.Apply(mat); err != nil {
		return err
	}
	part := o.config.view().Crop.Rectangle(image.Pt(mat.Cols(), mat.Rows()))
	if err := o.grey.Shrink(&o.thumb, mat, part); err != nil {
		return err
	}
	o.frame.Mat = mat
	return nil
}

// eventID makes the id of an event at a time. A ULID knows none before 1970, which files may have.
func eventID(at time.Time) string {
	if at.Before(time.Unix(0, 0)) {
		at = time.Unix(0, 0)
	}
	return ulid.MustNewDefault(at).String()
}

// decide takes the scores of the picture that was judged, and says what comes of them.
func (o *observer) decide(now time.Time) []decide.Event {
	o.good = now
	o.eye.Classified()
	events := o.decider.Observe(decide.Look{Time: now, Seq: o.frame.Seq, Scores: o.scores})
	o.ring.Add(o.decider.Record())
	return events
}

// skip says what comes of a picture that the network didn't see.
func (o *observer) skip(now time.Time, why decide.Gate) []decide.Event {
	if why == decide.Unchanged {
		o.good = now
	}
	events := o.decider.Idle(now, why)
	o.ring.Add(o.decider.Record())
	return events
}

// lose says what comes of seeing nothing.
func (o *observer) lose(now time.Time, why decide.Gate, problem string) []decide.Event {
	events := o.decider.Lost(now, why, problem)
	o.ring.Add(o.decider.Record())
	return events
}

// rules are what package decide understands.
func (c DecideConfig) rules() decide.Rules {
	r := decide.Rules{
		Top: c.Top, Enter: c.Enter, Stay: c.Stay, Confirm: c.Confirm, Hold: c.Hold, Cooldown: c.Cooldown, Smoothing: c.Smoothing,
		Unknown: decide.UnknownRule{Mode: c.Unknown.Mode, Score: c.Unknown.Score, Margin: c.Unknown.Margin},
		Labels:  labelRules(c.Labels), Groups: c.Groups,
	}
	if c.Unknown.Mode == UnknownFixed {
		r.Unknown.Mode = ""
	}
	for _, p := range c.Schedule {
		r.Schedule = append(r.Schedule, decide.Period{
			From: p.From, To: p.To, Days: p.Days, Enter: p.Enter, Stay: p.Stay, Labels: labelRules(p.Labels), Off: p.Off,
		})
	}
	return r
}

func labelRules(c map[string]LabelConfig) map[string]decide.LabelRule {
	rules := map[string]decide.LabelRule{}
	for label, l := range c {
		rules[label] = decide.LabelRule(l)
	}
	return rules
}

// view is the part of the source's pictures that the network sees, and how.
func (s SourceConfig) view() View {
	return View{
		Resize: preprocess.Resize(s.Resize),
		Crop:   preprocess.Crop{X1: s.Crop[0], Y1: s.Crop[1], X2: s.Crop[2], Y2: s.Crop[3]},
	}
}

// turn is how the source's pictures are turned.
func (s SourceConfig) turn() camera.Turn {
	t := camera.Turn{Rotate: s.Rotate, Flip: s.Flip}
	if t.Flip == "none" {
		t.Flip = ""
	}
	return t
}

// motion is the threshold that package view understands.
func (s SourceConfig) motion() float64 {
	switch s.Motion {
	case "off":
		return 0
	case "auto", "":
		return view.Auto
	}
	part, err := strconv.ParseFloat(s.Motion, 64)
	if err != nil {
		return view.Auto // the configuration has been checked
	}
	return part
}
