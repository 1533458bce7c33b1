package doctor

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"sightd/camera/v4l2/csi"
)

func TestOthers(t *testing.T) {
	dir := t.TempDir()
	yaml := func(name, text string) string {
		path := filepath.Join(dir, name)
		write(t, path, text)
		return path
	}
	own := yaml("own.yaml", "name: own\nstate_dir: /srv/none/own\nmqtt: {broker: \"mqtt://b:1883\", base: x}\nsources: [{name: inbox, path: /srv/none/own/inbox}]\n")
	apart := "state_dir: /srv/none/b\nsources: [{name: inbox, path: /srv/none/b/inbox}]\n"
	run := func(file string) string { return "/usr/bin/sightd\x00run\x00-c\x00" + file + "\x00" }
	for _, test := range []struct {
		name, command, environment string
		want                       string
	}{
		{"none", "/usr/bin/mosquitto\x00-c\x00/etc/mosquitto.conf\x00", "", ""},
		{"another command", "/usr/bin/sightd\x00doctor\x00", "", ""},
		{"itself", run(own), "", ""},
		{"apart", run(yaml("a.yaml", apart)), "", "ok other sightd: 1 other sightd on this machine"},
		{"by a relative path", run("a.yaml"), "", "ok other sightd: 1 other sightd on this machine"},
		{"state", run(yaml("b.yaml", "state_dir: /srv/none/own\nsources: [{name: inbox, path: /srv/none/b/inbox}]\n")), "", "fail other sightd: (pid 812), with " + dir + "/b.yaml, has the same state_dir -> config init --service NAME"},
		{"state by a variable", run(yaml("a.yaml", apart)), "PATH=/bin\x00SIGHTD_STATE_DIR=/srv/none/own\x00", "fail other sightd: the same state_dir -> stop one"},
		{"folder", run(yaml("c.yaml", "state_dir: /srv/none/b\nsources: [{name: x, path: /srv/none/own/inbox}]\n")), "", "fail other sightd: the same folder, /srv/none/own/inbox -> stop one"},
		{"name", run(yaml("d.yaml", "name: own\nmqtt: {broker: \"mqtt://b:1883\", base: x}\n"+apart)), "", "fail other sightd: the same name and topics -> stop one"},
		{"topics", run(yaml("e.yaml", "name: two\nmqtt: {broker: \"mqtt://b:1883\", base: x}\n"+apart)), "", "fail other sightd: the same topics (mqtt.base) -> stop one"},
		{"topics at another broker", run(yaml("f.yaml", "name: own\nmqtt: {broker: \"mqtt://c:1883\", base: x}\n"+apart)), "", "ok other sightd: in nobody's way"},
		{"what can't be told", run(dir + "/none.yaml"), "", "ok other sightd: can't be told -> as root"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := recorded(t, map[string]string{"proc/812/cmdline": test.command, "proc/812/environ": test.environment, "proc/812/cwd": "-> " + dir})
			c := config(t)
			c.Name, c.StateDir, c.Sources[0].Path = "own", "/srv/none/own", "/srv/none/own/inbox"
			c.MQTT.Broker, c.MQTT.Base = "mqtt://b:1883", "x"
			e := &examiner{system: s, config: c, yaml: own}
			var lines []string
			if test.want != "" {
				lines = []string{test.want}
			}
			want(t, e.others(context.Background()), lines...)
		})
	}
	t.Run("the running one with another configuration", func(t *testing.T) {
		c := config(t)
		inode := hold(t, c)
		file := yaml("g.yaml", "state_dir: "+c.StateDir+"\n")
		s := recorded(t, map[string]string{"proc/812/cmdline": run(file)})
		holder(t, s, 812, inode)
		want(t, (&examiner{system: s, config: c, yaml: own}).others(context.Background()), "warn other sightd: (pid 812) has another configuration, "+file+" -> (-c)")
	})
}

