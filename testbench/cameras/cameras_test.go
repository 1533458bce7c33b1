package cameras

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"
)

const patience = 30 * time.Second

// greys are pictures of one shade each.
func greys(t testing.TB, levels ...uint8) (pictures []Picture) {
	t.Helper()
	for _, level := range levels {
		img := image.NewGray(image.Rect(0, 0, 64, 48))
		for i := range img.Pix {
			img.Pix[i] = level
		}
		data, err := encode(img)
		if err != nil {
			t.Fatal(err)
		}
		p, err := NewPicture(data)
		if err != nil {
			t.Fatal(err)
		}
		pictures = append(pictures, p)
	}
	return pictures
}

// level is the shade of a JPEG, in its middle.
func level(data []byte) (uint8, image.Point, error) {
	img, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		return 0, image.Point{}, err
	}
	size := img.Bounds().Size()
	return color.GrayModel.Convert(img.At(size.X/2, size.Y/2)).(color.Gray).Y, size, nil
}

// visitor looks at a camera.
type visitor struct {
	client   http.Client
	response *http.Response
	parts    *multipart.Reader
}

func visit(t testing.TB, url string) (*visitor, error) {
	t.Helper()
	v := &visitor{client: http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}}
	var err error
	if v.response, err = v.client.Get(url); err != nil {
		return nil, err
	}
	t.Cleanup(func() { v.response.Body.Close() }) // nothing was written
	v.parts = multipart.NewReader(v.response.Body, "picture")
	return v, nil
}

func (v *visitor) next() ([]byte, error) {
	part, err := v.parts.NextRawPart()
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(part.Header.Get("Content-Length"))
	if err != nil {
		return nil, err
	}
	data := make([]byte, n)
	_, err = io.ReadFull(part, data)
	return data, err
}

func startCamera(t testing.TB, each int, pictures ...Picture) *Camera {
	t.Helper()
	c, err := Start(200, each, pictures...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func TestShows(t *testing.T) {
	c := startCamera(t, 2, greys(t, 50, 150, 250)...)
	v, err := visit(t, c.URL())
	if err != nil {
		t.Fatal(err)
	}
	var levels []uint8
	seen := map[string]bool{}
	for range 8 {
		data, err := v.next()
		if err != nil {
			t.Fatal(err)
		}
		shade, _, err := level(data)
		if err != nil {
			t.Fatal(err)
		}
		levels = append(levels, shade)
		seen[string(data)] = true
	}
	if want := []uint8{50, 50, 150, 150, 250, 250, 50, 50}; !slices.Equal(levels, want) {
		t.Errorf("want %v, have %v", want, levels)
	}
	if len(seen) != 8 {
		t.Errorf("want 8 different files, have %d", len(seen))
	}
	sent := c.Sent()
	if len(sent) < 7 || sent[0].Picture != 0 || sent[2].Picture != 1 || !sent[2].At.After(sent[0].At) {
		t.Errorf("want what was sent, in order, have %v", sent)
	}
}

// TestFaults looks at what each fault does to a connection that was made before, and to one that is made then, and whether a new one is
// well afterwards.
func TestFaults(t *testing.T) {
	looks := map[Fault]func(data []byte, err error) bool{
		Silent:      timedOut,
		Frozen:      shows(100, 64, 48),
		Black:       shows(4, 320, 240),
		Overexposed: shows(254, 320, 240),
		Closes:      broken,
		OtherSize:   shows(100, 48, 30),
		Garbage:     func(data []byte, err error) bool { return err != nil },
		NoAnswer:    func(data []byte, err error) bool { return err != nil },
		Failing:     broken,
		Refusing:    broken,
		Truncated:   undecodable,
		Torn:        undecodable,
	}
	for _, fault := range Faults {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			c := startCamera(t, 1, greys(t, 100)...)
			before, err := visit(t, c.URL())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := before.next(); err != nil {
				t.Fatal(err)
			}
			if err := c.Suffer(fault); err != nil {
				t.Fatal(err)
			}
			before.client.CloseIdleConnections()
			data, err := until(t, before, looks[fault])
			if !looks[fault](data, err) {
				t.Errorf("the old connection: have %d bytes, %v", len(data), err)
			}
			if err := c.Suffer(None); err != nil {
				t.Fatal(err)
			}
			after, err := visit(t, c.URL())
			if err != nil {
				t.Fatal(err)
			}
			if data, err = after.next(); err != nil || !shows(100, 64, 48)(data, err) {
				t.Errorf("well again: have %d bytes, %v", len(data), err)
			}
		})
	}
}

