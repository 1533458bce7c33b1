package testbench

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// door is the rigs' live source. It shows another picture each time, and each is an event.
const door = "{name: door, type: replay, path: ./frames, loop: true, fps: 4}"

// rig is a board with a folder and a live source that is treated badly. A wire joins it to mosquitto.
type rig struct {
	m    *mosquitto
	wire *wire
	r    *recorder
	b    *board
	p    *process
	rng  *rand.Rand

	env    []string // of the daemon
	within []string // a command to run it by
	keeps  bool     // its folder keeps its pictures
	adrift bool     // its clock can't be trusted to tell which run of it has made an event
	names  []string // of the pictures that were dropped
	spells []*spell
}

// spell is a run of the daemon.
type spell struct {
	p     *process
	began time.Time
	clean bool // it was ended in order

	damaged int // of its last events the test has damaged the records
}

// faultSeed is another one each time, or TEST_SEED.
func faultSeed(t testing.TB) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("TEST_SEED"); text != "" {
		if _, err := fmt.Sscan(text, &seed); err != nil {
			t.Fatal(err)
		}
	}
	return seed
}

// newRig makes a rig whose daemon isn't started yet, in dir, or in a new folder where that is "". keys are the folder's.
func newRig(t testing.TB, f *fault, dir, keys string) *rig {
	t.Helper()
	m := startMosquitto(t)
	g := &rig{m: m, wire: newWire(t, m.url), r: record(t, m.url), rng: rand.New(rand.NewPCG(f.seed, 0))}
	g.b = newBoard(t, fmt.Sprintf("broker: %q", g.wire.url()))
	if dir != "" {
		g.b.move(t, dir)
	}
	if keys != "" {
		g.b.configure(t, "settle: 200ms", "settle: 200ms, "+keys)
	}
	g.b.configure(t, "sources:\n", "decide: "+eager+"\nsources:\n  - "+door+"\n")
	frames := filepath.Join(g.b.dir, "frames")
	if err := os.Mkdir(frames, 0o700); err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"golf_ball", "parachute"} {
		if err := os.WriteFile(filepath.Join(frames, fmt.Sprintf("%d.jpg", i)), drawnJPEG(t, name, 160), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

// move has the board in another folder.
func (b *board) move(t testing.TB, dir string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(b.dir, "sightd.yaml"))
	if err == nil {
		b.dir, b.inbox = dir, filepath.Join(dir, "inbox")
		err = os.Mkdir(b.inbox, 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "sightd.yaml"), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// launch starts the daemon, and returns at once.
func (g *rig) launch(t testing.TB) {
	t.Helper()
	command := slices.Concat([]string{"env"}, g.env, g.within, []string{sightd(t), "run", "-c", "sightd.yaml"})
	program, err := exec.LookPath(command[0])
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	g.p = start(t, g.b.dir, program, command[1:]...)
	g.spells = append(g.spells, &spell{p: g.p, began: began})
}

// run starts the daemon and waits until it watches.
func (g *rig) run(t testing.TB) {
	t.Helper()
	g.launch(t)
	g.p.line(t, `"msg":"ready`)
}

// starts starts the daemon, measures how soon it works, and stops it in order.
func (g *rig) starts(t testing.TB, f *fault) {
	t.Helper()
	begin := time.Now()
	g.launch(t)
	g.recoverSince(t, f, begin)
	g.p.line(t, `"msg":"ready`)
	g.stop(t)
}

// stop stops the daemon in order.
func (g *rig) stop(t testing.TB) {
	t.Helper()
	g.p.stop(t)
	g.spells[len(g.spells)-1].clean = true
}

// kill kills it.
func (g *rig) kill(t testing.TB) {
	t.Helper()
	if g.p.running() {
		g.p.signal(t, syscall.SIGKILL)
	}
}

// drop drops n pictures, each by another way than the one before.
func (g *rig) drop(t testing.TB, n int) (names []string) {
	t.Helper()
	for range n {
		name, data := g.picture(t)
		g.b.drop(t, g.rng.IntN(3), name, data)
		names = append(names, name)
	}
	return names
}

// picture is a new picture that is going to be dropped.
func (g *rig) picture(t testing.TB) (name string, data []byte) {
	t.Helper()
	name = fmt.Sprintf("p%06d.jpg", len(g.names))
	data = distinct(drawnJPEG(t, []string{"golf_ball", "parachute"}[len(g.names)%2], 64), uint64(len(g.names)))
	g.names = append(g.names, name)
	return name, data
}

// distinct is a JPEG with a number in a comment.
func distinct(data []byte, n uint64) []byte {
	const startMarker = 2
	comment := binary.BigEndian.AppendUint64([]byte{0xff, 0xfe, 0, 10}, n)
	return slices.Concat(data[:startMarker], comment, data[startMarker:])
}

// pause lasts for a random time, so that what comes next comes at any moment.
func (g *rig) pause(most time.Duration) {
	<-time.After(time.Duration(g.rng.Int64N(int64(most))))
}

// some waits until the broker has acknowledged so many events more.
func (g *rig) some(t testing.TB, n int) {
	t.Helper()
	want := g.wire.count() + n
	g.wire.until(t, func() bool { return len(g.wire.ids) >= want }, func() string {
		return fmt.Sprintf("want %d events acknowledged, have %d", want, len(g.wire.ids))
	})
}

// recover drops a picture when a fault is over, and notes how long it takes until the broker has acknowledged its event.
func (g *rig) recover(t testing.TB, f *fault) {
	t.Helper()
	g.recoverSince(t, f, time.Now())
}

func (g *rig) recoverSince(t testing.TB, f *fault, begin time.Time) {
	t.Helper()
	name, data := g.picture(t)
	g.b.drop(t, 0, name, data)
	g.acknowledged(t, name)
	at, _ := g.wire.has(name)
	f.recovered = append(f.recovered, at.Sub(begin))
}

// acknowledged waits for the first event of each picture. It doesn't fail: what is lost is counted in the end.
func (g *rig) acknowledged(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		if !happens(func() bool { _, ok := g.wire.has(name); return ok }) {
			t.Errorf("%s: no event was acknowledged within %v", name, patience)
			return
		}
	}
}

// finish waits for everything, and judges.
func (g *rig) finish(t testing.TB, f *fault) {
	t.Helper()
	g.quiet(t)
	g.judge(t, f, g.r.all())
}

// quiet waits until all pictures are filed and no event is on its way, with the live source switched off, and stops the daemon.
func (g *rig) quiet(t testing.TB) {
	t.Helper()
	g.acknowledged(t, g.names...)
	var answer health
	switched := ""
	eventually(t, func() bool {
		if switched == "" {
			g.r.send(t, "door/set", `{"enabled":false}`)
			g.r.mu.Lock()
			if n := len(g.r.payloads["door/availability"]); n > 0 && g.r.payloads["door/availability"][n-1] == "disabled" {
				switched = "disabled"
			}
			g.r.mu.Unlock()
			return false
		}
		answer = g.r.health(t)
		return answer.Outbox.Pending == 0 && (g.keeps || len(list(t, g.b.inbox)) == 0)
	}, func() string {
		return fmt.Sprintf("want the door switched off, nothing in the outbox and an empty folder, have %q, %+v and %q", switched, answer.Outbox, list(t, g.b.inbox))
	})
	g.r.mark(t)
	g.stop(t)
}

// judge counts what was lost and what came again.
func (g *rig) judge(t testing.TB, f *fault, events []told) {
	t.Helper()
	byID, files := map[string]int{}, map[string]bool{}
	for _, e := range events {
		if e.again && byID[e.ID] > 0 {
			continue
		}
		if byID[e.ID]++; byID[e.ID] > 1 {
			f.repeated++
		}
		files[e.File] = true
	}
	for _, name := range g.names {
		f.expected++
		if _, ok := g.wire.has(name); !ok || !files[name] {
			f.miss(1, "%s: acknowledged %v, heard %v", name, ok, files[name])
		}
	}
	if g.adrift {
		g.judgeAll(f, events)
	} else {
		g.judgeRuns(t, f, events)
	}
}

// judgeAll counts the events of the live source, all runs together. Each was ended in order.
func (g *rig) judgeAll(f *fault, events []told) {
	heard, logged := map[string]bool{}, 0
	for _, e := range events {
		if e.Source == "door" && slices.Contains(shown, e.Type) {
			heard[e.ID] = true
		}
	}
	for _, s := range g.spells {
		logged += s.logged()
	}
	f.expected += logged
	if missing := logged - len(heard); missing > 0 {
		f.miss(missing, "events of the live source: logged %d, heard %d", logged, len(heard))
	}
}

// shown are the events of a live source that the log tells.
var shown = []string{"enter", "leave", "change"}

// judgeRuns counts the events of the live source run by run: each numbers them.
func (g *rig) judgeRuns(t testing.TB, f *fault, events []told) {
	t.Helper()
	heard := make([]map[int]bool, len(g.spells)) // numbers, by run
	for i := range heard {
		heard[i] = map[int]bool{}
	}
	for _, e := range events {
		if e.Source == "door" {
			heard[g.spell(t, e)][e.Seq] = true
		}
	}
	last := 0 // number of the run before, where that was ended in order
	for i, s := range g.spells {
		numbers := slices.Sorted(maps.Keys(heard[i]))
		before := 0 // it goes on with the numbers of the run before
		if len(numbers) > 0 && numbers[0] > last {
			before = last
		}
		upTo := before + s.logged() - s.damaged
		if !s.clean && s.logged() > 0 {
			upTo-- // told before it was accepted
		}
		if s.damaged == 0 && len(numbers) > 0 {
			upTo = max(upTo, numbers[len(numbers)-1])
		}
		for n := before + 1; n <= upTo; n++ {
			f.expected++
			if !heard[i][n] {
				f.miss(1, "run %d of %d: event %d of the live source, of %d in the log", i+1, len(g.spells), n, s.logged())
			}
		}
		if last = 0; s.clean {
			last = upTo + s.damaged
		}
	}
}

// spell says by which run an event was made.
func (g *rig) spell(t testing.TB, e told) int {
	t.Helper()
	at, err := time.Parse(time.RFC3339, e.Time)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for n+1 < len(g.spells) && at.After(g.spells[n+1].began) {
		n++
	}
	return n
}

// logged counts the events of the live source that the log tells.
func (s *spell) logged() (n int) {
	for line := range strings.Lines(s.p.String()) {
		var said struct{ Msg, Source string }
		if json.Unmarshal([]byte(line), &said) == nil && said.Source == "door" && slices.Contains(shown, said.Msg) {
			n++
		}
	}
	return n
}
