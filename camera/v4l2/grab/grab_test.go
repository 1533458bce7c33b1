package grab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gocv.io/x/gocv"

	"sightd/camera/capture"
	"sightd/camera/v4l2"
)

// within waits for a condition that another goroutine brings about.
func within(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("waited for %s in vain", what)
		}
	}
}

// drawn is a JPEG of one colour.
func drawn(t *testing.T, n int) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 32, 24))
	for i := range img.Pix {
		img.Pix[i] = uint8(n * 20)
	}
	img.Set(0, 0, color.White)
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// fill has a Mat hold bytes as OpenCV's V4L2 backend does that doesn't decode.
func fill(t *testing.T, mat *gocv.Mat, rows int, kind gocv.MatType, data []byte) {
	t.Helper()
	src, err := gocv.NewMatFromBytes(rows, len(data)/rows/kind2bytes(kind), kind, data)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if err := src.CopyTo(mat); err != nil {
		t.Fatal(err)
	}
}

func kind2bytes(kind gocv.MatType) int {
	return map[gocv.MatType]int{gocv.MatTypeCV8UC1: 1, gocv.MatTypeCV8UC2: 2, gocv.MatTypeCV8UC3: 3}[kind]
}

// fake is a camera without a device.
func fake(read func(*gocv.Mat) bool) camera {
	return camera{read: read, stamp: func() time.Duration { return 0 }, check: func() error { return nil }, close: func() error { return nil }}
}

// TestImages reads pictures through OpenCV's own capture of files, which decodes them.
func TestImages(t *testing.T) {
	before := runtime.NumGoroutine()
	dir := t.TempDir()
	var want [][]byte
	for n := range 5 {
		data := drawn(t, n)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("frame_%02d.jpg", n)), data, 0o666); err != nil {
			t.Fatal(err)
		}
		mat, err := gocv.IMDecode(data, gocv.IMReadColor)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, mat.ToBytes())
		mat.Close()
	}
	file, err := gocv.OpenVideoCaptureWithAPI(filepath.Join(dir, "frame_%02d.jpg"), gocv.VideoCaptureImages)
	if err != nil {
		t.Fatal(err)
	}
	file.Set(gocv.VideoCaptureConvertRGB, 0) // not honoured, as by some backends
	next := make(chan struct{}, 1)
	next <- struct{}{}
	c := fake(func(mat *gocv.Mat) bool { <-next; return file.Read(mat) })
	gone := errors.New("read camera: unplugged")
	c.check = func() error { return gone }
	closed := false
	c.close = func() error { closed = true; return file.Close() }
	var got []capture.Shot
	g := newGrabber(Options{Device: "camera", Log: func(string) {}, Emit: func(s *capture.Shot) error {
		copied := *s
		copied.Data = bytes.Clone(s.Data)
		got = append(got, copied)
		next <- struct{}{}
		return nil
	}}, c)
	if err := g.run(t.Context()); err != gone {
		t.Errorf("got %v, want %v", err, gone)
	}
	if len(got) != len(want) || !closed {
		t.Fatalf("got %d pictures, closed %t, want %d and true", len(got), closed, len(want))
	}
	for n, s := range got {
		if s.Format != capture.BGR || s.Width != 32 || s.Height != 24 || !bytes.Equal(s.Data, want[n]) || s.Time.IsZero() {
			t.Errorf("picture %d: got format %d, %dx%d, %d bytes", n, s.Format, s.Width, s.Height, len(s.Data))
		}
	}
	within(t, "the goroutines' end", func() bool { return runtime.NumGoroutine() <= before })
}

