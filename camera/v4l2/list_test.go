package v4l2

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestList holds what List makes of each recorded machine against what it should be.
func TestList(t *testing.T) {
	for _, name := range []string{"c920", "unicam", "rp1cfe", "loopback", "jetson", "twins", "troubles", "nothing"} {
		t.Run(name, func(t *testing.T) {
			r := load(t, name)
			devices, err := r.machine(t).list(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for i, d := range devices {
				if d.Path != "/dev/video2" || name != "troubles" {
					continue
				}
				if d.Problem != "permission denied" || d.Hint == "" {
					t.Errorf("got %q, %q, want a hint on permissions", d.Problem, d.Hint)
				}
				devices[i].Hint = "(of this machine)"
			}
			golden(t, name, devices)
		})
	}
}

func golden(t *testing.T, name string, devices []Device) {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	must(t, e.Encode(devices))
	path := filepath.Join("testdata", "devices", name+".json")
	if *update {
		write(t, path, b.String())
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.Bytes(), want) {
		t.Errorf("got\n%s\nwant what is in %s", b.Bytes(), path)
	}
}

// liar is a driver whose answers can't be true; nil functions know no such question.
type liar struct {
	format   func(*formatDescription) error
	size     func(*frameSize) error
	interval func(*frameInterval) error
	asked    int
}

func (l *liar) ioctl(request uint32, arg []byte) error {
	l.asked++
	switch {
	case l.asked > 2*maxQuestions:
		panic("the questions don't end")
	case request == reqCapability:
		return answer(arg, "", func(c *capability) error {
			c.Capabilities, c.DeviceCaps = capDeviceCaps, capCapture|capStreaming
			for i := range c.Card {
				c.Driver[i/2], c.Card[i], c.Bus[i] = 'd', 'C', 0xff // without an end
			}
			c.Card[3] = '\n'
			return nil
		})
	case request == reqFormat:
		return answer(arg, "", l.format)
	case request == reqFrameSizes && l.size != nil:
		return answer(arg, "", l.size)
	case request == reqFrameIntervals && l.interval != nil:
		return answer(arg, "", l.interval)
	}
	return unix.ENOTTY
}

// formats is a list of so many formats.
func formats(count uint32) func(f *formatDescription) error {
	return func(f *formatDescription) error {
		if f.Index >= count {
			return unix.EINVAL
		}
		f.PixelFormat = 0x20202030 + f.Index
		copy(f.Description[:], bytes.Repeat([]byte("\x1b[2J"), 8))
		return nil
	}
}

// size and interval answer every question with the same.
func size(kind uint32, size ...uint32) func(*frameSize) error {
	return func(f *frameSize) error {
		f.Type = kind
		copy(f.Size[:], size)
		return nil
	}
}

func interval(kind uint32, interval ...uint32) func(*frameInterval) error {
	return func(f *frameInterval) error {
		f.Type = kind
		copy(f.Interval[:], interval)
		return nil
	}
}

// TestHostile lists devices whose drivers are liars.
func TestHostile(t *testing.T) {
	growing := func(f *frameSize) error {
		f.Type, f.Size = typeDiscrete, [6]uint32{f.Index + 1, 1}
		return nil
	}
	faster := func(f *frameInterval) error {
		f.Type, f.Interval[0], f.Interval[1] = typeDiscrete, 1, f.Index+1
		return nil
	}
	const most = 1<<32 - 1
	for _, test := range []struct {
		name    string
		liar    liar
		formats int // that are kept
		sizes   int // of the first
		rates   int // of the first
	}{
		{"lists without end", liar{format: formats(most), size: growing, interval: faster}, 1, 127, maxRates}, // the questions suffice for that
		{"one format again and again", liar{format: func(f *formatDescription) error { f.PixelFormat = code("MJPG"); return nil }}, 1, 0, 0},
		{"one size and rate again and again", liar{format: formats(1), size: size(typeDiscrete, 640, 480), interval: interval(typeDiscrete, 1, 30)}, 1, 1, 1},
		{"huge", liar{format: formats(1), size: size(typeDiscrete, most, most), interval: faster}, 1, 0, 0},
		{"huge range", liar{format: formats(1), size: size(typeStepwise, 1, most, 1, 1, most, 1), interval: faster}, 1, 0, 0},
		{"range of nothing", liar{format: formats(1), size: size(typeContinuous), interval: faster}, 1, 0, 0},
		{"turned range", liar{format: formats(1), size: size(typeStepwise, 640, 320, 1<<15, 480, 240), interval: faster}, 1, 0, 0},
		{"type unknown", liar{format: formats(1), size: size(77), interval: faster}, 1, 0, 0},
		{"range without steps, intervals of nothing", liar{format: formats(1), size: size(typeStepwise, 16, 4096, 0, 16, 4096, 0), interval: interval(typeContinuous)}, 1, 1, 1},
		{"intervals of no time", liar{format: formats(1), size: size(typeDiscrete, 64, 48), interval: interval(typeDiscrete, 0, most)}, 1, 1, 0},
		{"too fast", liar{format: formats(1), size: size(typeDiscrete, 64, 48), interval: interval(typeDiscrete, 1, most)}, 1, 1, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := load(t, "nothing").machine(t)
			write(t, m.root+"/dev/video0", "")
			m.open = func(string) (device, error) {
				return device{closer(func() error { return nil }), test.liar.ioctl}, nil
			}
			devices, err := m.list(t.Context())
			if err != nil || len(devices) != 1 {
				t.Fatalf("got %d devices, %v", len(devices), err)
			}
			d := devices[0]
			if d.Card != "CCC?"+strings.Repeat("C", 28) || d.Driver != strings.Repeat("d", 16) || d.Bus != "?" {
				t.Errorf("got driver %q, card %q, bus %q", d.Driver, d.Card, d.Bus)
			}
			sizes, rates := 0, 0
			if sizes = len(d.Formats[0].Sizes); sizes > 0 {
				rates = len(d.Formats[0].Sizes[0].Rates)
			}
			if len(d.Formats) != test.formats || sizes != test.sizes || rates != test.rates {
				t.Errorf("got %d formats, %d sizes, %d rates, want %d, %d, %d", len(d.Formats), sizes, rates, test.formats, test.sizes, test.rates)
			}
			d.Best()
		})
	}
}

