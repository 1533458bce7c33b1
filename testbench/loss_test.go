package testbench

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sightd/publish"
)

// What the repeats of an event may come from, and how many there may be. A picture is filed, moved to done/, when the broker
// has acknowledged its event; between being handed to the MQTT client and being filed it is in one of these places:
//
//   - with the one goroutine that hands events over: 1
//   - in its queue to the one that files, in order: publish.Window
//   - with that goroutine: 1
//
// Only these, wherever the broker's acknowledgements are, can have been published and be published again after a SIGKILL.
const perKill = publish.Window + 2

// When a connection breaks, those without an acknowledgement are sent again over the next one: publish.Window at most. And
// mosquitto sends again, to the judge and with DUP, what that has not acknowledged when mosquitto stops: max_inflight_messages,
// which is 20 by default.
const (
	perConnection = publish.Window
	perStop       = 20
)

// TestNothingIsLost drops 2000 pictures in bursts while the broker is stopped and started five times and the daemon is killed
// five times. A subscriber whose session the broker keeps hears of all, and of few twice.
func TestNothingIsLost(t *testing.T) {
	t.Parallel()
	const (
		numDropped = 2000
		rounds     = 5
		each       = numDropped / rounds
	)
	seed := rand.Uint64()
	if text := os.Getenv("TEST_SEED"); text != "" {
		if _, err := fmt.Sscan(text, &seed); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("repeat with TEST_SEED=%d", seed)
	f := newFaults(t, seed, numberedJPEGs(t, numDropped))
	moments := []moment{amid, amid, full, full, away}
	f.rng.Shuffle(len(moments), func(i, j int) { moments[i], moments[j] = moments[j], moments[i] })
	for round, when := range moments {
		f.burst(round*each + each/4 + f.rng.IntN(each/4))
		f.someMore(t)
		f.m.stop(t)
		f.burst(round*each + each/2 + f.rng.IntN(each/4))
		if when == away {
			f.kill(t, when)
		}
		f.back(t)
		f.burst(round*each + 3*each/4 + f.rng.IntN(each/8))
		f.someMore(t)
		if when == full {
			freeze(t, f.m.process)
		}
		f.burst((round + 1) * each)
		if when != away {
			f.kill(t, when)
		}
	}
	f.finish(t)
	f.judge(t)
}

// moment is when the daemon is killed.
type moment string

const (
	amid moment = "amid its work"
	away moment = "while the broker is away"
	full moment = "when the broker has a whole window and the daemon no acknowledgement of it"
)

// faults is a board that is treated badly, and its judge.
type faults struct {
	m        *mosquitto
	b        *board
	p        *process
	r        *recorder
	rng      *rand.Rand
	pictures map[string][]byte // by name
	names    []string          // of pictures, in the order of dropping

	dropped int // so many of names, though some are still being written
	kills   []time.Time
	moments []moment // of kills
	writers sync.WaitGroup
	slow    chan struct{} // holds a token for each slow writer
	written chan error    // of each picture
}

func newFaults(t testing.TB, seed uint64, pictures map[string][]byte) *faults {
	t.Helper()
	m := startMosquitto(t)
	if config, err := os.ReadFile(m.config); err != nil || !strings.Contains(string(config), "max_queued_messages 0\n") {
		t.Fatalf("want a broker that drops nothing for a subscriber that is away, have %q, %v", config, err)
	}
	f := &faults{
		m: m, b: newBoard(t, fmt.Sprintf("broker: %q", m.url)), r: record(t, m.url), rng: rand.New(rand.NewPCG(seed, 0)),
		pictures: pictures, slow: make(chan struct{}, 8), written: make(chan error, len(pictures)),
	}
	for name := range pictures {
		f.names = append(f.names, name)
	}
	slices.Sort(f.names)
	f.rng.Shuffle(len(f.names), func(i, j int) { f.names[i], f.names[j] = f.names[j], f.names[i] })
	f.p, _ = f.b.run(t)
	t.Cleanup(f.writers.Wait)
	return f
}

// burst drops pictures until there were n in all: moves every other one into the folder, and has the others copied slowly,
// some at a time, by writers that go on when it returns.
func (f *faults) burst(n int) {
	for ; f.dropped < n; f.dropped++ {
		name := f.names[f.dropped]
		data, to := f.pictures[name], filepath.Join(f.b.inbox, name)
		if f.dropped%2 == 0 {
			from := filepath.Join(f.b.dir, name)
			err := os.WriteFile(from, data, 0o600)
			if err == nil {
				err = os.Rename(from, to)
			}
			f.written <- err
			continue
		}
		f.writers.Go(func() {
			f.slow <- struct{}{}
			defer func() { <-f.slow }()
			f.written <- copySlowly(to, data)
		})
	}
}

// copySlowly writes a file in parts, each of which reaches the disk before the next one is written.
func copySlowly(to string, data []byte) error {
	file, err := os.Create(to)
	if err != nil {
		return err
	}
	for part := range slices.Chunk(data, 1+len(data)/4) {
		if _, err = file.Write(part); err == nil {
			err = file.Sync()
		}
		if err != nil {
			break
		}
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	return err
}

// someMore waits until the judge has heard of some more pictures, a random number of those that are missing.
func (f *faults) someMore(t testing.TB) {
	t.Helper()
	f.r.mu.Lock()
	heard := len(f.r.files)
	f.r.mu.Unlock()
	want := min(heard+1+f.rng.IntN(1+(f.dropped-heard)*3/4), f.dropped)
	f.r.until(t, func() bool { return len(f.r.files) >= want }, func() string {
		return fmt.Sprintf("want events of %d pictures, have %d", want, len(f.r.files))
	})
}

// back starts the broker again and waits until the daemon is connected to it.
func (f *faults) back(t testing.TB) {
	t.Helper()
	const state = "bridge/state"
	f.r.mu.Lock()
	before := len(f.r.payloads[state])
	f.r.mu.Unlock()
	if !f.m.start(t) {
		t.Fatalf("mosquitto doesn't start again:\n%s", f.m.process)
	}
	f.r.until(t, func() bool { return slices.Contains(f.r.payloads[state][before:], "online") }, func() string {
		return fmt.Sprintf("want %s to be online again, have %q", state, f.r.payloads[state][before:])
	})
}

// kill kills the daemon and starts another one, which may not be ready yet when it returns.
func (f *faults) kill(t testing.TB, when moment) {
	t.Helper()
	if when == full {
		f.fill(t)
	}
	f.p.signal(t, syscall.SIGKILL)
	f.kills, f.moments = append(f.kills, time.Now()), append(f.moments, when)
	f.p, _ = f.b.launch(t)
}

// freeze stops all threads of a program where they are. It can be killed then, or go on.
func freeze(t testing.TB, p *process) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.cmd.Process.Pid))
		return err == nil && !slices.ContainsFunc(threads, func(thread string) bool {
			stat, err := os.ReadFile(thread)
			return err == nil && !strings.Contains(string(stat), ") T ")
		})
	}, func() string { return "the program doesn't stop" })
}

