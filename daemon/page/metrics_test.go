package page

import (
	"bytes"
	"math"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// parsed is what Prometheus makes of text.
func parsed(t testing.TB, text []byte) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return families
}

// value finds the sample of a metric with these labels, a name and a text each.
func value(t *testing.T, families map[string]*dto.MetricFamily, name string, labels ...string) float64 {
	t.Helper()
	for _, m := range families[name].GetMetric() {
		found := 0
		for i := 0; i < len(labels); i += 2 {
			for _, l := range m.Label {
				if l.GetName() == labels[i] && l.GetValue() == labels[i+1] {
					found++
				}
			}
		}
		if found != len(m.Label) || 2*found != len(labels) {
			continue
		}
		switch families[name].GetType() {
		case dto.MetricType_COUNTER:
			return m.Counter.GetValue()
		case dto.MetricType_GAUGE:
			return m.Gauge.GetValue()
		}
	}
	t.Errorf("%s%q: want a sample, have none", name, labels)
	return math.NaN()
}

func TestMetrics(t *testing.T) {
	s := calm()
	families := parsed(t, metrics(&s))
	for _, test := range []struct {
		name   string
		labels []string
		want   float64
	}{
		{"sightd_info", []string{"name", "porch", "version", "0.1.0", "board", "Raspberry Pi 4 Model B Rev 1.4"}, 1},
		{"sightd_model_info", []string{"model", "googlenet-imagenette-int8", "sha256", s.Info.Model.SHA256}, 1},
		{"sightd_delegate_info", []string{"active", "xnnpack", "requested", "auto", "threads", "3"}, 1},
		{"sightd_start_time_seconds", nil, float64(s.Info.Started.Unix())},
		{"sightd_uptime_seconds", nil, 76 * 3600},
		{"sightd_health_severity", nil, 0},
		{"sightd_check_severity", []string{"check", "source door"}, 0},
		{"sightd_classified_total", nil, 40130},
		{"sightd_temperature_celsius", nil, 48.31},
		{"sightd_heat_factor", nil, 1},
		{"sightd_resident_memory_bytes", nil, 61 << 20},
		{"sightd_mqtt_connected", nil, 1},
		{"sightd_mqtt_connects_total", nil, 5},
		{"sightd_mqtt_unsent_messages", nil, 2},
		{"sightd_outbox_pending_events", nil, 2},
		{"sightd_outbox_bytes", nil, 4096},
		{"sightd_outbox_oldest_timestamp_seconds", nil, float64(noon.Unix() - 1)},
		{"sightd_outbox_memory_only", nil, 0},
		{"sightd_outbox_dropped_total", []string{"reason", "room"}, 3},
		{"sightd_outbox_dropped_total", []string{"reason", "age"}, 4},
		{"sightd_requests_held", nil, 1},
		{"sightd_requests_limit", nil, 16},
		{"sightd_requests_answered_total", nil, 17},
		{"sightd_requests_late_total", nil, 2},
		{"sightd_source_info", []string{"source", "door", "type", "v4l2"}, 1},
		{"sightd_source_up", []string{"source", "door"}, 1},
		{"sightd_source_enabled", []string{"source", "inbox"}, 1},
		{"sightd_source_problem", []string{"source", "door"}, 0},
		{"sightd_source_pending_pictures", []string{"source", "inbox"}, 7},
		{"sightd_source_pictures_seen_total", []string{"source", "door"}, 1234567},
		{"sightd_source_opened_total", []string{"source", "door"}, 2},
		{"sightd_source_errors_total", []string{"source", "door"}, 1},
		{"sightd_source_removed_files_total", []string{"source", "inbox"}, 8},
		{"sightd_source_pictures_total", []string{"source", "door", "outcome", "classified"}, 40102},
		{"sightd_source_pictures_total", []string{"source", "inbox", "outcome", "refused"}, 2},
		{"sightd_source_pictures_total", []string{"source", "inbox", "outcome", "ignored"}, 1},
		{"sightd_source_pictures_total", []string{"source", "door", "outcome", "dropped"}, 21},
		{"sightd_source_pictures_total", []string{"source", "door", "outcome", "unchanged"}, 90001},
		{"sightd_source_pictures_total", []string{"source", "door", "outcome", "paced"}, 1101000},
		{"sightd_source_pictures_total", []string{"source", "door", "outcome", "blind"}, 5},
		{"sightd_source_pictures_total", []string{"source", "door", "outcome", "stale"}, 6},
	} {
		if have := value(t, families, test.name, test.labels...); have != test.want {
			t.Errorf("%s%q: want %v, have %v", test.name, test.labels, test.want, have)
		}
	}
	quantiles := families["sightd_infer_seconds"].GetMetric()[0].Summary.Quantile
	if len(quantiles) != 2 || quantiles[0].GetQuantile() != 0.5 || quantiles[0].GetValue() != 0.0214 || quantiles[1].GetValue() != 0.02525 {
		t.Errorf("sightd_infer_seconds: want 0.0214 and 0.02525, have %v", quantiles)
	}
}

