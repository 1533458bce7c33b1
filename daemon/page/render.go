package page

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"math"
	"strconv"
	"sync"
	"time"

	"sightd/publish"
)

var (
	//go:embed page.html
	pageHTML string

	//go:embed page.css
	pageCSS string

	// layout is made when the page is first asked for: most daemons show none.
	layout = sync.OnceValue(func() *template.Template {
		return template.Must(template.New("page").Funcs(template.FuncMap{
			"style": func() template.CSS { return template.CSS(pageCSS) },
		}).Parse(pageHTML))
	})

	// policy has a browser take nothing into the page but its own style: no script, no picture, no frame, no form.
	policy = "default-src 'none'; style-src 'sha256-" + digest(pageCSS) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// view is what page.html shows. Its texts are made for people; the levels are ok, warn, fail or "".
type view struct {
	Name, Board, Version, Uptime, Verdict, Level, Time string

	Troubles []finding // what isn't in order
	Checks   []finding // what is
	Sources  []sourceView
	Facts    []fact
	Model    []fact
}

type finding struct{ Name, Level, Detail string }

type fact struct{ Name, Value, Detail, Level string }

type sourceView struct {
	Name, Type, Available, Level, Label, Score, Percent, Since, Problem string

	Unseen, Dim bool
	Counts      []fact
}

// render is s for people.
func render(s *Status) ([]byte, error) {
	verdicts := map[publish.Status]finding{
		publish.StatusOK:       {"all is well", "ok", ""},
		publish.StatusDegraded: {"degraded", "warn", ""},
	}
	verdict, ok := verdicts[s.Health.Status]
	if !ok {
		verdict = finding{"failing", "fail", ""}
	}
	v := view{
		Name: text(s.Name), Board: text(s.Info.Board), Version: text(s.Info.Version), Uptime: span(s.Health.Uptime),
		Verdict: verdict.Name, Level: verdict.Level, Time: s.Health.Time.UTC().Format("2006-01-02 15:04:05Z"),
		Facts: facts(s), Model: modelFacts(&s.Info),
	}
	for _, c := range s.Health.Checks {
		about := finding{text(c.Name), string(c.Status), text(c.Detail)}
		if c.Status == publish.CheckOK {
			v.Checks = append(v.Checks, about)
		} else {
			v.Troubles = append(v.Troubles, about)
		}
	}
	for _, each := range s.sources() {
		v.Sources = append(v.Sources, each.view(s.Health.Time))
	}
	var b bytes.Buffer
	err := layout().Execute(&b, &v)
	return b.Bytes(), err
}

func (s *source) view(now time.Time) sourceView {
	label, score := s.label()
	v := sourceView{
		Name: text(s.Name), Type: text(s.Type), Available: s.available, Label: text(label), Problem: text(s.problem()),
		Unseen: s.state.Unseen && label != "", Dim: s.available == publish.Disabled,
	}
	switch {
	case s.available == publish.Offline:
		v.Level = "fail"
	case s.available == publish.Online && v.Problem != "":
		v.Level = "warn"
	case s.available == publish.Online:
		v.Level = "ok"
	}
	if score >= 0 {
		v.Score, v.Percent = strconv.FormatFloat(score, 'f', 4, 64), strconv.FormatFloat(100*score, 'f', 0, 64)+" %"
	}
	if label != "" && !s.state.Since.IsZero() {
		v.Since = span(now.Sub(s.state.Since))
	}
	if s.FPS > 0 {
		v.Counts = append(v.Counts, fact{Name: "looks/s", Value: strconv.FormatFloat(s.FPS, 'f', 1, 64)})
	}
	v.Counts = append(v.Counts, fact{Name: "seen", Value: grouped(s.Seen)})
	for _, o := range outcomes {
		if n := o.count(&s.SourceHealth); n > 0 {
			v.Counts = append(v.Counts, fact{Name: o.name, Value: grouped(n)})
		}
	}
	if s.Pending > 0 {
		v.Counts = append(v.Counts, fact{Name: "waiting", Value: grouped(uint64(s.Pending))})
	}
	if s.Errors > 0 {
		v.Counts = append(v.Counts, fact{Name: "failed", Value: grouped(s.Errors)})
	}
	return v
}

// facts are what the board does and has.
func facts(s *Status) []fact {
	h := &s.Health
	broker := fact{"Broker", "connected", text(s.Broker), ""}
	if !s.Connected {
		broker.Value, broker.Level = "not connected", "warn"
	}
	all := []fact{
		broker,
		{"Outbox", grouped(uint64(h.Outbox.Pending)) + " events", size(h.Outbox.Bytes) + lost(h.Outbox.Dropped+h.Outbox.Expired), ""},
		{"Classified", grouped(s.Classified), fmt.Sprintf("%.1f a second", h.FPS), ""},
	}
	if h.Infer != nil {
		all = append(all, fact{"Network", fmt.Sprintf("%.1f ms", h.Infer.P50), fmt.Sprintf("95 %% within %.1f ms", h.Infer.P95), ""})
	}
	if h.Step != nil {
		all = append(all, fact{"A picture in all", fmt.Sprintf("%.1f ms", h.Step.P50), fmt.Sprintf("95 %% within %.1f ms", h.Step.P95), ""})
	}
	heat := fact{Name: "Temperature", Value: "unknown"}
	if h.Temperature != nil {
		heat.Value = fmt.Sprintf("%.1f °C", *h.Temperature)
	}
	if s.Heat > 1 {
		heat.Level, heat.Detail = "warn", fmt.Sprintf("cameras are looked at %.1f times as seldom", s.Heat)
	}
	return append(all, heat,
		fact{"Memory", size(h.RSS), "of the daemon", ""},
		fact{"Requests", grouped(h.Requests.Answered) + " answered", fmt.Sprintf("%d held of %d", h.Requests.Held, h.Requests.Limit), ""},
	)
}

func lost(events uint64) string {
	if events == 0 {
		return ""
	}
	return ", " + grouped(events) + " dropped in all"
}

// modelFacts are what runs, and why so.
func modelFacts(i *publish.Info) []fact {
	d := &i.Delegate
	delegate := text(d.Active)
	if d.Requested != d.Active {
		delegate += " (asked for: " + text(d.Requested) + ")"
	}
	if d.Threads > 0 {
		delegate += ", threads: " + strconv.Itoa(d.Threads)
	}
	all := []fact{
		{Name: "Model", Value: text(i.Model.Name)},
		{Name: "SHA-256", Value: text(i.Model.SHA256)},
		{Name: "Labels", Value: grouped(uint64(len(i.Model.Labels)))},
		{Name: "Delegate", Value: delegate},
		{Name: "Why", Value: text(d.Reason)},
	}
	for _, t := range d.Tried[:min(len(d.Tried), publish.MaxTried)] {
		tried := text(t.Delegate)
		if t.Threads > 0 {
			tried += ", threads: " + strconv.Itoa(t.Threads)
		}
		if t.MS > 0 {
			tried += fmt.Sprintf(", %.2f ms", t.MS)
		}
		if t.Reason != "" {
			tried += ": " + text(t.Reason)
		}
		all = append(all, fact{Name: "Tried", Value: tried})
	}
	return all
}

// span is a duration as people say it.
func span(d time.Duration) string {
	s := int64(max(d, 0) / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d min", s/60)
	case s < 86400:
		return units(s/3600, "h", s/60%60, "min")
	}
	return units(s/86400, "d", s/3600%24, "h")
}

// units leaves out a part that is 0.
func units(large int64, unit string, small int64, part string) string {
	if small == 0 {
		return fmt.Sprintf("%d %s", large, unit)
	}
	return fmt.Sprintf("%d %s %d %s", large, unit, small, part)
}

// size is a number of bytes.
func size(n int64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%d KiB", (n+1<<10-1)>>10)
	}
	return fmt.Sprintf("%.1f MiB", math.Round(10*float64(n)/(1<<20))/10)
}

// grouped is n with a space between each three digits.
func grouped(n uint64) string {
	digits := strconv.FormatUint(n, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "\u202f" + digits[i:]
	}
	return digits
}
