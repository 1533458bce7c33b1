package daemon

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// liveExamples is the example with its commented sources in force.
func liveExamples(t testing.TB) string {
	t.Helper()
	head, rest, _ := strings.Cut(Example(), "sources:\n")
	sources, tail, ok := strings.Cut(rest, "\n# What is made of the scores.")
	if !ok {
		t.Fatal("the example's sources have no end")
	}
	sources = regexp.MustCompile(`(?m)^  # (- name|  [a-z]+:)`).ReplaceAllString(sources, "  $1")
	return head + "sources:\n" + sources + "\n#" + tail
}

// TestConfigExampleLive takes the "# " in front of the live sources' lines away: they give the defaults of each type.
func TestConfigExampleLive(t *testing.T) {
	text := liveExamples(t)
	got, err := Parse("example.yaml", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	for _, given := range []SourceConfig{
		{Name: "door", Type: TypeV4L2, Device: "/dev/video0"}, {Name: "csi", Type: TypeRPiCam}, {Name: "yard", Type: TypeURL, URL: "rtsp://192.168.1.20/stream"},
		{Name: "jetson", Type: TypeGStreamer, Pipeline: "nvarguscamerasrc ! video/x-raw(memory:NVMM),width=1280,height=720 ! nvvidconv"},
		{Name: "film", Type: TypeReplay, Path: "./film.mp4"},
	} {
		s := defaultSource(given.Type)
		s.Name, s.Device, s.URL, s.Pipeline, s.Path = given.Name, given.Device, given.URL, given.Pipeline, given.Path
		want.Sources = append(want.Sources, s)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the example gives\n%v\nwant\n%v", got, want)
	}
	r := newConfigReader("")
	r.readYAML([]byte(text))
	for i, s := range got.Sources {
		for _, k := range sourceKeys(&s) {
			_, ok := r.places[fmt.Sprintf("sources[%d].%s", i, k.path)]
			if first := slices.IndexFunc(got.Sources, func(s SourceConfig) bool { return slices.Contains(keyTypes(k.path), s.Type) }); first == i && !ok {
				t.Errorf("the example of type %s lacks the key %s", s.Type, k.path)
			}
		}
	}
}

// TestConfigShownAgain reads what String shows of a configuration that has everything.
func TestConfigShownAgain(t *testing.T) {
	text := strings.NewReplacer("labels: {} ", "labels: {tabby cat: 0.8, \"281\": deny, pets: {enter: 0.5, stay: 0.25, allow: true}} ", "groups: {} ", "groups: {pets: [lynx, \"7\"]} ",
		"unknown: auto", "unknown: {score: 0.5, margin: 0.1}", "interval: 0s", "interval: 1m30s", "crop: [0, 0, 1, 1]", "crop: [0.1, 0, 1, 0.5]",
		"schedule: []", "schedule: [{from: \"22:00\", to: \"06:00\", days: [fri], enter: 0.8, stay: 0.5, labels: {pets: 0.9}}, {from: 12:00, to: 13:00, off: true}]",
	).Replace(liveExamples(t))
	want, err := Parse("f.yaml", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(want.Decide.Labels) != 3 || len(want.Decide.Groups) != 1 || len(want.Decide.Schedule) != 2 || want.Decide.Unknown.Mode != UnknownFixed || want.Sources[1].Crop[0] != 0.1 {
		t.Fatalf("the changes are not in it:\n%v", want)
	}
	shown := want.String()
	got, err := Parse("shown.yaml", []byte(shown), nil)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("what is shown,\n%s\ngives error %v and\n%v", shown, err, got)
	}
	folder, camera, _ := strings.Cut(shown, "- name: door")
	if strings.Contains(folder, "stall:") || strings.Contains(folder, "device:") || !strings.Contains(folder, "after: move") {
		t.Errorf("want a folder with its own keys only, have\n%s", folder)
	}
	camera, _, _ = strings.Cut(camera, "- name: csi")
	if strings.Contains(camera, "after:") || strings.Contains(camera, "url:") || !strings.Contains(camera, "size: 640x480") {
		t.Errorf("want a camera with its own keys only, have\n%s", camera)
	}
}

// TestSourceRedacted has the password hunter2 wherever cameras and pipelines take one.
func TestSourceRedacted(t *testing.T) {
	for _, test := range []struct{ url, want string }{
		{"rtsp://192.168.1.20:554/stream/1", "rtsp://192.168.1.20:554/stream/1"},
		{"rtsp://admin:hunter2@192.168.1.20/stream", "rtsp://***@192.168.1.20/stream"},
		{"rtsp://hunter2@camera/stream", "rtsp://***@camera/stream"},
		{"rtsp://admin:hunter2@x@camera/stream", "rtsp://***@camera/stream"},
		{"rtsp://admin:1/hunter2@camera/stream", "rtsp://***"},
		{"rtsp://admin:hunter2#@camera/stream", "***"},
		{"http://camera/snap.jpg?user=admin&pwd=hunter2", "http://camera/snap.jpg?***"},
		{"rtsp://camera/user=admin&password=hunter2&channel=1", "rtsp://camera/***"},
		{"http://camera/#hunter2", "http://camera/#***"},
		{"udp://@239.0.0.1:5000", "udp://239.0.0.1:5000"},
		{"file:///srv/a.mp4", "file:///srv/a.mp4"},
		{"hunter2", "***"}, {"", ""},
	} {
		s := SourceConfig{Name: "a", Type: TypeURL, URL: test.url}
		if got := s.Redacted().URL; got != test.want {
			t.Errorf("%s is shown as %s, want %s", test.url, got, test.want)
		}
		if got := s.String(); strings.Contains(got, "hunter2") {
			t.Errorf("String gives %s", got)
		}
	}
	for _, test := range []struct{ pipeline, want string }{
		{"nvarguscamerasrc ! nvvidconv", "nvarguscamerasrc ! nvvidconv"},
		{"rtspsrc location=rtsp://u:hunter2@x/y latency=0 ! decodebin", "rtspsrc location=rtsp://***@x/y latency=0 ! decodebin"},
		{`rtspsrc location="rtsp://u:hunter2@x/y" ! decodebin`, `rtspsrc location="rtsp://***@x/y" ! decodebin`},
		{`uridecodebin uri='rtsp://u:hun ter2@x'`, `uridecodebin uri='***'`},
		{"rtspsrc location=rtsp://x user-id=u user-pw=hunter2 ! decodebin", "rtspsrc location=rtsp://x user-id=u user-pw=*** ! decodebin"},
		{`rtspsrc user-pw="hun ter2" ! a`, `rtspsrc user-pw=*** ! a`},
		{`souphttpsrc extra-headers="a,Authorization=(string)\"Basic hunter2\"" ! a`, `souphttpsrc extra-headers=*** ! a`},
		{"souphttpsrc proxy-pw = hunter2 ! a", "souphttpsrc proxy-pw = *** ! a"},
	} {
		s := SourceConfig{Type: TypeGStreamer, Pipeline: test.pipeline}
		if got := s.Redacted().Pipeline; got != test.want {
			t.Errorf("%s is shown as %s, want %s", test.pipeline, got, test.want)
		}
	}
	c := Default()
	c.Sources = []SourceConfig{{Type: TypeURL, URL: "rtsp://u:hunter2@x"}, {Type: TypeGStreamer, Pipeline: "a user-pw=hunter2"}}
	if s := fmt.Sprintf("%v %+v", c, c.Sources); strings.Contains(s, "hunter2") {
		t.Errorf("shown is\n%s", s)
	}
	if c.Redacted(); c.Sources[0].URL != "rtsp://u:hunter2@x" {
		t.Error("Redacted changed the configuration itself")
	}
}

// TestConfigSources has sources of each type, with keys that differ from the defaults.
func TestConfigSources(t *testing.T) {
	source := func(name, typ string, change func(*SourceConfig)) SourceConfig {
		s := defaultSource(typ)
		s.Name = name
		change(&s)
		return s
	}
	tests := []struct {
		name, yaml string
		want       SourceConfig
	}{
		{"camera", "{name: a, type: v4l2, device: /dev/v4l/by-id/usb-x, size: 1280x720, fps: 0.5, fourcc: YUYV, interval: 0, rotate: 90, flip: horizontal, crop: [0.1, .2, 1, 0.9], " +
			"resize: letterbox, motion: 0.050, refresh: 1s, stall: 5s, frozen: 0}", source("a", TypeV4L2, func(s *SourceConfig) {
			s.Device, s.Size, s.FPS, s.FourCC, s.Rotate, s.Flip = "/dev/v4l/by-id/usb-x", SizeConfig{1280, 720}, 0.5, "YUYV", 90, "horizontal"
			s.Crop, s.Resize, s.Motion, s.Refresh, s.Frozen = [4]float64{0.1, 0.2, 1, 0.9}, "letterbox", "0.05", time.Second, 0
		})},
		{"type behind its keys", "{fps: 5, name: a, device: 1, type: rpicam}", source("a", TypeRPiCam, func(s *SourceConfig) { s.FPS, s.Device = 5, "1" })},
		{"camera by number", "{name: a, type: v4l2, device: 2}", source("a", TypeV4L2, func(s *SourceConfig) { s.Device = "2" })},
		{"motion off", "{name: a, type: rpicam, motion: off}", source("a", TypeRPiCam, func(s *SourceConfig) { s.Motion = "off" })},
		{"motion off as a boolean", "{name: a, type: rpicam, motion: false}", source("a", TypeRPiCam, func(s *SourceConfig) { s.Motion = "off" })},
		{"stream", "{name: a, type: url, url: 'rtsp://u:p%23x@[fe80::1]:554/x?y=z', interval: 2s, fps: 0.5, size: 1281x721}", source("a", TypeURL, func(s *SourceConfig) {
			s.URL, s.Interval, s.FPS, s.Size = "rtsp://u:p%23x@[fe80::1]:554/x?y=z", 2*time.Second, 0.5, SizeConfig{1281, 721}
		})},
		{"listening stream", "{name: a, type: url, url: 'udp://@:5000'}", source("a", TypeURL, func(s *SourceConfig) { s.URL = "udp://@:5000" })},
		{"film over file://", "{name: a, type: url, url: 'file:///srv/a b.mp4'}", source("a", TypeURL, func(s *SourceConfig) { s.URL = "file:///srv/a b.mp4" })},
		{"pipeline", "{size: 324x243, fps: 0, name: a, type: gstreamer, pipeline: 'videotestsrc ! video/x-raw,width=64 ! jpegenc'}", source("a", TypeGStreamer, func(s *SourceConfig) {
			s.Pipeline, s.Size = "videotestsrc ! video/x-raw,width=64 ! jpegenc", SizeConfig{324, 243}
		})},
		{"a stream's defaults", "{name: a, type: url, url: 'http://x'}", SourceConfig{
			Name: "a", Type: TypeURL, URL: "http://x", Resize: "squash", Size: SizeConfig{640, 480}, Crop: [4]float64{0, 0, 1, 1}, Flip: "none", Motion: "auto",
			Stall: 5 * time.Second, Frozen: 30 * time.Second, Refresh: 10 * time.Second,
		}},
		{"recording", "{name: a, type: replay, path: ./inbox/done, fps: 240, loop: true, frozen: 1m}", source("a", TypeReplay, func(s *SourceConfig) {
			s.Path, s.FPS, s.Loop, s.Frozen = "./inbox/done", 240, true, time.Minute
		})},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := Parse("f.yaml", []byte("sources:\n- {name: inbox, path: ./inbox}\n- "+test.yaml+"\n"), nil)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got.Sources[1], test.want) {
				t.Errorf("got\n%+v\nwant\n%+v", []any{got.Sources[1]}, []any{test.want})
			}
		})
	}
	for _, typ := range keyTypes("type") {
		if live := (SourceConfig{Type: typ}).Live(); live != (typ != TypeFolder) {
			t.Errorf("%s: live %v", typ, live)
		}
	}
}

// TestConfigKeyTypes holds the table of types against the fields: each key has a type, and each type those that it needs.
func TestConfigKeyTypes(t *testing.T) {
	for _, typ := range keyTypes("type") {
		for _, name := range requiredKeys(typ) {
			if !slices.Contains(keyTypes(name), typ) {
				t.Errorf("type %s needs the key %s, and hasn't it", typ, name)
			}
		}
		shown := SourceConfig{Type: typ}
		var w configWriter
		w.source(shown, "", "")
		n := 0
		for _, k := range sourceKeys(&shown) {
			section, _, _ := strings.Cut(k.path, ".")
			has := regexp.MustCompile(`(?m)^(- |  )` + section + ":").MatchString(w.text.String())
			if want := slices.Contains(keyTypes(k.path), typ); has != want {
				t.Errorf("type %s: key %s is shown: %v, want %v", typ, k.path, has, want)
			} else if want {
				n++
			}
		}
		if n < 9 {
			t.Errorf("type %s has %d keys only", typ, n)
		}
	}
}
