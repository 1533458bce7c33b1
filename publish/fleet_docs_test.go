package publish

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// documented starts a mosquitto with the configuration of docs/, its paths and its port replaced.
func documented(t *testing.T) (m *mosquitto, ca pair) {
	t.Helper()
	ca = newCA(t)
	cert, key := ca.issue(t, "127.0.0.1", time.Now().Add(time.Hour)).files(t)
	authority, _ := ca.files(t)
	docs, err := filepath.Abs("../docs")
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(docs, "mosquitto.conf"))
	if err != nil {
		t.Fatal(err)
	}
	conf := string(data)
	for _, r := range [][2]string{
		{"\nlistener 8883\n", "\nLISTENER\n"},
		{"/etc/mosquitto/certs/server.crt", cert},
		{"/etc/mosquitto/certs/server.key", key},
		{"/etc/mosquitto/certs/ca.crt", authority},
		{"\npassword_file /etc/mosquitto/passwords", "\npassword_file " + passwords(t, "door", "yard", "office", "homeassistant")},
		{"/etc/mosquitto/acl", filepath.Join(docs, "mosquitto.acl")},
		{"/var/lib/mosquitto/", t.TempDir() + "/"},
	} {
		if strings.Count(conf, r[0]) != 1 {
			t.Fatalf("docs/mosquitto.conf: want %q once, have it %d times", r[0], strings.Count(conf, r[0]))
		}
		conf = strings.Replace(conf, r[0], r[1], 1)
	}
	return mosquittoWith(t, conf), ca
}

// What the documentation grants a board is what the daemon needs: Check tries all of it.
func TestDocumentedBroker(t *testing.T) {
	noLeak(t)
	m, ca := documented(t)
	opts := quick("mqtts://"+m.addr, nil)
	opts.CA, _ = ca.files(t)
	opts.User, opts.Password, opts.Base = "door", "door-secret", "sightd/door"
	report := mustCheck(t, opts, CheckOptions{Discovery: "homeassistant", Fleet: "line1"})
	if !report.OK {
		t.Errorf("want all stages to pass, have\n%s", table(report))
	}

	// Under another base nothing is permitted: MQTT 3.1.1 can't say so, Check does.
	opts.Base = "sightd/other"
	report = mustCheck(t, opts, CheckOptions{Timeout: time.Second})
	wantStage(t, report, "READ BACK", StageFailed, "acknowledged", "either publishing or subscribing is not permitted", `"door"`, "sightd/other/#")

	// And another fleet, or discovery elsewhere.
	opts.Base = "sightd/door"
	report = mustCheck(t, opts, CheckOptions{Timeout: time.Second, Discovery: "elsewhere"})
	wantStage(t, report, "DISCOVERY", StageFailed, "elsewhere/device/", "did not come back")
}

// A Client with the rights of the documentation is heard by Home Assistant, in all of its topics.
func TestDocumentedClient(t *testing.T) {
	noLeak(t)
	m, ca := documented(t)
	ha := asUser(t, m.addr, &ca, "homeassistant")
	ha.hear(t, "sightd/#")
	opts := quick("mqtts://"+m.addr, nil)
	opts.CA, _ = ca.files(t)
	opts.User, opts.Password, opts.Base = "door", "door-secret", "sightd/door"
	c := start(t, opts)
	if err := c.SetAvailability("inbox", Online); err != nil {
		t.Fatal(err)
	}
	if err := c.Publish(deadline(t), classified("id", "x.jpg")); err != nil {
		t.Fatal(err)
	}
	have := ha.until(t, EventTopic("sightd/door", "inbox"))
	for _, topic := range []string{StateTopic("sightd/door"), InfoTopic("sightd/door"), AvailabilityTopic("sightd/door", "inbox")} {
		if !slices.Contains(have, topic) {
			t.Errorf("want %s before the event, have %q", topic, have)
		}
	}
}

