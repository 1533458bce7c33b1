// Package doctor looks for what could keep sightd from working on this machine: the configuration, the libraries, the model, whether
// the rules fit it, the watched folders, the cameras, streams and recordings, the place for its state, the clock, the board and the
// broker. Each finding says in words for people what was found, and what to do about it.
//
// It looks at systemd's service, too: whether it runs, how it ended last, and what its sandbox keeps from it. Without a configuration
// that is named, that of the packaged service is looked at where there is one.
//
// It changes nothing: no folder is made, no file written. Whether a folder can be made or written is asked of the kernel, for the
// user that runs it. Only the broker sees something of it: publish.Check's own messages, of which none stays; to a camera in the
// network a connection is made and closed again. Messages of a running sightd are not touched, and what it keeps is not opened.
//
// It takes no picture from a camera, so that it says whether one is there, not what it shows, and of an address that something
// accepts connections there. A delegate with a driver, which may crash or hang, is tried in a process of its own. What a recording or a pipeline is made of it asks ffprobe and
// gst-inspect-1.0, for which GStreamer may bring its own list of plugins up to date. It doesn't try delegates that
// are not configured: of those it tells what sightd remembers in state_dir.
package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

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
	Unnamed   bool     // nobody has named File: the packaged service's is taken, where there is one
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
	e := &examiner{system: o.system, yaml: o.File, libraries: o.Libraries, trials: o.Trials}
	if _, err := os.Lstat(e.root + ServiceFile); o.Unnamed && !errors.Is(err, fs.ErrNotExist) {
		e.yaml = e.root + ServiceFile
		e.file = e.yaml + " (the service's, since none was named)"
	}
	e.file = cmp.Or(e.file, e.yaml, "no file (-c), the defaults and variables")
	e.units, e.serviceless = e.services(ctx)
	e.unit = unitOf(e.units, e.yaml)

	var loaded daemon.Config
	var wrong error
	load := check{"configuration", func(context.Context) []Finding {
		config, err := daemon.Load(e.yaml, o.Env)
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
	return report(append(findings, all(ctx, checks)...), e.advice())
}

// examiner is what the checks need to know.
type examiner struct {
	*system
	yaml        string // path of the configuration, "" without one
	file        string // the same for people
	libraries   string
	trials      []string
	units       []unit
	serviceless *Finding       // why there are no units, nil if there are
	unit        unit           // of the service that runs with the configuration, nil if none does
	config      *daemon.Config // nil: there is no right one
}

// board is what needs no configuration.
func (e *examiner) board() []check {
	return []check{
		{"service", e.service}, {"libraries", e.libraryVersions}, {"user", e.user}, {"cpu", e.cpu}, {"memory", e.memory},
		{"descriptors", e.descriptors}, {"clock", e.clock}, {"temperature", e.temperature}, {"throttling", e.throttling}, {"power", e.power},
		{"disks", e.disks},
	}
}

// configured is what the configuration names.
func (e *examiner) configured() []check {
	checks := []check{{"model", e.model}, {"state_dir", e.stateDir}, {"outbox", e.outbox}, {"other sightd", e.others}}
	for i, s := range e.config.Sources {
		look := func(context.Context) []Finding { return e.source(i) }
		if s.Live() {
			look = func(ctx context.Context) []Finding { return e.live(ctx, i) }
		}
		checks = append(checks, check{"source " + s.Name, look})
	}
	return append(checks, check{"inotify", e.inotify}, check{"broker", e.broker})
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
	for line := range strings.SplitSeq(err.Error(), "\n") {
		findings = append(findings, Finding{"configuration", Fail, line, hint})
	}
	return findings
}

// asUser is advice on what this user may not do.
const asUser = "if sightd runs as another user, run doctor as that user, too: sudo -u USER sightd doctor"

// advice is what stands in the place of asUser where the service's user is known.
func (e *examiner) advice() string {
	u := e.unit
	if u == nil && len(e.units) > 0 && e.units[0]["LoadState"] == "loaded" && e.yaml == "" {
		u = e.units[0]
	}
	if u == nil {
		return e.runnerAdvice()
	}
	command := "sightd doctor"
	if e.yaml != e.root+ServiceFile {
		command += " -c " + u.config()
	}
	if uid, err := userID(u.user()); err == nil && uid == os.Geteuid() {
		return "give user " + u.user() + ", as which " + u["Id"] + " runs, the right to"
	}
	return "run doctor as the service's user, which may do less or more: sudo -u " + u.user() + " " + command
}

// runnerAdvice is advice where no service has the configuration: a running sightd shows its user.
func (e *examiner) runnerAdvice() string {
	if e.config == nil {
		return asUser
	}
	_, pid := e.running()
	var st unix.Stat_t
	if pid == 0 || unix.Stat(e.path(process{pid: pid}, ""), &st) != nil || int(st.Uid) == os.Geteuid() {
		return asUser
	}
	u, err := user.LookupId(strconv.Itoa(int(st.Uid)))
	if err != nil {
		return asUser
	}
	command := fmt.Sprintf("run doctor as the user of the sightd that runs (pid %d): sudo -u %s sightd doctor", pid, u.Username)
	if e.yaml != "" {
		command += " -c " + e.yaml
	}
	return command
}

// userID is a user's number.
func userID(name string) (int, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(u.Uid)
}

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

// report puts the findings together. advice stands in the place of asUser.
func report(findings []Finding, advice string) Report {
	r := Report{Status: OK, Findings: findings}
	for i, f := range findings {
		r.Findings[i].Detail = oneLine(f.Detail)
		r.Findings[i].Hint = oneLine(strings.ReplaceAll(f.Hint, asUser, advice))
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
