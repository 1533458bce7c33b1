package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"sightd/publish"
)

// renewed is a daemon whose configuration a test changes. It publishes to a broker of the test's.
type renewed struct {
	*running
	config  Config // in force
	next    atomic.Pointer[Config]
	refusal atomic.Pointer[error] // of the next reading
	asked   int
	broker  *publish.Broker
	before  int // goroutines
}

// runRenewed runs a live source beside a folder.
func runRenewed(t *testing.T) *renewed {
	t.Helper()
	c := liveConfig(t, recording(t, 10, "golf_ball"))
	c.Sources = append(c.Sources, testConfig(t).Sources[0])
	n := &renewed{before: runtime.NumGoroutine()}
	var err error
	if n.broker, err = publish.Listen("127.0.0.1:0", publish.ListenOptions{}, quiet); err != nil {
		t.Fatal(err)
	}
	c.MQTT.Broker = "mqtt://" + n.broker.Addr().String()
	n.config = c
	n.running = runOptions(t, c, Options{Load: func() (Config, error) {
		if err := n.refusal.Swap(nil); err != nil {
			return Config{}, *err
		}
		return *n.next.Load(), nil
	}})
	n.hears(t)
	return n
}

// finish stops all, and wants nothing left.
func (n *renewed) finish(t *testing.T) {
	t.Helper()
	if err := errors.Join(n.stop(), n.broker.Close()); err != nil {
		t.Error(err)
	}
	settle(t, n.before)
}

// take has the daemon take a changed configuration over, and wants parts in the answer.
func (n *renewed) take(t *testing.T, change func(*Config), parts ...string) {
	t.Helper()
	c := n.config
	c.Sources = slices.Clone(c.Sources)
	change(&c)
	n.next.Store(&c)
	n.asked++
	if answer := n.reload(t, fmt.Sprint("take ", n.asked), parts...); strings.Contains(answer, `"status":"ok"`) {
		n.config = c
	}
}

// fares is what the tests look at of the health.
type fares struct {
	MQTT    struct{ Connects int }
	Checks  []publish.Finding
	Sources []struct {
		Name                       string
		Seen, Opened, Done, Errors int
	}
}

func (n *renewed) fares(t *testing.T) fares {
	t.Helper()
	n.asked++
	id := fmt.Sprintf(`"transaction":"fares %d"`, n.asked)
	n.send(t, publish.RequestTopic(testBase, publish.HealthCheck), "{"+id+"}")
	var answer struct{ Data struct{ Health fares } }
	if err := json.Unmarshal([]byte(n.until(t, publish.ResponseTopic(testBase, publish.HealthCheck), id)), &answer); err != nil {
		t.Fatal(err)
	}
	return answer.Data.Health
}

// reloadStatus is that of the check "reload".
func (f fares) reloadStatus(t *testing.T) string {
	t.Helper()
	for _, c := range f.Checks {
		if c.Name == "reload" {
			return string(c.Status)
		}
	}
	t.Fatal("health has no check of the reload")
	return ""
}

// TestRenew changes the configuration of a running daemon: what isn't concerned goes on.
func TestRenew(t *testing.T) {
	n := runRenewed(t)
	events := n.judgements(t, "door")
	n.until(t, publish.SourceStateTopic(testBase, "door"), `"label":"golf ball"`)
	forget(events)
	replaced := func(what string) {
		t.Helper()
		if e := nextOf(t, events); e.EventType != "leave" || e.Error == nil || *e.Error != "the configuration was changed" {
			t.Fatalf("%s: want what was shown to leave, have %v", what, e)
		}
		if e := nextOf(t, events); e.EventType != "enter" || *e.Label != "golf ball" {
			t.Fatalf("%s: want it seen again, have %v", what, e)
		}
	}
	check := func(what string, connects, opened int) {
		t.Helper()
		f := n.fares(t)
		if f.MQTT.Connects != connects || f.Sources[0].Name != "door" || f.Sources[0].Opened != opened || f.reloadStatus(t) != "ok" {
			t.Errorf("%s: want %d connections, door opened %d times, have %+v", what, connects, opened, f)
		}
	}
	n.take(t, func(c *Config) { c.Log.Level = "debug" }, `"keys":["log.level"]`, `"changed":false`)
	check("nothing of the sources", 1, 1)
	n.take(t, func(c *Config) { c.Decide.Enter = 0.5 }, `"keys":["decide.enter"]`)
	replaced("other rules")
	check("other rules", 1, 1)
	n.take(t, func(c *Config) { c.Sources[0].Interval = 1 }, `"keys":["sources.door.interval"]`)
	replaced("another interval")
	check("another interval", 1, 1)
	n.take(t, func(c *Config) { c.Sources[0].FPS = 19 }, `"keys":["sources.door.fps"]`)
	replaced("another stream")
	check("another stream", 1, 1) // of the new one
	n.take(t, func(c *Config) { c.MQTT.QoS = 0 }, `"keys":["mqtt.qos"]`)
	n.until(t, publish.StateTopic(testBase), "online")
	n.take(t, func(c *Config) { c.MQTT.QoS = 1 }, `"keys":["mqtt.qos"]`)
	check("another connection", 1, 1) // of the new client, and the stream before

	yard := n.config.Sources[1]
	yard.Name, yard.Path = "yard", filepath.Join(t.TempDir(), "yard")
	n.take(t, func(c *Config) { c.Sources = append(c.Sources, yard) }, `"keys":["sources.yard"]`)
	n.until(t, publish.AvailabilityTopic(testBase, "yard"), "online")
	drop(t, yard.Path, "parachute", "one.png")
	n.until(t, publish.EventTopic(testBase, "yard"), "parachute", "one.png")
	n.take(t, func(c *Config) { c.Sources = c.Sources[:2] }, `"keys":["sources.yard"]`)
	n.until(t, publish.AvailabilityTopic(testBase, "yard"), "offline")
	n.until(t, "homeassistant/device/sightd_test_yard/config", "")
	drop(t, n.config.Sources[1].Path, "parachute", "two.png")
	n.until(t, publish.EventTopic(testBase, n.config.Sources[1].Name), "two.png")
	check("one source more, and less", 1, 1)
	n.finish(t)
}

