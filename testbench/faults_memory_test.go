package testbench

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// enough is the memory that the daemon gets, in MB: a huge picture costs 200 at most.
const enough = 400

// cell is a control group with a limit of memory.
type cell struct{ dir, limit string }

// newCell makes a control group until the test's end.
func newCell(t testing.TB) *cell {
	t.Helper()
	asRoot(t, "make a control group")
	c := &cell{limit: "memory.max"}
	parent := "/sys/fs/cgroup"
	if controllers, err := os.ReadFile(filepath.Join(parent, "cgroup.subtree_control")); err != nil || !strings.Contains(string(controllers), "memory") {
		parent, c.limit = "/sys/fs/cgroup/memory", "memory.limit_in_bytes" // version 1
	}
	dir, err := os.MkdirTemp(parent, "sightd-testbench-")
	if err != nil {
		t.Skipf("skipped: this machine has no control groups of memory: %v", err)
	}
	t.Cleanup(func() {
		if !happens(func() bool { return os.Remove(dir) == nil }) { // once its processes are gone
			t.Errorf("can't remove %s", dir)
		}
	})
	c.dir = dir
	return c
}

// within is a command that runs another one in the group.
func (c *cell) within() []string {
	return []string{"sh", "-c", `echo $$ >"$0/cgroup.procs" && exec "$@"`, c.dir}
}

func (c *cell) set(mb int) error {
	return os.WriteFile(filepath.Join(c.dir, c.limit), []byte(strconv.Itoa(mb<<20)), 0o600)
}

// tighten sets the lowest limit that the group's use allows.
func (c *cell) tighten(t testing.TB) {
	t.Helper()
	for mb := 8; mb < enough; mb += 8 {
		if c.set(mb) == nil {
			return
		}
	}
	t.Fatal("the group's limit can't be set")
}

// huge are pictures of 50 megapixels, made once.
var huge struct {
	once sync.Once
	jpeg []byte
	png  []byte
	err  error
}

func hugeFiles(t testing.TB) (jpegFile, pngFile []byte) {
	t.Helper()
	huge.once.Do(func() {
		img := image.NewYCbCr(image.Rect(0, 0, 8000, 6250), image.YCbCrSubsampleRatio420)
		for i := range img.Y {
			img.Y[i] = uint8(i / 8000)
		}
		var b bytes.Buffer
		huge.err = jpeg.Encode(&b, img, nil)
		huge.jpeg = bytes.Clone(b.Bytes())
		if huge.err == nil {
			b.Reset()
			huge.err = (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&b, &image.Gray{Pix: img.Y, Stride: img.YStride, Rect: img.Rect})
			huge.png = b.Bytes()
		}
	})
	if huge.err != nil {
		t.Fatal(huge.err)
	}
	return huge.jpeg, huge.png
}

// dropHuge drops a JPEG and a PNG.
func (g *rig) dropHuge(t testing.TB) {
	t.Helper()
	jpegFile, pngFile := hugeFiles(t)
	for name, data := range map[string][]byte{"jpg": distinct(jpegFile, uint64(len(g.names))), "png": pngFile} {
		name = fmt.Sprintf("huge%04d.%s", len(g.names), name)
		g.names = append(g.names, name)
		g.b.drop(t, 0, name, data)
	}
}

// hugePictures has the daemon classify them within its limit.
func hugePictures(t *testing.T, f *fault) {
	c := newCell(t)
	if err := c.set(enough); err != nil {
		t.Fatal(err)
	}
	g := newRig(t, f, "", "")
	g.within = c.within()
	g.run(t)
	for range f.rounds {
		g.dropHuge(t)
		g.drop(t, 1+g.rng.IntN(4))
		g.recover(t, f)
	}
	if !g.p.running() {
		t.Errorf("want no end of the daemon, have %v", g.p.cmd.ProcessState)
	}
	g.finish(t, f)
	if text, err := os.ReadFile(filepath.Join(c.dir, "memory.max_usage_in_bytes")); err == nil {
		if n, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			f.note("the group's peak was %d MB, the page cache included", n>>20)
		}
	}
}

// outOfMemory takes memory away until the kernel kills the daemon over a huge picture, and starts it again with enough.
func outOfMemory(t *testing.T, f *fault) {
	c := newCell(t)
	g := newRig(t, f, "", "")
	g.within = c.within()
	for range f.rounds {
		if err := c.set(enough); err != nil {
			t.Fatal(err)
		}
		g.run(t)
		g.some(t, 1)
		g.drop(t, 1+g.rng.IntN(4))
		c.tighten(t)
		g.dropHuge(t)
		g.p.until(t, func() bool { return g.p.over }, func() string { return "the kernel doesn't kill the daemon" })
		if status := g.p.cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGKILL {
			t.Errorf("want it killed by the kernel, have %v", g.p.cmd.ProcessState)
		}
		if err := c.set(enough); err != nil {
			t.Fatal(err)
		}
		g.starts(t, f)
	}
	g.run(t)
	g.finish(t, f)
}
