package doctor

import (
	"context"
	"os"
	"os/user"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

func TestSandbox(t *testing.T) {
	strict := map[string]string{"ProtectSystem": "strict", "ProtectHome": "yes", "PrivateTmp": "yes", "StateDirectory": "sightd"}
	for _, test := range []struct {
		folder string
		unit   map[string]string
		want   string
	}{
		{"/srv/none/inbox", strict, "fail x: sightd.service can't write to /srv/none/inbox: it has ProtectSystem=strict -> below [Service] ReadWritePaths=/srv/none/inbox; then sudo systemctl restart sightd"},
		{"/var/lib/sightd/inbox", strict, ""},
		{"/var/lib/sightd-door/inbox", strict, "fail x: ProtectSystem=strict -> ReadWritePaths="},
		{"/home/none/Pictures", strict, "fail x: ProtectHome=yes -> ProtectHome=tmpfs and BindPaths=/home/none/Pictures"},
		{"/var/tmp/none", strict, "fail x: PrivateTmp=yes -> BindPaths=/var/tmp/none"},
		{"/proc/none", strict, ""},
		{"/srv/none/inbox", map[string]string{"ProtectSystem": "strict", "ReadWritePaths": "-/srv/other /srv/none"}, ""},
		{"/srv/nonesuch", map[string]string{"ProtectSystem": "strict", "ReadWritePaths": "/srv/none"}, "fail x: ProtectSystem=strict -> ReadWritePaths="},
		{"/home/none/x", map[string]string{"ProtectHome": "yes", "ReadWritePaths": "/home/none"}, "fail x: ProtectHome=yes -> BindPaths="},
		{"/home/none/x", map[string]string{"ProtectHome": "tmpfs", "ProtectSystem": "strict", "BindPaths": "/data:/home/none:rbind"}, ""},
		{"/home/none/x", map[string]string{"ProtectHome": "read-only"}, "fail x: ProtectHome=read-only -> ReadWritePaths=/home/none/x"},
		{"/home/none/x", map[string]string{"ProtectHome": "read-only", "ReadWritePaths": "/home/none/x"}, ""},
		{"/etc/none", map[string]string{"ProtectSystem": "full"}, "fail x: ProtectSystem=full -> ReadWritePaths="},
		{"/etc/none", map[string]string{"ProtectSystem": "yes", "PrivateTmp": "no", "ProtectHome": "no"}, ""},
		{"/boot/none", map[string]string{"ProtectSystem": "yes"}, "fail x: ProtectSystem=yes -> ReadWritePaths="},
		{"/boot/none", nil, ""},
	} {
		e := &examiner{system: recorded(t, nil)}
		if test.unit != nil {
			e.unit = unit{"Id": "sightd.service"}
			for name, value := range test.unit {
				e.unit[name] = value
			}
		}
		var lines []string
		if test.want != "" {
			lines = []string{test.want}
		}
		want(t, e.sandbox("x", test.folder), lines...)
	}
}

// TestSandboxedSource has the service's unit keep it from the folders of a configuration.
func TestSandboxedSource(t *testing.T) {
	e := &examiner{system: recorded(t, nil), config: config(t), unit: unit{"Id": "sightd.service", "ProtectSystem": "strict"}}
	want(t, e.source(0), "ok source inbox: is there", "fail source inbox: ProtectSystem=strict -> ReadWritePaths=", "ok source inbox watch: inotify", "ok source inbox disk: free")
	want(t, e.stateDir(context.Background()), "ok state_dir: is there", "fail state_dir: ProtectSystem=strict -> ReadWritePaths=", "ok state_dir disk: free")
}

func TestDeviceTrouble(t *testing.T) {
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Skip(err)
	}
	s := recorded(t, map[string]string{"dev/video0": ""})
	mode := func(m os.FileMode) {
		if err := os.Chmod(s.root+"/dev/video0", m); err != nil {
			t.Fatal(err)
		}
	}
	mode(0o660)
	e := &examiner{system: s}
	if why, hint := e.deviceTrouble("/dev/video0"); why != "" || hint != "" {
		t.Errorf("without a service: got %q, %q", why, hint)
	}
	e.unit = unit{"Id": "sightd.service", "User": nobody.Username}
	if strconv.Itoa(os.Geteuid()) != nobody.Uid {
		if why, hint := e.deviceTrouble("/dev/video0"); why != "user nobody of sightd.service may not open it" || hint == "" {
			t.Errorf("another group: got %q, %q", why, hint)
		}
	}
	mode(0o666)
	if why, _ := e.deviceTrouble("/dev/video0"); why != "" {
		t.Errorf("for all: got %q", why)
	}
	e.unit["PrivateDevices"] = "yes"
	if why, hint := e.deviceTrouble("/dev/video0"); why == "" || hint != "sudo systemctl edit sightd, below [Service] PrivateDevices=no; then restart it" {
		t.Errorf("hidden: got %q, %q", why, hint)
	}
	c := config(t)
	e.config = c
	f := Finding{Name: "source a", Status: Fail}
	want(t, []Finding{e.camera(f, 0, webcam())}, "fail source a: PrivateDevices=yes -> PrivateDevices=no")
}

func TestMayOpen(t *testing.T) {
	for _, test := range []struct {
		mode   uint32
		uid    string
		groups []string
		want   bool
	}{
		{0o660, "5", nil, true}, {0o060, "5", []string{"44"}, false}, {0o660, "6", []string{"44"}, true}, {0o640, "6", []string{"1", "44"}, false},
		{0o660, "6", []string{"45"}, false}, {0o666, "6", nil, true}, {0o604, "6", nil, false},
	} {
		if got := mayOpen(unix.Stat_t{Uid: 5, Gid: 44, Mode: test.mode}, test.uid, test.groups); got != test.want {
			t.Errorf("%+v: got %v", test, got)
		}
	}
}