// TestEncoded has undecoded pictures come, with padding, torn and empty ones among them.
func TestEncoded(t *testing.T) {
	whole := drawn(t, 3)
	pictures := [][]byte{append(bytes.Clone(whole), 0, 0, 0), whole[:len(whole)/2], {0}, whole[4:], whole}
	n := 0
	next := make(chan struct{}, 1)
	next <- struct{}{}
	c := fake(func(mat *gocv.Mat) bool {
		if n == 0 || n == len(pictures)-1 {
			<-next // behind the picture before
		}
		if n == len(pictures) {
			return false
		}
		fill(t, mat, 1, gocv.MatTypeCV8UC1, pictures[n])
		n++
		return true
	})
	end := errors.New("end")
	c.check = func() error { return end }
	var lines []string
	var got [][]byte
	emitted := make(chan struct{})
	g := newGrabber(Options{Device: "camera", Log: func(l string) { lines = append(lines, l) }, Emit: func(s *capture.Shot) error {
		if s.Format != capture.Encoded || s.Width != 0 || s.Height != 0 {
			t.Errorf("got format %d, %dx%d", s.Format, s.Width, s.Height)
		}
		got = append(got, bytes.Clone(s.Data))
		if len(got) == 2 {
			close(emitted)
		} else {
			next <- struct{}{}
		}
		return nil
	}}, c)
	read := g.camera.read
	g.camera.read = func(mat *gocv.Mat) bool {
		if n == len(pictures) {
			<-emitted
		}
		return read(mat)
	}
	if err := g.run(t.Context()); err != end {
		t.Errorf("got %v", err)
	}
	if len(got) != 2 || !bytes.Equal(got[0], whole) || !bytes.Equal(got[1], whole) || len(lines) != 1 {
		t.Errorf("got %d pictures, lines %q, want two, without padding, and a line on the torn ones", len(got), lines)
	}
}

// TestBlocked has nobody take pictures for a while: the next one must be a new one.
func TestBlocked(t *testing.T) {
	tick := make(chan struct{})
	var n atomic.Int32
	g := newGrabber(Options{Device: "camera", Log: func(string) {}}, fake(func(mat *gocv.Mat) bool {
		<-tick
		fill(t, mat, 1, gocv.MatTypeCV8UC3, bytes.Repeat([]byte{byte(n.Add(1))}, 3))
		return true
	}))
	release, first := make(chan struct{}), make(chan struct{})
	got := make(chan byte, 100)
	g.Emit = func(s *capture.Shot) error {
		if s.Data[0] == 1 {
			close(first)
			<-release
		}
		got <- s.Data[0]
		return nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- g.run(ctx) }()
	tick <- struct{}{}
	<-first
	for range 19 {
		tick <- struct{}{}
	} // 19 were handed on, or put in the place of others, by now
	close(release)
	if a, b := <-got, <-got; a != 1 || b < 19 {
		t.Errorf("got picture %d, then %d, want 1, then the newest of 20", a, b)
	}
	if drops := g.drops.Load(); drops < 17 {
		t.Errorf("%d drops were counted, want 17 or more", drops)
	}
	cancel()
	close(tick)
	if err := <-ended; err != nil {
		t.Errorf("stopped: got %v", err)
	}
}

// TestNobodyListens ends when the pipe is broken, and on other errors of it.
func TestNobodyListens(t *testing.T) {
	other := errors.New("other")
	for _, test := range []struct{ emit, want error }{
		{fmt.Errorf("write picture: %w", syscall.EPIPE), nil}, {other, other},
	} {
		g := newGrabber(Options{Device: "camera", Log: func(string) {}, Emit: func(*capture.Shot) error { return test.emit }}, fake(func(mat *gocv.Mat) bool {
			fill(t, mat, 1, gocv.MatTypeCV8UC3, []byte{1, 2, 3})
			return true
		}))
		if err := g.run(t.Context()); err != test.want {
			t.Errorf("got %v, want %v", err, test.want)
		}
	}
}

// TestHangingDriver ends although a read doesn't.
func TestHangingDriver(t *testing.T) {
	inside, release := make(chan struct{}), make(chan struct{})
	c := fake(func(*gocv.Mat) bool { close(inside); <-release; return false })
	gone := make(chan struct{})
	c.check = func() error { close(gone); return errors.New("end") }
	c.close = func() error { t.Error("the camera was closed while it was read"); return nil }
	g := newGrabber(Options{Device: "camera", Log: func(string) {}}, c)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- g.run(ctx) }()
	<-inside
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("got %v", err)
	}
	close(release)
	<-gone
}

