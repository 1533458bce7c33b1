package daemon

import (
	"encoding/json"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// FuzzSaved starts on what a state directory holds: what is no longer to be read is forgotten, and what was read is written again as it
// was.
func FuzzSaved(f *testing.F) {
	f.Add([]byte(`{"sources":{"inbox":{"disabled":true,"last":{"enabled":true,"label":"a"}}},"announced":["homeassistant/x"],"pictured":["inbox"]}`))
	f.Add([]byte(`{"sources":{"a":null,"":{}},"announced":null}`))
	f.Add([]byte(`{"sources":[`))
	f.Add([]byte(strings.Repeat(`{"sources":`, 20_000)))
	dir := f.TempDir()
	d := &Daemon{config: Config{StateDir: dir}, log: slog.New(slog.DiscardHandler)}
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(d.savedFile(), data, 0o600); err != nil {
			t.Fatal(err)
		}
		s := d.restore()
		if !json.Valid(data) && !reflect.DeepEqual(s, saved{}) {
			t.Fatalf("have %+v of what is no JSON", s)
		}
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(d.savedFile(), text, 0o600); err != nil {
			t.Fatal(err)
		}
		if again, err := json.Marshal(d.restore()); err != nil || string(again) != string(text) {
			t.Fatalf("want %s again, have %s, %v", text, again, err)
		}
	})
}

// FuzzInstalled reads which model is used: one outside the state directory never is.
func FuzzInstalled(f *testing.F) {
	for _, s := range []string{
		`{"name":"n","file":"models/a.tflite","sha256":"ab","instead_of":""}`, `{"file":"../a","sha256":"ab"}`, `{"file":"/etc/passwd","sha256":"ab"}`,
		`{"file":"models/../../a","sha256":"ab"}`, `{"sha256":"ab"}`, `null`, `[]`, ``,
	} {
		f.Add([]byte(s))
	}
	c := Config{StateDir: f.TempDir()}
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(installedFile(c.StateDir), data, 0o600); err != nil {
			t.Fatal(err)
		}
		i, err := InstalledModel(c)
		if err != nil {
			if i != nil || !strings.HasPrefix(err.Error(), "read which model is used: ") {
				t.Fatalf("have %+v, %v", i, err)
			}
			return
		}
		if i != nil && (!filepath.IsLocal(i.File) || i.SHA256 == "" || i.InsteadOf != "") {
			t.Fatalf("have %+v", i)
		}
	})
}

// FuzzReadLabels reads a file of labels: its lines, joined again, are the file.
func FuzzReadLabels(f *testing.F) {
	for _, s := range []string{"a\nb\n", "a\r\nb", "\ufeffa\n", "\n", "\r\n", "", "a\n\n", "a\rb\x00\xff\n"} {
		f.Add([]byte(s))
	}
	path := filepath.Join(f.TempDir(), "labels.txt")
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		labels, err := ReadLabels(path)
		if err != nil {
			if len(labels) > 0 || len(strings.Trim(string(data), "\ufeff\r\n")) > 0 {
				t.Fatalf("%q: have %q, %v", data, labels, err)
			}
			return
		}
		for _, label := range labels {
			if strings.Contains(label, "\n") {
				t.Fatalf("%q: have label %q", data, label)
			}
		}
		want := strings.TrimSuffix(strings.ReplaceAll(strings.TrimPrefix(string(data), "\ufeff"), "\r\n", "\n"), "\n")
		if have := strings.Join(labels, "\n"); have != want {
			t.Fatalf("%q: have %q", data, labels)
		}
	})
}

// FuzzHeat reads thermal zones and a firmware's word: whatever they say, it goes slower by 1 to heatMost, and says why.
func FuzzHeat(f *testing.F) {
	f.Add("48000\n", "passive\n", "90000\n", "0x0\n")
	f.Add("89500", "passive", "90000", "0x50005")
	f.Add("-274000", "critical", "0", "throttled=0x4")
	f.Add("9223372036854775807", "passive\x00", "999999999999999999999", "ffffffffffffffff")
	f.Add("", "", "", "")
	root := f.TempDir()
	f.Fuzz(func(t *testing.T, celsius, kind, trip, word string) {
		tree := &heatTree{t: t, root: root, time: time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)}
		tree.set(heatZone0+"temp", celsius, heatZone0+"trip_point_0_type", kind, heatZone0+"trip_point_0_temp", trip, heatFlags, word)
		h := tree.heat()
		factor, why := h.slow()
		if !(factor >= 1 && factor <= heatMost) || (factor > 1) != (why != "") {
			t.Fatalf("have factor %v, %q", factor, why)
		}
		if h.warm && !(math.Abs(h.celsius) <= heatTop) {
			t.Fatalf("have %v °C", h.celsius)
		}
	})
}
