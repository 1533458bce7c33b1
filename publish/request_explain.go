package publish

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// The span of a request to explain: how far it looks to both sides of its moment.
const (
	DefaultSpan = time.Minute
	MinSpan     = time.Second
	MaxSpan     = time.Hour
)

// maxTime bounds the text of a time in bytes.
const maxTime = 64

func (r *Request) parseExplain(fields map[string]json.RawMessage, now time.Time) (err error) {
	if err := r.parseSource(fields); err != nil {
		return err
	}
	if r.At, err = parseAt(fields["at"], now); err != nil {
		return fmt.Errorf("at: %w", err)
	}
	if r.Span, err = parseSpan(fields["span_s"]); err != nil {
		return fmt.Errorf("span_s: %w", err)
	}
	return nil
}

func (r *Request) parseSource(fields map[string]json.RawMessage) error {
	value := fields["source"]
	if isNull(value) {
		return errors.New("source: want the name of a source, have none")
	}
	s, err := parseString(value)
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	if !ValidSource(s) {
		return fmt.Errorf("source: want 1 to %d of a-z, 0-9, _ and -, have %s", maxName, excerpt(value))
	}
	r.Source = s
	return nil
}

func parseAt(value json.RawMessage, now time.Time) (time.Time, error) {
	if isNull(value) {
		return now, nil
	}
	s, err := parseString(value)
	if err != nil {
		return time.Time{}, err
	}
	return ParseAt(s, now)
}

// ParseAt reads a moment: a time in RFC 3339, or a time of day, 14:03 or 14:03:05, in now's time zone, which means the last one
// that is not after now.
func ParseAt(s string, now time.Time) (time.Time, error) {
	if len(s) <= maxTime {
		if t, err := time.Parse(time.RFC3339, s); err == nil && t.Year() >= 1970 && t.Year() < 9999 {
			return t, nil
		}
		for _, layout := range []string{"15:04", "15:04:05"} {
			clock, err := time.Parse(layout, s)
			if err != nil {
				continue
			}
			y, m, d := now.Date()
			t := time.Date(y, m, d, clock.Hour(), clock.Minute(), clock.Second(), clock.Nanosecond(), now.Location())
			if t.After(now) {
				t = time.Date(y, m, d-1, clock.Hour(), clock.Minute(), clock.Second(), clock.Nanosecond(), now.Location())
			}
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("want a time such as 2026-09-23T10:15:30Z (RFC 3339), 14:03 or 14:03:05, have %s", excerpt([]byte(s)))
}

func parseSpan(value json.RawMessage) (time.Duration, error) {
	if isNull(value) {
		return DefaultSpan, nil
	}
	seconds, err := strconv.ParseFloat(string(value), 64) // JSON's numbers are among Go's
	if err != nil || value[0] == '"' || !(seconds >= MinSpan.Seconds() && seconds <= MaxSpan.Seconds()) {
		return 0, fmt.Errorf("want a number of seconds from %v to %v, have %s", MinSpan.Seconds(), MaxSpan.Seconds(), excerpt(value))
	}
	return time.Duration(seconds * float64(time.Second)), nil
}
