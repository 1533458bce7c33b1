package page

import (
	"strconv"

	"sightd/publish"
)

// metrics is s for Prometheus. What changes freely, such as a label that is seen or the reason of a problem, is no metric's label: each
// other text would be another time series.
func metrics(s *Status) []byte {
	e := new(exposition)
	e.about(s)
	e.board(s)
	e.delivery(s)
	sources := s.sources()
	e.states(sources)
	e.pictures(sources)
	return e.text
}

// about says what runs, and how it fares.
func (e *exposition) about(s *Status) {
	model, delegate := s.Info.Model, s.Info.Delegate
	e.begin("sightd_info", gauge, "What runs here; always 1.")
	e.sample(1, "name", text(s.Name), "version", text(s.Info.Version), "board", text(s.Info.Board))
	e.begin("sightd_model_info", gauge, "The model in use; always 1.")
	e.sample(1, "model", text(model.Name), "sha256", text(model.SHA256))
	e.begin("sightd_delegate_info", gauge, "What runs the model, and what was asked for; always 1.")
	e.sample(1, "active", text(delegate.Active), "requested", text(delegate.Requested), "threads", strconv.Itoa(delegate.Threads))
	e.only("sightd_start_time_seconds", gauge, "When the daemon was started, in Unix time.", float64(s.Info.Started.UnixMilli())/1e3)
	e.only("sightd_uptime_seconds", gauge, "Since the daemon was started.", s.Health.Uptime.Seconds())
	e.only("sightd_health_severity", gauge, "The verdict on the whole: 0 ok, 1 degraded, 2 failing.", severity(s.Health.Status))
	e.begin("sightd_check_severity", gauge, "The verdict on each part: 0 ok, 1 warn, 2 fail.")
	for _, c := range s.Health.Checks {
		e.sample(checkSeverity(c.Status), "check", text(c.Name))
	}
}

func severity(s publish.Status) float64 {
	switch s {
	case publish.StatusOK:
		return 0
	case publish.StatusDegraded:
		return 1
	}
	return 2
}

func checkSeverity(s publish.CheckStatus) float64 {
	switch s {
	case publish.CheckOK:
		return 0
	case publish.CheckWarn:
		return 1
	}
	return 2
}

// board says what the work costs.
func (e *exposition) board(s *Status) {
	e.only("sightd_classified_total", counter, "Pictures that went through the network.", float64(s.Classified))
	e.quantiles("sightd_infer_seconds", "What the network took, over the last pictures.", s.Health.Infer)
	e.quantiles("sightd_step_seconds", "What all work on a picture of a live source took, over the last ones.", s.Health.Step)
	if s.Health.Temperature != nil {
		e.only("sightd_temperature_celsius", gauge, "The hottest thermal zone's.", *s.Health.Temperature)
	}
	e.only("sightd_heat_factor", gauge, "What the time between two looks at a live source is stretched by, to cool the board; 1: not at all.", s.Heat)
	e.only("sightd_resident_memory_bytes", gauge, "Memory of the daemon, without its cameras' processes.", float64(s.Health.RSS))
}

// quantiles are a summary's. There is neither sum nor count: the last pictures alone are kept.
func (e *exposition) quantiles(name, help string, l *publish.Latency) {
	if l == nil {
		return
	}
	e.begin(name, summary, help)
	e.sample(l.P50/1e3, "quantile", "0.5")
	e.sample(l.P95/1e3, "quantile", "0.95")
}

