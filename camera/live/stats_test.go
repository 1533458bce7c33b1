package live

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"sightd/camera/capture"
)

// While a source fails again and again, its problem stays, though its pictures are handed out.
func TestProblemDoesNotFlap(t *testing.T) {
	tests := []struct {
		name   string
		lasts  uint64 // tenths of a second
		clears bool
	}{
		{"one picture", 1, false},
		{"less than a second", 9, false},
		{"some seconds", 30, false},
		{"longer than healthy", 150, false},
		{"a minute", 610, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := rig{next: plays(every(100*time.Millisecond, test.lasts, errRefused))}
				l := start(t, r.options())
				for l.Stats().Failed < 10 {
					after(time.Second)
				}
				var clear int
				var shot capture.Shot
				before := l.Stats()
				for l.Stats().Failed < 20 {
					next(t, l, &shot)
					synctest.Wait()
					if l.Stats().Problem == "" {
						clear++
					}
				}
				if s := l.Stats(); test.clears != (clear > 0) || !test.clears && s.Since != before.Since {
					t.Errorf("without a problem at %d pictures of %d: want some: %v", clear, s.Seen-before.Seen, test.clears)
				}
			})
		})
	}
}

// A source that was gone for long is well a second after its pictures come again.
func TestRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rig{next: func(n int) (*fake, error) {
			if n < 1000 {
				return nil, errRefused
			}
			return &fake{play: every(400*time.Millisecond, 0, nil)}, nil
		}}
		l := start(t, r.options())
		began := time.Now()
		after(998 * time.Second)
		wantView(t, l, false, errRefused.Error())
		if s := l.Stats(); !s.Since.Equal(began) {
			t.Errorf("problem since %v: want %v", s.Since, began)
		}
		var shot capture.Shot
		next(t, l, &shot)
		if gone := time.Since(began); gone != 999*time.Second+400*time.Millisecond || shot.Seq != 1 {
			t.Errorf("picture %d after %v: want the first at once", shot.Seq, gone)
		}
		after(1199 * time.Millisecond)
		wantView(t, l, false, errRefused.Error())
		after(time.Millisecond)
		wantView(t, l, true, "")
		if r.calls != 2 {
			t.Errorf("Changed was called %d times: want 2", r.calls)
		}
		want := `level=WARN msg="live source can't be opened, trying on" source=door problem="connection refused by 192.0.2.7:554"
level=WARN msg="live source can't be opened, trying on" source=door problem="connection refused by 192.0.2.7:554" repeated=299
level=WARN msg="live source can't be opened, trying on" source=door problem="connection refused by 192.0.2.7:554" repeated=299
level=WARN msg="live source can't be opened, trying on" source=door problem="connection refused by 192.0.2.7:554" repeated=299
level=INFO msg="live source brings pictures" source=door after=16m40.6s losses=999
`
		if log := r.logged(); log != want {
			t.Errorf("log:\n%swant:\n%s", log, want)
		}
	})
}

func TestChangedIsToldOfTheLatest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rig{next: plays(silent(time.Second, 3))}
		var l *Live
		var views []view
		o := r.options()
		o.Enabled = false
		o.Changed = func() {
			s := l.Stats()
			views = append(views, view{s.Online, s.Problem})
			switch { // it may complain; what comes while it runs is told of as one
			case s.Online && s.Problem == "":
				l.Complain("blurred")
				l.Complain("black")
			case s.Problem == "black":
				l.Complain("dark")
			}
		}
		l = start(t, o)
		after(0)
		l.SetEnabled(true)
		after(4 * time.Second)
		l.Complain("dark")
		after(4100 * time.Millisecond)
		l.Complain("")
		after(0)
		l.SetEnabled(false)
		after(0)
		want := []view{{true, ""}, {true, "black"}, {true, "dark"}, {false, "no picture for 5s"}, {false, ""}}
		if len(views) != len(want) {
			t.Fatalf("told of %v: want %v", views, want)
		}
		for i := range want {
			if views[i] != want[i] {
				t.Errorf("told of %v: want %v", views, want)
			}
		}
	})
}

// A Changed that never returns keeps neither pictures nor Close.
func TestChangedHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rig{next: plays(every(time.Second, 0, nil))}
		hang := make(chan struct{})
		o := r.options()
		o.Changed = func() { <-hang }
		l, err := Start(o)
		if err != nil {
			t.Fatal(err)
		}
		var shot capture.Shot
		for range 10 {
			next(t, l, &shot)
		}
		if err := l.Close(); err == nil || !strings.Contains(err.Error(), "Changed did not return within 5s") {
			t.Errorf("Close: %v", err)
		}
		close(hang)
	})
}

func TestProblemIsOneLine(t *testing.T) {
	for in, want := range map[string]string{
		"":                                 "",
		"no such device":                   "no such device",
		"exit status 1:\r\n\tbad\x1b[2J x": "exit status 1: bad [2J x",
		"bad \xff utf-8":                   "bad \uFFFD utf-8",
		"\u202e\u0000":                     "",
		strings.Repeat("é", 300):           strings.Repeat("é", 150) + "…",
		"a" + strings.Repeat("é", 300):     "a" + strings.Repeat("é", 149) + "…",
	} {
		if got := oneLine(in); got != want {
			t.Errorf("%q: %q: want %q", in, got, want)
		}
	}
}

func FuzzOneLine(f *testing.F) {
	f.Add("connection refused\n")
	f.Add("\xf0\x9f")
	f.Fuzz(func(t *testing.T, in string) {
		got := oneLine(in)
		if len(got) > maxProblem+len("…") || !utf8.ValidString(got) || strings.ContainsAny(got, "\r\n\x1b\x00") {
			t.Errorf("%q: %q", in, got)
		}
	})
}

func TestWords(t *testing.T) {
	for d, want := range map[time.Duration]string{
		5 * time.Second: "5s", 1500 * time.Millisecond: "1.5s", time.Minute: "1m", 90 * time.Second: "1m30s", time.Hour: "1h", 10 * time.Minute: "10m",
	} {
		if got := words(d); got != want {
			t.Errorf("%v: %s: want %s", int64(d), got, want)
		}
	}
}