// TestFailures tells what keeps a camera from giving pictures.
func TestFailures(t *testing.T) {
	start := time.Now()
	for _, test := range []struct {
		name string
		read func(mat *gocv.Mat, now *time.Time) bool
		want string
	}{
		{"fails at once", func(*gocv.Mat, *time.Time) bool { return false }, "read camera: the driver gives no picture"},
		{"silent", func(_ *gocv.Mat, now *time.Time) bool { *now = now.Add(10 * time.Second); return false }, "read camera: no picture for 10 s"},
		{"torn", func(mat *gocv.Mat, _ *time.Time) bool {
			fill(t, mat, 1, gocv.MatTypeCV8UC1, []byte{0xff, 0xd8, 0xff})
			return true
		},
			"read camera: 100 torn pictures in a row"},
		{"undecoded YUYV", func(mat *gocv.Mat, _ *time.Time) bool {
			fill(t, mat, 2, gocv.MatTypeCV8UC2, make([]byte, 8))
			return true
		},
			"read camera: OpenCV brings 2x2 elements of type 8: want JPEG or BGR"},
		{"empty", func(*gocv.Mat, *time.Time) bool { return true }, "torn pictures in a row"},
	} {
		t.Run(test.name, func(t *testing.T) {
			now := start
			g := newGrabber(Options{Device: "camera", Log: func(string) {}, Emit: func(*capture.Shot) error { return nil }},
				fake(func(mat *gocv.Mat) bool { return test.read(mat, &now) }))
			g.now = func() time.Time { return now }
			if err := g.run(t.Context()); err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// TestOld passes over what has waited in the driver's buffers, if the driver's stamps can be understood.
func TestOld(t *testing.T) {
	var clock, stamp time.Duration
	g := newGrabber(Options{}, fake(nil))
	g.clock = func() time.Duration { return clock }
	g.camera.stamp = func() time.Duration { return stamp }
	step := func(name string, at, taken time.Duration, want bool) {
		t.Helper()
		clock, stamp = at, taken
		if got := g.old(); got != want {
			t.Errorf("%s: got %t, want %t", name, got, want)
		}
	}
	step("old, from an unknown clock", 100*time.Second, 50*time.Second, false)
	step("fresh", 100*time.Second, 99900*time.Millisecond, false)
	for range 4 {
		step("suspended for a minute", 160*time.Second, 101*time.Second, true)
	}
	step("fresh again", 160*time.Second, 159900*time.Millisecond, false)
	step("no stamp", 170*time.Second, 0, false)
	step("stamp of the future", 170*time.Second, 180*time.Second, false)
	for range maxStale {
		step("always old", 200*time.Second, 190*time.Second, true)
	}
	for range 3 {
		step("another clock, it seems", 200*time.Second, 190*time.Second, false)
	}
}

func TestWanted(t *testing.T) {
	for _, test := range []struct {
		want, have float64
		kept       int // of 300 pictures in 10 s
	}{{15, 30, 150}, {30, 30, 300}, {25, 30, 300}, {10, 30, 100}, {5, 0, 50}, {0.5, 30, 5}, {0, 30, 300}} {
		g := newGrabber(Options{}, fake(nil))
		g.left = reduction(test.want, test.have)
		start, kept := time.Now(), 0
		for n := range 300 {
			jitter := time.Duration(n*n%7) * time.Millisecond
			if g.wanted(start.Add(time.Duration(n)*time.Second/30 + jitter)) {
				kept++
			}
		}
		if kept < test.kept-2 || kept > test.kept+2 {
			t.Errorf("%g of %g fps: got %d pictures, want %d", test.want, test.have, kept, test.kept)
		}
	}
}

// TestRefused is told what is in the way of a device that isn't one.
func TestRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "video0")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{file: "it is no video device", file + "9": "it is gone"} {
		err := Run(t.Context(), Options{Device: path, Log: func(string) {}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// TestLoopback reads a kernel's test camera where there is one: of vivid, or of v4l2loopback that a program writes into.
func TestLoopback(t *testing.T) {
	devices, err := v4l2.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range devices {
		if !d.Ready() || d.Driver != "vivid" && d.Driver != "v4l2 loopback" {
			continue
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		n := 0
		err := Run(ctx, Options{Device: d.Path, Log: func(l string) { t.Log(l) }, Emit: func(s *capture.Shot) error {
			if n++; n == 5 {
				cancel()
			}
			return nil
		}})
		if err != nil || n < 5 {
			t.Errorf("%s (%s): got %d pictures, %v", d.Path, d.Driver, n, err)
		}
		return
	}
	t.Skip("skipped: this test needs a /dev/video* of vivid or v4l2loopback")
}
