package testbench

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sightd/testbench/cameras"
)

// pictureFilesBelow are the files in a folder, and below it, that have the beginning of a picture anywhere in them.
func pictureFilesBelow(t testing.TB, dir string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if strings.HasSuffix(path, ".xnnpack") {
			return nil // megabytes of a model's weights have the first bytes of a picture by chance
		}
		data, err := os.ReadFile(path)
		if holdsPicture(data) {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestLabelsOnly has the daemon keep pictures to itself: there is none in what it writes and says, whoever asks. Together with snapshots
// it isn't even started.
func TestLabelsOnly(t *testing.T) {
	t.Parallel()
	photos := surePhotos(t, 4)
	camera := httpCamera(t, 10, 10, photos...)
	b := liveBoard(t, prompt, fmt.Sprintf("name: door, type: url, url: %q", camera.URL()))
	const both = "privacy: labels_only\nsnapshots: {enabled: true, mqtt: true}\n"
	b.configure(t, "decide:", both+"decide:")
	cmd := exec.Command(sightd(t), "config", "check", "sightd.yaml")
	cmd.Dir = b.dir
	if said, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(said), "snapshots.enabled") || !strings.Contains(string(said), "labels_only") {
		t.Errorf("want snapshots refused together with labels_only, have %v, %s", err, said)
	}
	b.configure(t, both, "privacy: labels_only\n")
	p, a := b.watch(t)
	shown := func(n int) {
		a.until(t, func() bool { return len(a.of("door").shown()) >= n }, func() string {
			return fmt.Sprintf("want %d events, have %q", n, a.of("door").shown())
		})
	}
	shown(4)
	if r := a.ask(t, "snapshot", map[string]any{"source": "door"}); r.Status != "error" || !strings.Contains(r.Error, "labels_only") || holdsPicture(r.Data) {
		t.Errorf("request for a snapshot: want an error that names labels_only, have %+v", r)
	}
	b.drop(t, 0, "dropped.jpg", photos[0].Data)
	b.filed(t, "dropped.jpg")
	suffer(t, camera, cameras.Truncated)
	a.problem(t, "door", `.`)
	suffer(t, camera, cameras.None)
	shown(8)
	if r := a.ask(t, "explain", map[string]any{"source": "door"}); r.Status != "ok" || len(r.Data) == 0 {
		t.Errorf("request to explain: want an answer, have %+v", r)
	}
	p.stop(t)

	if found := pictureFilesBelow(t, filepath.Join(b.dir, "state")); len(found) > 0 {
		t.Errorf("want no pictures in state_dir, have %q", found)
	}
	// What was dropped is the user's own: it lies where the folder has it.
	if found := pictureFilesBelow(t, b.dir); len(found) != 1 {
		t.Errorf("want no picture but the one that was dropped, have %q", found)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.loud) > 0 || len(a.of("door").images)+len(a.of("inbox").images) > 0 {
		t.Errorf("want no pictures published, have some on %q", slices.Compact(slices.Sorted(slices.Values(a.loud))))
	}
	if holdsPicture([]byte(p.String())) {
		t.Error("want no pictures in the log")
	}
}

// larger is an image with each of its pixels three times as wide and high.
type larger struct{ image.Image }

func (l larger) Bounds() image.Rectangle {
	return image.Rect(0, 0, 3*l.Image.Bounds().Dx(), 3*l.Image.Bounds().Dy())
}

func (l larger) At(x, y int) color.Color {
	least := l.Image.Bounds().Min
	return l.Image.At(least.X+x/3, least.Y+y/3)
}

// TestSnapshots has the daemon keep and publish a picture with each event: what it keeps is never more than it may.
func TestSnapshots(t *testing.T) {
	t.Parallel()
	const quota, bytesWanted = 1 << 20, 3 << 20
	photos := surePhotos(t, 4)
	for i := range photos { // so that few of them fill the quota
		img, err := jpeg.Decode(bytes.NewReader(photos[i].Data))
		if err != nil {
			t.Fatal(err)
		}
		data, err := cameras.Noisy(larger{img}, 12, uint64(i))
		if err != nil {
			t.Fatal(err)
		}
		if photos[i].Picture, err = cameras.NewPicture(data); err != nil {
			t.Fatal(err)
		}
	}
	camera := httpCamera(t, 5, 1, photos...)
	b := liveBoard(t, eager, fmt.Sprintf("name: door, type: url, url: %q, motion: off", camera.URL()))
	b.configure(t, "decide:", "snapshots: {enabled: true, max_mb: 1, mqtt: true}\ndecide:")
	p, a := b.watch(t)
	folder := filepath.Join(b.dir, "state", "snapshots")
	written, largest := map[string]int64{}, int64(0)
	look := func() (total int64) {
		err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if os.IsNotExist(err) {
				return nil // not made yet, or removed since it was listed
			}
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			info, err := d.Info()
			if os.IsNotExist(err) {
				return nil
			}
			if err != nil {
				return err
			}
			total += info.Size()
			written[path] = info.Size()
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return total
	}
	eventually(t, func() bool {
		// Files that came and went while it was listed count together, though they never were there together.
		if total := look(); total > largest {
			if total > quota {
				total = look()
			}
			largest = max(largest, total)
		}
		all := int64(0)
		for _, size := range written {
			all += size
		}
		return all > bytesWanted
	}, func() string {
		return fmt.Sprintf("want %d bytes of snapshots, have %d files", bytesWanted, len(written))
	})
	if r := a.ask(t, "snapshot", map[string]any{"source": "door"}); r.Status != "ok" || !holdsPicture(r.Data) {
		t.Errorf("request for a snapshot: want a picture, have %s %s and %d bytes", r.Status, r.Error, len(r.Data))
	}
	p.stop(t)

	t.Logf("%d snapshots seen, at most %d bytes of them at a time", len(written), largest)
	if largest > quota || largest < quota/2 {
		t.Errorf("want at most %d bytes of snapshots and not much less, have %d", quota, largest)
	}
	heard := a.heard("door")
	kept := pictureFilesBelow(t, folder)
	for _, path := range kept {
		id := strings.TrimSuffix(path[strings.LastIndex(path, "_")+1:], ".jpg")
		if !slices.ContainsFunc(heard.events, func(e sighting) bool { return e.ID == id }) {
			t.Errorf("want each snapshot to be of an event, have %s", path)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if img, err := jpeg.Decode(bytes.NewReader(data)); err != nil || img.Bounds().Dx() != 3*224 && img.Bounds().Dx() < 200 {
			t.Errorf("%s: want a whole JPEG of the camera's size, have %v", path, err)
		}
	}
	if len(kept) == 0 || len(heard.images) == 0 {
		t.Fatalf("want snapshots kept and published, have %d and %d", len(kept), len(heard.images))
	}
	for _, payload := range heard.images {
		if _, err := jpeg.Decode(bytes.NewReader(payload)); err != nil {
			t.Errorf("door/image: want a JPEG, have %d bytes: %v", len(payload), err)
		}
	}
}
