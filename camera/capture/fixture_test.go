package capture

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sightd/camera/internal/handmade"
)

// The test binary plays the programs that bring pictures, as these variables say.
const (
	fakeMode  = "CAPTURE_FAKE"
	fakeNotes = "CAPTURE_NOTES" // a folder where it leaves its arguments and process numbers
)

// limit is far more than anything here takes.
const limit = 30 * time.Second

func TestMain(m *testing.M) {
	if mode := os.Getenv(fakeMode); mode != "" {
		fake(mode)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// fake plays a program.
func fake(mode string) {
	note("arguments", strings.Join(os.Args[1:], "\n"))
	switch mode {
	case "endless":
		for {
			os.Stdout.Write(picture(1))
		}
	case "three":
		for i := range 3 {
			os.Stdout.Write(picture(i))
		}
	case "silent":
		silent()
	case "stubborn":
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE)
		os.Stdout.Write(picture(1))
		silent()
	case "family":
		descendant(false)
		os.Stdout.Write(picture(1))
		silent()
	case "orphan":
		descendant(true)
		os.Stdout.Write(picture(1))
	case "babble":
		line := bytes.Repeat([]byte("babble "), 1<<10)
		for range 1 << 10 { // 7 MiB without a line's end, then lines
			os.Stderr.Write(line)
		}
		for i := range 1 << 12 {
			fmt.Fprintf(os.Stderr, "line %d\n", i)
		}
		os.Stdout.Write(picture(1))
		fmt.Fprintf(os.Stderr, "the last\x1b[31m words\n")
	case "die":
		fmt.Fprintln(os.Stderr, "first line")
		fmt.Fprintln(os.Stderr, "no cameras available")
		os.Exit(3)
	case "quiet":
		os.Exit(4)
	case "crash":
		fmt.Fprintln(os.Stderr, "last words")
		os.Stdout.Write(picture(1))
		signal.Reset()
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		silent()
	case "garbage":
		for garbage := bytes.Repeat([]byte("garbage\xff\xd8"), 1<<12); ; {
			if _, err := os.Stdout.Write(garbage); err != nil {
				return
			}
		}
	case "half":
		whole := picture(1)
		os.Stdout.Write(whole[:len(whole)/2])
	case "shut":
		os.Stdout.Close()
		silent()
	case "shots":
		for i := range 3 {
			pixels := bytes.Repeat([]byte{byte(i)}, 4*2*3)
			if err := WriteShot(os.Stdout, &Shot{Format: BGR, Width: 4, Height: 2, Data: pixels, Time: time.Now()}); err != nil {
				panic(err)
			}
		}
	case "parent":
		os.Setenv(fakeMode, "stubborn")
		s, err := mustNew(nil, Options{Kind: V4L2, Device: "/dev/null", Self: []string{os.Args[0]}})(context.Background())
		if err != nil {
			panic(err)
		}
		os.Setenv(fakeMode, "parent")
		note("child", strconv.Itoa(s.(*childStream).child.cmd.Process.Pid))
		fmt.Println("started")
		silent()
	default:
		panic("no mode " + mode)
	}
}

// silent does nothing, for ever.
func silent() {
	for {
		time.Sleep(time.Hour)
	}
}

// descendant starts a process that holds all descriptors.
func descendant(away bool) {
	cmd := exec.Command("sleep", "1000")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: away}
	if err := cmd.Start(); err != nil {
		panic(err)
	}
	note("descendant", strconv.Itoa(cmd.Process.Pid))
}

func note(name, text string) {
	dir := os.Getenv(fakeNotes)
	if dir == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		panic(err)
	}
}

