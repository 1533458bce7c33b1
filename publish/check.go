package publish

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// CheckOptions say what Check tries beyond what Options say.
type CheckOptions struct {
	Discovery  string        // what Home Assistant's discovery topics start with; "": not tried
	Fleet      string        // group of the shared subscription; "": not tried
	MaxPayload int           // bytes of the largest payload to try; 0: that of the Options
	Timeout    time.Duration // of each stage; 0: 10 s
}

// A StageResult is how a stage of Check ended.
type StageResult string

const (
	StageOK      StageResult = "ok"
	StageFailed  StageResult = "failed"
	StageSkipped StageResult = "skipped" // not wanted here, or in vain after what failed before
)

// A CheckStage is one step of Check.
type CheckStage struct {
	Stage  string      `json:"stage"` // DNS, TCP, TLS, WEBSOCKET, CONNECT, SUBSCRIBE, PUBLISH, READ BACK, RETAIN, DISCOVERY or FLEET
	Result StageResult `json:"result"`
	TookMS float64     `json:"took_ms"`
	Detail string      `json:"detail"` // what was found, or what went wrong; one line
	Hint   string      `json:"hint"`   // what to do about it; "" where there is nothing to do
}

// CheckReport is what Check found.
type CheckReport struct {
	Broker   string       `json:"broker"` // host:port
	ClientID string       `json:"client_id"`
	OK       bool         `json:"ok"` // no stage failed
	Stages   []CheckStage `json:"stages"`
}

// Check tries the broker, stage by stage, as a Client would use it, and tells what it found in words for people. It goes on
// until a stage fails that the later ones need. Its error says what is wrong with the options; a broker that fails is in the
// report.
//
// It logs in beside a Client that runs with the same options, under their client id with "-test-" and 4 digits behind it, and publishes to
// topics of its own: <Base>/bridge/test/<random>/..., and with Discovery an empty message for a device that nobody has. No
// session and no retained message stay behind. In MQTT 3.1.1 a broker acknowledges what it then drops, because of an ACL or of
// its size: so Check reads back what it publishes, small, of the largest size, and retained.
func Check(ctx context.Context, o Options, c CheckOptions) (CheckReport, error) {
	e, err := o.check()
	if err != nil {
		return CheckReport{}, err
	}
	if c.MaxPayload == 0 {
		c.MaxPayload = o.MaxPayload
	}
	if c.Timeout == 0 {
		c.Timeout = connectTimeout
	}
	o.times.complete()
	var random [8]byte
	rand.Read(random[:]) // never fails
	k := &check{
		options: o, CheckOptions: c, endpoint: e, now: o.times.now,
		id: o.ClientID + "-test-" + hex.EncodeToString(random[:2]), random: hex.EncodeToString(random[:]),
		arrived: make(map[string]*packets.PublishPacket),
	}
	defer k.close(ctx)
	report := CheckReport{Broker: e.host, ClientID: k.id, OK: true}
	for _, s := range []struct {
		name string
		do   func(context.Context) finding
	}{
		{"DNS", k.lookUp}, {stageTCP, k.dial}, {stageTLS, k.secure}, {"WEBSOCKET", k.upgrade}, {"CONNECT", k.logIn},
		{"SUBSCRIBE", k.subscribe}, {"PUBLISH", k.publish}, {"READ BACK", k.readBack},
		{"RETAIN", k.retain}, {"DISCOVERY", k.discovery}, {"FLEET", k.fleet},
	} {
		k.run(ctx, &report, s.name, s.do)
	}
	return report, nil
}

// Stages that others refer to.
const (
	stageTCP = "TCP"
	stageTLS = "TLS"
)

// finding is what a stage has found.
type finding struct {
	detail  string
	hint    string
	skipped bool
	err     error  // it failed
	blame   string // another stage that err is of, "" for its own
	goOn    bool   // the later stages make sense although this one failed
}

