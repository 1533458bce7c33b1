package testbench

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"sightd/testbench/cameras"
)

// soakEnv is for how long TestFaults has a board work, such as 20m. Without it it doesn't.
const soakEnv = "SOAK"

// What happens in a soak, and how often.
const (
	soakLook   = time.Second // pictures and a request come, and what the daemon has is written down
	soakBreak  = 40 * time.Second
	soakReload = 30 * time.Second
	soakWarm   = 4 // a part of this many of the time isn't counted: caches and pools fill then
)

// soakGrowth is how many MB a board may have grown by at the end, in what is counted: pictures' records of the last hour, and the like.
const soakGrowth = 4

// soak is a board that works for long: pictures of all sizes and broken ones come into a folder with quotas, three live sources are watched,
// of which one's program ends every few seconds, requests are made, snapshots kept, the connection is broken, configuration and model are read
// again.
type soak struct {
	*rig
	f      *fault
	took   time.Duration
	page   string
	ticks  int
	breaks int
	loads  int
	asked  int

	rss, anon, pss []float64 // MB, a value a tick, from soakWarm on
	threads        []float64
	before, after  stock
}

// stock is what a process has when nothing is to be done.
type stock struct {
	files, children int
	goroutines      map[string]int // by the function that has started them
}

// newSoak starts a board for a soak.
func newSoak(t *testing.T) *soak {
	t.Helper()
	f := &fault{name: "soak", seed: faultSeed(t)}
	s := &soak{rig: newRig(t, f, "", "done: {max_files: 60}, failed: {max_files: 20}"), f: f}
	photos := surePhotos(t, 2)
	dir, path := fakeRpicam(t)
	if _, err := cameras.NewRpicam(dir, 0, cameras.Orders{FPS: 5, Each: 10, Last: 40}, pictures(photos)...); err != nil {
		t.Fatal(err)
	}
	yard := httpCamera(t, 5, 10, photos...)
	s.b.configure(t, "log: ", "http: {listen: \"127.0.0.1:0\"}\nsnapshots: {enabled: true, max_mb: 1, mqtt: true}\nlog: ")
	s.b.configure(t, "sources:\n", fmt.Sprintf("sources:\n  - {name: yard, type: url, url: %q}\n  - {name: csi, type: rpicam, size: 224x224, stall: 2s}\n", yard.URL()))
	s.env = []string{path}
	s.run(t)
	s.page = s.p.field(t, "status page", "url")
	return s
}

// work is what comes once a tick.
func (s *soak) work(t *testing.T) {
	t.Helper()
	sizes := []int{64, 100, 200, 400, 800, 1600}
	for range 2 {
		name, _ := s.picture(t)
		data := distinct(drawnOnce(t, []string{"golf_ball", "parachute"}[s.rng.IntN(2)], sizes[s.rng.IntN(len(sizes))]), uint64(len(s.names)))
		if s.rng.IntN(20) == 0 {
			data = append(data[:len(data)/2:len(data)/2], 0xff, 0xd9) // whole as it seems
		}
		s.b.drop(t, s.rng.IntN(2), name, data)
	}
	s.asked++
	switch s.ticks % 5 {
	case 0:
		s.r.send(t, "bridge/request/health_check", "{}")
	case 1:
		s.r.send(t, fmt.Sprintf("bridge/request/classify/soak-%d", s.asked), string(drawnOnce(t, "golf_ball", 200)))
	case 2:
		s.r.send(t, "bridge/request/explain", `{"source":"door"}`)
	case 3:
		s.r.send(t, "bridge/request/snapshot", `{"source":"yard"}`)
	case 4:
		for _, page := range []string{"", "metrics", "health"} {
			s.get(t, page)
		}
	}
	s.ticks++
}

// get reads a page, whatever its status.
func (s *soak) get(t *testing.T, page string) {
	t.Helper()
	answer, err := http.Get(s.page + page)
	if err != nil {
		t.Error(err)
		return
	}
	_, err = io.Copy(io.Discard, answer.Body)
	if closed := answer.Body.Close(); err != nil || closed != nil {
		t.Error(err, closed)
	}
}

// soakFiles are drawn pictures that were made already.
var soakFiles = map[string][]byte{}

func drawnOnce(t *testing.T, name string, size int) []byte {
	t.Helper()
	key := fmt.Sprint(name, size)
	if soakFiles[key] == nil {
		soakFiles[key] = drawnJPEG(t, name, size)
	}
	return soakFiles[key]
}

