package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestBrokerURL(t *testing.T) {
	for _, tt := range []struct {
		broker, listen, want string
		embedded             bool
	}{
		{"mqtts://broker:8883", "127.0.0.1:1883", "mqtts://broker:8883", false},
		{"", "127.0.0.1:1883", "mqtt://127.0.0.1:1883", true},
		{"", "192.0.2.1:1883", "mqtt://192.0.2.1:1883", true},
		{"", "0.0.0.0:1883", "mqtt://127.0.0.1:1883", true},
		{"", ":1883", "mqtt://127.0.0.1:1883", true},
		{"", "[::]:1883", "mqtt://[::1]:1883", true},
		{"", "localhost:1883", "mqtt://localhost:1883", true},
	} {
		c := Default()
		c.MQTT.Broker, c.MQTT.Listen = tt.broker, tt.listen
		if url, embedded := c.BrokerURL(); url != tt.want || embedded != tt.embedded {
			t.Errorf("%q %q: want %s %v, have %s %v", tt.broker, tt.listen, tt.want, tt.embedded, url, embedded)
		}
	}
}

func TestBrokerOptions(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "mqtt")
	if err := os.WriteFile(file, []byte("s3cret\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		change         func(*Config)
		base, password string
		err            string
	}{
		"as it is":   {func(c *Config) {}, "sightd/door", "", ""},
		"base":       {func(c *Config) { c.MQTT.Base = "home/door" }, "home/door", "", ""},
		"password":   {func(c *Config) { c.MQTT.User, c.MQTT.Password = "cam", "x" }, "sightd/door", "x", ""},
		"file":       {func(c *Config) { c.MQTT.User, c.MQTT.PasswordFile = "cam", file }, "sightd/door", "s3cret", ""},
		"no file":    {func(c *Config) { c.MQTT.User, c.MQTT.PasswordFile = "cam", file+"x" }, "", "", "read mqtt.password_file"},
		"credential": {func(c *Config) { c.MQTT.User = "cam"; t.Setenv("CREDENTIALS_DIRECTORY", dir) }, "sightd/door", "s3cret", ""},
	} {
		t.Setenv("CREDENTIALS_DIRECTORY", "")
		c := Default()
		c.Name = "door"
		c.MQTT.CA = "ca.pem"
		tt.change(&c)
		o, err := c.BrokerOptions("mqtts://b")
		if tt.err != "" {
			if err == nil || !strings.HasPrefix(err.Error(), tt.err) {
				t.Errorf("%s: want %s, have %v", name, tt.err, err)
			}
			continue
		}
		if err != nil || o.Broker != "mqtts://b" || o.Base != tt.base || o.Password != tt.password || o.User != c.MQTT.User ||
			o.CA != "ca.pem" || o.QoS != 1 || !strings.HasPrefix(o.ClientID, "sightd-door-") {
			t.Errorf("%s: have %+v, %v", name, o, err)
		}
	}
	c := Default() // without a name
	if o, err := c.BrokerOptions("mqtt://b"); err != nil || !strings.HasPrefix(o.Base, "sightd/") || o.Base == "sightd/" {
		t.Errorf("want the host's name in base, have %+v, %v", o, err)
	}
}

// Two daemons on one machine that publish to the same topics would undo each other's words.
func TestTopicsAreClaimed(t *testing.T) {
	c := testConfig(t)
	c.MQTT.Broker = newBroker(t)
	r := runWith(t, c)
	second := testConfig(t)
	second.MQTT.Broker = c.MQTT.Broker
	err := Run(t.Context(), second, Options{Log: quiet})
	if err == nil || !strings.Contains(err.Error(), "publish to sightd/test: another sightd on this machine") {
		t.Errorf("want the second one refused, have %v", err)
	}
	second.Name = "other"
	runWith(t, second)
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	runWith(t, c) // its claim went with it
}
