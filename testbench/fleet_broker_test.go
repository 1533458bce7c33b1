package testbench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// street is the fleet of these tests, and members are the boards that may be in it.
const street = "street"

var members = []string{"door", "yard", "gate"}

// The other users of the broker: who asks the fleet, as in docs/mosquitto.acl, and one who may do everything.
const (
	office = "office"
	bench  = "bench"
)

func password(user string) string { return user + "-secret" }

// fleetBroker is a mosquitto with the settings and the access list of docs/, but for TLS. It logs every packet.
type fleetBroker struct {
	*mosquitto
	ledger   *ledger
	inflight int         // max_inflight_messages
	admin    paho.Client // of the user bench
	marks    int
}

// startFleetBroker starts one. settings replace those of docs/mosquitto.conf.
func startFleetBroker(t testing.TB, settings map[string]string) *fleetBroker {
	t.Helper()
	b := &fleetBroker{mosquitto: startMosquitto(t), ledger: newLedger()}
	b.signal(t, syscall.SIGKILL) // it has found a port; mosquitto forgets a SIGTERM that comes just when it starts
	dir := filepath.Dir(b.config)
	_, port, _ := strings.Cut(strings.TrimPrefix(b.url, "mqtt://"), ":")
	all := map[string]string{
		"listener": port + " 127.0.0.1", "password_file": passwords(t, dir), "acl_file": accessList(t, dir), "persistence_location": dir + "/",
		"certfile": "", "keyfile": "", "cafile": "", "tls_version": "",
	}
	for key, value := range settings {
		all[key] = value
	}
	text, err := os.ReadFile(filepath.Join(repository(t), "docs", "mosquitto.conf"))
	if err != nil {
		t.Fatal(err)
	}
	var conf strings.Builder
	for line := range strings.Lines(string(text)) {
		key, old, _ := strings.Cut(strings.TrimSpace(line), " ")
		value, replaced := all[key]
		if replaced {
			delete(all, key)
			if value == "" {
				continue
			}
			line = key + " " + value + "\n"
			old = value
		}
		if key == "max_inflight_messages" {
			if b.inflight, err = strconv.Atoi(old); err != nil {
				t.Fatal(err)
			}
		}
		conf.WriteString(line)
	}
	if len(all) > 0 || b.inflight == 0 {
		t.Fatalf("docs/mosquitto.conf: want max_inflight_messages and the settings %v", all)
	}
	// user: as root it would give up root, and with that the right to read and write here.
	conf.WriteString("user root\nlog_type all\n")
	if err := os.WriteFile(b.config, []byte(conf.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if !b.start(t) {
		t.Fatalf("mosquitto doesn't start again:\n%s", b.process)
	}
	b.admin = login(t, b, bench, true)
	return b
}

// login connects a client of a user until the test's end.
func login(t testing.TB, b *fleetBroker, user string, clean bool) paho.Client {
	t.Helper()
	c := paho.NewClient(paho.NewClientOptions().AddBroker(b.url).SetClientID("testbench-" + user).SetUsername(user).
		SetPassword(password(user)).SetCleanSession(clean).SetAutoReconnect(false))
	settle(t, c.Connect())
	t.Cleanup(func() { c.Disconnect(250) })
	return c
}

// passwords makes the file with everybody's.
func passwords(t testing.TB, dir string) string {
	t.Helper()
	file := filepath.Join(dir, "passwords")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, user := range append([]string{office, bench}, members...) {
		if out, err := exec.Command("mosquitto_passwd", "-b", file, user, password(user)).CombinedOutput(); err != nil {
			t.Fatalf("mosquitto_passwd: %v: %s", err, out)
		}
	}
	return file
}

// accessList is docs/mosquitto.acl for the fleet street, with a board more, and a user who may do everything.
func accessList(t testing.TB, dir string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository(t), "docs", "mosquitto.acl"))
	if err != nil {
		t.Fatal(err)
	}
	acl := strings.ReplaceAll(string(text), "line1", street)
	_, rest, found := strings.Cut(acl, "\nuser yard\n")
	yard, _, ended := strings.Cut(rest, "\n\n")
	if !found || !ended || !strings.Contains(acl, "\nuser door\n") || !strings.Contains(acl, "\nuser office\n") {
		t.Fatal("docs/mosquitto.acl: want the users door, yard and office")
	}
	acl += fmt.Sprintf("\nuser gate\n%s\n\nuser %s\ntopic readwrite #\n", yard, bench)
	file := filepath.Join(dir, "acl")
	if err := os.WriteFile(file, []byte(acl), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// ledger is what the broker's log says of the fleet's requests.
type ledger struct {
	read    int // lines of the log
	entries map[string]*entry
	given   map[string]int // transaction -> how often the broker has sent the request to a board
	foreign int            // requests that were sent to a board and are none of the fleet's
}

// entry is what it says of one board. A transaction is owed from when the broker has sent the request until it has the answer.
type entry struct {
	unacked  map[int]string // packet id -> transaction of what was sent and not acknowledged; "" of requests to the board alone
	owed     map[string]bool
	got      map[string]bool // all transactions that were sent
	answers  int
	early    []string // transactions that were acknowledged before the broker had the answer
	repeats  int      // sent with the DUP flag
	subacks  int
	maxUnack int
	maxOwed  int
}

func newLedger() *ledger {
	l := &ledger{entries: map[string]*entry{}, given: map[string]int{}}
	for _, name := range members {
		l.entries[name] = &entry{unacked: map[int]string{}, owed: map[string]bool{}, got: map[string]bool{}}
	}
	return l
}

var (
	publishLine = regexp.MustCompile(`: (Sending|Received) PUBLISH (?:to|from) sightd-([a-z]+)-[0-9a-f]{6}(-requests)? \(d(\d), q\d, r\d, m(\d+), '([^']*)'`)
	pubackLine  = regexp.MustCompile(`: Received PUBACK from sightd-([a-z]+)-[0-9a-f]{6}-requests \(Mid: (\d+), `)
	subackLine  = regexp.MustCompile(`: Sending SUBACK to sightd-([a-z]+)-[0-9a-f]{6}-requests`)
	connectLine = regexp.MustCompile(`: New client connected from \S+ as sightd-([a-z]+)-[0-9a-f]{6}-requests `)
)

// follow reads on in the log.
func (l *ledger) follow(lines []string) {
	for ; l.read < len(lines); l.read++ {
		line := lines[l.read]
		if m := publishLine.FindStringSubmatch(line); m != nil {
			id, _ := strconv.Atoi(m[5]) // digits
			switch e := l.entries[m[2]]; {
			case m[1] == "Sending" && m[3] != "":
				l.sent(e, id, m[6], m[4] == "1")
			case m[1] == "Received" && m[3] == "":
				if transaction, ok := strings.CutPrefix(m[6], "sightd/fleet/"+street+"/result/"); ok {
					delete(e.owed, transaction)
					e.answers++
				}
			}
		} else if m := pubackLine.FindStringSubmatch(line); m != nil {
			e := l.entries[m[1]]
			id, _ := strconv.Atoi(m[2]) // digits
			if e.owed[e.unacked[id]] {
				e.early = append(e.early, e.unacked[id])
			}
			delete(e.unacked, id)
		} else if m := subackLine.FindStringSubmatch(line); m != nil {
			l.entries[m[1]].subacks++
		} else if m := connectLine.FindStringSubmatch(line); m != nil {
			clear(l.entries[m[1]].unacked) // it is all sent again
		}
	}
}

func (l *ledger) sent(e *entry, id int, topic string, repeat bool) {
	transaction, ok := strings.CutPrefix(topic, "sightd/fleet/"+street+"/classify/")
	switch {
	case ok:
		l.given[transaction]++
		e.owed[transaction], e.got[transaction] = true, true
	case !strings.Contains(topic, "/bridge/request/"):
		l.foreign++
	}
	if repeat {
		e.repeats++
	}
	e.unacked[id] = transaction
	e.maxUnack, e.maxOwed = max(e.maxUnack, len(e.unacked)), max(e.maxOwed, len(e.owed))
}

// entry waits until cond is true of what the log says of a board, and gives that.
func (b *fleetBroker) entry(t testing.TB, name string, cond func(e *entry) bool) entry {
	t.Helper()
	e := b.ledger.entries[name]
	b.until(t, func() bool {
		b.ledger.follow(b.lines)
		return cond(e)
	}, func() string { return fmt.Sprintf("%s: not so in the broker's log: %+v", name, *e) })
	return *e
}

// now is what the broker has done with a board so far. Its log lags behind, so it is read up to what this call makes it log.
func (b *fleetBroker) now(t testing.TB, name string) entry {
	t.Helper()
	b.marks++
	mark := fmt.Sprintf("'testbench/mark-%d'", b.marks)
	settle(t, b.admin.Publish(strings.Trim(mark, "'"), 1, false, ""))
	b.line(t, "Received PUBLISH", mark)
	return b.entry(t, name, func(*entry) bool { return true })
}

// bounded checks what the log says of all boards: none acknowledged a request before the broker had its answer, and none was given more
// than max_inflight_messages where that is 1. mosquitto 2.0 exceeds larger values: after an acknowledgement it sends as many again as
// the setting says. What a board holds of that it tells itself: see healthCheck.
func (b *fleetBroker) bounded(t testing.TB) {
	t.Helper()
	for _, name := range members {
		e := b.now(t, name)
		if b.inflight == 1 && (e.maxUnack > 1 || e.maxOwed > 1) {
			t.Errorf("%s: want at most 1 request without PUBACK and without an answer, have %d and %d", name, e.maxUnack, e.maxOwed)
		}
		if len(e.early) > 0 {
			t.Errorf("%s: acknowledged before the broker had the answer: %q", name, e.early)
		}
		if len(e.got) > 0 {
			t.Logf("%s: %d requests, %d answers, %d given again; at most %d without PUBACK, %d without an answer",
				name, len(e.got), e.answers, e.repeats, e.maxUnack, e.maxOwed)
		}
	}
	if b.ledger.foreign > 0 {
		t.Errorf("want the boards to get requests of their own fleet only, have %d others", b.ledger.foreign)
	}
}
