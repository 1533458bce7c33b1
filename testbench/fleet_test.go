package testbench

import (
	"encoding/base64"
	"fmt"
	"image"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// newMember makes a board of the fleet street.
func newMember(t testing.TB, b *fleetBroker, name string) *board {
	t.Helper()
	dir := t.TempDir()
	text := fmt.Sprintf("version: 1\nname: %s\n"+fixedModel+"mqtt: {broker: %q, user: %s, password: %s, fleet: %s}\nlog: {format: json}\n"+
		"sources:\n  - {name: inbox, type: folder, path: ./inbox}\n", name, b.url, name, password(name), street)
	if err := os.WriteFile(filepath.Join(dir, "sightd.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "inbox"), 0o700); err != nil {
		t.Fatal(err)
	}
	return &board{dir: dir, inbox: filepath.Join(dir, "inbox")}
}

// join starts the daemon of a board and waits until the broker deals requests to it.
func (b *fleetBroker) join(t testing.TB, name string, on *board) *process {
	t.Helper()
	before := b.now(t, name).subacks
	p, _ := on.launch(t)
	b.entry(t, name, func(e *entry) bool { return e.subacks > before })
	return p
}

// TestFleet sends requests to three boards, of which one is killed half-way and comes back.
func TestFleet(t *testing.T) {
	t.Parallel()
	transactions, picture, want := requests(t, numRequests)
	b := startFleetBroker(t, nil)
	r := newRequester(t, b)
	boards, daemons := map[string]*board{}, map[string]*process{}
	for _, name := range members {
		boards[name] = newMember(t, b, name)
		daemons[name] = b.join(t, name, boards[name])
	}

	half := numRequests / 2
	r.ask(t, transactions[:half], picture)
	b.entry(t, "yard", func(e *entry) bool { return e.answers >= half/len(members)/2 })
	daemons["yard"].signal(t, syscall.SIGKILL)
	r.ask(t, transactions[half:], picture)
	r.answered(t, transactions[half:], half/2) // the others go on
	left := numRequests - r.answered(t, transactions, 0)
	if left == 0 {
		t.Fatal("the board was killed too late: it owed no answer")
	}
	b.join(t, "yard", boards["yard"])
	r.answered(t, transactions, numRequests)

	limit := 0
	for _, name := range members {
		h := healthCheck(t, b, name)
		t.Logf("%s: %+v", name, h)
		limit = h.Limit
	}
	again := r.check(t, b, want)
	b.bounded(t)
	// Of what a board holds it may have answered all when it is killed, and acknowledged none.
	if again > limit {
		t.Errorf("want at most %d requests answered again, have %d", limit, again)
	}
	t.Logf("%d answers were missing when the board came back; %d of %d requests were given again, %d answered again",
		left, b.now(t, "yard").repeats, numRequests, again)
}

// TestFleetLeave ends a board in order while it has requests, for good: it works off what it was given.
func TestFleetLeave(t *testing.T) {
	t.Parallel()
	for _, inflight := range []string{"1", "20"} { // one by one, and more than a board holds
		t.Run(inflight+" in flight", func(t *testing.T) {
			t.Parallel()
			leave(t, inflight)
		})
	}
}

func leave(t *testing.T, inflight string) {
	const before, after = 45, 45
	transactions, picture, want := requests(t, before+after)
	b := startFleetBroker(t, map[string]string{"max_inflight_messages": inflight})
	r := newRequester(t, b)
	daemons := map[string]*process{}
	for _, name := range members {
		daemons[name] = b.join(t, name, newMember(t, b, name))
	}

	r.ask(t, transactions[:before], picture)
	e := b.entry(t, "yard", func(e *entry) bool { return e.answers > 0 })
	if state := daemons["yard"].signal(t, syscall.SIGTERM); state.ExitCode() != 0 {
		t.Errorf("after SIGTERM: want exit status 0, have %v", state)
	}
	answers := e.answers
	if e = b.now(t, "yard"); answers == e.answers {
		t.Error("the board was ended too late: it owed no answer")
	}
	r.ask(t, transactions[before:], picture)
	r.answered(t, transactions, before+after)
	for _, name := range []string{"door", "gate"} {
		t.Logf("%s: %+v", name, healthCheck(t, b, name))
	}
	if again := r.check(t, b, want); again > 0 {
		t.Errorf("want each request answered once, have %d again", again)
	}
	b.bounded(t)
	e = b.now(t, "yard")
	if len(e.unacked) > 0 {
		t.Errorf("want a board that leaves to acknowledge all, have left %v", e.unacked)
	}
	if i := slices.IndexFunc(transactions[before:], func(transaction string) bool { return e.got[transaction] }); i >= 0 {
		t.Errorf("%s was given to a board that had left", transactions[before+i])
	}
	t.Logf("the board that left had answered %d requests, and then %d", answers, e.answers-answers)
}

// TestFleetRequests sends what is no ordinary request. What must not be answered is known not to be when later ones are.
func TestFleetRequests(t *testing.T) {
	t.Parallel()
	transactions, picture, want := requests(t, 1)
	golfBall := picture(transactions[0])
	b := startFleetBroker(t, nil)
	r := newRequester(t, b)
	const classify, own = "sightd/fleet/" + street + "/classify/", "sightd/door/bridge/request/classify/"
	for _, topic := range []string{classify + "retained", own + "retained"} {
		settle(t, b.admin.Publish(topic, 1, true, golfBall))
	}
	door := b.join(t, "door", newMember(t, b, "door"))
	door.line(t, "request ignored", classify+"retained")
	door.line(t, "request ignored", own+"retained")

	settle(t, b.admin.Publish("sightd/fleet/avenue/classify/elsewhere", 1, false, golfBall))
	long := strings.Repeat("x", 129)
	settle(t, b.admin.Publish(classify+long, 1, false, golfBall))
	request := func(expires time.Time) string {
		return fmt.Sprintf(`{"image":%q,"expires":%q,"transaction":"other"}`, base64.StdEncoding.EncodeToString(golfBall), expires.Format(time.RFC3339))
	}
	cut := golfBall[:len(golfBall)/2]
	answers := 0
	for _, tt := range []struct {
		transaction, payload string
		error                string // part of it
	}{
		{"late", request(time.Now().Add(-time.Hour)), "too late"},
		{"in time", request(time.Now().Add(time.Hour)), ""},
		{"no picture", "hello", "want a JPEG or PNG file"},
		{"nothing", "", "want a JPEG or PNG file"},
		{"no JSON", "{", "want a JSON object"},
		{"cut off", string(cut), "ends"},
		{transactions[0], string(golfBall), ""},
	} {
		settle(t, r.client.Publish(classify+tt.transaction, 1, false, tt.payload))
		r.answered(t, []string{tt.transaction}, 1)
		answers++
		r.mu.Lock()
		a := r.answers[tt.transaction][0]
		r.mu.Unlock()
		failed := a.Status == "error" && a.Data == nil && strings.Contains(a.Error, tt.error)
		if a.Transaction != tt.transaction || tt.error != "" && !failed || tt.error == "" && a.Status != "ok" {
			t.Errorf("%s: want the error %q, have %+v", tt.transaction, tt.error, a)
		}
	}
	var h requestHealth
	eventually(t, func() bool {
		h = healthCheck(t, b, "door")
		return h.Late == 1
	}, func() string { return fmt.Sprintf("want 1 late request, have %+v", h) })
	r.check(t, b, want)
	if e := b.now(t, "door"); !slices.Equal(e.early, []string{"retained", long}) || b.ledger.foreign > 0 {
		t.Errorf("want 2 requests without an answer and none of another fleet, have %q and %d", e.early, b.ledger.foreign)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.answers) != answers {
		t.Errorf("want %d answers, have %d: %v", answers, len(r.answers), r.answers)
	}
}

// noiseJPEG is a picture of random pixels, which is large for its size.
func noiseJPEG(t testing.TB, side int) []byte {
	t.Helper()
	img := image.NewNRGBA(image.Rect(0, 0, side, side))
	random := rand.New(rand.NewPCG(1, 2))
	for i := range img.Pix {
		img.Pix[i] = byte(random.Uint32())
	}
	return encodeJPEG(t, img, 100)
}

// TestFleetBackPressure sends many large pictures to a board that has stopped. They wait with the broker: the board takes them
// one by one when it goes on, in the memory of those that it may hold. Those that still wait when it ends are answered when it is back.
func TestFleetBackPressure(t *testing.T) {
	if raceDetector {
		t.Skip("the daemon is the same with the race detector and without")
	}
	t.Parallel()
	const n, side = 200, 1200
	data := noiseJPEG(t, side)
	file := filepath.Join(t.TempDir(), "noise.jpg")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	v := classify(t, []string{file})["noise.jpg"]
	var transactions []string
	want := map[string]verdict{}
	for i := range n {
		transactions = append(transactions, fmt.Sprintf("noise-%03d", i))
		want[transactions[i]] = v
	}
	b := startFleetBroker(t, map[string]string{"max_inflight_messages": "20", "max_queued_bytes": "0", "autosave_interval": "0"})
	r := newRequester(t, b)
	on := newMember(t, b, "yard")
	p := b.join(t, "yard", on)
	limit := healthCheck(t, b, "yard").Limit

	idle := memoryMB(t, p.cmd.Process.Pid, "VmHWM:")
	pause(t, p, syscall.SIGSTOP)
	r.ask(t, transactions, func(string) []byte { return data })
	if e := b.now(t, "yard"); e.answers > 0 || len(e.got) > b.inflight {
		t.Errorf("want at most %d requests sent to a board that has stopped, and none answered, have %d and %d", b.inflight, len(e.got), e.answers)
	}
	pause(t, p, syscall.SIGCONT)
	r.answered(t, transactions, n/4)
	first := memoryMB(t, p.cmd.Process.Pid, "VmHWM:")
	if state := p.signal(t, syscall.SIGTERM); state.ExitCode() != 0 {
		t.Errorf("after SIGTERM: want exit status 0, have %v", state)
	}
	left := n - r.answered(t, transactions, 0)
	p = b.join(t, "yard", on)
	r.answered(t, transactions, n)
	second := memoryMB(t, p.cmd.Process.Pid, "VmHWM:")

	again := r.check(t, b, want)
	t.Logf("%+v", healthCheck(t, b, "yard"))
	b.bounded(t)
	// What is held, one in the hands of each of paho's two goroutines and one that is read: paho makes two copies of each, and Go lets
	// garbage grow to as much, and further where the machine is busy. And what OpenCV needs for one.
	size := float64(len(data)) / 1e6
	bound := 6*float64(limit+3)*size + 3*3*side*side/1e6 + 32
	for _, peak := range []float64{first, second} {
		if over := peak - idle; over > bound {
			t.Errorf("want at most %.0f MB more than idle with %d requests of %.1f MB waiting, have %.0f", bound, n, size, over)
		}
	}
	t.Logf("%d requests of %.1f MB: peak %.0f MB idle, %.0f and %.0f MB with them, bound +%.0f; %d were left when the board ended, %d were answered again",
		n, size, idle, first, second, bound, left, again)
}

// pause stops a process or lets it go on.
func pause(t testing.TB, p *process, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// TestFleetPace prints how fast one board and three on this machine are. It asserts no time.
func TestFleetPace(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector makes the requester slower")
	}
	const n = 200
	for _, inflight := range []string{"4", "1"} {
		t.Run(inflight+" in flight", func(t *testing.T) {
			transactions, picture, want := requests(t, 2*n)
			b := startFleetBroker(t, map[string]string{"max_inflight_messages": inflight})
			r := newRequester(t, b)
			for i, names := range [][]string{members[:1], members[1:]} {
				for _, name := range names {
					b.join(t, name, newMember(t, b, name))
				}
				part := transactions[i*n : (i+1)*n]
				begin := time.Now()
				r.ask(t, part, picture)
				r.answered(t, part, n)
				t.Logf("boards on this machine: %d, requests/s: %.0f", 1+i*len(names), n/time.Since(begin).Seconds())
			}
			if again := r.check(t, b, want); again > 0 {
				t.Errorf("want each request answered once, have %d again", again)
			}
			b.bounded(t)
		})
	}
}
