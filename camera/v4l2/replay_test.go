package v4l2

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// recording is a machine as files of testdata tell it: what its drivers answer, and what is in /dev, /sys and /proc.
type recording struct {
	About string
	Nodes []*recordedNode
	USB   map[string]map[string]string // attributes of USB devices, by their folder below /sys
	Proc  map[string]struct {
		Comm string
		Open []string
	}
}

// recordedNode is what a node answers. Sizes are "640x480: 1/30 1/15", the fractions being seconds between two pictures; a range
// of sizes is "step 32x32 1920x1080 2x2: …", least, largest and step, and "any" where the driver calls it continuous; a range of
// intervals is "step 1/120 1/1 1/1" or "any 1/120 1/1".
type recordedNode struct {
	Path, Driver, Card, Bus string
	Capabilities            string // hexadecimal
	DeviceCaps              string `json:"device_caps"`
	Open                    string // an error of open(2): EBUSY
	Errors                  map[string]string
	Sys                     struct{ Name, Index, Device string }
	Links                   []string
	Formats                 []struct {
		FourCC, Description string
		Sizes               []string
	}
}

func load(t testing.TB, name string) *recording {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var r recording
	if err := json.Unmarshal(data, &r); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return &r
}

// machine lays the recording out as files, and has its devices answered from it.
func (r *recording) machine(t testing.TB) machine {
	t.Helper()
	m := machine{root: t.TempDir(), open: r.open, slow: time.Minute}
	for _, dir := range []string{"dev", "proc", "sys/class/video4linux", "sys/devices"} {
		must(t, os.MkdirAll(filepath.Join(m.root, dir), 0o777))
	}
	for _, n := range r.Nodes {
		n.plug(t, m.root)
	}
	for dir, attributes := range r.USB {
		for name, value := range attributes {
			write(t, filepath.Join(m.root, "sys", dir, name), value+"\n")
		}
	}
	for pid, p := range r.Proc {
		write(t, filepath.Join(m.root, "proc", pid, "comm"), p.Comm+"\n")
		must(t, os.MkdirAll(filepath.Join(m.root, "proc", pid, "fd"), 0o777))
		for i, target := range p.Open {
			must(t, os.Symlink(target, filepath.Join(m.root, "proc", pid, "fd", strconv.Itoa(i))))
		}
	}
	return m
}

func (n *recordedNode) plug(t testing.TB, root string) {
	t.Helper()
	write(t, root+n.Path, "")
	for _, link := range n.Links {
		path := filepath.Join(root, "dev/v4l", link)
		must(t, os.MkdirAll(filepath.Dir(path), 0o777))
		must(t, os.Symlink("../../"+filepath.Base(n.Path), path))
	}
	port := filepath.Join(root, "sys", n.Sys.Device)
	class := filepath.Join(root, "sys/class/video4linux", filepath.Base(n.Path))
	write(t, filepath.Join(class, "name"), n.Sys.Name+"\n")
	write(t, filepath.Join(class, "index"), n.Sys.Index+"\n")
	if n.Sys.Device != "" {
		must(t, os.MkdirAll(port, 0o777))
		must(t, os.Symlink(port, filepath.Join(class, "device")))
	}
}

func (n *recordedNode) unplug(t testing.TB, root string) {
	t.Helper()
	must(t, os.Remove(root+n.Path))
	for _, link := range n.Links {
		must(t, os.Remove(filepath.Join(root, "dev/v4l", link)))
	}
	must(t, os.RemoveAll(filepath.Join(root, "sys/class/video4linux", filepath.Base(n.Path))))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t testing.TB, path, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o777))
	must(t, os.WriteFile(path, []byte(text), 0o666))
}

var errorNumbers = map[string]error{
	"EBUSY": unix.EBUSY, "ENODEV": unix.ENODEV, "EACCES": unix.EACCES, "EIO": unix.EIO, "EMFILE": unix.EMFILE, "ENOTTY": unix.ENOTTY,
}

type closer func() error

func (c closer) Close() error { return c() }

func (r *recording) open(path string) (device, error) {
	for _, n := range r.Nodes {
		if strings.HasSuffix(path, n.Path) {
			if n.Open != "" {
				return device{}, errorNumbers[n.Open]
			}
			return device{closer(func() error { return nil }), n.ioctl}, nil
		}
	}
	return device{}, unix.ENOENT
}

