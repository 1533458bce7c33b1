package testbench

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// arrivals is a client that notes when the events of files come. It shares the cores with what is measured: it is one goroutine, without
// a library's others, and looks into events once all are there.
type arrivals struct {
	watched
	leave  func()               // ends the connection
	heard  []arrival            // not looked into yet
	enough int                  // of these, for who waits to be woken
	at     map[string]time.Time // by source and file
	last   time.Time
	bad    []string
}

// arrival is an event.
type arrival struct {
	payload []byte
	at      time.Time
}

func arrive(t testing.TB, url string) *arrivals {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "mqtt://"))
	if err != nil {
		t.Fatal(err)
	}
	a := &arrivals{at: map[string]time.Time{}}
	in, out := bufio.NewReaderSize(conn, 64<<10), bufio.NewWriter(conn)
	connect := packets.NewControlPacket(packets.Connect).(*packets.ConnectPacket)
	connect.ProtocolName, connect.ProtocolVersion, connect.CleanSession, connect.ClientIdentifier = "MQTT", 4, true, "testbench-arrivals"
	subscribe := packets.NewControlPacket(packets.Subscribe).(*packets.SubscribePacket)
	subscribe.MessageID, subscribe.Topics, subscribe.Qoss = 1, []string{base + "+/event"}, []byte{1}
	for _, p := range []packets.ControlPacket{connect, subscribe} {
		err := p.Write(conn)
		if err == nil {
			_, err = packets.ReadPacket(in) // CONNACK and SUBACK; nothing is retained there
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var hearing sync.WaitGroup
	hearing.Go(func() { a.hear(in, out) })
	a.leave = sync.OnceFunc(func() {
		conn.Close() // what is left of it doesn't matter
		hearing.Wait()
	})
	t.Cleanup(func() {
		a.leave()
		a.read()
		a.complain(t)
	})
	return a
}

// hear takes events, and acknowledges them, until the connection is closed.
func (a *arrivals) hear(in *bufio.Reader, out *bufio.Writer) {
	for {
		p, err := packets.ReadPacket(in)
		if err != nil {
			return
		}
		event, ok := p.(*packets.PublishPacket)
		if !ok {
			continue
		}
		a.receive(arrival{event.Payload, time.Now()})
		ack := packets.NewControlPacket(packets.Puback).(*packets.PubackPacket)
		ack.MessageID = event.MessageID
		if err = ack.Write(out); err == nil && in.Buffered() == 0 {
			err = out.Flush()
		}
		if err != nil {
			return
		}
	}
}

func (a *arrivals) receive(e arrival) {
	a.mu.Lock()
	a.heard = append(a.heard, e)
	enough := len(a.heard) == a.enough
	a.mu.Unlock()
	if enough {
		a.change(func() {})
	}
}

// read looks into the events that have come, and gives how many files they are of.
func (a *arrivals) read() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, heard := range a.heard {
		var e event
		if err := json.Unmarshal(heard.payload, &e); err != nil || e.Type != "classified" {
			a.bad = append(a.bad, string(heard.payload))
			continue
		}
		key := e.Source + "/" + e.File
		if a.at[key].IsZero() { // else it is a repeat
			a.at[key], a.last = heard.at, heard.at
		}
	}
	a.heard = nil
	return len(a.at)
}

// complain fails the test for what was no event of a picture that was classified.
func (a *arrivals) complain(t testing.TB) {
	t.Helper()
	for _, payload := range a.bad {
		t.Errorf("bad event: %s", payload)
	}
}

