package testbench

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"sightd/testbench/cameras"
)

// child is a camera whose pictures come from a program.
type child struct {
	cameras.Rpicam
	name string
}

// TestCameraChild treats the programs badly that bring the pictures of cameras, or has them behave badly: each is started again, and
// none outlives the daemon, however that ends.
func TestCameraChild(t *testing.T) {
	t.Parallel()
	photos := surePhotos(t, 2)
	dir, path := fakeRpicam(t)
	const words = "ERROR: *** the sensor fell off ***"
	well := cameras.Orders{FPS: 10, Each: 10}
	var lines []string
	children := map[string]child{}
	for i, c := range []struct {
		name   string
		orders cameras.Orders
	}{
		{"killed", well},
		{"stopped", well},
		{"babbling", cameras.Orders{FPS: 10, Each: 10, Babble: 8 << 20}},
		{"ending", cameras.Orders{FPS: 10, Each: 10, Last: 15, Babble: 1 << 20, Words: words}},
		{"deaf", cameras.Orders{FPS: 10, Each: 10, Deaf: true}},
	} {
		r, err := cameras.NewRpicam(dir, i, c.orders, pictures(photos)...)
		if err != nil {
			t.Fatal(err)
		}
		children[c.name] = child{r, c.name}
		lines = append(lines, fmt.Sprintf(`name: %s, type: rpicam, device: "%d", size: 224x224, stall: 1s`, c.name, i))
	}
	b := liveBoard(t, prompt, lines...)
	p, a := b.watch(t, path)
	for name := range children {
		a.until(t, func() bool { return len(a.of(name).shown()) > 1 }, func() string { return "want events of " + name })
	}

	killed, stopped := children["killed"], children["stopped"]
	killed.signal(t, syscall.SIGKILL)
	stopped.signal(t, syscall.SIGSTOP)
	a.problem(t, "stopped", `no picture for 1s`)
	a.problem(t, "killed", `kill`)
	for _, c := range []child{killed, stopped} {
		c.again(t, a)
	}
	children["ending"].again(t, a)
	p.line(t, `"level":"WARN"`, `"source":"ending"`, words)
	if n := len(children["babbling"].started(t)); n != 1 {
		t.Errorf("babbling: want it left alone, was started %d times", n)
	}
	if mb := memoryMB(t, p.cmd.Process.Pid, "VmRSS:"); mb > 300 {
		t.Errorf("want less than 300 MB for five cameras, have %.0f MB", mb)
	}

	p.stop(t)
	for _, c := range children {
		if running, zombies := c.running(t); len(running)+len(zombies) > 0 {
			t.Errorf("%s: want no process after SIGTERM, have %v and zombies %v", c.name, running, zombies)
		}
	}

	p, a = b.watch(t, path)
	a.well(t, "killed", "stopped", "babbling", "deaf")
	stopped.signal(t, syscall.SIGSTOP)
	p.signal(t, syscall.SIGKILL)
	for _, c := range children {
		eventually(t, func() bool { running, _ := c.running(t); return len(running) == 0 }, func() string {
			running, _ := c.running(t)
			return fmt.Sprintf("%s: want no process after SIGKILL, have %v", c.name, running)
		})
	}
}

func (c child) started(t testing.TB) []int {
	t.Helper()
	pids, err := c.Started()
	if err != nil {
		t.Fatal(err)
	}
	return pids
}

func (c child) running(t testing.TB) (running, zombies []int) {
	t.Helper()
	running, zombies, err := c.Running()
	if err != nil {
		t.Fatal(err)
	}
	return running, zombies
}

// signal sends a signal to the camera's process.
func (c child) signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	running, _ := c.running(t)
	if len(running) != 1 {
		t.Fatalf("%s: want one process, have %v", c.name, running)
	}
	if err := syscall.Kill(running[0], s); err != nil {
		t.Fatal(err)
	}
}

// again waits until the camera has another process than its first one, which is gone, and shows something.
func (c child) again(t testing.TB, a *audience) {
	t.Helper()
	eventually(t, func() bool { running, _ := c.running(t); return len(running) == 1 && len(c.started(t)) > 1 }, func() string {
		running, zombies := c.running(t)
		return fmt.Sprintf("%s: want one new process, have %v and zombies %v of %v", c.name, running, zombies, c.started(t))
	})
	begin := time.Now()
	a.until(t, func() bool {
		return slices.ContainsFunc(a.of(c.name).events, func(e sighting) bool { return e.shows() && e.at.After(begin) })
	}, func() string { return fmt.Sprintf("%s: want events of the new process", c.name) })
	eventually(t, func() bool { _, zombies := c.running(t); return len(zombies) == 0 }, func() string {
		_, zombies := c.running(t)
		return fmt.Sprintf("%s: want no zombies, have %v", c.name, zombies)
	})
}