// fill waits until the daemon has sent all that it sends without an acknowledgement to the broker, which is paused, pauses the
// daemon in turn, and has the broker go on and hand all of that to the judge.
func (f *faults) fill(t testing.TB) {
	t.Helper()
	f.r.mu.Lock()
	shortest := len(f.r.events[0].payload)
	for _, e := range f.r.events {
		shortest = min(shortest, len(e.payload))
	}
	f.r.mu.Unlock()
	// The broker may have been paused with one of them in its hands.
	window := (publish.Window - 1) * (shortest + len(base+"inbox/event"))
	eventually(t, func() bool { return unread(t, f.m.url) >= window }, func() string {
		return fmt.Sprintf("want %d bytes that the broker hasn't read, have %d", window, unread(t, f.m.url))
	})
	freeze(t, f.p)
	if err := f.m.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return unread(t, f.m.url) == 0 }, func() string { return "the broker doesn't read" })
	f.r.mark(t)
}

// unread is how many bytes the connections to a broker on this machine hold that it hasn't read yet.
func unread(t testing.TB, url string) (bytes int) {
	t.Helper()
	text, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	var port int
	if _, err := fmt.Sscanf(url, "mqtt://127.0.0.1:%d", &port); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var slot, local, remote, state string
		var sent, received int
		_, err := fmt.Sscanf(line, "%s %s %s %s %x:%x", &slot, &local, &remote, &state, &sent, &received)
		const established = "01"
		if err == nil && state == established && strings.HasSuffix(local, fmt.Sprintf(":%04X", port)) {
			bytes += received
		}
	}
	return bytes
}