// disturb breaks the connection and has things read again, when it is time.
func (s *soak) disturb(t *testing.T, elapsed time.Duration) {
	t.Helper()
	if n := int(elapsed / soakBreak); n > s.breaks {
		s.breaks = n
		s.wire.set([]wireState{cut, stalled}[n%2])
		s.work(t)
		s.wire.set(whole)
	}
	if n := int(elapsed / soakReload); n > s.loads {
		s.loads = n
		if n%2 == 0 { // another configuration
			holds := []string{"hold: 0s", "hold: 100ms"}
			s.b.configure(t, holds[(n/2+1)%2], holds[n/2%2])
		}
		if err := s.p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
}

// measure writes down what the daemon has.
func (s *soak) measure(t *testing.T) {
	t.Helper()
	pid := s.p.cmd.Process.Pid
	s.rss = append(s.rss, memoryMB(t, pid, "VmRSS:"))
	s.anon = append(s.anon, memoryMB(t, pid, "RssAnon:"))
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		t.Fatal(err)
	}
	s.threads = append(s.threads, float64(len(threads)))
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		t.Fatal(err)
	}
	var kb float64
	_, rest, _ := strings.Cut(string(text), "\nPss:")
	if _, err := fmt.Sscan(rest, &kb); err != nil {
		t.Fatalf("want Pss in kB, have %s", text)
	}
	s.pss = append(s.pss, kb*1024/1e6)
}

// soakFor has a board work for a time and looks for what it loses and what it leaks.
func soakFor(t *testing.T, text string) *soak {
	t.Helper()
	took, err := time.ParseDuration(text)
	if err != nil || took < time.Minute {
		t.Fatalf("%s: want a duration of a minute or more, have %q", soakEnv, text)
	}
	twin := newSoak(t) // works for a short time, to tell what a daemon has that has just begun
	for range 15 {
		twin.work(t)
		twin.some(t, 1)
	}
	twin.wire.set(cut)
	twin.wire.set(whole)
	twin.rest(t)
	s := newSoak(t)
	s.took, s.before = took, twin.inventory(t)
	tick := time.NewTicker(soakLook)
	defer tick.Stop()
	for begin := time.Now(); ; <-tick.C {
		elapsed := time.Since(begin)
		if elapsed > took {
			break
		}
		s.work(t)
		s.disturb(t, elapsed)
		if elapsed > took/soakWarm {
			s.measure(t)
		}
	}
	s.saveSeries(t)
	s.rest(t)
	s.after = s.inventory(t)
	s.judgeSoak(t)
	t.Log(s.report())
	return s
}

// rest waits until there is nothing to do: pictures filed, live sources off.
func (s *soak) rest(t *testing.T) {
	t.Helper()
	s.acknowledged(t, s.names...)
	for _, source := range []string{"door", "yard", "csi"} {
		eventually(t, func() bool {
			s.r.send(t, source+"/set", `{"enabled":false}`)
			s.r.mu.Lock()
			defer s.r.mu.Unlock()
			said := s.r.payloads[source+"/availability"]
			return len(said) > 0 && said[len(said)-1] == "disabled"
		}, func() string { return "want " + source + " switched off" })
	}
	eventually(t, func() bool {
		h := s.r.health(t)
		return h.Outbox.Pending == 0 && len(list(t, s.b.inbox)) == 0 && len(descendants(t, s.p.cmd.Process.Pid)) == 0
	}, func() string { return fmt.Sprintf("want nothing to do, have %q", list(t, s.b.inbox)) })
	s.r.mark(t)
}

// inventory counts what the daemon has, and ends it by SIGQUIT, upon which it tells its goroutines.
func (s *soak) inventory(t *testing.T) (st stock) {
	t.Helper()
	http.DefaultClient.CloseIdleConnections()
	fewest := s.p.files(t)
	for left := 100; left > 0; left-- { // until there were no fewer for five seconds: what was just closed goes
		<-time.After(50 * time.Millisecond)
		if n := s.p.files(t); n < fewest {
			fewest, left = n, 100
		}
	}
	st.files, st.children = fewest, len(descendants(t, s.p.cmd.Process.Pid))
	s.p.signal(t, syscall.SIGQUIT)
	st.goroutines = map[string]int{}
	for _, stack := range strings.Split(s.p.String(), "\n\n") {
		if goroutine.MatchString(stack) {
			by := "main"
			if m := creator.FindStringSubmatch(stack); m != nil {
				by = m[1]
			}
			st.goroutines[by]++
		}
	}
	return st
}