// check is the state of a Check.
type check struct {
	CheckOptions
	options  Options
	endpoint endpoint
	now      func() time.Time
	id       string // client id
	random   string // 16 hex digits

	failed    string // the stage that made the later ones vain
	addresses []string
	raw       net.Conn // TCP; closed by wire, once there is one
	conn      net.Conn // what MQTT goes over
	wire      *wire
	arrived   map[string]*packets.PublishPacket // topic -> what came last
	left      string                            // topic of a retained message that isn't cleared yet
}

// run does one stage and adds it to the report.
func (k *check) run(ctx context.Context, report *CheckReport, name string, do func(context.Context) finding) {
	if k.failed != "" {
		report.Stages = append(report.Stages, CheckStage{Stage: name, Result: StageSkipped, Detail: "in vain: " + k.failed + " failed"})
		return
	}
	cause := fmt.Errorf("%w within %v", errSilent, k.Timeout)
	ctx, cancel := context.WithTimeoutCause(ctx, k.Timeout, cause)
	defer cancel()
	begin := time.Now()
	f := do(ctx)
	if f.err != nil && errors.Is(ctx.Err(), context.Canceled) { // what that did to the connection says less
		f.err, f.hint = ctx.Err(), "stopped before the end: run it again"
	}
	s := CheckStage{Stage: name, Result: StageOK, Detail: f.detail, Hint: f.hint, TookMS: round(time.Since(begin).Seconds()*1000, 1)}
	switch {
	case f.skipped:
		s.Result, s.TookMS = StageSkipped, 0
	case f.err != nil:
		report.OK = false
		s.Result = StageFailed
		if s.Detail == "" {
			s.Detail = text(f.err.Error(), maxText)
		}
		if s.Hint == "" {
			s.Hint = advice(f.err, k.now())
		}
		if !f.goOn {
			k.failed = name
		}
		if f.blame != "" {
			k.failed = f.blame
			for i := range report.Stages {
				if old := &report.Stages[i]; old.Stage == f.blame {
					old.Result, old.Detail, old.Hint = StageFailed, s.Detail, s.Hint
				}
			}
			s = CheckStage{Stage: name, Result: StageSkipped, Detail: "in vain: " + k.failed + " failed"}
		}
	}
	report.Stages = append(report.Stages, s)
}

// note keeps what came, if it is the check's own: what the daemon is asked comes too.
func (k *check) note(m *packets.PublishPacket) {
	if strings.Contains(m.TopicName, k.random) {
		k.arrived[m.TopicName] = m
	}
}

// awaitMessage waits until topic has brought payload, retained or not.
func (k *check) awaitMessage(ctx context.Context, topic string, payload []byte, retained bool) error {
	here := func() bool {
		m := k.arrived[topic]
		return m != nil && m.Retain == retained && bytes.Equal(m.Payload, payload)
	}
	if here() {
		return nil
	}
	return k.wire.await(ctx, func(p packets.ControlPacket) bool {
		if m, ok := p.(*packets.PublishPacket); ok {
			k.note(m)
		}
		return here()
	})
}

// topic is one of the check's own.
func (k *check) topic(name string) string {
	return k.options.Base + "/" + bridge + "/test/" + k.random + "/" + name
}

// close clears what is still retained, over another connection if need be, and ends the connection. It does so after the end
// of ctx, too.
func (k *check) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), k.Timeout)
	defer cancel()
	if k.left != "" && k.wire != nil && k.wire.publish(ctx, k.note, k.left, nil, true) == nil {
		k.left = ""
	}
	k.hangUp(ctx)
	if k.left == "" {
		return
	}
	k.raw, k.conn, k.wire = nil, nil, nil
	for _, do := range []func(context.Context) finding{k.dial, k.secure, k.upgrade, k.logIn} {
		if f := do(ctx); f.err != nil {
			break // the broker is gone: so is the test
		}
	}
	if k.wire != nil {
		_ = k.wire.publish(ctx, k.note, k.left, nil, true) // no more can be done
	}
	k.hangUp(ctx)
}

func (k *check) hangUp(ctx context.Context) {
	if k.wire != nil {
		k.wire.close(ctx)
	}
	if k.raw != nil {
		k.raw.Close() // its end is the point; the wire may have closed it
	}
}