// A user may do what the documentation says, and nothing else. mosquitto acknowledges what it then drops, so each forbidden
// message is followed by a permitted one: the broker keeps the order.
func TestDocumentedRights(t *testing.T) {
	noLeak(t)
	m, ca := documented(t)
	for _, tt := range []struct {
		name           string
		from, to       string   // users
		filters        []string // of to
		dropped, heard []string // topics
	}{
		{
			"a board publishes as itself", "door", "homeassistant", []string{"sightd/#", "homeassistant/#"},
			[]string{"sightd/yard/bridge/state", "sightd/yard/inbox/event", "sightd/door/bridge/response/classify", "sightd/fleet/line1/classify/1",
				"homeassistant/status", "homeassistant/sensor/x/config", "other"},
			[]string{"sightd/door/bridge/state", "sightd/door/bridge/info", "sightd/door/bridge/health", "sightd/door/inbox/availability", "sightd/door/inbox/state",
				"homeassistant/device/door_inbox/config", "sightd/door/inbox/image", "sightd/door/inbox/event"},
		},
		{
			"a board hears its switch", "homeassistant", "door", []string{"sightd/#", "homeassistant/#"},
			[]string{"sightd/yard/inbox/set", "sightd/door/bridge/request/classify", "sightd/fleet/line1/classify/1", "homeassistant/sensor/x/config"},
			[]string{"homeassistant/status", "sightd/door/inbox/set"},
		},
		{
			"boards don't see each other", "yard", "door", []string{"sightd/#", "homeassistant/#"},
			[]string{"sightd/yard/bridge/request/classify", "sightd/yard/inbox/event", "sightd/fleet/line1/result/1", "sightd/door/inbox/set"},
			[]string{"homeassistant/device/yard_inbox/config"},
		},
		{
			"a board takes a request of its fleet", "office", "door", []string{"$share/line1/sightd/fleet/line1/classify/+", "sightd/#"},
			[]string{"sightd/fleet/line2/classify/1", "sightd/door/bridge/request/classify", "sightd/door/inbox/set", "sightd/fleet/line1/result/1"},
			[]string{"sightd/fleet/line1/classify/1"},
		},
		{
			"the office sees a result", "door", "office", []string{"sightd/#"},
			[]string{"sightd/door/inbox/event", "sightd/fleet/line2/result/1", "sightd/door/bridge/state"},
			[]string{"sightd/fleet/line1/result/1"},
		},
		{
			"the office doesn't see requests", "office", "office", []string{"sightd/#"},
			[]string{"sightd/fleet/line1/classify/1"},
			[]string{"sightd/office/x"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			to := asUser(t, m.addr, &ca, tt.to)
			to.hear(t, tt.filters...)
			from := asUser(t, m.addr, &ca, tt.from)
			for _, topic := range slices.Concat(tt.dropped, tt.heard) {
				from.say(t, topic, "x")
			}
			have := to.until(t, tt.heard[len(tt.heard)-1])
			if want := tt.heard; !slices.Equal(slices.Compact(have), want) {
				t.Errorf("want %q\nhave %q", want, have)
			}
		})
	}
}

// With the rights of a board its owner may ask it, and learns at which right it fails elsewhere.
func TestDocumentedAsk(t *testing.T) {
	noLeak(t)
	m, ca := documented(t)
	opts := taking("mqtts://"+m.addr, 2, nil)
	opts.CA, _ = ca.files(t)
	opts.User, opts.Password, opts.Base, opts.Intake.Fleet = "door", "door-secret", "sightd/door", ""
	c := start(t, opts)
	listening(t, c)
	done := make(chan error)
	go func() {
		r, err := c.NextRequest(deadline(t))
		if err == nil {
			err = r.AnswerHealth(deadline(t), Health{Status: StatusOK, Time: when})
		}
		done <- err
	}()
	r, err := Ask(deadline(t), opts, HealthCheck, nil)
	if err != nil || !strings.Contains(string(r.Data), `"healthy":true`) {
		t.Errorf("have %s, %s, %v", r.Data, r.Error, err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	opts.Base = "sightd/other"
	opts.times.state = 100 * time.Millisecond
	if r, err := Ask(deadline(t), opts, HealthCheck, nil); err == nil || !strings.Contains(err.Error(), `user "door"`) {
		t.Errorf("under another base: want an error that names the user, have %s, %v", r.Data, err)
	} else {
		t.Log(err)
	}
}
