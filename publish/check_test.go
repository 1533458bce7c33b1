package publish

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// mustCheck is Check with options that are right.
func mustCheck(t *testing.T, o Options, c CheckOptions) CheckReport {
	t.Helper()
	report, err := Check(deadline(t), o, c)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// table is a report to look at.
func table(r CheckReport) string {
	var b strings.Builder
	for _, s := range r.Stages {
		fmt.Fprintf(&b, "%s %s: %s -> %s\n", s.Stage, s.Result, s.Detail, s.Hint)
	}
	return b.String()
}

// wantStage wants a stage with a result, and with all parts in what it says; where it failed, nothing else may have.
func wantStage(t *testing.T, r CheckReport, name string, result StageResult, parts ...string) {
	t.Helper()
	for _, s := range r.Stages {
		if s.Result == StageFailed && s.Stage != name {
			t.Errorf("want %s %s, but %s failed", name, result, s.Stage)
		}
		if s.Stage == name && (s.Result != result || !containsAll(s.Detail+" -> "+s.Hint, parts)) {
			t.Errorf("want %s %s with %q", name, result, parts)
		}
		if s.Result == StageFailed && s.Hint == "" && !strings.Contains(s.Detail, context.Canceled.Error()) {
			t.Errorf("%s failed without a hint", s.Stage)
		}
	}
	if r.OK != (result != StageFailed) {
		t.Errorf("want ok %v, have %v", result != StageFailed, r.OK)
	}
	if t.Failed() {
		t.Logf("the report:\n%s", table(r))
	}
}

// A good broker passes, a daemon that runs isn't thrown out, and nothing is left behind.
func TestCheckPasses(t *testing.T) {
	noLeak(t)
	m := newMosquitto(t)
	j, log := newJournal()
	opts := m.options(log)
	c := start(t, opts)
	if err := c.Publish(deadline(t), classified("id", "x.jpg")); err != nil {
		t.Fatal(err)
	}
	report := mustCheck(t, opts, CheckOptions{Discovery: "homeassistant", Fleet: "line1"})
	if !report.OK || len(report.Stages) != 11 || !strings.HasPrefix(report.ClientID, opts.ClientID+"-test-") {
		t.Errorf("want 11 stages that pass or are skipped, have %d\n%s", len(report.Stages), table(report))
	}
	for _, name := range []string{"DNS", "TLS", "WEBSOCKET"} {
		wantStage(t, report, name, StageSkipped)
	}
	wantStage(t, report, "READ BACK", StageOK, fmt.Sprint(MaxPayload))
	if err := c.Publish(deadline(t), classified("id2", "x.jpg")); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(j.String(), "MQTT connected"); n != 1 {
		t.Errorf("want the daemon's connection undisturbed, have %d connects:\n%s", n, j)
	}
	text, err := json.Marshal(report)
	if err != nil || !strings.Contains(string(text), `{"stage":"CONNECT","result":"ok","took_ms":`) {
		t.Errorf("as JSON: %s, %v", text, err)
	}
	later := asCam(t, m, "later")
	later.hear(t, "#")
	asCam(t, m, "other").say(t, "end", "")
	for _, topic := range later.until(t, "end") {
		if strings.Contains(topic, "/bridge/test/") {
			t.Errorf("%s is retained", topic)
		}
	}
	m.kill(t) // so that the log is whole
	if !strings.Contains(m.out.String(), report.ClientID+" (p2, c1,") {
		t.Errorf("want a clean session:\n%s", m.out)
	}
}

// asCam logs in as the user that newMosquitto knows.
func asCam(t *testing.T, m *mosquitto, clientID string) *wire {
	t.Helper()
	conn, err := net.Dial("tcp", m.addr)
	if err != nil {
		t.Fatal(err)
	}
	w := newWire(conn, 1<<20)
	t.Cleanup(func() { w.close(context.Background()) })
	if code, err := w.connect(deadline(t), clientID, "cam", "right"); err != nil || code != 0 {
		t.Fatalf("log in: code %d, %v", code, err)
	}
	return w
}

func TestCheckRefuses(t *testing.T) {
	for want, change := range map[string]func(*Options){
		"read mqtt.broker":                      func(o *Options) { o.Broker = "http://broker" },
		"read mqtt.ca: open":                    func(o *Options) { o.Broker, o.CA = "mqtts://b", "/none.pem" },
		"check mqtt.base: want no wildcard":     func(o *Options) { o.Base = "a/#" },
		"check the client id: want one":         func(o *Options) { o.ClientID = "" },
		"check mqtt.password: want mqtt.user":   func(o *Options) { o.Password = "x" },
		"set up TLS: want mqtt.cert and mqtt.k": func(o *Options) { o.Broker, o.Cert = "mqtts://b", "x" },
	} {
		opts := quick("mqtt://127.0.0.1:1", nil)
		change(&opts)
		if _, err := Check(deadline(t), opts, CheckOptions{}); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("want %s\nhave %v", want, err)
		}
	}
}