func TestThrottling(t *testing.T) {
	cooling := func(n int, kind, now string) map[string]string {
		at := "sys/class/thermal/cooling_device" + strconv.Itoa(n) + "/"
		return map[string]string{at + "type": kind + "\n", at + "cur_state": now + "\n", at + "max_state": "7\n"}
	}
	jetson := map[string]string{"etc/nv_tegra_release": "# R36 (release), REVISION: 4.0\n"}
	for _, test := range []struct {
		name  string
		files map[string]string
		mode  answer
		want  []string
	}{
		{"none", nil, answer{}, nil},
		{"cool", cooling(0, "cpufreq-cpu0", "0"), answer{}, nil},
		{"hot", cooling(0, "cpufreq-cpu0", "2"), answer{}, []string{"warn throttling: slowed down by heat now: cpufreq-cpu0 at 2 of 7 -> fan"}},
		{"a fan", cooling(0, "pwm-fan", "3"), answer{}, nil},
		{"odd", cooling(0, "cpufreq-cpu0", "-1"), answer{}, nil},
		{"current", map[string]string{"sys/class/hwmon/hwmon1/oc1_event_cnt": "12\n", "sys/class/hwmon/hwmon1/oc2_event_cnt": "0\n"}, answer{}, []string{"warn throttling: since the start: oc1 12 times -> power supply"}},
		{"Jetson", jetson, answer{out: "NV Power Mode: MAXN\n0\n"}, []string{"ok power mode: MAXN"}},
		{"Jetson that doesn't tell", jetson, answer{err: fmt.Errorf("exit status 1")}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := recorded(t, test.files)
			s.run = answers(map[string]answer{"nvpmodel": test.mode})
			want(t, (&examiner{system: s}).throttling(context.Background()), test.want...)
		})
	}
}

func TestDisks(t *testing.T) {
	for text, line := range map[string]string{"0\n": "ok disks: 1 file system", "3\n": "warn disks: /dev/mmcblk0p2: ext4 has had 3 errors -> SD card", "absent": ""} {
		s := recorded(t, map[string]string{"sys/fs/ext4/mmcblk0p2/errors_count": text})
		var lines []string
		if line != "" {
			lines = []string{line}
		}
		want(t, (&examiner{system: s}).disks(context.Background()), lines...)
	}
}

func TestInstall(t *testing.T) {
	const release = "PRETTY_NAME=\"Debian GNU/Linux\"\nVERSION_CODENAME=%s\n"
	for _, test := range []struct {
		files         map[string]string
		program, want string
	}{
		{map[string]string{"etc/os-release": fmt.Sprintf(release, "bookworm"), "etc/rpi-issue": "x"}, "rpicam-vid", "sudo apt install rpicam-apps-lite"},
		{map[string]string{"etc/os-release": fmt.Sprintf(release, "\"bullseye\"")}, "rpicam-vid", "sudo apt install libcamera-apps-lite"},
		{map[string]string{"etc/nv_tegra_release": "x"}, "rpicam-vid", "nvarguscamerasrc"},
		{nil, "rpicam-vid", "Raspberry Pi OS has it"},
		{nil, "ffmpeg", "sudo apt install ffmpeg-package"},
	} {
		if got := recorded(t, test.files).distribution().install(test.program, test.program+"-package"); !strings.Contains(got, test.want) {
			t.Errorf("%v: got %q, want %q", test.files, got, test.want)
		}
	}
}

func TestCSI(t *testing.T) {
	const none = "fail source a: libcamera finds no camera -> "
	usb := csi.Camera{Number: 0, Sensor: "webcam", Path: "/base/scb/pcie/usb@1"}
	for _, test := range []struct {
		name, device, boot string
		cameras            []csi.Camera
		err                error
		want               string
	}{
		{"there", "", "", []csi.Camera{imx708()}, nil, "ok source a: libcamera finds 0: imx708"},
		{"by its number", "0", "", []csi.Camera{imx708()}, nil, "ok source a: libcamera finds 0: imx708"},
		{"another number", "1", "", []csi.Camera{imx708()}, nil, "fail source a: no camera 1, but 0: imx708 (4608x2592) -> set sources[0].device"},
		{"none", "", "", nil, nil, none + "flat cable"},
		{"on USB alone", "", "camera_auto_detect=1\n", []csi.Camera{usb}, nil, none + "flat cable"},
		{"legacy", "", "gpu_mem=128\nstart_x=1\ncamera_auto_detect=1\n", nil, nil, none + "legacy camera stack"},
		{"not switched on", "", "#camera_auto_detect=1\n", nil, nil, none + "write camera_auto_detect=1 into"},
		{"no program", "", "", nil, csi.ErrMissing, "ok source a: rpicam-hello isn't installed"},
		{"no answer", "", "", nil, fmt.Errorf("hasn't answered"), "warn source a: hasn't answered -> flat cable"},
	} {
		t.Run(test.name, func(t *testing.T) {
			files := map[string]string{}
			if test.boot != "" {
				files["boot/firmware/config.txt"] = test.boot
			}
			s, c := recorded(t, files), config(t)
			s.cameras = func(context.Context) ([]csi.Camera, error) { return test.cameras, test.err }
			c.Sources[0].Device = test.device
			want(t, []Finding{(&examiner{system: s, config: c}).csiCamera(context.Background(), "source a", 0)}, test.want)
		})
	}
}
