package live

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// logs runs a source that is switched off at the end of its time, and returns what it logged.
func logs(t *testing.T, next func(int) (*fake, error), lasts time.Duration) []string {
	t.Helper()
	var lines []string
	synctest.Test(t, func(t *testing.T) {
		r := rig{next: next}
		l := start(t, r.options())
		after(lasts)
		l.SetEnabled(false)
		synctest.Wait()
		for line := range strings.Lines(r.logged()) {
			line = strings.ReplaceAll(strings.TrimSpace(line), " source=door", "")
			_, line, _ = strings.Cut(line, "msg=")
			lines = append(lines, strings.ReplaceAll(line, `"`, ""))
		}
	})
	return lines
}

func TestLog(t *testing.T) {
	off := "live source switched off"
	lost := "live source lost, trying on problem="
	tests := []struct {
		name  string
		next  func(n int) (*fake, error)
		lasts time.Duration
		want  []string
	}{
		{"well", plays(every(frame, 0, nil)), time.Hour, []string{"live source brings pictures", off}},
		{"recording", plays(every(frame, 100, io.EOF)), time.Hour, []string{"live source brings pictures", "recording has ended", off}},
		{"lost every two minutes: each is told", plays(every(time.Second, 120, errRefused)), 250 * time.Second, []string{
			"live source brings pictures",
			lost + errRefused.Error() + " lasted=1m59s repeated=0",
			"live source brings pictures again after=3s losses=1",
			lost + errRefused.Error() + " lasted=1m59s repeated=0",
			"live source brings pictures again after=3s losses=1",
			off,
		}},
		{"lost every five seconds: collapsed", plays(every(100*time.Millisecond, 40, errRefused)), 400 * time.Second, []string{
			"live source brings pictures",
			lost + errRefused.Error() + " lasted=3.9s repeated=0",
			"live source brings pictures again after=2.1s losses=1",
			lost + errRefused.Error() + " lasted=3.9s repeated=59",
			off,
		}},
		{"ports differ: one problem", func(n int) (*fake, error) {
			return nil, fmt.Errorf("read tcp 192.0.2.1:%d: connection reset", 40000+n)
		}, time.Minute, []string{lost + "read tcp 192.0.2.1:40001: connection reset lasted=0s repeated=0", off}},
		{"problems alternate: each is told once", func(n int) (*fake, error) {
			return nil, fmt.Errorf("HTTP status %d", 403+n%2)
		}, time.Minute, []string{lost + "HTTP status 404 lasted=0s repeated=0", lost + "HTTP status 403 lasted=0s repeated=0", off}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := logs(t, test.next, test.lasts)
			if strings.Join(got, "\n") != strings.Join(test.want, "\n") {
				t.Errorf("log:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}

// Problems that differ each time are forgotten, not gathered.
func TestLogIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rig{next: func(n int) (*fake, error) {
			return nil, fmt.Errorf("bad %s", strings.Repeat("x", n%1000))
		}}
		l := start(t, r.options())
		after(2000 * time.Second)
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if n := len(l.report.said); n > maxSayings {
			t.Errorf("%d problems remembered: want at most %d", n, maxSayings)
		}
	})
}
