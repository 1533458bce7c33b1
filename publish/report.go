package publish

import (
	"errors"
	"log/slog"
	"time"
)

// repeatAfter is how often the same trouble is told again.
const repeatAfter = 5 * time.Minute

// manyLosses is how many short connections in a row are no coincidence.
const manyLosses = 3

// report tells the log how the connection fares: a line for each change, and a reminder every repeatAfter while the same
// trouble lasts. Only Client.run calls it.
type report struct {
	log      *slog.Logger
	host     string // host:port
	clientID string
	user     string

	said     string // the trouble told last, "" when all is well
	saidAt   time.Time
	attempts int // that failed since all was well
	short    int // connections in a row that didn't last
}

// up tells that the connection stands.
func (r *report) up() {
	r.attempts = 0
	if r.short >= manyLosses {
		return // it has been told that this doesn't last
	}
	r.said = ""
	r.log.Info("MQTT connected", "broker", r.host, "client_id", r.clientID)
}

// failed tells why there is no connection. err is what Client.connect returned.
func (r *report) failed(err error, now time.Time) {
	r.attempts++
	trouble := "unknown"
	if at := (*stageError)(nil); errors.As(err, &at) {
		trouble = string(at.stage)
	}
	if !r.due(trouble, now) {
		return
	}
	if no := refusal(0); errors.As(err, &no) && !no.passing() {
		r.log.Error("MQTT login refused, trying on", "err", err, "user", r.user, "client_id", r.clientID, "attempts", r.attempts, "hint", advice(err, now))
		return
	}
	r.log.Warn("MQTT broker not reached, trying on", "err", err, "attempts", r.attempts, "hint", advice(err, now))
}

// lost tells that a connection ended, why, and how long it had lasted. A client id taken over by another client is not
// told by MQTT 3.1.1: the broker closes the connection of the first, which comes back and throws out the second. So
// connections that keep ending soon are taken as a sign of that.
func (r *report) lost(why error, lasted time.Duration, now time.Time) {
	r.short++
	if lasted >= healthy {
		r.short = 0
	}
	if r.short < manyLosses {
		r.said = ""
		r.log.Warn("MQTT connection lost, trying on", "broker", r.host, "err", why, "lasted", lasted.Round(time.Millisecond))
		return
	}
	if r.due("short", now) {
		r.log.Warn("MQTT connection keeps ending soon after login: does another client use the same client id, or may the user not publish below mqtt.base?",
			"broker", r.host, "err", why, "client_id", r.clientID, "user", r.user, "connections", r.short)
	}
}

// due reports whether trouble is to be told now, and notes that it is.
func (r *report) due(trouble string, now time.Time) bool {
	if r.said == trouble && now.Sub(r.saidAt) < repeatAfter {
		return false
	}
	r.said, r.saidAt = trouble, now
	return true
}