// until reads on until a picture or an error looks as it should. A read that takes a second is an error, too.
func until(t testing.TB, v *visitor, ok func(data []byte, err error) bool) ([]byte, error) {
	t.Helper()
	type result struct {
		data []byte
		err  error
	}
	for end := time.Now().Add(patience); time.Now().Before(end); {
		results := make(chan result, 1)
		go func() {
			data, err := v.next()
			results <- result{data, err}
		}()
		select {
		case r := <-results:
			if r.err != nil || ok(r.data, r.err) {
				return r.data, r.err
			}
		case <-time.After(time.Second):
			return nil, os.ErrDeadlineExceeded
		}
	}
	return nil, fmt.Errorf("nothing of what is wanted within %v", patience)
}

func shows(shade uint8, width, height int) func([]byte, error) bool {
	return func(data []byte, err error) bool {
		have, size, decoded := level(data)
		return err == nil && decoded == nil && max(have, shade)-min(have, shade) <= 3 && size == image.Pt(width, height)
	}
}

func undecodable(data []byte, err error) bool {
	_, _, decoded := level(data)
	return err == nil && decoded != nil
}

func timedOut(_ []byte, err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
func broken(_ []byte, err error) bool   { return err != nil && !timedOut(nil, err) }

// buildRpicam builds the program that plays rpicam-vid.
func buildRpicam(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "rpicam-vid"), "./rpicam-vid")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build rpicam-vid: %v\n%s", err, output)
	}
	return dir
}

func TestRpicam(t *testing.T) {
	dir := buildRpicam(t)
	pictures := greys(t, 60, 180)
	r, err := NewRpicam(dir, 3, Orders{FPS: 200, Each: 1, Last: 5, Babble: 1 << 20, Words: "the sensor fell off"}, pictures...)
	if err != nil {
		t.Fatal(err)
	}
	var out, said bytes.Buffer
	cmd := exec.Command(filepath.Join(dir, "rpicam-vid"), "-t", "0", "--camera", "3", "--codec", "mjpeg", "-o", "-")
	cmd.Stdout, cmd.Stderr = &out, &said
	err = cmd.Run()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("want exit status 1, have %v", err)
	}
	if n := bytes.Count(out.Bytes(), []byte{0xff, 0xd9}); n != 5 {
		t.Errorf("want 5 pictures, have %d", n)
	}
	if !bytes.HasSuffix(said.Bytes(), []byte("the sensor fell off\n")) || said.Len() < 2<<20 {
		t.Errorf("want 2 MiB and its last words, have %d bytes", said.Len())
	}
	started, err := r.Started()
	if err != nil || !slices.Equal(started, []int{cmd.Process.Pid}) {
		t.Errorf("want process %d, have %v, %v", cmd.Process.Pid, started, err)
	}
	if running, zombies, err := r.Running(); err != nil || len(running)+len(zombies) != 0 {
		t.Errorf("want none to run, have %v and zombies %v, %v", running, zombies, err)
	}
}

func TestRpicamDeaf(t *testing.T) {
	dir := buildRpicam(t)
	r, err := NewRpicam(dir, 0, Orders{FPS: 100, Each: 1, Deaf: true}, greys(t, 60)...)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(dir, "rpicam-vid"))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 16<<10)
	for range 3 {
		if _, err := io.ReadFull(out, buf); err != nil { // many pictures
			t.Fatal(err)
		}
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.ReadFull(out, buf); err != nil {
		t.Fatal(err)
	}
	if running, zombies, err := r.Running(); err != nil || len(running) != 1 || len(zombies) != 0 {
		t.Errorf("want it to run, have %v and zombies %v, %v", running, zombies, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); ; {
		running, zombies, err := r.Running()
		if err != nil {
			t.Fatal(err)
		}
		if len(running) == 0 && len(zombies) == 1 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("want a zombie, have %v and zombies %v", running, zombies)
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Error("want it to be killed, have success")
	}
}
