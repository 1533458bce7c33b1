package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sightd/decide"
	"sightd/publish"
)

// answering runs a Client that explains each request with entries until the test's end, and returns the file of a configuration
// that leads to it.
func answering(t *testing.T, entries func(r *publish.IncomingRequest) ([]decide.Entry, error)) string {
	t.Helper()
	broker, err := publish.Listen("127.0.0.1:0", publish.ListenOptions{User: "cam", Password: "s3cret-word"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := broker.Close(); err != nil {
			t.Error(err)
		}
	})
	options := publish.Options{
		Broker: "mqtt://" + broker.Addr().String(), ClientID: "sightd-test-1", Base: "sightd/test", User: "cam", Password: "s3cret-word",
		Intake: publish.Intake{Held: 2, Bytes: 1 << 20},
	}
	client, err := publish.New(options)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			r, err := client.NextRequest(ctx)
			if err != nil {
				return
			}
			var found []decide.Entry
			if err = r.Err; err == nil {
				found, err = entries(r)
			}
			if err != nil {
				err = r.AnswerError(ctx, err)
			} else {
				err = r.AnswerExplain(ctx, found, map[string]string{"yard": "picture is black"}[r.Source])
			}
			if err != nil {
				t.Errorf("answer: %v", err)
			}
		}
	}()
	t.Cleanup(func() {
		stop()
		<-done
		if err := client.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	for err = errors.New("not asked"); err != nil && ctx.Err() == nil; { // it says online before it hears requests
		first, cancel := context.WithTimeout(ctx, time.Second)
		_, err = publish.Ask(first, options, publish.Explain, nil)
		cancel()
	}
	file := filepath.Join(t.TempDir(), "sightd.yaml")
	text := "version: 1\nname: test\nmqtt: {listen: \"" + broker.Addr().String() + "\", user: cam, password: s3cret-word}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// entryAt is an entry some seconds after a moment.
func entryAt(at time.Time, seconds int, gate decide.Gate, before, shown string) decide.Entry {
	e := decide.Entry{Gate: gate, Count: 1, Before: before, Shown: shown, Have: 0.5, Limit: 0.6, Confirm: [2]int{3, 5}}
	e.Time = at.Add(time.Duration(seconds) * time.Second)
	e.Until = e.Time
	if gate != decide.Unchanged {
		e.Top, e.Smoothed = []decide.Score{{Label: "tabby cat", Index: 281, Score: 0.5}}, 0.45
	}
	return e
}

func TestExplain(t *testing.T) {
	moment := time.Date(2026, 9, 23, 14, 3, 0, 0, time.Local)
	file := answering(t, func(r *publish.IncomingRequest) ([]decide.Entry, error) {
		switch r.Source {
		case "door":
			if !r.At.Equal(moment) || r.Span != 90*time.Second {
				return nil, errors.New("want another moment")
			}
			return []decide.Entry{
				entryAt(moment, 1, decide.BelowEnter, "unknown", "unknown"), entryAt(moment, 2, decide.Entered, "unknown", "tabby cat"),
				entryAt(moment, 3, decide.Unchanged, "tabby cat", "tabby cat"), entryAt(moment, 9, decide.Left, "tabby cat", "unknown"),
			}, nil
		case "yard":
			if span := time.Since(r.At); span > time.Minute || r.Span != time.Minute {
				return nil, errors.New("want the last minute")
			}
			return nil, nil
		}
		return nil, errors.New("no source is called \x1b[31m" + r.Source)
	})
	code, stdout, stderr := sightd(t, nil, "explain", "door", "--at", moment.UTC().Format(time.RFC3339), "--span", "1m30s", "-c", file)
	zone := moment.Format("MST")
	want := "door, 2026-09-23 14:01:30 to 14:04:30 " + zone + `
TIME          BEST       SCORE  SMOOTHED  WHY                   SHOWN
14:03:01.000  tabby cat  0.50   0.45      below enter 0.60      unknown
14:03:02.000  tabby cat  0.50   0.45      entered               tabby cat
14:03:03.000                              unchanged             tabby cat
14:03:09.000  tabby cat  0.50   0.45      left                  unknown
tabby cat entered at 14:03:02, tabby cat left at 14:03:09.
`
	squeeze := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	if code != exitOK || squeeze(stdout) != squeeze(want) || stderr != "" {
		t.Errorf("got %d, %s\n%s, want\n%s", code, stderr, stdout, want)
	}

	code, stdout, _ = sightd(t, nil, "explain", "door", "--at", moment.Format(time.RFC3339), "--span", "90s", "-c", file, "--json")
	var data struct {
		Source  string
		Entries []json.RawMessage
	}
	if err := json.Unmarshal([]byte(stdout), &data); err != nil || code != exitOK || data.Source != "door" || len(data.Entries) != 4 {
		t.Errorf("--json: got %d, %v: %s", code, err, stdout)
	}

	code, stdout, stderr = sightd(t, nil, "explain", "yard", "-c", file)
	if code != exitOK || !strings.Contains(stdout, "Nothing is remembered of yard then") ||
		!strings.HasSuffix(stdout, "\nWhat is wrong with yard now: picture is black.\n") {
		t.Errorf("got %d %s%s", code, stdout, stderr)
	}
	code, stdout, stderr = sightd(t, nil, "explain", "roof", "-c", file)
	if code != exitRefused || stdout != "" || !strings.Contains(stderr, "sightd answers: no source is called \uFFFD[31mroof") {
		t.Errorf("got %d %s%q", code, stdout, stderr)
	}
}

func TestExplainRefused(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := ln.Addr().String()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("version: 1\nname: test\nmqtt: {"+text+"}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	embedded, other := write("embedded.yaml", "listen: \""+nobody+"\""), write("other.yaml", "broker: \"mqtt://"+nobody+"\"")
	for _, test := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"nothing", nil, exitUsage, "want the name of one source, have []"},
		{"two", []string{"door", "yard"}, exitUsage, `have ["door" "yard"]`},
		{"no name", []string{"a/b"}, exitUsage, `have ["a/b"]`},
		{"time", []string{"door", "--at", "25:00"}, exitUsage, "-at: want a time such as"},
		{"span", []string{"door", "--span", "2h"}, exitUsage, "-span: want 1s to 1h0m0s, have 2h0m0s"},
		{"no configuration", []string{"door", "-c", dir + "/none.yaml"}, exitRefused, "none.yaml"},
		{"not running", []string{"door", "-c", embedded}, exitRefused, "nothing listens on mqtt://" + nobody + ": sightd isn't running, or not with this configuration"},
		{"no broker", []string{"door", "-c", other}, exitRefused, "connect to " + nobody + ": connect: connection refused: nothing listens there: is the broker running"},
		{"help", []string{"--help"}, exitOK, "Usage: sightd explain SOURCE [--at TIME]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			code, stdout, stderr := sightd(t, nil, append([]string{"explain"}, test.args...)...)
			if code != test.code || !strings.Contains(stdout+stderr, test.want) {
				t.Errorf("got %d %s%s, want %d and %q", code, stdout, stderr, test.code, test.want)
			}
		})
	}
}