var (
	goroutine = regexp.MustCompile(`(?m)^goroutine [1-9]`)
	creator   = regexp.MustCompile(`(?m)^created by (\S+)`)
)

// total is the number of goroutines.
func (st stock) total() (n int) {
	for _, each := range st.goroutines {
		n += each
	}
	return n
}

// judgeSoak looks for losses and leaks.
func (s *soak) judgeSoak(t *testing.T) {
	t.Helper()
	s.adrift = true // reloads begin numbers anew
	if s.judge(t, s.f, s.r.all()); s.f.lost > 0 {
		t.Errorf("want nothing lost, have %d events:\n%s", s.f.lost, strings.Join(s.f.missing, "\n"))
	}
	if s.before.total() < 10 {
		t.Errorf("want the goroutines of a daemon, have %v", s.before.goroutines)
	}
	if s.after.files > s.before.files || s.after.children > s.before.children || s.after.total() > s.before.total() {
		t.Errorf("want no more descriptors, children and goroutines than after 15 s, %+v, have %+v", s.before, s.after)
	}
	// What is claimed is told at 95 %, which one soak in twenty misses without a leak. And in a short one, what is bounded is still filling.
	grown := slopeOf(s.anon, s.counted())
	if lo, _ := grown.between(student999); lo*s.counted().Hours() > soakGrowth {
		t.Errorf("anonymous memory grows: %v MB an hour", grown)
	}
}

// counted is the time in which memory was looked at.
func (s *soak) counted() time.Duration { return s.took - s.took/soakWarm }

// report is what is written of the soak.
func (s *soak) report() string {
	var b strings.Builder
	fmt.Fprintf(&b, "A board worked for %v: %d pictures in a folder, three live sources, %d requests and looks at the page, %d breaks of the connection, %d reloads; %d events, %d lost, %d repeated.\n\n",
		s.took, len(s.names), s.asked, s.breaks, s.loads, s.f.expected, s.f.lost, s.f.repeated)
	b.WriteString("| | median | MB an hour, with its bounds at 95 % | target | n |\n| --- | ---: | ---: | --- | ---: |\n")
	for _, row := range []struct {
		what   string
		values []float64
		target bool // Pss hangs on what else runs here with the same libraries
	}{{"RSS", s.rss, true}, {"RssAnon", s.anon, true}, {"Pss", s.pss, false}} {
		slope, target := slopeOf(row.values, s.counted()), ""
		if row.target {
			target = "0 is within: " + map[bool]string{true: "met", false: "**missed**"}[slope.flat()]
		}
		fmt.Fprintf(&b, "| %s | %.1f MB | %v | %s | %d |\n", row.what, median(row.values), slope, target, len(row.values))
	}
	fmt.Fprintf(&b, "\n| | after 15 s | after %v |\n| --- | ---: | ---: |\n| descriptors | %d | %d |\n| goroutines | %d | %d |\n| children | %d | %d |\n",
		s.took, s.before.files, s.after.files, s.before.total(), s.after.total(), s.before.children, s.after.children)
	fmt.Fprintf(&b, "\nThreads: %.0f to %.0f while it worked.\n", slices.Min(s.threads), slices.Max(s.threads))
	fmt.Fprintf(&b, "\nThe first quarter isn't counted. A line is fitted to the medians of %d parts; where they hang together, the bounds are made wider by as much. Descriptors, goroutines (by SIGQUIT) and children are\n"+
		"counted when nothing is to be done, of another daemon with the same work for 15 s, and of this one in the end.\n", slopeBlocks)
	return b.String()
}

// saveSeries writes what was measured where FAULT_SERIES says so, to look at.
func (s *soak) saveSeries(t *testing.T) {
	t.Helper()
	file := os.Getenv("FAULT_SERIES")
	if file == "" {
		return
	}
	var b strings.Builder
	for i := range s.anon {
		fmt.Fprintf(&b, "%.3f %.3f %.3f %.0f\n", s.rss[i], s.anon[i], s.pss[i], s.threads[i])
	}
	if err := os.WriteFile(filepath.Clean(file), []byte(b.String()), 0o600); err != nil {
		t.Error(err)
	}
}