// TestRenewRefused changes the configuration to what can't be taken over: that before goes on, and health says so.
func TestRenewRefused(t *testing.T) {
	n := runRenewed(t)
	n.until(t, publish.SourceStateTopic(testBase, "door"), `"label":"golf ball"`)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for i, bad := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"name", func(c *Config) { c.Name = "other" }, "name has changed, which takes a restart"},
		{"state_dir", func(c *Config) { c.StateDir = t.TempDir() }, "state_dir has changed, which takes a restart"},
		{"no model", func(c *Config) { c.Model.Path = "/nowhere.tflite" }, "/nowhere.tflite"},
		{"label", func(c *Config) { c.Decide.Labels = map[string]LabelConfig{"golf bal": {}} }, "golf bal"},
		{"password", func(c *Config) { c.MQTT.User, c.MQTT.PasswordFile = "a", "/nowhere" }, "/nowhere"},
		{"a folder that is a file", func(c *Config) { c.Sources[0].FPS, c.Sources[1].Path = 10, file }, file},
		{"port taken", func(c *Config) { c.MQTT.Broker, c.MQTT.Listen = "", taken.Addr().String() }, taken.Addr().String()},
		{"certificate", func(c *Config) { c.MQTT.Broker, c.MQTT.CA = "mqtts://127.0.0.1:1", file }, file},
	} {
		if bad.name != "port taken" && bad.name != "certificate" { // whose answer comes before the connection is changed
			n.take(t, bad.change, `"status":"error"`, bad.want)
		} else {
			c := n.config
			c.Sources = slices.Clone(c.Sources)
			bad.change(&c)
			n.next.Store(&c)
			n.reload(t, bad.name, `"status":"ok"`)
		}
		n.until(t, publish.HealthTopic(testBase), "reload refused", bad.want)
		name := fmt.Sprintf("%d.png", i)
		drop(t, n.config.Sources[1].Path, "parachute", name)
		n.until(t, publish.EventTopic(testBase, n.config.Sources[1].Name), name)
		if f := n.fares(t); f.reloadStatus(t) != "warn" || len(f.Sources) != 2 {
			t.Errorf("%s: want the check to warn, have %+v", bad.name, f)
		}
	}
	refusal := errors.New("sightd.yaml:3:1: unknown key")
	n.refusal.Store(&refusal)
	n.take(t, func(*Config) {}, `"status":"error"`, refusal.Error())
	n.take(t, func(*Config) {}, `"status":"ok"`, `"keys":[]`)
	if f := n.fares(t); f.reloadStatus(t) != "ok" {
		t.Errorf("want a good reload to end the warning, have %+v", f)
	}
	n.finish(t)
}

// TestRenewUnderLoad changes rules, sources and the connection while pictures pour in: each is classified.
func TestRenewUnderLoad(t *testing.T) {
	n := runRenewed(t)
	inbox := n.config.Sources[1].Path
	rush := newRush(t, n.running, inbox)
	for i := range 12 {
		n.take(t, func(c *Config) {
			switch i % 3 {
			case 0:
				c.Decide.Enter = 0.5 + float64(i)/100
			case 1:
				c.Sources[1].Results = !c.Sources[1].Results
			case 2:
				c.MQTT.Outbox.MaxMB++
			}
		}, `"status":"ok"`)
	}
	t.Logf("%d pictures", rush.finish(t))
	n.finish(t)
}