// delivery says what becomes of the events and the requests.
func (e *exposition) delivery(s *Status) {
	box, requests := s.Health.Outbox, s.Health.Requests
	e.only("sightd_mqtt_connected", gauge, "1 while there is a connection to the broker.", truth(s.Connected))
	e.only("sightd_mqtt_connects_total", counter, "Successful logins to the broker.", float64(s.Health.MQTT.Connects))
	e.only("sightd_mqtt_unsent_messages", gauge, "Messages without an acknowledgement yet.", float64(s.Health.MQTT.Unsent))
	e.only("sightd_outbox_pending_events", gauge, "Events that wait for the broker.", float64(box.Pending))
	e.only("sightd_outbox_bytes", gauge, "What they take on the disk.", float64(box.Bytes))
	if !box.Oldest.IsZero() {
		e.only("sightd_outbox_oldest_timestamp_seconds", gauge, "The oldest of them, in Unix time.", float64(box.Oldest.UnixMilli())/1e3)
	}
	e.only("sightd_outbox_memory_only", gauge, "1 while the disk can't be written to, so that they wait in memory.", truth(box.Degraded != ""))
	e.begin("sightd_outbox_dropped_total", counter, "Events that were given up, since the outbox was made.")
	e.sample(float64(box.Dropped), "reason", "room")
	e.sample(float64(box.Expired), "reason", "age")
	e.only("sightd_requests_held", gauge, "Requests for a classification that were taken and not answered yet.", float64(requests.Held))
	e.only("sightd_requests_limit", gauge, "The most requests that may be held.", float64(requests.Limit))
	e.only("sightd_requests_answered_total", counter, "Requests that were answered.", float64(requests.Answered))
	e.only("sightd_requests_late_total", counter, "Requests that had expired.", float64(requests.Late))
}

// states say how the sources are.
func (e *exposition) states(sources []source) {
	e.begin("sightd_source_info", gauge, "A source; always 1.")
	for _, s := range sources {
		e.sample(1, "source", text(s.Name), "type", text(s.Type))
	}
	for _, m := range []struct {
		name, kind, help string
		value            func(s *source) float64
	}{
		{"sightd_source_up", gauge, "1 while the source is there and switched on.", func(s *source) float64 { return truth(s.available == publish.Online) }},
		{"sightd_source_enabled", gauge, "0 while the source is switched off.", func(s *source) float64 { return truth(s.available != publish.Disabled) }},
		{"sightd_source_problem", gauge, "1 while something keeps new pictures from coming, or from being of use.", func(s *source) float64 { return truth(s.problem() != "") }},
		{"sightd_source_pending_pictures", gauge, "Pictures that wait in a folder.", func(s *source) float64 { return float64(s.Pending) }},
		{"sightd_source_pictures_seen_total", counter, "Pictures that came.", func(s *source) float64 { return float64(s.Seen) }},
		{"sightd_source_opened_total", counter, "Streams that were begun.", func(s *source) float64 { return float64(s.Opened) }},
		{"sightd_source_errors_total", counter, "Faults that may pass: streams that broke, files that could not be read.", func(s *source) float64 { return float64(s.Errors) }},
		{"sightd_source_removed_files_total", counter, "Files that a quota removed from done and failed.", func(s *source) float64 { return float64(s.Removed) }},
	} {
		e.begin(m.name, m.kind, m.help)
		for i := range sources {
			e.sample(m.value(&sources[i]), "source", text(sources[i].Name))
		}
	}
}

// outcomes are what becomes of pictures.
var outcomes = []struct {
	name  string
	count func(h *publish.SourceHealth) uint64
}{
	{"classified", func(h *publish.SourceHealth) uint64 { return h.Done }},
	{"refused", func(h *publish.SourceHealth) uint64 { return h.Refused }},
	{"ignored", func(h *publish.SourceHealth) uint64 { return h.Ignored }},
	{"dropped", func(h *publish.SourceHealth) uint64 { return h.Dropped }},
	{"unchanged", func(h *publish.SourceHealth) uint64 { return h.Unchanged }},
	{"paced", func(h *publish.SourceHealth) uint64 { return h.Paced }},
	{"blind", func(h *publish.SourceHealth) uint64 { return h.Blind }},
	{"stale", func(h *publish.SourceHealth) uint64 { return h.Stale }},
}

// pictures say what became of the sources' pictures.
func (e *exposition) pictures(sources []source) {
	e.begin("sightd_source_pictures_total", counter, "Pictures by what became of them: classified; refused, as no picture; ignored, by pattern or as known; "+
		"dropped for a newer one; unchanged; paced, not looked at; blind, as black, covered or frozen; stale, too late.")
	for i := range sources {
		for _, o := range outcomes {
			e.sample(float64(o.count(&sources[i].SourceHealth)), "source", text(sources[i].Name), "outcome", o.name)
		}
	}
}