// play puts the test binary in front of PATH under the names of programs, and returns the folder of its notes.
func play(t *testing.T, mode string, names ...string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, notes := t.TempDir(), t.TempDir()
	for _, name := range names {
		if err := os.Symlink(self, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	t.Setenv(fakeMode, mode)
	t.Setenv(fakeNotes, notes)
	return notes
}

// picture is a JPEG file; another one for each n.
func picture(n int) []byte {
	m := image.NewGray(image.Rect(0, 0, 64, 48))
	for i := range m.Pix {
		m.Pix[i] = byte(i*7 + n)
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, nil); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// pictures are JPEG files of all kinds.
func pictures() [][]byte {
	thumbnail := picture(9)
	exif := handmade.APP1(append(handmade.EXIF(binary.BigEndian, 6), thumbnail...))
	progressive := handmade.JPEG{Width: 40, Height: 30, SOF: 0xc2, Sampling: []byte{0x22, 0x11, 0x11}, Separate: true, Scans: 3}.Bytes()
	fill := bytes.Replace(handmade.JPEG{Width: 9, Height: 9}.Bytes(), []byte{0xff, 0xc0}, []byte{0xff, 0xff, 0xff, 0xc0}, 1)
	small := handmade.JPEG{Width: 8, Height: 8}.Bytes()
	restarts := append(bytes.Clone(small[:len(small)-2]), 0xff, 0xd0, 1, 2, 0xff, 0x00, 3, 0xff, 0xff, 0xd1, 0xff, 0x00, 0xff, 0xd9)
	var colour bytes.Buffer
	m := image.NewRGBA(image.Rect(0, 0, 300, 200))
	for i := range m.Pix {
		m.Pix[i] = byte(i * i)
	}
	m.Set(1, 1, color.White)
	if err := jpeg.Encode(&colour, m, &jpeg.Options{Quality: 95}); err != nil {
		panic(err)
	}
	return [][]byte{picture(0), handmade.JPEG{Width: 16, Height: 16, Segments: exif}.Bytes(), progressive, fill, restarts, colour.Bytes(), small}
}

func mustNew(t *testing.T, o Options) Open {
	open, err := New(o)
	if err != nil {
		if t == nil {
			panic(err)
		}
		t.Helper()
		t.Fatal(err)
	}
	return open
}

// open opens a stream, which the test's end closes.
func open(t *testing.T, o Options) Stream {
	t.Helper()
	s, err := mustNew(t, o)(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeStream(t, s) })
	return s
}

// closeStream closes a stream, and checks that it closes in time.
func closeStream(t *testing.T, s Stream) {
	t.Helper()
	within(t, "Close", func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

// within fails the test if f takes for ever.
func within(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(limit):
		buf := make([]byte, 1<<20)
		t.Fatalf("%s takes more than %v\n%s", what, limit, buf[:runtime.Stack(buf, true)])
	}
}

// read reads a picture, in time.
func read(t *testing.T, s Stream, shot *Shot) (err error) {
	t.Helper()
	within(t, "Read", func() { err = s.Read(shot) })
	return err
}

// wantJPEG reads a picture that must be this one.
func wantJPEG(t *testing.T, s Stream, shot *Shot, want []byte, seq uint64) {
	t.Helper()
	if err := read(t, s, shot); err != nil {
		t.Fatalf("picture %d: %v", seq, err)
	}
	if shot.Format != Encoded || shot.Width != 0 || shot.Seq != seq || shot.File != "" || !bytes.Equal(shot.Data, want) {
		t.Fatalf("got format %d, seq %d, %d bytes, want %d, %d, %d bytes", shot.Format, shot.Seq, len(shot.Data), Encoded, seq, len(want))
	}
	if age := time.Since(shot.Time); age < 0 || age > limit {
		t.Fatalf("the picture is %v old", age)
	}
}

// wantError reads until an error, which must have these words.
func wantError(t *testing.T, s Stream, words ...string) error {
	t.Helper()
	var err error
	for err == nil {
		err = read(t, s, &Shot{})
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("got error %q, want one with %q", err, word)
		}
	}
	if again := read(t, s, &Shot{}); again == nil || again.Error() != err.Error() {
		t.Errorf("after error %q the next Read has %v", err, again)
	}
	if strings.ContainsAny(err.Error(), "\n\r\x1b") {
		t.Errorf("error %q is not of one line", err)
	}
	return err
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<20)
			t.Fatalf("%s: not within %v\n%s", what, limit, buf[:runtime.Stack(buf, true)])
		}
	}
}

// noLeak checks at the test's end that no goroutine, descriptor or child is left of it. Call it first.
func noLeak(t *testing.T) {
	t.Helper()
	goroutines, descriptors := runtime.NumGoroutine(), countDescriptors(t)
	t.Cleanup(func() {
		eventually(t, fmt.Sprintf("want %d goroutines", goroutines), func() bool { return runtime.NumGoroutine() <= goroutines })
		eventually(t, fmt.Sprintf("want %d descriptors", descriptors), func() bool { return countDescriptors(t) <= descriptors })
		if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != unix.ECHILD {
			t.Errorf("a child is left: wait4 has process %d, error %v", pid, err)
		}
	})
}

func countDescriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// noted reads a process number that a fake has left.
func noted(t *testing.T, notes, name string) int {
	t.Helper()
	var pid int
	eventually(t, "the number of "+name, func() bool {
		text, err := os.ReadFile(filepath.Join(notes, name))
		if err == nil {
			pid, err = strconv.Atoi(string(text))
		}
		return err == nil
	})
	return pid
}

// gone reports whether a process has ended, reaped or not.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(rest, "Z") || strings.HasPrefix(rest, "X")
}

// needs skips the test where a program is missing, but not on machines that must have it.
func needs(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is missing", program)
		}
		t.Skipf("%s is not installed", program)
	}
}

// debugLog is a log of everything into w.
func debugLog(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