// ioctl answers as the driver did.
func (n *recordedNode) ioctl(request uint32, arg []byte) error {
	switch request {
	case reqCapability:
		return answer(arg, n.Errors["QUERYCAP"], func(c *capability) error {
			copy(c.Driver[:], n.Driver)
			copy(c.Card[:], n.Card)
			copy(c.Bus[:], n.Bus)
			c.Capabilities, c.DeviceCaps = hexadecimal(n.Capabilities), hexadecimal(n.DeviceCaps)
			return nil
		})
	case reqFormat:
		return answer(arg, "", n.format)
	case reqFrameSizes:
		return answer(arg, "", n.size)
	case reqFrameIntervals:
		return answer(arg, "", n.interval)
	case reqBuffers:
		return answer(arg, n.Errors["REQBUFS"], func(b *bufferRequest) error {
			if b.Count != 0 || b.Memory != memoryMapped {
				return errors.New("buffers were asked for")
			}
			return nil
		})
	}
	return unix.ENOTTY
}

func answer[T any](arg []byte, failure string, fill func(*T) error) error {
	if failure != "" {
		return errorNumbers[failure]
	}
	var v T
	if _, err := binary.Decode(arg, binary.NativeEndian, &v); err != nil {
		return err
	}
	if err := fill(&v); err != nil {
		return err
	}
	_, err := binary.Encode(arg, binary.NativeEndian, &v)
	return err
}

func hexadecimal(s string) uint32 {
	v, err := strconv.ParseUint(s, 16, 32)
	if err != nil {
		panic(err)
	}
	return uint32(v)
}

// code is a format's number. A mark of the byte order isn't needed here.
func code(name string) uint32 { return binary.LittleEndian.Uint32([]byte(name + "    ")[:4]) }

func (n *recordedNode) format(f *formatDescription) error {
	caps := hexadecimal(n.DeviceCaps)
	if hexadecimal(n.Capabilities)&capDeviceCaps == 0 {
		caps = hexadecimal(n.Capabilities)
	}
	if int(f.Index) >= len(n.Formats) || f.Type != bufferType(caps) {
		return unix.EINVAL
	}
	f.PixelFormat = code(n.Formats[f.Index].FourCC)
	copy(f.Description[:], n.Formats[f.Index].Description)
	return nil
}

// sizes are those of a format, each with its intervals behind a colon.
func (n *recordedNode) sizes(pixelFormat uint32) []string {
	for _, f := range n.Formats {
		if code(f.FourCC) == pixelFormat {
			return f.Sizes
		}
	}
	return nil
}

func (n *recordedNode) size(f *frameSize) error {
	sizes := n.sizes(f.PixelFormat)
	if int(f.Index) >= len(sizes) {
		return unix.EINVAL
	}
	f.Type, f.Size = parseSize(sizes[f.Index])
	return nil
}

func parseSize(text string) (kind uint32, size [6]uint32) {
	text, _, _ = strings.Cut(text, ":")
	fields := strings.Fields(text)
	if len(fields) == 1 {
		scan(fields[0], "x", &size[0], &size[1])
		return typeDiscrete, size
	}
	scan(fields[1], "x", &size[0], &size[3])
	scan(fields[2], "x", &size[1], &size[4])
	scan(fields[3], "x", &size[2], &size[5])
	if fields[0] == "any" {
		return typeContinuous, size
	}
	return typeStepwise, size
}

func scan(text, separator string, a, b *uint32) {
	if _, err := fmt.Sscanf(text, "%d"+separator+"%d", a, b); err != nil {
		panic(fmt.Sprintf("%q: %v", text, err))
	}
}

func (n *recordedNode) interval(f *frameInterval) error {
	for _, text := range n.sizes(f.PixelFormat) {
		kind, size := parseSize(text)
		if kind == typeDiscrete && (size[0] != f.Width || size[1] != f.Height) {
			continue
		}
		_, intervals, _ := strings.Cut(text, ":")
		fields := strings.Fields(intervals)
		switch {
		case len(fields) > 2 && (fields[0] == "any" || fields[0] == "step"):
			if f.Index > 0 {
				return unix.EINVAL
			}
			f.Type = map[string]uint32{"any": typeContinuous, "step": typeStepwise}[fields[0]]
			for i, field := range fields[1:] {
				scan(field, "/", &f.Interval[2*i], &f.Interval[2*i+1])
			}
			return nil
		case int(f.Index) < len(fields):
			f.Type = typeDiscrete
			scan(fields[f.Index], "/", &f.Interval[0], &f.Interval[1])
			return nil
		}
		break
	}
	return unix.EINVAL
}
