package testbench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestQuietDisk runs the daemon with its broker there: neither the requests that it answers, nor what it says of itself, nor
// pictures and their events are written into state_dir, and nothing is synced. Flash wears out by that.
func TestQuietDisk(t *testing.T) {
	t.Parallel()
	for _, broker := range []string{"embedded broker", "mosquitto"} {
		t.Run(broker, func(t *testing.T) {
			t.Parallel()
			mqtt, url := embedded, ""
			if broker == "mosquitto" {
				url = startMosquitto(t).url
				mqtt = fmt.Sprintf("broker: %q", url)
			}
			b := newBoard(t, mqtt)
			p, own := b.run(t)
			if url == "" {
				url = own
			}
			r := record(t, url)
			names := b.dropFiles(t, pictureFiles(t, 2)) // the first ones make done/
			b.filed(t, names...)

			state, written := b.state(t), writtenBytes(t, p)
			trace, why := attach(t, p, "-y", "-s", "0", "-e", "trace=fsync,fdatasync,?sync_file_range,syncfs,sync,msync,"+
				"write,pwrite64,writev,pwritev,?pwritev2,ftruncate,fallocate,openat,?creat,?rename,renameat,renameat2,?unlink,unlinkat")
			tick := time.NewTicker(time.Second)
			defer tick.Stop()
			for range 15 {
				<-tick.C
				r.health(t)
			}
			if n := writtenBytes(t, p) - written; n != 0 {
				t.Errorf("want nothing written in 15 s of answering requests, have %d bytes", n)
			}
			names = append(names, b.dropFiles(t, pictureFiles(t, 20)[2:])...)
			b.filed(t, names...)
			r.mark(t)
			r.once(t, names...)
			if now := b.state(t); !slices.Equal(now, state) {
				t.Errorf("state_dir: want %q as before, have %q", state, now)
			}
			if trace == nil {
				t.Skipf("system calls were not watched: %s", why)
			}
			trace.signal(t, syscall.SIGTERM)
			moved := false
			for line := range strings.Lines(trace.String()) {
				state := strings.Contains(line, "/state") && !strings.Contains(line, "O_RDONLY") && !strings.Contains(line, "openat resumed") // lanes read the weight cache
				if strings.Contains(line, "sync(") || strings.Contains(line, "sync_file_range(") || state {
					t.Errorf("want nothing synced, and nothing written into state_dir, have %s", line)
				}
				moved = moved || strings.Contains(line, "renameat2(")
			}
			if !moved {
				t.Errorf("want system calls such as those that move pictures, have\n%s", trace)
			}
		})
	}
}

// writtenBytes is how many bytes a program has had written to disks.
func writtenBytes(t testing.TB, p *process) (n int64) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "\nwrite_bytes:")
	if _, err := fmt.Sscan(rest, &n); err != nil || !found {
		t.Fatalf("want write_bytes, have %s", text)
	}
	return n
}

// state lists the files of state_dir with their sizes and times.
func (b *board) state(t testing.TB) (files []string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(b.dir, "state"), func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		files = append(files, fmt.Sprintf("%s %d %s", path, info.Size(), info.ModTime().Format(time.StampNano)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// attach has strace look at a program. Its output is the result's log. Where that can't be done it says why.
func attach(t testing.TB, p *process, args ...string) (trace *process, why string) {
	t.Helper()
	program, err := exec.LookPath("strace")
	if err != nil {
		return nil, "strace isn't installed: apt-get install strace"
	}
	trace = start(t, filepath.Dir(program), program, append(args, "-f", "-p", fmt.Sprint(p.cmd.Process.Pid))...)
	attached := func() bool {
		return slices.ContainsFunc(trace.lines, func(l string) bool { return strings.Contains(l, " attached") })
	}
	trace.until(t, func() bool { return attached() || trace.over }, func() string { return "strace neither attaches nor ends" })
	if !trace.running() {
		return nil, trace.String()
	}
	return trace, ""
}