// finish waits for everything, and stops the daemon.
func (f *faults) finish(t testing.TB) {
	t.Helper()
	for range f.names {
		if err := <-f.written; err != nil {
			t.Fatal(err)
		}
	}
	for n := 0; n < len(f.names); n += 100 { // patience is for each step
		f.r.until(t, func() bool { return len(f.r.files) >= min(n+100, len(f.names)) }, func() string {
			return fmt.Sprintf("want events of %d pictures, have %d", len(f.names), len(f.r.files))
		})
	}
	const last = "zz_last.jpg"
	f.b.drop(t, 0, last, drawnJPEG(t, "golf_ball", 100))
	f.r.of(t, last) // what could come twice has come by then
	f.b.filed(t, append([]string{last}, f.names...)...)
	f.p.stop(t)
}

// judge looks at what came.
func (f *faults) judge(t testing.TB) {
	t.Helper()
	byFile := map[string][]told{}
	for _, e := range f.r.all() {
		byFile[e.File] = append(byFile[e.File], e)
	}
	ids := map[string]string{}
	byKill := make([]int, len(f.kills)+1) // published again after that kill; the last one is a clean stop
	resent, redelivered, copies := 0, 0, 0
	for _, name := range f.names {
		events := byFile[name]
		if len(events) == 0 {
			t.Errorf("no event of %s", name)
			continue
		}
		copies += len(events)
		first := events[0]
		if other, taken := ids[first.ID]; taken || first.ID == "" {
			t.Errorf("%s and %s: want ids of their own, have %q", name, other, first.ID)
		}
		ids[first.ID] = name
		judged := map[string]bool{first.Time: true} // an event's time is when its picture was judged
		for i, e := range events {
			if e.Type != "classified" || e.Source != "inbox" || e.ID != first.ID || e.Index != first.Index || e.Label != first.Label {
				t.Errorf("%s: want one classification and the same id in each repeat, have %s and %s", name, first.payload, e.payload)
			}
			switch {
			case i == 0:
			case !judged[e.Time]:
				before := f.run(t, events[i-1])
				if f.run(t, e) == before {
					t.Errorf("%s: judged twice without a kill between: %s and %s", name, events[i-1].payload, e.payload)
				}
				byKill[before]++
				judged[e.Time] = true
			case e.again:
				redelivered++
			default:
				resent++
			}
		}
	}
	for i, n := range byKill {
		if i == len(f.kills) && n > 0 {
			t.Errorf("want no picture published again after SIGTERM, have %d", n)
		} else if n > perKill || i < len(f.kills) && f.moments[i] == full && n < publish.Window/2 {
			t.Errorf("killed %s: want at most %d pictures published again, of a whole window half of it at least, have %d",
				f.moments[i], perKill, n)
		}
	}
	outages := len(f.kills)
	if resent > outages*perConnection || redelivered > outages*perStop {
		t.Errorf("%d broker stops: want at most %d events sent again by the daemon and %d by the broker, have %d and %d",
			outages, outages*perConnection, outages*perStop, resent, redelivered)
	}
	for i, when := range f.moments {
		t.Logf("killed %s: %d pictures published again, at most %d", when, byKill[i], perKill)
	}
	t.Logf("broker stopped %d times: %d events sent again by the daemon, at most %d; %d by the broker, at most %d",
		outages, resent, outages*perConnection, redelivered, outages*perStop)
	t.Logf("%d pictures, %d events", len(f.names), copies)
}

// run says which of the daemons, from 0, has judged the picture of an event.
func (f *faults) run(t testing.TB, e told) int {
	t.Helper()
	at, err := time.Parse(time.RFC3339, e.Time)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for n < len(f.kills) && at.After(f.kills[n]) {
		n++
	}
	return n
}

// numberedJPEGs draws n pictures of 64 by 64 pixels, each with its number on it in black and white fields, so that no two
// files are the same. The result is by name.
func numberedJPEGs(t testing.TB, n int) map[string][]byte {
	t.Helper()
	images := []image.Image{drawnImage(t, "golf_ball", 64), drawnImage(t, "parachute", 64)}
	pictures, seen := map[string][]byte{}, map[string]bool{}
	for i := range n {
		img := image.NewNRGBA(images[i%2].Bounds())
		draw.Draw(img, img.Bounds(), images[i%2], image.Point{}, draw.Src)
		for bit := range 12 {
			field := image.Rect(4*bit, 0, 4*bit+4, 4)
			draw.Draw(img, field, image.NewUniform(color.Gray{Y: uint8(255 * (i >> bit & 1))}), image.Point{}, draw.Src)
		}
		data := encodeJPEG(t, img, jpeg.DefaultQuality)
		if seen[string(data)] {
			t.Fatalf("picture %d is the same as one before", i)
		}
		seen[string(data)] = true
		pictures[fmt.Sprintf("burst %04d.jpg", i)] = data
	}
	return pictures
}
