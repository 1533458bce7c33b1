package publish

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// needMosquitto skips a test where there is no mosquitto.
func needMosquitto(t *testing.T) {
	t.Helper()
	for _, name := range []string{"mosquitto", "mosquitto_passwd"} {
		if _, err := exec.LookPath(name); err == nil {
			continue
		}
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is not installed (package mosquitto)", name)
		}
		t.Skipf("%s is not installed (package mosquitto): no test with a real broker", name)
	}
}

// mosquittoWith runs a mosquitto with a configuration until the test's end. LISTENER in it stands for the directive.
func mosquittoWith(t *testing.T, conf string) *mosquitto {
	t.Helper()
	needMosquitto(t)
	m := &mosquitto{config: filepath.Join(t.TempDir(), "mosquitto.conf")}
	if os.Geteuid() == 0 {
		conf += "\nuser root\n" // another could not read the files
	}
	for range 10 { // mosquitto can't be told to find a free port: another process may be faster
		ln := listen(t)
		m.addr = ln.Addr().String()
		ln.Close()
		_, port, err := net.SplitHostPort(m.addr)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Replace(conf, "LISTENER", "listener "+port+" 127.0.0.1", 1)
		if err := os.WriteFile(m.config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if m.start(t) {
			t.Cleanup(func() { m.kill(t) })
			return m
		}
	}
	t.Fatalf("mosquitto doesn't start: %s", m.out)
	return nil
}

// passwords makes a password file in which each user's password is the name with "-secret" behind it.
func passwords(t *testing.T, users ...string) string {
	t.Helper()
	needMosquitto(t)
	file := filepath.Join(t.TempDir(), "passwords")
	var text strings.Builder
	for _, user := range users {
		fmt.Fprintf(&text, "%s:%s-secret\n", user, user)
	}
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mosquitto_passwd", "-U", file).CombinedOutput(); err != nil {
		t.Fatalf("mosquitto_passwd: %v: %s", err, out)
	}
	return file
}

// tlsLines are the directives for TLS with a certificate, and an authority for those of clients.
func tlsLines(t *testing.T, server, ca pair) string {
	t.Helper()
	cert, key := server.files(t)
	authority, _ := ca.files(t)
	return fmt.Sprintf("certfile %s\nkeyfile %s\ncafile %s\n", cert, key, authority)
}

// asUser logs a client of the test's own in, with a clean session. It is gone at the test's end.
func asUser(t testing.TB, addr string, ca *pair, user string) *wire {
	t.Helper()
	ctx := deadline(t)
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if ca != nil {
		conn = tls.Client(conn, &tls.Config{RootCAs: ca.pool(), ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12})
	}
	w := newWire(conn, 32<<20)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		w.close(ctx)
	})
	password := ""
	if user != "" {
		password = user + "-secret"
	}
	if code, err := w.connect(ctx, "test-"+user+fmt.Sprint(time.Now().UnixNano()), user, password); err != nil || code != 0 {
		t.Fatalf("log in as %s: code %d, %v", user, code, err)
	}
	return w
}

// hear subscribes.
func (w *wire) hear(t *testing.T, filters ...string) {
	t.Helper()
	refused, err := w.subscribe(deadline(t), func(*packets.PublishPacket) {}, filters...)
	if err != nil || len(refused) > 0 {
		t.Fatalf("subscribe: refused %q, %v", refused, err)
	}
}

// say publishes, and wants PUBACK.
func (w *wire) say(t *testing.T, topic, payload string) {
	t.Helper()
	if err := w.publish(deadline(t), func(*packets.PublishPacket) {}, topic, []byte(payload), false); err != nil {
		t.Fatalf("publish to %s: %v", topic, err)
	}
}

// until returns the topics of what comes, up to last.
func (w *wire) until(t *testing.T, last string) []string {
	t.Helper()
	var topics []string
	err := w.await(deadline(t), func(p packets.ControlPacket) bool {
		m, ok := p.(*packets.PublishPacket)
		if ok {
			topics = append(topics, m.TopicName)
		}
		return ok && m.TopicName == last
	})
	if err != nil {
		t.Fatalf("want a message of %s, have %q: %v", last, topics, err)
	}
	return topics
}
