package page

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"sightd/publish"
)

// elements are the page's, with the attributes that they may have.
var elements = map[string][]string{
	"html": {"lang"}, "head": {}, "meta": {"charset", "name", "content", "http-equiv"}, "title": {}, "style": {}, "body": {}, "header": {}, "h1": {}, "h2": {}, "h3": {},
	"bdi": {}, "span": {"class"}, "p": {"class"}, "main": {}, "section": {"class"}, "ul": {}, "li": {"class"}, "b": {}, "div": {"class"}, "article": {"class"},
	"small": {}, "meter": {"min", "max", "value"}, "dl": {"class"}, "dt": {}, "dd": {}, "footer": {}, "time": {"datetime"}, "a": {"href"},
}

// read gives the page's text, without its style, and fails where the page has anything but elements, or leaves one of them open.
func read(t *testing.T, page []byte) string {
	t.Helper()
	var open, said []string
	for tokens := html.NewTokenizer(bytes.NewReader(page)); ; {
		kind := tokens.Next()
		token := tokens.Token()
		switch kind {
		case html.ErrorToken:
			if len(open) > 0 {
				t.Errorf("want all elements closed, have %q open", open)
			}
			return strings.Join(said, "")
		case html.StartTagToken, html.SelfClosingTagToken:
			may, ok := elements[token.Data]
			if !ok {
				t.Errorf("want no %s", token)
			}
			for _, a := range token.Attr {
				if !slices.Contains(may, a.Key) {
					t.Errorf("want no attribute %s in %s", a.Key, token)
				}
				if a.Key == "href" && a.Val != "metrics" && a.Val != "health" {
					t.Errorf("want no link to %s", a.Val)
				}
			}
			if token.Data != "meta" {
				open = append(open, token.Data)
			}
		case html.EndTagToken:
			if len(open) == 0 || open[len(open)-1] != token.Data {
				t.Fatalf("%s closes %q", token, open)
			}
			open = open[:len(open)-1]
		case html.TextToken:
			if !slices.Contains(open, "style") {
				said = append(said, token.Data)
			} else if token.Data != pageCSS {
				t.Error("want the style that the policy allows, have another")
			}
		case html.CommentToken:
			t.Errorf("want no comment, have %s", token)
		}
	}
}

func rendered(t *testing.T, s Status) string {
	t.Helper()
	page, err := render(&s)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, page)
}

func TestRender(t *testing.T) {
	long := calm()
	long.Sources = long.Sources[1:] // of the door nothing but the counts is known
	for name, test := range map[string]struct {
		status   Status
		has, not []string
	}{
		"calm": {calm(), []string{
			"porch", "all is well", "Raspberry Pi 4 Model B Rev 1.4", "0.1.0", "up 3 d 4 h", "English springer", "91 %", "for 4 min", "5.0 looks/s", "1\u202f234\u202f567 seen",
			"church", "7 waiting", "connected", "mqtt://192.168.1.10", "48.3 °C", "61.0 MiB", "21.4 ms", "95 % within 25.2 ms", "2 events", "7 dropped in all",
			"googlenet-imagenette-int8", "3f2a3f2a", "xnnpack (asked for: auto), threads: 3", "the fastest of those that are right", "gpu: no device", "proven on 8 golden inputs",
			"2026-09-23 12:00:00Z",
		}, []string{"Wants looking after", "not connected", "as seldom", "gpu, threads"}},
		"troubled": {troubled(), []string{
			"failing", text(hostile), "Wants looking after", "in memory only: no space left on device", "no picture for 5s", "offline", "not in sight now", "disabled",
			"not connected", "looked at 3.5 times as seldom", "very long",
		}, []string{"all is well", "91 %", strings.Repeat("very long ", 60), "\xff", "In order"}},
		"fresh":   {fresh(), []string{"degraded", "There is no source.", "unknown", "up 0 s"}, []string{"Network", "A picture in all", "°C"}},
		"crowded": {crowded(64), []string{"camera-00", "camera-63"}, []string{"nothing yet"}},
		"unknown": {long, []string{"nothing yet", "1\u202f234\u202f567 seen"}, []string{"English springer"}},
	} {
		t.Run(name, func(t *testing.T) {
			said := rendered(t, test.status)
			for _, want := range test.has {
				if !strings.Contains(said, want) {
					t.Errorf("want %q in\n%s", want, said)
				}
			}
			for _, not := range test.not {
				if strings.Contains(said, not) {
					t.Errorf("want no %q in\n%s", not, said)
				}
			}
		})
	}
}

// TestPolicy: a browser takes in nothing but the style that its digest names.
func TestPolicy(t *testing.T) {
	if !strings.HasPrefix(policy, "default-src 'none'; style-src 'sha256-"+digest(pageCSS)+"';") || strings.Contains(policy, "unsafe") {
		t.Errorf("have %s", policy)
	}
	for _, outside := range []string{"url(", "@import", "http:", "https:"} {
		if strings.Contains(pageCSS, outside) || strings.Contains(pageHTML, outside) {
			t.Errorf("want nothing from elsewhere, have %s", outside)
		}
	}
}

func TestWords(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0 s", 59*time.Second + 999*time.Millisecond: "59 s", time.Minute: "1 min", time.Hour: "1 h", 3*time.Hour + 5*time.Minute: "3 h 5 min",
		24 * time.Hour: "1 d", 100*24*time.Hour + 23*time.Hour: "100 d 23 h",
	} {
		if have := span(d); have != want {
			t.Errorf("%v: want %q, have %q", d, want, have)
		}
	}
	for n, want := range map[int64]string{0: "0 KiB", 1: "1 KiB", 1024: "1 KiB", 1025: "2 KiB", 1 << 20: "1.0 MiB", 3 << 19: "1.5 MiB", 1 << 30: "1024.0 MiB"} {
		if have := size(n); have != want {
			t.Errorf("%d bytes: want %q, have %q", n, want, have)
		}
	}
	for n, want := range map[uint64]string{0: "0", 999: "999", 1000: "1\u202f000", 12345678: "12\u202f345\u202f678"} {
		if have := grouped(n); have != want {
			t.Errorf("%d: want %q, have %q", n, want, have)
		}
	}
}

// TestLevels: a source's colour says whether it does its work.
func TestLevels(t *testing.T) {
	for _, test := range []struct {
		available, problem, level string
	}{
		{publish.Online, "", "ok"}, {publish.Online, "black", "warn"}, {publish.Offline, "", "fail"}, {publish.Offline, "gone", "fail"},
		{publish.Disabled, "", ""}, {"", "", ""},
	} {
		s := source{available: test.available, state: publish.State{Problem: test.problem}}
		if v := s.view(noon); v.Level != test.level || v.Problem != test.problem || v.Dim != (test.available == publish.Disabled) {
			t.Errorf("%+v: have %+v", test, v)
		}
	}
}

func FuzzRender(f *testing.F) {
	f.Add(hostile)
	f.Add("</style><!--")
	f.Fuzz(func(t *testing.T, label string) {
		s := calm()
		s.Name, s.Sources[0].State.Best.Label, s.Health.Sources[0].Problem = label, label, label
		s.Health.Checks[0] = publish.Finding{Name: label, Status: publish.CheckStatus(label), Detail: label}
		rendered(t, s)
	})
}

func BenchmarkRender(b *testing.B) {
	for name, s := range map[string]Status{"2_sources": calm(), "64_sources": crowded(64)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				page, err := render(&s)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(len(page)))
			}
		})
	}
}
