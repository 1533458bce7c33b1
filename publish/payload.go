package publish

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode"
)

// Payloads are JSON objects without line breaks, in UTF-8 without control characters: snake_case keys, times in RFC 3339,
// UTC, with milliseconds. Every key is always there, null where there is nothing to say. Schemas describes them all.

// MaxPayload is the default limit of a payload in bytes. Brokers refuse large packets by closing the connection, or
// acknowledge and drop them, and MQTT 3.1.1 has no way to say why.
const MaxPayload = 256 << 10

// maxText bounds labels and error texts in bytes: both may come from a stranger's file.
const maxText = 1024

// cuts are the bytes that the texts of a payload are cut to, one after the other, until it fits.
var cuts = [...]int{maxText, 256, 32}

// tooLarge is the error of a payload of have bytes where limit are allowed.
type tooLarge struct{ have, limit int }

func (e tooLarge) Error() string {
	return fmt.Sprintf("want at most %d bytes, have %d", e.limit, e.have)
}

// fit encodes what build makes with its texts cut to ever fewer bytes, until that has at most limit bytes.
func fit(limit int, build func(cut int) any) (payload []byte, err error) {
	for _, cut := range cuts {
		payload, err = encode(build(cut), limit)
		if !errors.As(err, new(tooLarge)) {
			break
		}
	}
	return payload, err
}

// encode is json.Marshal without its escapes for HTML, so that a label reads on a screen as it is. Its error is tooLarge
// for more than limit bytes.
func encode(v any, limit int) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	payload := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	if len(payload) > limit {
		return nil, tooLarge{have: len(payload), limit: limit}
	}
	return payload, nil
}

func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// timeOrNull is null for the zero time.
func timeOrNull(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := timestamp(t)
	return &s
}

// textOrNull is s, cut to so many bytes, and null for "".
func textOrNull(s string, cut int) *string {
	if s == "" {
		return nil
	}
	t := text(s, cut)
	return &t
}

// round keeps so many decimals of v; NaN and infinities stay, for encode to refuse.
func round(v float64, decimals int) float64 {
	scale := math.Pow10(decimals)
	return math.Round(v*scale) / scale
}

// text is what is shown of s: printable, and cut to so many bytes.
func text(s string, cut int) string { return short(printable(s), cut) }

// printable is s as valid UTF-8, with U+FFFD for each run of bytes that is none, and for each character that controls a
// terminal or breaks a line. Other invisible characters stay: file names and labels in Persian or of emoji need them.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unprintable(r) {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(s, string(unicode.ReplacementChar)))
}

func unprintable(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp)
}

// short cuts valid UTF-8 to its first cut bytes, at a character's end, and marks that.
func short(s string, cut int) string {
	if len(s) <= cut {
		return s
	}
	return strings.ToValidUTF8(s[:cut], "") + "…"
}

// tail cuts valid UTF-8 to its last cut bytes, at a character's start, and marks that: a path tells most at its end.
func tail(s string, cut int) string {
	if len(s) <= cut {
		return s
	}
	return "…" + strings.ToValidUTF8(s[len(s)-cut:], "")
}
