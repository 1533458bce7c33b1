package publish

import (
	"fmt"
	"time"
)

// Status is a verdict on the whole board.
type Status string

// The verdicts.
const (
	StatusOK       Status = "ok"
	StatusDegraded Status = "degraded" // works, but something wants looking after
	StatusFailing  Status = "failing"  // does not do its work
)

// CheckStatus is a verdict on one part.
type CheckStatus string

// The verdicts on a part.
const (
	CheckOK   CheckStatus = "ok"
	CheckWarn CheckStatus = "warn"
	CheckFail CheckStatus = "fail"
)

// Health is how the board fares, on HealthTopic. Counters count since the daemon's start.
type Health struct {
	Status      Status
	Checks      []Finding
	Temperature *float64 // of the processor, °C; nil: the board doesn't say
	RSS         int64    // resident memory of the daemon, bytes
	FPS         float64  // pictures classified a second, over the time since the last statement
	Infer       *Latency // of the network; nil until a picture was classified
	Step        *Latency // of all the work on a picture of a live source; nil until one was classified
	Outbox      OutboxHealth
	Requests    RequestHealth
	Sources     []SourceHealth
	MQTT        MQTTHealth
	Uptime      time.Duration // of the daemon
	Time        time.Time     // of this statement
}

// Finding is the verdict on one part, such as the outbox.
type Finding struct {
	Name   string      `json:"name"`
	Status CheckStatus `json:"status"`
	Detail string      `json:"detail"` // for people; "": nothing to add
}

// Latency is how long the last pictures took, milliseconds.
type Latency struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
}

// OutboxHealth is what waits on the disk for the broker.
type OutboxHealth struct {
	Pending  int       // events
	Bytes    int64     // on the disk
	Oldest   time.Time // of the events that wait; zero: none waits
	Dropped  uint64    // events, for want of room
	Expired  uint64    // events, for their age
	Degraded string    // why it keeps events in memory only; "": it doesn't
}

// RequestHealth is how the requests for a classification fare.
type RequestHealth struct {
	Held     int    `json:"held"`     // taken and not answered yet
	HeldMax  int    `json:"held_max"` // the most that were held at a time
	Limit    int    `json:"limit"`    // the most that may be held
	Answered uint64 `json:"answered"`
	Late     uint64 `json:"late"` // answered with an error, because they had expired
}

// SourceHealth counts the pictures of a source. A folder drops none and is never opened.
type SourceHealth struct {
	Name    string
	Type    string // as configured: folder ...
	Seen    uint64
	Done    uint64 // classified, and handed to the broker
	Refused uint64 // that are no pictures, too large, cut off ...
	Ignored uint64 // by pattern, or known already
	Errors  uint64 // that may pass, such as an unreadable file
	Pending int    // waiting
	Removed uint64 // from done and failed, by their quota

	// Of live sources alone.
	Dropped   uint64  // replaced by a newer one before their turn came
	Unchanged uint64  // not classified, because nothing had moved
	Paced     uint64  // not looked at, by fps and interval
	Blind     uint64  // not classified, because they were black, overexposed, covered or frozen
	Stale     uint64  // too old when their turn came
	Opened    uint64  // how often a stream was begun: a program started, or a server's answer taken
	FPS       float64 // pictures looked at a second, over the last minute

	Problem string // why nothing new comes; "": nothing is wrong
}

// MQTTHealth is how the connection to the broker fares.
type MQTTHealth struct {
	Connects uint64 `json:"connects"` // successful logins
	Unsent   int    `json:"unsent"`   // messages without an acknowledgement yet
}

