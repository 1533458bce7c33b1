package decide

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// Entry is a Record in words. As JSON, its times are in UTC with milliseconds.
type Entry struct {
	Time   time.Time `json:"ts"`
	Until  time.Time `json:"until"` // of the last picture of a run
	Seq    uint64    `json:"seq"`   // of the first picture
	Count  int       `json:"count"` // pictures; where there were none, see Gate.NoPicture, how often that was noticed
	Gate   Gate      `json:"gate"`
	Reason string    `json:"reason"` // the gate for people; empty until Entry is marshalled
	// Top starts with what the gate is about; the best others follow. It is empty for pictures that weren't classified, and for what
	// left without one.
	Top      []Score `json:"top"`
	Smoothed float64 `json:"smoothed"` // score of Top[0]
	Have     float64 `json:"have"`     // the score that was compared
	Limit    float64 `json:"limit"`    // with this
	Votes    int     `json:"votes"`    // for Top[0], in the last n looks
	Confirm  [2]int  `json:"confirm"`  // k, n
	Left     float64 `json:"left_s"`   // seconds for which the gate lasts yet
	Before   string  `json:"before"`   // what was shown before: a label, None or Unknown
	Shown    string  `json:"shown"`    // and then
	Absent   float64 `json:"absent_s"` // seconds for which that was missing
}

// MarshalJSON gives keys in snake_case.
func (e Entry) MarshalJSON() ([]byte, error) {
	type plain Entry
	const layout = "2006-01-02T15:04:05.000Z"
	e.Reason = e.Why()
	return json.Marshal(struct {
		Time  string `json:"ts"`
		Until string `json:"until"`
		plain
	}{e.Time.UTC().Format(layout), e.Until.UTC().Format(layout), plain(e)})
}

// Why is the gate with its numbers, such as "confirming 1 of 3". Of what left without a picture it has the label, which Top hasn't.
func (e Entry) Why() string {
	switch e.Gate {
	case BelowEnter, BelowStay:
		return e.Gate.String() + " " + e.text(e.Limit)
	case UnknownScore, UnknownMargin:
		return fmt.Sprintf("%s %s (is %s)", e.Gate, e.text(e.Limit), e.text(e.Have))
	case SmoothedBelow:
		return fmt.Sprintf("smoothed %s below enter %s", e.text(e.Have), e.text(e.Limit))
	case Confirming:
		return fmt.Sprintf("confirming %d of %d", e.Votes, e.Confirm[0])
	case CoolingDown:
		return fmt.Sprintf("cooling down for %s", short(e.Left))
	case Holding:
		if e.Absent > 0 {
			return fmt.Sprintf("%s stays %s more", printable(e.Shown), short(e.Left))
		}
		return fmt.Sprintf("%s stays until it is missing for %s", printable(e.Shown), short(e.Left))
	case Changed:
		return "changed from " + printable(e.Before)
	case Left:
		if len(e.Top) == 0 {
			return printable(e.Before) + " left"
		}
	}
	return e.Gate.String()
}

// String is the entry in a line, such as "14:03:05.123  tabby cat 0.58 (smoothed 0.55)  below enter 0.60  [unknown]", with
// what is shown in brackets. Characters that control terminals are replaced.
func (e Entry) String() string {
	line := e.when()
	if len(e.Top) > 0 {
		line += fmt.Sprintf("  %s %s (smoothed %s)", printable(e.Top[0].Label), e.text(float64(e.Top[0].Score)), e.text(e.Smoothed))
	}
	return line + "  " + e.what() + "  [" + e.shows() + "]"
}

// text has two decimals of a score, and four where two don't tell it from the limit that it is below.
func (e Entry) text(score float64) string {
	two := func(v float64) string { return strconv.FormatFloat(v, 'f', 2, 64) }
	if e.Have < e.Limit && two(e.Have) == two(e.Limit) {
		return strconv.FormatFloat(score, 'f', 4, 64)
	}
	return two(score)
}

func (e Entry) when() string {
	const clock = "15:04:05.000"
	if e.Until.Equal(e.Time) {
		return e.Time.Format(clock)
	}
	return e.Time.Format(clock) + " to " + e.Until.Format(clock)
}

func (e Entry) what() string {
	if lasted := e.Until.Sub(e.Time); e.Gate.NoPicture() && lasted > 0 {
		return e.Why() + " for " + short(lasted.Seconds())
	}
	if e.Count > 1 && !e.Gate.NoPicture() {
		return fmt.Sprintf("%s, %d pictures", e.Why(), e.Count)
	}
	return e.Why()
}

func (e Entry) shows() string {
	if e.Absent > 0 {
		return printable(e.Shown) + ", missing for " + short(e.Absent)
	}
	return printable(e.Shown)
}

// WriteTable writes the entries as a table for people, a line each. Runs makes it short.
func WriteTable(w io.Writer, entries []Entry) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	lines := []string{"TIME\tBEST\tSCORE\tSMOOTHED\tWHY\tSHOWN"}
	for _, e := range entries {
		best := "\t\t"
		if len(e.Top) > 0 {
			best = strings.Join([]string{printable(e.Top[0].Label), e.text(float64(e.Top[0].Score)), e.text(e.Smoothed)}, "\t")
		}
		lines = append(lines, strings.Join([]string{e.when(), best, e.what(), e.shows()}, "\t"))
	}
	if _, err := io.WriteString(t, strings.Join(lines, "\n")+"\n"); err != nil {
		return err
	}
	return t.Flush()
}

// Runs puts entries in a row that say the same of the same label into one: with its Time, Until and Count, and the look
// that had the best score. Events stand alone.
func Runs(entries []Entry) []Entry {
	var out []Entry
	for _, e := range entries {
		if n := len(out); n > 0 && out[n-1].same(&e) {
			run := &out[n-1]
			best := *run
			if len(e.Top) > 0 && e.Top[0].Score > run.Top[0].Score {
				best = e
			}
			best.Time, best.Seq, best.Until, best.Count, best.Absent = run.Time, run.Seq, e.Until, run.Count+e.Count, e.Absent
			*run = best
			continue
		}
		out = append(out, e)
	}
	return out
}

// same reports whether next says the same, a little later.
func (e *Entry) same(next *Entry) bool {
	if e.Gate != next.Gate || e.Shown != next.Shown || next.Before != next.Shown || e.Before != e.Shown || e.Votes != next.Votes {
		return false
	}
	if len(e.Top) == 0 || len(next.Top) == 0 {
		return len(e.Top) == len(next.Top)
	}
	return e.Top[0].Index == next.Top[0].Index && e.Top[0].Label == next.Top[0].Label
}

// decimals is a quantized score with four of them.
func decimals(q uint16) float64 { return math.Round(float64(q)/math.MaxUint16*1e4) / 1e4 }

func seconds(ms uint32) float64 { return float64(ms) / 1000 }

// short is a time for people, in whole seconds from 10 on.
func short(s float64) string {
	d := time.Duration(s * float64(time.Second))
	if d >= 10*time.Second {
		return d.Round(time.Second).String()
	}
	return d.Round(100 * time.Millisecond).String()
}
