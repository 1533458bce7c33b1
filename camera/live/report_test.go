package live

import (
	"errors"
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
		lines = r.lines()
	})
	return lines
}

// lines are what was logged, but for what all lines have.
func (r *rig) lines() []string {
	var lines []string
	for line := range strings.Lines(r.logged()) {
		line = strings.ReplaceAll(strings.TrimSpace(line), " source=door", "")
		_, line, _ = strings.Cut(line, "msg=")
		lines = append(lines, strings.ReplaceAll(line, `"`, ""))
	}
	return lines
}

func TestLog(t *testing.T) {
	off := "live source switched off"
	lost, never := "live source lost, trying on problem=", "live source can't be opened, trying on problem="
	tests := []struct {
		name  string
		next  func(n int) (*fake, error)
		lasts time.Duration
		want  []string
	}{
		{"well", plays(every(frame, 0, nil)), time.Hour, []string{"live source brings pictures", off}},
		{"recording", plays(every(frame, 100, io.EOF)), time.Hour, []string{"live source brings pictures", "the recording has ended", off}},
		{"lost every two minutes: each is told", plays(every(time.Second, 120, errRefused)), 250 * time.Second, []string{
			"live source brings pictures",
			lost + errRefused.Error() + " lasted=1m59s",
			"live source brings pictures again after=3s losses=1",
			lost + errRefused.Error() + " lasted=1m59s",
			"live source brings pictures again after=3s losses=1",
			off,
		}},
		{"lost every five seconds: collapsed", plays(every(100*time.Millisecond, 40, errRefused)), 400 * time.Second, []string{
			"live source brings pictures",
			lost + errRefused.Error() + " lasted=3.9s",
			"live source brings pictures again after=2.1s losses=1",
			lost + errRefused.Error() + " lasted=3.9s repeated=59",
			off,
		}},
		{"ports differ: one problem", func(n int) (*fake, error) {
			return nil, fmt.Errorf("read tcp 192.0.2.1:%d: connection reset", 40000+n)
		}, time.Minute, []string{never + "read tcp 192.0.2.1:40001: connection reset", off}},
		{"problems alternate: each is told once", func(n int) (*fake, error) {
			return nil, fmt.Errorf("HTTP status %d", 403+n%2)
		}, time.Minute, []string{never + "HTTP status 404", never + "HTTP status 403", off}},
		{"lost, then refused", func(n int) (*fake, error) {
			if n > 1 {
				return nil, errRefused
			}
			return &fake{play: every(time.Second, 5, errors.New("reset"))}, nil
		}, time.Minute, []string{"live source brings pictures", lost + "reset lasted=4s", lost + errRefused.Error(), off}},
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

// A complaint is told when it begins and when it ends, not with each picture, and not again for each time that it comes and goes.
func TestLogOfComplaints(t *testing.T) {
	begins, over := "live source's pictures are of no use problem=", "live source's pictures are of use again after="
	up, lost := "live source brings pictures", "live source lost, trying on problem="
	tests := []struct {
		name string
		do   func(l *Live)
		want []string
	}{
		{"once", func(l *Live) {
			for range 100 {
				l.Complain("black")
				after(100 * time.Millisecond)
			}
			l.Complain("")
			l.Complain("")
		}, []string{up, begins + "black", over + "10s"}},
		{"another", func(l *Live) {
			l.Complain("black")
			after(time.Second)
			l.Complain("covered")
			after(time.Second)
			l.Complain("")
		}, []string{up, begins + "black", begins + "covered", over + "2s"}},
		{"comes and goes", func(l *Live) {
			for range 200 { // for 400 s
				l.Complain("black")
				after(time.Second)
				l.Complain("")
				after(time.Second)
			}
		}, []string{up, begins + "black", over + "1s", begins + "black repeated=149", over + "1s"}},
		{"well for a minute", func(l *Live) {
			for range 2 {
				l.Complain("black")
				after(time.Second)
				l.Complain("")
				after(time.Minute)
			}
		}, []string{up, begins + "black", over + "1s", begins + "black", over + "1s"}},
		{"opened anew in vain", func(l *Live) {
			l.Complain("black")
			after(30 * time.Second)
			l.Restart("frozen")
			after(30 * time.Second)
			l.Complain("")
			after(30 * time.Second)
			l.Restart("odd")
			after(30 * time.Second)
		}, []string{
			up, begins + "black", lost + "frozen lasted=30s", over + "1m0s", lost + "odd lasted=58s", "live source brings pictures again after=4s losses=1",
		}},
		{"opened anew in vain, untold", func(l *Live) {
			l.Complain("black")
			l.Complain("")
			l.Complain("black")
			after(30 * time.Second)
			l.Restart("frozen")
			after(30 * time.Second)
			l.Complain("")
		}, []string{up, begins + "black", over + "0s", lost + "frozen lasted=30s", "live source brings pictures again after=30s losses=1"}},
		{"switched off", func(l *Live) {
			l.Complain("black")
			l.SetEnabled(false)
			after(time.Hour)
			l.Complain("late")
			l.SetEnabled(true)
			after(2 * time.Second)
			l.Complain("")
		}, []string{up, begins + "black", "live source switched off", up}},
		{"still black when switched on", func(l *Live) {
			l.Complain("black")
			l.SetEnabled(false)
			after(time.Hour)
			l.SetEnabled(true)
			after(2 * time.Second)
			l.Complain("black")
		}, []string{up, begins + "black", "live source switched off", up, begins + "black"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := rig{next: plays(every(time.Second, 0, nil))}
				l := start(t, r.options())
				after(1500 * time.Millisecond)
				test.do(l)
				after(0)
				if got := r.lines(); strings.Join(got, "\n") != strings.Join(test.want, "\n") {
					t.Errorf("log:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
				}
			})
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
		for n := range 2000 {
			l.Complain(fmt.Sprintf("bad %s", strings.Repeat("x", n%250)))
			after(time.Second)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if n := len(l.report.said); n > maxSayings {
			t.Errorf("%d problems remembered: want at most %d", n, maxSayings)
		}
		if n := len(l.report.faults); n > maxSayings {
			t.Errorf("%d complaints remembered: want at most %d", n, maxSayings)
		}
		if n := strings.Count(r.logged(), "of no use"); n > 8*maxSayings {
			t.Errorf("%d complaints told within 2000 s: want at most %d", n, 8*maxSayings)
		}
	})
}