// MQTT over WebSockets, with TLS and without, and a path that the web server doesn't know.
func TestCheckWebSocket(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(map[bool]string{false: "ws", true: "wss"}[secure], func(t *testing.T) {
			noLeak(t)
			b := open(t, listen(t), newWitness())
			site := httptest.NewUnstartedServer(websocketTo(b))
			if secure {
				site.StartTLS()
			} else {
				site.Start()
			}
			t.Cleanup(site.Close)
			t.Cleanup(site.CloseClientConnections)
			opts := quick(strings.Replace(site.URL, "http", "ws", 1)+"/mqtt", nil)
			if secure {
				opts.CA = filepath.Join(t.TempDir(), "ca.pem")
				writePEM(t, opts.CA, "CERTIFICATE", site.Certificate().Raw)
			}
			report := mustCheck(t, opts, CheckOptions{Discovery: "homeassistant"})
			wantStage(t, report, "WEBSOCKET", StageOK)
			if secure {
				wantStage(t, report, "TLS", StageOK, "TLS 1.3", "TLS_", "certificate of", "example.com", "Acme Co", "valid from")
			}
			opts.Broker += "-elsewhere"
			wantStage(t, mustCheck(t, opts, CheckOptions{}), "WEBSOCKET", StageFailed, "404 Not Found", "path in mqtt.broker")
		})
	}
}

// A limit of the broker that makes it drop what it acknowledges is found, and so are those that it tells of.
func TestCheckLimits(t *testing.T) {
	for name, tt := range map[string]struct {
		conf, stage string
		want        []string
	}{
		"message_size_limit": {"message_size_limit 10000", "READ BACK", []string{"acknowledged 262144 bytes, but did not pass them on; 33 bytes came through", "message_size_limit"}},
		"max_packet_size":    {"max_packet_size 10000", "PUBLISH", []string{"wait for PUBACK of 262144 bytes", "max_packet_size"}},
		"retain_available":   {"retain_available false", "RETAIN", []string{"retain"}},
		"no limit":           {"", "RETAIN", nil},
	} {
		t.Run(name, func(t *testing.T) {
			noLeak(t)
			m := mosquittoWith(t, "LISTENER\nallow_anonymous true\n"+tt.conf)
			result := StageFailed
			if tt.want == nil {
				result = StageOK
			}
			wantStage(t, mustCheck(t, quick(m.url(), nil), CheckOptions{Timeout: time.Second}), tt.stage, result, tt.want...)
		})
	}
}

// An access list that lets a user write but not read, or read but not write.
func TestCheckACL(t *testing.T) {
	for name, tt := range map[string]struct {
		acl, stage string
		want       []string
	}{
		"write only": {"topic write #", "READ BACK", []string{"either publishing or subscribing"}},
		"read only":  {"topic read #", "READ BACK", []string{"either publishing or subscribing"}},
		"own topics": {"topic readwrite " + testBase + "/#", "DISCOVERY", []string{"did not come back", "homeassistant/device/+/config"}},
	} {
		t.Run(name, func(t *testing.T) {
			noLeak(t)
			acl := t.TempDir() + "/acl"
			writeText(t, acl, "user cam\n"+tt.acl+"\n")
			m := mosquittoWith(t, "LISTENER\nallow_anonymous false\nacl_file "+acl+"\npassword_file "+passwords(t, "cam"))
			opts := quick(m.url(), nil)
			opts.User, opts.Password = "cam", "cam-secret"
			report := mustCheck(t, opts, CheckOptions{Discovery: "homeassistant", Timeout: time.Second})
			wantStage(t, report, tt.stage, StageFailed, tt.want...)
		})
	}
}

