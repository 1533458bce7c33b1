package publish

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// The commands of RequestTopic.
const (
	HealthCheck = "health_check" // how does the board fare? See HealthResponse
	Classify    = "classify"     // what does this picture show? See ClassifyResponse
	Explain     = "explain"      // why did a live source say what it said? See ExplainResponse
	Snapshot    = "snapshot"     // what does a live source see now? See SnapshotResponse
	Reload      = "reload"       // read the model again, and use it. See ReloadResponse
)

// Request is what somebody asked for on RequestTopic or FleetRequestTopic.
type Request struct {
	Transaction json.RawMessage // a JSON string, number or boolean to be put into the response; nil: none
	Image       []byte          // a JPEG or PNG file; nil: none
	Expires     time.Time       // when nobody waits for the answer any more; zero: never
	Resize      string          // squash, crop or letterbox, to the model's input size; "": as the daemon does by default

	Source string        // of Explain and Snapshot: one that ValidSource takes, but maybe none that there is
	At     time.Time     // of Explain: the moment to look at
	Span   time.Duration // of Explain: how far to look to both sides of At, 1 s to an hour
}

// Late reports whether nobody waits for the answer any more.
func (r Request) Late(now time.Time) bool { return !r.Expires.IsZero() && now.After(r.Expires) }

// resizes are the rules that a request may choose from.
var resizes = []string{"squash", "crop", "letterbox"}

// ParseRequest reads the payload of a message to RequestTopic(base, command) that came at now: nothing at all, or a JSON object
// in UTF-8. Its keys are "transaction", for the command Classify "image", the picture's file in base64, with or without padding,
// line breaks and the start of a data URL, and optionally "expires", in RFC 3339, and "resize"; for Explain and Snapshot
// "source"; for Explain optionally "at", which ParseAt reads, by default now, and "span_s", a number, by default 60; HealthCheck
// and Reload have none of their own. Keys are case-sensitive, of a repeated key the last counts, and others are ignored: those of
// later versions must not stop what this one can do.
//
// The error is for the response. With it comes what of the request could be read, at least the transaction if that is
// right. Image is a copy; what ParseRequest allocates is bounded by a small multiple of payload.
func ParseRequest(command string, payload []byte, now time.Time) (Request, error) {
	var r Request
	fields, err := object(payload)
	if err != nil {
		return r, fmt.Errorf("parse request: %w", err)
	}
	if r.Transaction, err = parseTransaction(fields["transaction"]); err != nil {
		return r, fmt.Errorf("parse request: transaction: %w", err)
	}
	switch command {
	case Classify:
		err = r.parseClassify(fields)
	case Explain:
		err = r.parseExplain(fields, now)
	case Snapshot:
		err = r.parseSource(fields)
	}
	if err != nil {
		return r, fmt.Errorf("parse request: %w", err)
	}
	return r, nil
}

func (r *Request) parseClassify(fields map[string]json.RawMessage) (err error) {
	if r.Expires, err = parseExpires(fields["expires"]); err != nil {
		return fmt.Errorf("expires: %w", err)
	}
	if r.Resize, err = parseResize(fields["resize"]); err != nil {
		return fmt.Errorf("resize: %w", err)
	}
	if r.Image, err = parseImage(fields["image"]); err != nil {
		return fmt.Errorf("image: %w", err)
	}
	return nil
}

// ParseImageRequest reads the payload of a message to the topic of Classify with a transaction, and of one to
// FleetRequestTopic: the bytes of a JPEG or PNG file, which Image then shares with payload. transaction is that of the
// topic. With an error, which is for the response, comes the transaction.
func ParseImageRequest(transaction string, payload []byte) (Request, error) {
	r := Request{Transaction: quote(transaction)}
	if err := checkImage(payload); err != nil {
		return r, fmt.Errorf("parse request: %w", err)
	}
	r.Image = payload
	return r, nil
}

