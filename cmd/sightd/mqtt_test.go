package main

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sightd/publish"
)

func TestMQTT(t *testing.T) {
	broker, err := publish.Listen("127.0.0.1:0", publish.ListenOptions{User: "cam", Password: "s3cret-word"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { broker.Close() })
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close() // nobody accepts: CONNECT gets no answer
	addr := broker.Addr().String()
	secret := write("secret", "s3cret-word\n")
	login := ", user: cam, password_file: " + secret + "}\n"
	good := write("good.yaml", "version: 1\nname: test\nmqtt: {broker: \"mqtt://"+addr+"\""+login)
	inside := write("inside.yaml", "version: 1\nname: test\nmqtt: {listen: \""+addr+"\""+login)
	guest := write("guest.yaml", "version: 1\nmqtt: {broker: \"mqtt://"+addr+"\"}\n")
	silent := write("silent.yaml", "version: 1\nmqtt: {broker: \"mqtt://"+ln.Addr().String()+"\"}\n")
	lost := write("lost.yaml", "version: 1\nmqtt: {broker: \"mqtts://"+addr+"\", ca: "+dir+"/none.pem}\n")
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	everywhere := write("everywhere.yaml", "version: 1\nmqtt: {listen: \"0.0.0.0:"+port+"\""+login)
	off := write("off.yaml", "version: 1\nmqtt: {listen: \"127.0.0.1:1\"}\n")

	for _, test := range []struct {
		name string
		args []string
		code int
		want []string
	}{
		{"good", []string{"test", "-c", good}, exitOK, []string{"broker " + addr + " (mqtt.broker), client id sightd-test-", "CONNECT    ok", "READ BACK  ok", "RETAIN     ok"}},
		{"embedded", []string{"test", "-c", inside}, exitOK, []string{"the broker inside sightd, mqtt.listen", "READ BACK  ok"}},
		{"embedded, on all addresses", []string{"test", "-c", everywhere}, exitOK, []string{"broker 127.0.0.1:" + port}},
		{"embedded, not running", []string{"test", "-c", off}, exitRefused, []string{"TCP        failed", "-> mqtt.broker is empty", "Start \"sightd run\" first", "CONNECT    skipped"}},
		{"without a password", []string{"test", "-c", guest}, exitRefused, []string{"CONNECT    failed", "not authorized", "-> check mqtt.user", "SUBSCRIBE  skipped"}},
		{"silent", []string{"test", "-c", silent, "--timeout", "100ms"}, exitRefused, []string{"CONNECT    failed", "no answer within 100ms"}},
		{"no authority", []string{"test", "-c", lost}, exitRefused, []string{"read mqtt.ca: open " + dir + "/none.pem"}},
		{"no configuration", []string{"test", "-c", dir + "/none.yaml"}, exitRefused, []string{"none.yaml"}},
		{"nothing", nil, exitUsage, []string{"want test"}},
		{"another word", []string{"tset"}, exitUsage, []string{`have ["tset"]`}},
		{"time", []string{"test", "--timeout", "-1s"}, exitUsage, []string{"want 0 or more, have -1s"}},
		{"help", []string{"--help"}, exitOK, []string{"Usage: sightd mqtt test [-c FILE]", "nothing stays on the broker"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			code, stdout, stderr := sightd(t, nil, append([]string{"mqtt"}, test.args...)...)
			if code != test.code {
				t.Errorf("exit code: got %d, want %d", code, test.code)
			}
			for _, want := range test.want {
				if !strings.Contains(stdout+stderr, want) {
					t.Errorf("output lacks %q:\n%s%s", want, stdout, stderr)
				}
			}
			if strings.Contains(stdout+stderr, "s3cret-word") {
				t.Errorf("the password is shown:\n%s%s", stdout, stderr)
			}
		})
	}

	code, stdout, stderr := sightd(t, nil, "mqtt", "test", "-c", good, "--json")
	var report publish.CheckReport
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || code != exitOK || !report.OK || len(report.Stages) < 8 {
		t.Errorf("--json: exit code %d, %v: %s%s", code, err, stdout, stderr)
	}
}
