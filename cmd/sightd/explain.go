package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"sightd/daemon"
	"sightd/decide"
	"sightd/publish"
)

const explainAbout = `Asks the running sightd what became of a live source's pictures around a moment, and why: one line for each, or for several in a
row of which the same is to be said. The daemon is asked over the broker of the configuration, and remembers the last pictures only.
Exit status: 0 answered, 1 not answered, 2 usage.`

func explainCommand(ctx context.Context, c *call) error {
	fs := c.flags("explain", "SOURCE [--at TIME] [--span 1m] [-c FILE] [--json]", explainAbout)
	fs.String("c", "", daemonFlag)
	at := fs.String("at", "", "`TIME` to look at: 14:03 or 14:03:05, the last one, or RFC 3339; now where it is left out")
	span := fs.Duration("span", publish.DefaultSpan, "how far to look to both sides of that")
	asJSON := fs.Bool("json", false, "print the answer as a JSON object in place of a table")
	arguments, err := c.parse(fs)
	switch {
	case err != nil:
		return err
	case len(arguments) != 1 || !publish.ValidSource(arguments[0]):
		return usageError{fmt.Sprintf("want the name of one source, have %q", arguments)}
	case *span < publish.MinSpan || *span > publish.MaxSpan:
		return usageError{fmt.Sprintf("-span: want %v to %v, have %v", publish.MinSpan, publish.MaxSpan, *span)}
	}
	request := map[string]any{"source": arguments[0], "span_s": span.Seconds()}
	if *at != "" {
		moment, err := publish.ParseAt(*at, time.Now())
		if err != nil {
			return usageError{"-at: " + err.Error()}
		}
		request["at"] = moment.Format(time.RFC3339Nano) // the daemon may be in another time zone
	}
	file, err := daemonFile(c, fs)
	if err != nil {
		return err
	}
	data, err := askDaemon(ctx, file, publish.Explain, request)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(c.stdout)
	if *asJSON {
		_, err = fmt.Fprintf(out, "%s\n", data)
	} else {
		err = printExplanation(out, data)
	}
	if err != nil {
		return err
	}
	return out.Flush()
}

// askDaemon puts a request to the daemon that runs with the configuration in file, and returns the data of its answer.
func askDaemon(ctx context.Context, file, command string, request map[string]any) (json.RawMessage, error) {
	config, err := daemon.Load(file, os.Environ())
	if err != nil {
		return nil, err
	}
	url, embedded := config.BrokerURL()
	options, err := config.BrokerOptions(url)
	if err != nil {
		return nil, err
	}
	payload, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	answer, err := publish.Ask(ctx, options, command, payload)
	switch {
	case embedded && errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("nothing listens on %s: sightd isn't running, or not with this configuration, in which mqtt.broker is empty: -c names another", url)
	case err != nil:
		return nil, err
	case answer.Error != "":
		return nil, fmt.Errorf("sightd answers: %s", printable(answer.Error))
	}
	return answer.Data, nil
}

// printExplanation prints a table, with times of this machine's zone, what happened in a sentence, and what is wrong now.
func printExplanation(w io.Writer, data json.RawMessage) error {
	e, err := publish.ParseExplanation(data)
	if err != nil {
		return err
	}
	for i := range e.Entries {
		e.Entries[i].Time, e.Entries[i].Until = e.Entries[i].Time.Local(), e.Entries[i].Until.Local()
	}
	from, to := e.From.Local(), known(e, time.Now()).Local()
	fmt.Fprintf(w, "%s, %s to %s\n", printable(e.Source), from.Format("2006-01-02 15:04:05"), to.Format("15:04:05 MST"))
	if len(e.Entries) > 0 {
		if err := decide.WriteTable(w, decide.Runs(e.Entries)); err != nil {
			return err
		}
	}
	if e.Truncated {
		fmt.Fprintln(w, "Only the pictures in the middle are listed, more don't fit into one message: a shorter --span has fewer.")
	}
	_, err = fmt.Fprintln(w, whatHappened(e.Source, e.Entries))
	if e.Problem != "" && err == nil {
		_, err = fmt.Fprintf(w, "What is wrong with %s now: %s.\n", printable(e.Source), printable(e.Problem))
	}
	return err
}

// known is the end of what an explanation tells of, which isn't beyond now.
func known(e publish.Explanation, now time.Time) time.Time {
	if e.To.After(now) && now.After(e.From) {
		return now
	}
	return e.To
}

// maxTold is how many events a sentence names.
const maxTold = 6

// whatHappened is a sentence: the events, or why there was none.
func whatHappened(source string, entries []decide.Entry) string {
	if len(entries) == 0 {
		return fmt.Sprintf("Nothing is remembered of %s then: sightd wasn't running, or it was too long ago.", printable(source))
	}
	var events []string
	for _, e := range entries {
		when := e.Time.Format(time.TimeOnly)
		switch e.Gate {
		case decide.Entered:
			events = append(events, fmt.Sprintf("%s entered at %s", printable(e.Shown), when))
		case decide.Changed:
			events = append(events, fmt.Sprintf("%s became %s at %s", printable(e.Before), printable(e.Shown), when))
		case decide.Left:
			events = append(events, fmt.Sprintf("%s left at %s", printable(e.Before), when))
		}
	}
	if more := len(events) - maxTold; more > 0 {
		events = append(events[:maxTold], fmt.Sprintf("and %d events more", more))
	}
	if len(events) > 0 {
		return strings.Join(events, ", ") + "."
	}
	first, last := entries[0].Before, entries[len(entries)-1].Shown
	showed := fmt.Sprintf("%s showed %s all the time", printable(source), printable(last))
	if first != last { // without an event: from none to unknown, or back
		showed = fmt.Sprintf("%s showed %s, then %s", printable(source), printable(first), printable(last))
	}
	return fmt.Sprintf("Nothing came or went, %s (%s).", showed, verdicts(entries))
}

// verdicts counts the pictures by what became of them, the most first, and says for how long there were none.
func verdicts(entries []decide.Entry) string {
	pictures, by, without := 0, map[decide.Gate]int{}, map[decide.Gate]time.Duration{}
	for _, e := range entries {
		if e.Gate.NoPicture() {
			without[e.Gate] += e.Until.Sub(e.Time)
			continue
		}
		pictures += e.Count
		by[e.Gate] += e.Count
	}
	var parts []string
	switch gates := ranked(by); {
	case pictures == 1:
		parts = append(parts, "1 picture: "+gates[0].String())
	case pictures > 1:
		counts := make([]string, len(gates))
		for i, gate := range gates {
			counts[i] = fmt.Sprintf("%d %s", by[gate], gate)
		}
		parts = append(parts, fmt.Sprintf("%d pictures: %s", pictures, strings.Join(counts, ", ")))
	}
	for _, gate := range ranked(without) {
		part := gate.String()
		if d := without[gate].Round(100 * time.Millisecond); d > 0 {
			part += " for " + d.String()
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "; ")
}

// ranked are the gates that there are, those with the most first.
func ranked[V cmp.Ordered](by map[decide.Gate]V) []decide.Gate {
	return slices.SortedFunc(maps.Keys(by), func(a, b decide.Gate) int { return cmp.Or(cmp.Compare(by[b], by[a]), cmp.Compare(a, b)) })
}
