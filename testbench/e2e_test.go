package testbench

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

const numPictures = 60

// expected is what classify says of files and of the picture that comes last.
func expected(t testing.TB, files []string) map[string]verdict {
	t.Helper()
	last := filepath.Join(t.TempDir(), "zz_last.jpg")
	if err := os.WriteFile(last, drawnJPEG(t, "golf_ball", 200), 0o600); err != nil {
		t.Fatal(err)
	}
	return classify(t, append([]string{last}, files...))
}

// TestFolder drops pictures while the daemon runs. A client of its own receives each once.
func TestFolder(t *testing.T) {
	t.Parallel()
	files := pictureFiles(t, numPictures)
	want := expected(t, files)
	for _, broker := range []string{"embedded broker", "mosquitto"} {
		t.Run(broker, func(t *testing.T) {
			t.Parallel()
			b := newBoard(t, embedded)
			var m *mosquitto
			if broker == "mosquitto" {
				m = startMosquitto(t)
				b = newBoard(t, fmt.Sprintf("broker: %q", m.url))
			}
			p, url := b.run(t)
			if m != nil {
				url = m.url
			}
			s := subscribe(t, url)
			s.state(t, "online")

			names := append(b.dropFiles(t, files), b.last(t, s))
			s.files(t, len(names))
			b.filed(t, names...)
			s.check(t, true, want)

			if state := p.signal(t, syscall.SIGTERM); state.ExitCode() != 0 {
				t.Errorf("after SIGTERM: want exit status 0, have %v", state)
			}
			if m == nil {
				return
			}
			s.state(t, "online", "offline")
			if state := retainedMessage(t, m.url, "sightd/bench/bridge/state"); state != "offline" {
				t.Errorf("retained bridge/state after SIGTERM: want offline, have %s", state)
			}
			s.check(t, true, want)
		})
	}
}

// TestRefusedPicture drops a JPEG that never ends: it goes to failed/ with the reason, which is published too, while others
// are classified.
func TestRefusedPicture(t *testing.T) {
	t.Parallel()
	b := newBoard(t, embedded)
	p, url := b.run(t)
	s := subscribe(t, url)
	data := drawnJPEG(t, "parachute", 300)
	b.drop(t, 0, "truncated.jpg", data[:len(data)/2])
	b.drop(t, 0, "whole.jpg", data)
	s.files(t, 2)

	refused, whole := s.first(t, "truncated.jpg"), s.first(t, "whole.jpg")
	if whole.Type != "classified" || whole.Label != "parachute" {
		t.Errorf("whole.jpg: want a parachute, have %+v", whole)
	}
	if refused.Type != "error" || refused.Error == "" || refused.Label != "" {
		t.Errorf("truncated.jpg: want an error with its reason and no label, have %+v", refused)
	}
	b.filed(t, "whole.jpg")
	failed := filepath.Join(b.inbox, "failed")
	eventually(t, func() bool { return len(list(t, failed)) == 2 }, func() string {
		return fmt.Sprintf("failed/: want the picture and its reason, have %q", list(t, failed))
	})
	moved, err := os.ReadFile(filepath.Join(failed, "truncated.jpg"))
	if err != nil || len(moved) != len(data)/2 {
		t.Errorf("failed/truncated.jpg: want the %d bytes that were dropped, have %d, %v", len(data)/2, len(moved), err)
	}
	reason, err := os.ReadFile(filepath.Join(failed, "truncated.jpg.txt"))
	if err != nil || !strings.Contains(string(reason), refused.Error) {
		t.Errorf("failed/truncated.jpg.txt: want %q, have %q, %v", refused.Error, reason, err)
	}
	if state := p.signal(t, syscall.SIGTERM); state.ExitCode() != 0 {
		t.Errorf("after SIGTERM: want exit status 0, have %v", state)
	}
	if n := s.count(); n != 2 {
		t.Errorf("want 2 events, have %d", n)
	}
}

// scene is what the tests of faults begin with: a daemon that publishes to a mosquitto, a client of its own, and files to drop.
type scene struct {
	m     *mosquitto
	b     *board
	p     *process
	s     *subscriber
	files []string
	want  map[string]verdict // what classify says of files
}

func newScene(t testing.TB) *scene {
	t.Helper()
	files := pictureFiles(t, numPictures)
	want := expected(t, files)
	m := startMosquitto(t)
	b := newBoard(t, fmt.Sprintf("broker: %q", m.url))
	p, _ := b.run(t)
	return &scene{m, b, p, subscribe(t, m.url), files, want}
}