// TestSilentDriver lists a device whose driver doesn't return, beside one that answers.
func TestSilentDriver(t *testing.T) {
	before := runtime.NumGoroutine()
	r := load(t, "c920")
	m := r.machine(t)
	release := make(chan struct{})
	m.open = func(path string) (device, error) {
		if strings.HasSuffix(path, "video1") {
			<-release
		}
		return r.open(path)
	}
	m.slow = 100 * time.Millisecond
	devices, err := m.list(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if d := devices[1]; d.Problem != "the driver doesn't answer" || d.Card != "HD Pro Webcam C920" || len(d.ByID) != 1 || d.Ready() {
		t.Errorf("got %+v, want no answer", d)
	}
	close(release)
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines are left, %d were there before", runtime.NumGoroutine(), before)
		}
		runtime.Gosched()
	}
}

// FuzzAnswers lets a driver answer with any bytes.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte("uvcvideo"))
	f.Add(bytes.Repeat([]byte{0xff}, 64))
	f.Add(append(make([]byte, 88), 1, 0, 0, 4))
	f.Fuzz(func(t *testing.T, data []byte) {
		asked := uint32(0)
		d := newDevice("/dev/video0", linkTable{})
		err := d.ask(func(request uint32, arg []byte) error {
			asked++
			for i := range arg {
				if len(data) > 0 {
					arg[i] ^= data[(i+int(asked))%len(data)]
				}
			}
			if request == reqCapability {
				binary.NativeEndian.PutUint32(arg[84:], capDeviceCaps)
				binary.NativeEndian.PutUint32(arg[88:], capCapture|capStreaming)
			}
			return nil
		})
		if err != nil || asked > maxQuestions+1 {
			t.Fatalf("got %v after %d questions", err, asked)
		}
		if mode, ok := d.Best(); ok && (mode.Width < 1 || mode.Height < 1 || mode.Width > maxSide || mode.Height > maxSide || !(mode.FPS > 0 && mode.FPS <= maxRate)) {
			t.Errorf("got mode %+v", mode)
		}
	})
}
