// Package doctor looks for what could keep sightd from working on this machine: the configuration, the libraries, the model, whether
// the rules fit it, the watched folders, the cameras, streams and recordings, the place for its state, the clock, the board and the
// broker. Each finding says in words for people what was found, and what to do about it.
//
// It changes nothing: no folder is made, no file written. Whether a folder can be made or written is asked of the kernel, for the
// user that runs it. Only the broker sees something of it: publish.Check's own messages, of which none stays; to a camera in the
// network a connection is made and closed again. Messages of a running sightd are not touched, and what it keeps is not opened.
//
// It takes no picture from a camera, so that it says whether one is there, not what it shows, and of an address that something
// accepts connections there. A delegate with a driver, which may crash or hang, is tried in a process of its own. What a recording or a pipeline is made of it asks ffprobe and
// gst-inspect-1.0, for which GStreamer may bring its own list of plugins up to date. It doesn't look at delegates that are
// not configured, at what sightd remembers of those that failed, or at the service's unit.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"sightd/daemon"
)

// Status is how grave a finding is.
type Status string

// Of several findings the gravest counts.
const (
	OK   Status = "ok"
	Warn Status = "warn" // sightd works, but something wants looking after
	Fail Status = "fail" // sightd doesn't do its work
)

// Finding is one thing that was looked at.
type Finding struct {
	Name   string `json:"name"` // of what was looked at, such as "clock" or "source inbox"; a name may come more than once
	Status Status `json:"status"`
	Detail string `json:"detail"` // what was found; one line
	Hint   string `json:"hint"`   // what to do about it; "" where there is nothing to do
}

// Report is all that was found.
type Report struct {
	Status   Status    `json:"status"` // the gravest of the findings'
	Findings []Finding `json:"findings"`
}

// Options say what to look at.
type Options struct {
	File      string   // the configuration's, as daemon.Load takes it
	Env       []string // variables that win over it, in the form of os.Environ
	Libraries string   // names and versions of the libraries that are loaded, to be told
	Trials    []string // program and arguments that try a delegate with a driver, see daemon.Chooser

	system   *system       // nil: this one
	patience time.Duration // 0: as below
}

// How long things may take. What hangs, as a network file system does whose server is gone, is told and left behind.
const (
	patience       = 28 * time.Second // for everything
	configPatience = 5 * time.Second  // to read the configuration
	brokerPatience = 18 * time.Second // for all stages of the broker, and its own tidying up comes on top
	stagePatience  = 6 * time.Second  // for each of them
)

// Examine looks at everything, at once, and returns when all is told, within half a minute: what has given no answer by then, or
// by the end of ctx, has failed.
func Examine(ctx context.Context, o Options) Report {
	if o.system == nil {
		o.system = thisSystem()
	}
	if o.patience == 0 {
		o.patience = patience
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.patience, fmt.Errorf("no answer within %v", o.patience))
	defer cancel()
	e := &examiner{system: o.system, file: o.file(), libraries: o.Libraries, trials: o.Trials}

	var loaded daemon.Config
	var wrong error
	load := check{"configuration", func(context.Context) []Finding {
		config, err := daemon.Load(o.File, o.Env)
		if err != nil {
			wrong = err
			return e.wrongConfiguration(err)
		}
		loaded = config
		return []Finding{{"configuration", OK, e.file + ": " + count(len(config.Sources), "source") + ", " + brokerName(config), ""}}
	}}
	loading, stop := context.WithTimeoutCause(ctx, min(configPatience, o.patience), fmt.Errorf("no answer within %v", min(configPatience, o.patience)))
	defer stop()
	findings, answered := load.within(loading)
	checks := e.board()
	if answered && wrong == nil {
		e.config = &loaded
		checks = append(checks, e.configured()...)
	}
	return report(append(findings, all(ctx, checks)...))
}

// file names the configuration for people.
func (o Options) file() string {
	if o.File == "" {
		return "no file (-c), the defaults and variables"
	}
	return o.File
}

// examiner is what the checks need to know.
type examiner struct {
	*system
	file      string
	libraries string
	trials    []string
	config    *daemon.Config // nil: there is no right one
}