// wait waits until there are events of n files, and gives when the last one came. patience is for a thousand of them.
func (a *arrivals) wait(t testing.TB, n int) time.Time {
	t.Helper()
	for have := a.read(); have < n; have = a.read() {
		for enough := 0; enough < n-have; {
			enough = min(enough+1000, n-have)
			a.mu.Lock()
			a.enough = enough
			a.mu.Unlock()
			a.until(t, func() bool { return len(a.heard) >= enough }, func() string {
				return fmt.Sprintf("want events of %d files, have %d and %d more events", n, have, len(a.heard))
			})
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last
}

// came is when a file's event came.
func (a *arrivals) came(t testing.TB, source, file string) time.Time {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	at, ok := a.at[source+"/"+file]
	if !ok {
		t.Fatalf("want an event of %s of %s, have none", file, source)
	}
	return at
}

// stage puts n pictures beside the watched folder, the same ones again and again under names that begin with prefix.
func (b *board) stage(t testing.TB, prefix string, pictures []string, n int) (names []string) {
	t.Helper()
	data := make([][]byte, min(n, len(pictures)))
	for i := range data {
		var err error
		if data[i], err = os.ReadFile(pictures[i]); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		names = append(names, fmt.Sprintf("%s-%05d.jpg", prefix, i))
		if err := os.WriteFile(filepath.Join(b.dir, names[i]), data[i%len(data)], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return names
}

// release moves a staged picture into the watched folder, and gives when.
func (b *board) release(t testing.TB, name string) time.Time {
	t.Helper()
	at := time.Now()
	if err := os.Rename(filepath.Join(b.dir, name), filepath.Join(b.inbox, name)); err != nil {
		t.Fatal(err)
	}
	return at
}

// sweep removes what was filed.
func (b *board) sweep(t testing.TB, names []string) {
	t.Helper()
	b.filed(t, names...)
	if err := os.RemoveAll(filepath.Join(b.inbox, "done")); err != nil {
		t.Fatal(err)
	}
}

// backlog is a daemon that gets many pictures at once, again and again.
type backlog struct {
	b        *board
	p        *process
	url      string // of its broker
	pictures []string
	turns    int
}

func startBacklog(t testing.TB, pictures []string) *backlog {
	t.Helper()
	b := newBoard(t, embedded)
	b.configure(t, fixedModel, "") // auto
	b.startOnce(t)                 // finds out which delegate is best
	p, url := b.run(t)
	return &backlog{b: b, p: p, url: url, pictures: pictures}
}

// burst gives the daemon n pictures at once. It gives what each took, and the milliseconds from a picture's move into the folder to its event.
func (l *backlog) burst(t testing.TB, n int) (cost used, latency []float64) {
	t.Helper()
	l.turns++
	names := l.b.stage(t, fmt.Sprint(l.turns), l.pictures, n)
	moved := make([]time.Time, n)
	s := startMosquittoSub(t, l.url, n)
	cpu, begin := processTime(t, l.p.cmd.Process.Pid), time.Now()
	for i, name := range names {
		moved[i] = l.b.release(t, name)
	}
	a := s.wait(t)
	cpu = processTime(t, l.p.cmd.Process.Pid) - cpu
	took := a.last.Sub(begin)
	for i, name := range names {
		latency = append(latency, milliseconds(a.came(t, "inbox", name).Sub(moved[i])))
	}
	l.b.sweep(t, names)
	return used{milliseconds(took) / float64(n), milliseconds(cpu) / float64(n)}, latency
}

// singly gives the daemon n pictures, each when the event of the one before has come, or at a rate of so many a second, and gives the
// milliseconds from a picture's move into the folder to its event.
func (l *backlog) singly(t testing.TB, n int, rate float64) (latency []float64) {
	t.Helper()
	l.turns++
	names := l.b.stage(t, fmt.Sprint(l.turns), l.pictures, n)
	moved := make([]time.Time, n)
	a := arrive(t, l.url)
	defer a.leave()
	var due <-chan time.Time
	if rate > 0 {
		tick := time.NewTicker(time.Duration(float64(time.Second) / rate))
		defer tick.Stop()
		due = tick.C
	}
	for i, name := range names {
		if due != nil {
			<-due
		}
		if moved[i] = l.b.release(t, name); due == nil {
			a.wait(t, i+1)
		}
	}
	a.wait(t, n)
	for i, name := range names {
		latency = append(latency, milliseconds(a.came(t, "inbox", name).Sub(moved[i])))
	}
	l.b.sweep(t, names)
	return latency
}

// measureFolderLatency tells how long a picture takes from its move into a watched folder to its event at a client.
func measureFolderLatency(t *testing.T) []figure {
	const alone, many, paced, share = 300, 2000, 1000, 0.8
	l := startBacklog(t, paths(t, smallPhotos(t, imagenetPhotos(t, 0))))
	l.singly(t, 20, 0)
	idle := memoryMB(t, l.p.cmd.Process.Pid, "VmRSS:")
	single := l.singly(t, alone, 0)
	cost, queued := l.burst(t, many)
	rate := share * 1000 / cost.wall
	loaded := l.singly(t, paced, rate)
	peak := memoryMB(t, l.p.cmd.Process.Pid, "VmHWM:")
	l.p.stop(t)
	const from = "watched folder, 500-px photos, from the move into it to the event at a client: "
	return []figure{
		{what: from + "one at a time", value: latencyText(single), n: alone, spread: between(single, "ms")},
		{what: from + fmt.Sprintf("%.0f a second, %.0f %% of what it can", rate, 100*share), value: latencyText(loaded), n: paced, spread: between(loaded, "ms")},
		{what: from + fmt.Sprintf("%d at once", many), value: latencyText(queued), n: many, spread: between(queued, "ms")},
		{what: fmt.Sprintf("watched folder, %d at once: photos a second", many), value: fmt.Sprintf("%.0f, each %.2f ms of processor time", 1000/cost.wall, cost.cpu), n: many},
		{what: "watched folder: resident memory after 20 photos, and its peak after all", value: fmt.Sprintf("%.1f MB, %.1f MB", idle, peak), n: 1},
	}
}

// measureCameraLatency is measureLatency of the results of live sources, of one run.
func measureCameraLatency(t *testing.T) []figure {
	l := startLatency(t)
	took, step := l.measure(t)
	peak := memoryMB(t, l.p.cmd.Process.Pid, "VmHWM:")
	l.p.stop(t)
	return []figure{
		{what: "HTTP camera (MJPEG, 30 a second, each picture an event), from a picture's last byte to its event at a client", value: latencyText(took),
			n: len(took), spread: between(took, "ms")},
		{what: "HTTP camera: the step in that run, from bridge/health", value: fmt.Sprintf("p50 %.1f ms, p95 %.1f ms", step.P50, step.P95), n: len(took)},
		{what: "HTTP camera: peak of the resident memory", value: fmt.Sprintf("%.1f MB", peak), n: 1},
	}
}