// object reads a JSON object, and nothing as one without keys.
func object(payload []byte) (map[string]json.RawMessage, error) {
	const want = "want a JSON object such as {\"transaction\":1}"
	if checkImage(payload) == nil {
		return nil, errors.New(want + ", have a picture: send that to .../request/classify/<transaction>")
	}
	if !utf8.Valid(payload) {
		return nil, errors.New(want + ", have bytes that are no UTF-8")
	}
	payload = bytes.TrimSpace(payload)
	if len(payload) == 0 {
		return nil, nil
	}
	if payload[0] != '{' {
		return nil, fmt.Errorf("%s, have %s", want, excerpt(payload))
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(payload, &fields); err != nil {
		return nil, fmt.Errorf("%s: %w", want, err)
	}
	return fields, nil
}

// parseTransaction gives value back, a string with the least escapes.
func parseTransaction(value json.RawMessage) (json.RawMessage, error) {
	if isNull(value) {
		return nil, nil
	}
	switch value[0] {
	case '{', '[':
		return nil, fmt.Errorf("want a string, a number or a boolean, have %s", excerpt(value))
	case '"':
		s, err := parseString(value)
		if err != nil {
			return nil, err
		}
		if len(s) > maxTransaction || strings.ContainsFunc(s, unprintable) {
			return nil, fmt.Errorf("want at most %d bytes of printable text, have %s", maxTransaction, excerpt(value))
		}
		return quote(s), nil
	}
	if len(value) > maxTransaction {
		return nil, fmt.Errorf("want at most %d digits, have %d", maxTransaction, len(value))
	}
	return value, nil
}

func parseExpires(value json.RawMessage) (time.Time, error) {
	if isNull(value) {
		return time.Time{}, nil
	}
	s, err := parseString(value)
	if err != nil {
		return time.Time{}, err
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("want a time such as 2026-09-23T10:15:30Z (RFC 3339), have %s", excerpt(value))
	}
	return t, nil
}

func parseResize(value json.RawMessage) (string, error) {
	if isNull(value) {
		return "", nil
	}
	s, err := parseString(value)
	if err != nil {
		return "", err
	}
	if !slices.Contains(resizes, s) {
		return "", fmt.Errorf("want one of %s, have %s", strings.Join(resizes, ", "), excerpt(value))
	}
	return s, nil
}

func parseImage(value json.RawMessage) ([]byte, error) {
	if isNull(value) {
		return nil, errors.New("want a JPEG or PNG file in base64, have none")
	}
	s, err := parseString(value)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(s, "data:") {
		head, body, found := strings.Cut(s, ",")
		if !found || !strings.HasSuffix(head, ";base64") {
			return nil, errors.New("want a data URL of base64, data:image/jpeg;base64,..., have another")
		}
		s = body
	}
	s = strings.TrimRight(s, "\r\n")
	for range 2 {
		s = strings.TrimSuffix(s, "=")
	}
	image, err := base64.RawStdEncoding.DecodeString(s) // which skips line breaks
	if err != nil {
		return nil, fmt.Errorf("want base64: %w", err)
	}
	if err := checkImage(image); err != nil {
		return nil, err
	}
	return image, nil
}

// checkImage looks at the first bytes only: the decoder tells whether the rest is right.
func checkImage(file []byte) error {
	for _, magic := range []string{"\xff\xd8\xff", "\x89PNG\r\n\x1a\n"} {
		if bytes.HasPrefix(file, []byte(magic)) {
			return nil
		}
	}
	return fmt.Errorf("want a JPEG or PNG file, have %d bytes of something else", len(file))
}

// ParseSet reads the payload of a message to SetTopic, and gives whether the source is to be enabled: {"enabled":true},
// {"value":true}, true or ON, or the same with false and OFF; the last two in upper, lower or mixed case.
func ParseSet(payload []byte) (enabled bool, err error) {
	payload = bytes.TrimSpace(payload)
	switch strings.ToLower(string(payload[:min(len(payload), maxSet)])) {
	case "true", "on":
		return true, nil
	case "false", "off":
		return false, nil
	}
	const want = "parse set: want {\"enabled\":true}, {\"enabled\":false}, ON or OFF, have %s"
	if len(payload) == 0 {
		return false, fmt.Errorf(want, "nothing")
	}
	if len(payload) > maxSet || !utf8.Valid(payload) || payload[0] != '{' {
		return false, fmt.Errorf(want, excerpt(payload))
	}
	var fields map[string]*bool
	if err := json.Unmarshal(payload, &fields); err != nil || len(fields) != 1 {
		return false, fmt.Errorf(want, excerpt(payload))
	}
	for _, key := range []string{"enabled", "value"} {
		if v := fields[key]; v != nil {
			return *v, nil
		}
	}
	return false, fmt.Errorf(want, excerpt(payload))
}

// maxSet bounds the payload of SetTopic in bytes, white space around it not counted.
const maxSet = 256

func isNull(value json.RawMessage) bool { return len(value) == 0 || string(value) == "null" }

func parseString(value json.RawMessage) (string, error) {
	var s string
	if value[0] != '"' || json.Unmarshal(value, &s) != nil {
		return "", fmt.Errorf("want a string, have %s", excerpt(value))
	}
	return s, nil
}

// quote is s as a JSON string.
func quote(s string) json.RawMessage {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(s) != nil {
		return nil // never: any string can be encoded
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// excerpt is the start of a payload, quoted, for errors.
func excerpt(payload []byte) string {
	const show = 64
	if len(payload) <= show {
		return fmt.Sprintf("%q", payload)
	}
	return fmt.Sprintf("%q and %d bytes more", payload[:show], len(payload)-show)
}