// board is what needs no configuration.
func (e *examiner) board() []check {
	return []check{
		{"libraries", e.libraryVersions}, {"user", e.user}, {"cpu", e.cpu}, {"memory", e.memory}, {"descriptors", e.descriptors},
		{"clock", e.clock}, {"temperature", e.temperature}, {"power", e.power},
	}
}

// configured is what the configuration names.
func (e *examiner) configured() []check {
	checks := []check{{"model", e.model}, {"state_dir", e.stateDir}, {"outbox", e.outbox}}
	for i, s := range e.config.Sources {
		look := func(context.Context) []Finding { return e.source(i) }
		if s.Live() {
			look = func(ctx context.Context) []Finding { return e.live(ctx, i) }
		}
		checks = append(checks, check{"source " + s.Name, look})
	}
	return append(checks, check{"inotify", e.inotify}, check{"broker", e.broker})
}

func (e *examiner) libraryVersions(context.Context) []Finding {
	return []Finding{{"libraries", OK, e.libraries, ""}}
}

// wrongConfiguration has a finding for each line of the error.
func (e *examiner) wrongConfiguration(err error) []Finding {
	var findings []Finding
	hint := "correct it (sightd config check tells the same); model, folders, state_dir and broker are looked at with a right one"
	switch {
	case errors.Is(err, os.ErrNotExist):
		hint = "\"sightd config init\" prints one to begin with; model, folders, state_dir and broker are looked at with a right one"
	case errors.Is(err, os.ErrPermission):
		hint = asUser
	}
	lines := strings.Split(err.Error(), "\n")
	for i, line := range lines {
		f := Finding{Name: "configuration", Status: Fail, Detail: line}
		if i == len(lines)-1 {
			f.Hint = hint
		}
		findings = append(findings, f)
	}
	return findings
}

// asUser is advice on what this user may not do.
const asUser = "if sightd runs as another user, run doctor as that user, too: sudo -u USER sightd doctor"

// check is one look at the system. It may hang, and is then left behind.
type check struct {
	name string
	look func(context.Context) []Finding
}

// all looks at everything at once.
func all(ctx context.Context, checks []check) []Finding {
	answers := make([]<-chan []Finding, len(checks))
	for i, c := range checks {
		answers[i] = c.start(ctx)
	}
	var findings []Finding
	for i, c := range checks {
		found, _ := c.await(ctx, answers[i])
		findings = append(findings, found...)
	}
	return findings
}

// within looks, and reports whether there was an answer before the end of ctx.
func (c check) within(ctx context.Context) (findings []Finding, answered bool) {
	return c.await(ctx, c.start(ctx))
}

func (c check) start(ctx context.Context) <-chan []Finding {
	answer := make(chan []Finding, 1)
	go func() { answer <- c.look(ctx) }()
	return answer
}

func (c check) await(ctx context.Context, answer <-chan []Finding) (findings []Finding, answered bool) {
	select {
	case found := <-answer:
		return found, true
	case <-ctx.Done():
	}
	select {
	case found := <-answer: // it came just in time, or ended because ctx did
		return found, true
	default:
	}
	return []Finding{{c.name, Fail, context.Cause(ctx).Error(), "what it looks at hangs, such as a network file system whose server is gone, or a disk that fails"}}, false
}

// report puts the findings together.
func report(findings []Finding) Report {
	r := Report{Status: OK, Findings: findings}
	for i, f := range findings {
		r.Findings[i].Detail = oneLine(f.Detail)
		r.Findings[i].Hint = oneLine(f.Hint)
		if f.Status == Fail || f.Status == Warn && r.Status == OK {
			r.Status = f.Status
		}
	}
	return r
}

// oneLine is s as valid UTF-8 without line ends.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "\ufffd"), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}

// count is n things for people.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

func brokerName(c daemon.Config) string {
	if c.MQTT.Broker == "" {
		return "the broker inside sightd on " + c.MQTT.Listen
	}
	return "broker " + c.MQTT.Broker
}