func TestWhatHappened(t *testing.T) {
	at := time.Date(2026, 9, 23, 14, 3, 0, 0, time.Local)
	below := entryAt(at, 0, decide.BelowEnter, "none", "unknown")
	still := entryAt(at, 1, decide.Unchanged, "unknown", "unknown")
	still.Count = 7
	lost := decide.Entry{Time: at, Until: at.Add(19500 * time.Millisecond), Count: 40, Gate: decide.CameraLost, Before: "none", Shown: "none"}
	off := decide.Entry{Time: at, Until: at, Count: 1, Gate: decide.Disabled, Before: "none", Shown: "none"}
	changed := entryAt(at, 5, decide.Changed, "tabby cat", "vase\n")
	many := []decide.Entry{}
	for range maxTold + 2 {
		many = append(many, entryAt(at, 0, decide.Left, "cat", "none"))
	}
	for _, test := range []struct {
		entries []decide.Entry
		want    string
	}{
		{nil, "Nothing is remembered of door then: sightd wasn't running, or it was too long ago."},
		{[]decide.Entry{below}, "Nothing came or went, door showed none, then unknown (1 picture: below enter)."},
		{[]decide.Entry{below, still, still}, "Nothing came or went, door showed none, then unknown (15 pictures: 14 unchanged, 1 below enter)."},
		{[]decide.Entry{still}, "Nothing came or went, door showed unknown all the time (7 pictures: 7 unchanged)."},
		{[]decide.Entry{lost}, "Nothing came or went, door showed none all the time (camera lost for 19.5s)."},
		{[]decide.Entry{off, lost}, "Nothing came or went, door showed none all the time (camera lost for 19.5s; disabled)."},
		{[]decide.Entry{lost, below, lost}, "Nothing came or went, door showed none all the time (1 picture: below enter; camera lost for 39s)."},
		{[]decide.Entry{below, changed}, `tabby cat became "vase\n" at 14:03:05.`},
		{many, strings.Repeat("cat left at 14:03:00, ", maxTold) + "and 2 events more."},
	} {
		if have := whatHappened("door", test.entries); have != test.want {
			t.Errorf("got %s, want %s", have, test.want)
		}
	}
}

func TestPrintExplanation(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	for _, test := range []struct {
		name     string
		problem  string
		from, to time.Time
		end      time.Time // as it is printed
		want     string    // behind the sentence
	}{
		{"long ago", "", now.Add(-time.Hour), now.Add(-time.Minute), now.Add(-time.Minute), ""},
		{"a problem", "it answers with a \x1b web page", now.Add(-time.Hour), now.Add(-time.Minute), now.Add(-time.Minute),
			"What is wrong with door now: it answers with a \uFFFD web page.\n"},
		{"not all is over", "", now.Add(-time.Hour), now.Add(48 * time.Hour), now, ""},
		{"the clocks differ", "", now.Add(24 * time.Hour), now.Add(25 * time.Hour), now.Add(25 * time.Hour), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := publish.Explanation{Source: "door", At: test.from, From: test.from, To: test.to, Problem: test.problem}
			payload, err := publish.ExplainResponse(nil, e, publish.MaxPayload)
			if err != nil {
				t.Fatal(err)
			}
			var answer struct{ Data json.RawMessage }
			if err := json.Unmarshal(payload, &answer); err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			if err := printExplanation(&out, answer.Data); err != nil {
				t.Fatal(err)
			}
			if got := known(e, now); !got.Equal(test.end) {
				t.Errorf("it ends at %v, want %v", got, test.end)
			}
			if _, rest, _ := strings.Cut(out.String(), "too long ago.\n"); rest != test.want {
				t.Errorf("got %q behind the sentence, want %q, in\n%s", rest, test.want, out.String())
			}
		})
	}
}