type healthJSON struct {
	Status      Status        `json:"status"`
	Checks      []Finding     `json:"checks"`
	Temperature *float64      `json:"temperature"`
	RSS         int64         `json:"rss"`
	FPS         float64       `json:"fps"`
	Infer       *Latency      `json:"infer_ms"`
	Step        *Latency      `json:"step_ms"`
	Outbox      outboxJSON    `json:"outbox"`
	Requests    RequestHealth `json:"requests"`
	Sources     []sourceJSON  `json:"sources"`
	MQTT        MQTTHealth    `json:"mqtt"`
	UptimeS     int64         `json:"uptime_s"`
	Time        string        `json:"ts"`
}

type outboxJSON struct {
	Pending  int     `json:"pending"`
	Bytes    int64   `json:"bytes"`
	Oldest   *string `json:"oldest"`
	Dropped  uint64  `json:"dropped"`
	Expired  uint64  `json:"expired"`
	Degraded *string `json:"degraded"`
}

type sourceJSON struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	Seen    uint64 `json:"seen"`
	Done    uint64 `json:"done"`
	Refused uint64 `json:"refused"`
	Ignored uint64 `json:"ignored"`
	Errors  uint64 `json:"errors"`
	Pending int    `json:"pending"`
	Removed uint64 `json:"removed"`

	Dropped   uint64  `json:"dropped"`
	Unchanged uint64  `json:"unchanged"`
	Paced     uint64  `json:"paced"`
	Blind     uint64  `json:"blind"`
	Stale     uint64  `json:"stale"`
	Opened    uint64  `json:"opened"`
	FPS       float64 `json:"fps"`

	Problem *string `json:"problem"`
}

// HealthPayload is the JSON of h, in at most limit bytes. The temperature has one decimal, fps and milliseconds two.
// Texts have at most 1024 bytes, and down to 32 where limit asks for it; the cut is marked with "…". What is still
// larger, and a number that is none, are errors.
func HealthPayload(h Health, limit int) ([]byte, error) {
	payload, err := fit(limit, func(cut int) any { return newHealth(&h, cut) })
	if err != nil {
		return nil, fmt.Errorf("encode health: %w", err)
	}
	return payload, nil
}

func newHealth(h *Health, cut int) *healthJSON {
	v := &healthJSON{
		Status: h.Status,
		Checks: make([]Finding, len(h.Checks)),
		RSS:    h.RSS,
		FPS:    round(h.FPS, 2),
		Outbox: outboxJSON{
			Pending: h.Outbox.Pending, Bytes: h.Outbox.Bytes, Oldest: timeOrNull(h.Outbox.Oldest),
			Dropped: h.Outbox.Dropped, Expired: h.Outbox.Expired, Degraded: textOrNull(h.Outbox.Degraded, cut),
		},
		Requests: h.Requests,
		Sources:  make([]sourceJSON, len(h.Sources)),
		MQTT:     h.MQTT,
		UptimeS:  int64(h.Uptime / time.Second),
		Time:     timestamp(h.Time),
	}
	for i, c := range h.Checks {
		v.Checks[i] = Finding{Name: text(c.Name, cut), Status: c.Status, Detail: text(c.Detail, cut)}
	}
	if h.Temperature != nil {
		t := round(*h.Temperature, 1)
		v.Temperature = &t
	}
	v.Infer, v.Step = h.Infer.rounded(), h.Step.rounded()
	for i, s := range h.Sources {
		v.Sources[i] = sourceJSON{
			Name: printable(s.Name), Type: text(s.Type, cut), Seen: s.Seen, Done: s.Done, Refused: s.Refused,
			Ignored: s.Ignored, Errors: s.Errors, Pending: s.Pending, Removed: s.Removed,
			Dropped: s.Dropped, Unchanged: s.Unchanged, Paced: s.Paced, Blind: s.Blind, Stale: s.Stale, Opened: s.Opened, FPS: round(s.FPS, 2),
			Problem: textOrNull(s.Problem, cut),
		}
	}
	return v
}

// rounded has two decimals.
func (l *Latency) rounded() *Latency {
	if l == nil {
		return nil
	}
	return &Latency{P50: round(l.P50, 2), P95: round(l.P95, 2)}
}