// TestMetricsTroubled: what has gone wrong is told, and what isn't known has no sample.
func TestMetricsTroubled(t *testing.T) {
	s := troubled()
	families := parsed(t, metrics(&s))
	for _, test := range []struct {
		name   string
		labels []string
		want   float64
	}{
		{"sightd_info", []string{"name", text(hostile), "version", text(hostile), "board", text(hostile)}, 1},
		{"sightd_health_severity", nil, 2},
		{"sightd_check_severity", []string{"check", "delegate"}, 2},
		{"sightd_check_severity", []string{"check", "heat"}, 1},
		{"sightd_mqtt_connected", nil, 0},
		{"sightd_outbox_memory_only", nil, 1},
		{"sightd_heat_factor", nil, 3.5},
		{"sightd_source_up", []string{"source", "door"}, 0},
		{"sightd_source_enabled", []string{"source", "door"}, 1},
		{"sightd_source_problem", []string{"source", "door"}, 1},
		{"sightd_source_up", []string{"source", "inbox"}, 0},
		{"sightd_source_enabled", []string{"source", "inbox"}, 0},
	} {
		if have := value(t, families, test.name, test.labels...); have != test.want {
			t.Errorf("%s%q: want %v, have %v", test.name, test.labels, test.want, have)
		}
	}
	s = fresh()
	families = parsed(t, metrics(&s))
	for _, name := range []string{"sightd_temperature_celsius", "sightd_infer_seconds", "sightd_step_seconds", "sightd_outbox_oldest_timestamp_seconds"} {
		if families[name] != nil {
			t.Errorf("%s: want none, have %v", name, families[name])
		}
	}
}

// TestMetricsNames holds the names to Prometheus's rules, and each sample to be there once.
func TestMetricsNames(t *testing.T) {
	s := calm()
	body := metrics(&s)
	for name, family := range parsed(t, body) {
		if !strings.HasPrefix(name, "sightd_") || len(family.GetHelp()) < 5 {
			t.Errorf("%s: want sightd_ and a help, have %q", name, family.GetHelp())
		}
		if total := strings.HasSuffix(name, "_total"); total != (family.GetType() == dto.MetricType_COUNTER) {
			t.Errorf("%s: want _total for counters alone, have %v", name, family.GetType())
		}
	}
	seen := map[string]bool{}
	for line := range strings.Lines(string(body)) {
		series := line[:strings.LastIndexByte(line, ' ')]
		if !strings.HasPrefix(line, "#") && seen[series] {
			t.Errorf("%s: want it once", series)
		}
		seen[series] = true
	}
}

// FuzzExposition: whatever stands in a label is read as it was written.
func FuzzExposition(f *testing.F) {
	for _, label := range []string{"", "plain", hostile, `\`, `\n`, "\n", "\r\n", `"`, `\"`, "\x00", "\xc3", "ä"} {
		f.Add(label, 1.5)
	}
	f.Add("a", math.Inf(1))
	f.Add("a", -0.1e-300)
	f.Fuzz(func(t *testing.T, label string, number float64) {
		e := new(exposition)
		e.begin("sightd_test", gauge, label)
		e.sample(number, "a", label, "b", "second")
		e.only("sightd_next", counter, "next", 1)
		families := parsed(t, e.text)
		if len(families) != 2 || len(families["sightd_test"].GetMetric()) != 1 {
			t.Fatalf("want one sample of two metrics, have %s", e.text)
		}
		m := families["sightd_test"].GetMetric()[0]
		if got, want := m.Label[0].GetValue(), strings.ToValidUTF8(label, "\ufffd"); got != want || m.Label[1].GetValue() != "second" {
			t.Errorf("want %q, have %q", want, got)
		}
		if got := m.Gauge.GetValue(); got != number && !(math.IsNaN(got) && math.IsNaN(number)) {
			t.Errorf("want %v, have %v", number, got)
		}
	})
}

func BenchmarkMetrics(b *testing.B) {
	for name, s := range map[string]Status{"2_sources": calm(), "64_sources": crowded(64)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				b.SetBytes(int64(len(metrics(&s))))
			}
		})
	}
}