// A broker that refuses to subscribe says so, in 3.1.1 too.
func TestCheckSubscribeRefused(t *testing.T) {
	noLeak(t)
	s := newScripted(t, func(_ int, p *peer) {
		p.login(packets.Accepted)
		for {
			switch m := p.read().(type) {
			case *packets.SubscribePacket:
				ack := packets.NewControlPacket(packets.Suback).(*packets.SubackPacket)
				ack.MessageID, ack.ReturnCodes = m.MessageID, bytes.Repeat([]byte{0x80}, len(m.Topics))
				p.write(ack)
			case nil:
				return
			}
		}
	})
	report := mustCheck(t, quick(s.url(), nil), CheckOptions{})
	wantStage(t, report, "SUBSCRIBE", StageFailed, "refuses subscriptions to", testBase+"/bridge/request/#", "ACL")
}

// When the connection is lost with a retained message on the broker it is cleared over another, also after a Ctrl-C.
func TestCheckClearsRetained(t *testing.T) {
	noLeak(t)
	w := newWitness()
	b := open(t, listen(t), w)
	ctx, cancel := context.WithCancel(deadline(t))
	defer cancel()
	s := newScripted(t, func(n int, p *peer) {
		conn, err := net.Dial("tcp", b.Addr().String())
		if err != nil {
			return
		}
		defer conn.Close()
		up := &peer{conn}
		go func() {
			for m := up.read(); m != nil; m = up.read() {
				p.write(m)
			}
			p.Close()
		}()
		for m := p.read(); m != nil; m = p.read() {
			up.write(m)
			if pub, ok := m.(*packets.PublishPacket); ok && n == 1 && pub.Retain && len(pub.Payload) > 0 {
				cancel()
				return
			}
		}
	})
	report, err := Check(ctx, quick(s.url(), nil), CheckOptions{})
	if err != nil {
		t.Fatal(err)
	}
	wantStage(t, report, "RETAIN", StageFailed)
	left := 0
	for topic := range b.server.Topics.Retained.GetAll() {
		if strings.Contains(topic, "/bridge/test/") {
			left++
		}
	}
	if left > 0 || !strings.Contains(fmt.Sprint(w.topics()), "/retained") {
		t.Errorf("want the retained message published and cleared, have %d left of %q", left, w.topics())
	}
}

// topics are those of what the broker has taken.
func (w *witness) topics() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []string
	for m := range w.has {
		topic, _, _ := strings.Cut(m, "\n")
		all = append(all, topic)
	}
	return all
}

func FuzzReadPacket(f *testing.F) {
	for _, p := range []packets.ControlPacket{
		&packets.ConnackPacket{FixedHeader: packets.FixedHeader{MessageType: packets.Connack}},
		&packets.PublishPacket{FixedHeader: packets.FixedHeader{MessageType: packets.Publish, Qos: 1}, TopicName: "a/b", MessageID: 1, Payload: []byte("x")},
		&packets.SubackPacket{FixedHeader: packets.FixedHeader{MessageType: packets.Suback}, MessageID: 1, ReturnCodes: []byte{0, 0x80}},
	} {
		var b bytes.Buffer
		if err := p.Write(&b); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n"))
	f.Add([]byte{0x30, 0xff, 0xff, 0xff, 0x7f})
	f.Add([]byte{0x30, 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bufio.NewReader(bytes.NewReader(data))
		for range 10 {
			p, err := readPacket(r, 1000)
			if err != nil {
				return
			}
			if n := p.Details(); n.Qos > 3 {
				t.Errorf("%+v", p)
			}
		}
	})
}
