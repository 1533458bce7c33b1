package testbench

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"sightd/models/drawn"
)

// patience is how long a test waits for what must happen. A test that passes never waits it out.
const patience = 60 * time.Second

// repository is the folder with go.mod.
func repository(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("want to run below a folder with go.mod")
		}
		dir = parent
	}
}

// shared is a path in the folder of photos and weights beside the repository. Without it the test is skipped, in CI it fails.
func shared(t testing.TB, elem ...string) string {
	t.Helper()
	path := filepath.Join(append([]string{repository(t), "..", "shared"}, elem...)...)
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s isn't there", path)
		}
		t.Skipf("%s isn't there: it has photos and weights that are no part of the repository", path)
	}
	return path
}

// validationPhotos are n of the labelled photos, spread evenly over the classes; 0 is all of them. classes[i] is photo i's class.
func validationPhotos(t testing.TB, n int) (photos []string, classes []int) {
	t.Helper()
	folders, err := filepath.Glob(filepath.Join(shared(t, "images", "imagenette", "val"), "n*"))
	if err != nil {
		t.Fatal(err)
	}
	lists := make([][]string, len(folders))
	for i, folder := range folders {
		if lists[i], err = filepath.Glob(filepath.Join(folder, "*")); err != nil {
			t.Fatal(err)
		}
	}
	for k := 0; ; k++ {
		found := false
		for class, list := range lists {
			if k < len(list) && (n == 0 || len(photos) < n) {
				photos, classes, found = append(photos, list[k]), append(classes, class), true
			}
		}
		if !found {
			break
		}
	}
	if len(photos) < n || len(photos) == 0 {
		t.Fatalf("want %d labelled photos, have %d", n, len(photos))
	}
	return photos, classes
}

// pictureFiles are n picture files of a test: labelled photos where they are, else drawn ones, each compressed in another way.
func pictureFiles(t testing.TB, n int) []string {
	t.Helper()
	if _, err := os.Stat(filepath.Join(repository(t), "..", "shared", "images")); err == nil {
		photos, _ := validationPhotos(t, n)
		return photos
	}
	dir := t.TempDir()
	images := []image.Image{drawnImage(t, "golf_ball", 240), drawnImage(t, "parachute", 240)}
	var files []string
	for i := range n {
		file := filepath.Join(dir, fmt.Sprintf("drawn_%03d.jpg", i))
		if err := os.WriteFile(file, encodeJPEG(t, images[i%2], 30+i%70), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}

// drawnJPEG is a drawn picture of size by size pixels as a JPEG.
func drawnJPEG(t testing.TB, name string, size int) []byte {
	t.Helper()
	return encodeJPEG(t, drawnImage(t, name, size), jpeg.DefaultQuality)
}

func drawnImage(t testing.TB, name string, size int) image.Image {
	t.Helper()
	img, err := drawn.Image(name, size)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func encodeJPEG(t testing.TB, img image.Image, quality int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: quality}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// built is the program, built once for all tests, in a folder that TestMain removes.
var built struct {
	once   sync.Once
	dir    string
	err    error
	output []byte
}

func TestMain(m *testing.M) {
	code := m.Run()
	if built.dir != "" {
		os.RemoveAll(built.dir) // a leftover below the temporary folder harms nobody
	}
	os.Exit(code)
}

// sightd is the path of the program, built of this source. It finds its libraries by LD_LIBRARY_PATH, as the tests do.
func sightd(t testing.TB) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "sightd-testbench-"); built.err != nil {
			return
		}
		build := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(built.dir, "sightd"), "./cmd/sightd")
		build.Dir = repository(t)
		built.output, built.err = build.CombinedOutput()
	})
	if built.err != nil {
		t.Fatalf("build sightd: %v\n%s", built.err, built.output)
	}
	return filepath.Join(built.dir, "sightd")
}
