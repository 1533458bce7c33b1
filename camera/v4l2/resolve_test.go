package v4l2

import (
	"path/filepath"
	"strings"
	"testing"
)

// move gives a node another number, as the kernel does where the old one is still taken or was taken meanwhile.
func (n *recordedNode) move(t *testing.T, root, path string) {
	t.Helper()
	n.unplug(t, root)
	n.Path = path
	n.plug(t, root)
}

func TestResolveNames(t *testing.T) {
	m := load(t, "c920").machine(t)
	const byID = "/dev/v4l/by-id/usb-046d_HD_Pro_Webcam_C920_5F1E3A2F-video-index0"
	for _, test := range []struct{ device, path, problem string }{
		{"0", "/dev/video0", ""},
		{"/dev/video0", "/dev/video0", ""},
		{"/dev//video0", "/dev/video0", ""},
		{byID, "/dev/video0", ""},
		{"/dev/v4l/by-path/platform-fd500000.pcie-pci-0000:01:00.0-usb-0:1.3:1.0-video-index0", "/dev/video0", ""},
		{"7", "", "no device /dev/video7, there is /dev/video0 (HD Pro Webcam C920)"},
		{strings.Replace(byID, "5F1E3A2F", "00000000", 1), "", "there is /dev/video0 (HD Pro Webcam C920)"},
		{"", "", `want /dev/videoN, N or a link in /dev/v4l, have ""`},
		{"video0", "", `have "video0"`},
		{"-1", "", `have "-1"`},
	} {
		path, id, err := m.resolve(test.device, nil)
		if test.problem != "" {
			if err == nil || !strings.Contains(err.Error(), test.problem) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%q: got %q, %v, want %q", test.device, path, err, test.problem)
			}
			continue
		}
		want := Identity{"HD Pro Webcam C920", "046d", "082d", "5F1E3A2F", "1.0", "0",
			"platform/scb/fd500000.pcie/pci0000:00/0000:00:00.0/0000:01:00.0/usb1/1-1/1-1.3/1-1.3:1.0", nil}
		if err != nil || path != test.path || !id.like(&want) || id.Port != want.Port {
			t.Errorf("%q: got %q, %+v, %v, want %q, %+v", test.device, path, id, err, test.path, want)
		}
	}
	if _, _, err := load(t, "nothing").machine(t).resolve("0", nil); err == nil || !strings.Contains(err.Error(), "no other /dev/video*") {
		t.Errorf("no devices: got %v", err)
	}
}

// TestReplug unplugs cameras and plugs them in again under other numbers.
func TestReplug(t *testing.T) {
	r := load(t, "c920")
	m := r.machine(t)
	camera := r.Nodes[0]
	path, id, err := m.resolve("/dev/video0", nil)
	must(t, err)
	want := func(step, want, problem string) {
		t.Helper()
		path, now, err := m.resolve("/dev/video0", &id)
		switch {
		case problem != "" && (err == nil || !strings.Contains(err.Error(), problem)):
			t.Errorf("%s: got %q, %v, want %q", step, path, err, problem)
		case problem == "" && (err != nil || path != want):
			t.Errorf("%s: got %q, %v, want %q", step, path, err, want)
		}
		if err == nil {
			id = now
		}
	}
	want("as it was", path, "")
	camera.unplug(t, m.root)
	want("unplugged", "", "find camera /dev/video0: HD Pro Webcam C920 is unplugged")
	camera.Path = "/dev/video2"
	camera.plug(t, m.root)
	want("another number", "/dev/video2", "")

	other := *load(t, "twins").Nodes[0]
	other.plug(t, m.root)
	want("another camera has the old number", "/dev/video2", "")
	camera.unplug(t, m.root)
	want("only the other one is there", "", "that is USB 2.0 Camera: USB 2.0 Camera now, and HD Pro Webcam C920, which it was, is unplugged")
	camera.Path, camera.Sys.Device = "/dev/video3", strings.ReplaceAll(camera.Sys.Device, "1-1.3", "1-1.4")
	for _, attribute := range []struct{ name, value string }{{"idVendor", "046d"}, {"idProduct", "082d"}, {"serial", "5F1E3A2F"}} {
		write(t, filepath.Join(m.root, "sys", filepath.Dir(camera.Sys.Device), attribute.name), attribute.value+"\n")
	}
	camera.plug(t, m.root)
	want("another port", "/dev/video3", "")
}

// TestTwins has cameras that only their ports tell apart.
func TestTwins(t *testing.T) {
	r := load(t, "twins")
	m := r.machine(t)
	first, second := r.Nodes[0], r.Nodes[2]
	_, id, err := m.resolve("/dev/video0", nil)
	must(t, err)
	first.unplug(t, m.root)
	if path, _, err := m.resolve("/dev/video0", &id); err == nil {
		t.Errorf("the first is unplugged: got the other one, %s", path)
	}
	second.move(t, m.root, "/dev/video0") // it takes the other's number
	if path, _, err := m.resolve("/dev/video0", &id); err == nil {
		t.Errorf("the second has the first's number: got %s", path)
	}
	first.Path = "/dev/video2"
	first.plug(t, m.root)
	if path, _, err := m.resolve("/dev/video0", &id); err != nil || path != "/dev/video2" {
		t.Errorf("numbers are swapped: got %q, %v, want /dev/video2", path, err)
	}
	// At a port where none was before: it can only be the first.
	first.unplug(t, m.root)
	port := filepath.Dir(first.Sys.Device)
	first.Sys.Device = strings.ReplaceAll(first.Sys.Device, "1-1.1", "1-1.7")
	for name, value := range r.USB[port] {
		write(t, filepath.Join(m.root, "sys", filepath.Dir(first.Sys.Device), name), value+"\n")
	}
	first.plug(t, m.root)
	if path, _, err := m.resolve("/dev/video0", &id); err != nil || path != "/dev/video2" {
		t.Errorf("another port: got %q, %v, want /dev/video2", path, err)
	}
	third := *first
	third.Path, third.Links = "/dev/video6", nil
	third.Sys.Device = strings.ReplaceAll(first.Sys.Device, "1-1.7", "1-1.8")
	for name, value := range r.USB[port] {
		write(t, filepath.Join(m.root, "sys", filepath.Dir(third.Sys.Device), name), value+"\n")
	}
	third.plug(t, m.root)
	if path, _, err := m.resolve("/dev/video0", &id); err == nil || !strings.Contains(err.Error(), "there are 2 like it") {
		t.Errorf("two at new ports: got %q, %v, want no guess", path, err)
	}
}

// TestResolveLink follows a link whatever is behind it now, and needs no /sys.
func TestResolveLink(t *testing.T) {
	r := load(t, "c920")
	m := r.machine(t)
	link := "/dev/v4l/" + r.Nodes[0].Links[1]
	_, id, err := m.resolve(link, nil)
	must(t, err)
	r.Nodes[0].Sys.Name = "Another camera"
	r.Nodes[0].move(t, m.root, "/dev/video4")
	path, now, err := m.resolve(link, &id)
	if err != nil || path != "/dev/video4" || now.Name != "Another camera" {
		t.Errorf("got %q, %+v, %v", path, now, err)
	}
	bare := machine{root: t.TempDir()}
	write(t, bare.root+"/dev/video0", "")
	_, id, err = bare.resolve("0", nil)
	if err != nil || !id.zero() {
		t.Fatalf("without /sys: got %+v, %v", id, err)
	}
	if path, _, err := bare.resolve("0", &id); err != nil || path != "/dev/video0" {
		t.Errorf("without /sys, again: got %q, %v", path, err)
	}
}