// TestKill kills the daemon while it has pictures to classify and starts it again: all are published, and what is published
// twice has the same id.
func TestKill(t *testing.T) {
	t.Parallel()
	c := newScene(t)
	b, p, s := c.b, c.p, c.s
	names := b.dropFiles(t, c.files)
	s.files(t, numPictures/4)
	p.signal(t, syscall.SIGKILL)
	left := list(t, b.inbox)
	if len(left) == 0 {
		t.Fatal("the daemon was killed too late: all pictures were filed")
	}
	s.state(t, "online", "offline") // the will

	p, _ = b.run(t)
	names = append(names, b.last(t, s))
	s.files(t, len(names))
	b.filed(t, names...)
	s.state(t, "online", "offline", "online")
	if state := p.signal(t, syscall.SIGTERM); state.ExitCode() != 0 {
		t.Errorf("after SIGTERM: want exit status 0, have %v", state)
	}
	s.state(t, "online", "offline", "online", "offline")
	s.check(t, false, c.want)
	t.Logf("%d pictures were left when the daemon was killed; %d events of %d pictures", len(left), s.count(), len(names))
}

// TestBrokerAway stops the broker while pictures come, and starts it again.
func TestBrokerAway(t *testing.T) {
	t.Parallel()
	c := newScene(t)
	m, b, p, s := c.m, c.b, c.p, c.s

	names := b.dropFiles(t, c.files[:numPictures/2])
	s.files(t, numPictures/4)
	m.stop(t)
	names = append(names, b.dropFiles(t, c.files[numPictures/2:])...)
	p.line(t, `"level":"WARN"`, "broker") // the daemon has noticed
	if !p.running() {
		t.Fatal("the daemon has ended with its broker")
	}
	if left := list(t, b.inbox); len(left) < numPictures/2 {
		t.Errorf("want the %d pictures that came without a broker in their folder, have %d", numPictures/2, len(left))
	}
	if !m.start(t) {
		t.Fatalf("mosquitto doesn't start again:\n%s", m.process)
	}

	names = append(names, b.last(t, s))
	s.files(t, len(names))
	b.filed(t, names...)
	if state := p.signal(t, syscall.SIGTERM); state.ExitCode() != 0 {
		t.Errorf("after SIGTERM: want exit status 0, have %v", state)
	}
	s.check(t, false, c.want)
	t.Logf("%d events of %d pictures", s.count(), len(names))
}

// TestGrowth compares the open files of a daemon after few and after many pictures, and the goroutines of one that has seen
// few with those of one that has seen many.
func TestGrowth(t *testing.T) {
	t.Parallel()
	files := pictureFiles(t, numPictures)
	const few = 10
	goroutines := map[int]int{}
	lanes := min(runtime.NumCPU(), 4) // begin when more than a few pictures wait, each with a file of weights
	for _, n := range []int{few, numPictures} {
		b := newBoard(t, embedded)
		p, url := b.run(t)
		s := subscribe(t, url)
		names := b.dropFiles(t, files[:few])
		s.files(t, few)
		b.filed(t, names...)
		open := p.files(t)
		if n > few {
			names = append(names, b.dropFiles(t, files[few:n])...)
			s.files(t, n)
			b.filed(t, names...)
			eventually(t, func() bool { return p.files(t) <= open+lanes }, func() string {
				return fmt.Sprintf("open files: want %d as after %d pictures, and %d of lanes, have %d after %d", open, few, lanes, p.files(t), n)
			})
		}
		p.signal(t, syscall.SIGQUIT) // the Go runtime then tells of all goroutines
		goroutines[n] = countGoroutines(p.String())
	}
	if goroutines[few] < 2 || goroutines[numPictures] > goroutines[few]+lanes {
		t.Errorf("goroutines: want as many after %d pictures as after %d, and %d lanes, have %d and %d",
			numPictures, few, lanes, goroutines[numPictures], goroutines[few])
	}
}

// countGoroutines counts those of a Go program's dump, but for the runtime's own: it makes some of them when it first collects
// garbage, and numbers a thread that waits for work 0.
func countGoroutines(dump string) int {
	n := 0
	for trace := range strings.SplitSeq(dump, "\n\n") {
		own := strings.HasPrefix(trace, "goroutine 0 ") || strings.Contains(trace, "\ncreated by runtime.")
		if strings.HasPrefix(trace, "goroutine ") && !own {
			n++
		}
	}
	return n
}
