package testbench

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"sightd/testbench/cameras"
)

// prompt is a decide section by which a photo that is shown for a second is an event.
const prompt = "{enter: 0.6, stay: 0.4, confirm: [2, 3], hold: 500ms, cooldown: 0s, smoothing: 0.2}"

// eager is one by which every picture is an event that shows something else than the one before.
const eager = "{enter: 0.5, stay: 0.4, confirm: [1, 1], hold: 0s, cooldown: 0s, smoothing: 0}"

// liveBoard is a board with live sources, each in YAML's flow style without the braces, and the folder inbox.
func liveBoard(t testing.TB, decide string, sources ...string) *board {
	t.Helper()
	b := newBoard(t, embedded)
	b.configure(t, "sources:\n", "decide: "+decide+"\nsources:\n")
	for _, s := range sources {
		b.configure(t, "sources:\n", "sources:\n  - {"+s+"}\n")
	}
	return b
}

// watch starts the daemon with variables such as PATH=..., and an audience.
func (b *board) watch(t testing.TB, env ...string) (*process, *audience) {
	t.Helper()
	program, err := exec.LookPath("env")
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, b.dir, program, append(env, sightd(t), "run", "-c", "sightd.yaml")...)
	return p, listen(t, p.field(t, "embedded broker is listening", "broker"))
}

// photo is a picture that the default model is sure of.
type photo struct {
	cameras.Picture
	verdict
}

// surePhotos are up to n photos of different labels that classify is sure of. Without the folder of photos they are the two drawn
// pictures.
func surePhotos(t testing.TB, n int) (photos []photo) {
	t.Helper()
	least := 0.9
	files := []string{filepath.Join(t.TempDir(), "golf_ball.jpg"), filepath.Join(t.TempDir(), "parachute.jpg")}
	if _, err := os.Stat(filepath.Join(repository(t), "..", "shared", "images")); err == nil {
		files, _ = validationPhotos(t, 40)
	} else {
		least = 0.7 // they are drawn so well
		for i, name := range []string{"golf_ball", "parachute"} {
			if err := os.WriteFile(files[i], drawnJPEG(t, name, 224), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	verdicts, taken := classify(t, files), map[string]bool{}
	for _, file := range files {
		v := verdicts[filepath.Base(file)]
		if v.Score < least || taken[v.Label] || len(photos) == n {
			continue
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		p, err := cameras.NewPicture(data)
		if err != nil {
			t.Fatal(err)
		}
		taken[v.Label] = true
		photos = append(photos, photo{p, v})
	}
	if len(photos) < 2 {
		t.Fatalf("want photos of at least 2 labels with %v, have %d", least, len(photos))
	}
	return photos
}

func pictures(photos []photo) (pictures []cameras.Picture) {
	for _, p := range photos {
		pictures = append(pictures, p.Picture)
	}
	return pictures
}

func labels(photos []photo) (labels []string) {
	for _, p := range photos {
		labels = append(labels, p.Label)
	}
	return labels
}

// numberedFiles writes photos to a new folder as 0.jpg, 1.jpg …
func numberedFiles(t testing.TB, photos []photo) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for i, p := range photos {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.jpg", i)), p.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// httpCamera starts an HTTP camera that shows photos.
func httpCamera(t testing.TB, fps float64, each int, photos ...photo) *cameras.Camera {
	t.Helper()
	c, err := cameras.Start(fps, each, pictures(photos)...)
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

// suffer has a camera suffer from a fault.
func suffer(t testing.TB, c *cameras.Camera, f cameras.Fault) {
	t.Helper()
	if err := c.Suffer(f); err != nil {
		t.Fatal(err)
	}
}

// playerProgram is the program that plays rpicam-vid, built once.
var playerProgram struct {
	once   sync.Once
	data   []byte
	err    error
	output []byte
}

// fakeRpicam puts the program that plays rpicam-vid into a folder, and says with which PATH it is found first.
func fakeRpicam(t testing.TB) (dir, path string) {
	t.Helper()
	dir = t.TempDir()
	playerProgram.once.Do(func() {
		file := filepath.Join(dir, "rpicam-vid")
		build := exec.Command("go", "build", "-trimpath", "-o", file, "./testbench/cameras/rpicam-vid")
		build.Dir = repository(t)
		if playerProgram.output, playerProgram.err = build.CombinedOutput(); playerProgram.err == nil {
			playerProgram.data, playerProgram.err = os.ReadFile(file)
		}
	})
	if playerProgram.err != nil {
		t.Fatalf("build rpicam-vid: %v\n%s", playerProgram.err, playerProgram.output)
	}
	if err := os.WriteFile(filepath.Join(dir, "rpicam-vid"), playerProgram.data, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir, "PATH=" + dir + string(os.PathListSeparator) + os.Getenv("PATH")
}

// program wants a program on this machine. Without it the test is skipped, in CI it fails.
func program(t testing.TB, name, pkg string) {
	t.Helper()
	if _, err := exec.LookPath(name); err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s isn't installed", name)
	}
	t.Skipf("%s isn't installed: apt-get install %s", name, pkg)
}

// film has ffmpeg make a video of photos, each shown for seconds.
func film(t testing.TB, photos []photo, seconds, fps int, name string, codec ...string) string {
	t.Helper()
	program(t, "ffmpeg", "ffmpeg")
	file := filepath.Join(t.TempDir(), name)
	arguments := []string{"-nostdin", "-loglevel", "error", "-framerate", fmt.Sprintf("1/%d", seconds), "-i", filepath.Join(numberedFiles(t, photos), "%d.jpg"),
		"-vf", fmt.Sprintf("fps=%d", fps)}
	arguments = append(append(arguments, codec...), file)
	if output, err := exec.Command("ffmpeg", arguments...).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg %s: %v\n%s", strings.Join(arguments, " "), err, output)
	}
	return file
}

// holdsPicture reports whether there is the beginning of a JPEG or PNG file anywhere in data, as it is or in base64.
func holdsPicture(data []byte) bool {
	for _, magic := range []string{"\xff\xd8\xff", "\x89PNG\r\n\x1a\n", "/9j/", "iVBORw0KGgo"} {
		if bytes.Contains(data, []byte(magic)) {
			return true
		}
	}
	return false
}
