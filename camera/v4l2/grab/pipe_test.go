package grab

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"gocv.io/x/gocv"

	"sightd/camera/capture"
)

// TestPipe has pictures that OpenCV reads go through a pipe, as between the child and sightd, until nobody reads it any more.
func TestPipe(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "frame_00.jpg"), drawn(t, 5), 0o666); err != nil {
		t.Fatal(err)
	}
	c := fake(func(mat *gocv.Mat) bool { // one picture again and again
		file, err := gocv.OpenVideoCaptureWithAPI(filepath.Join(dir, "frame_%02d.jpg"), gocv.VideoCaptureImages)
		if err != nil {
			t.Error(err)
			return false
		}
		defer file.Close()
		return file.Read(mat)
	})
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	ended := make(chan error)
	g := newGrabber(Options{Device: "camera", Log: func(string) {}, Emit: func(s *capture.Shot) error { return capture.WriteShot(w, s) }}, c)
	go func() { ended <- g.run(t.Context()) }()
	want := gocv.IMRead(filepath.Join(dir, "frame_00.jpg"), gocv.IMReadColor)
	defer want.Close()
	pictures := capture.NewShotReader(r, 1<<20)
	var shot capture.Shot
	for n := range 20 {
		if err := pictures.Read(&shot); err != nil {
			t.Fatal(err)
		}
		if shot.Format != capture.BGR || shot.Width != 32 || shot.Height != 24 || !bytes.Equal(shot.Data, want.ToBytes()) || shot.Seq != uint64(n+1) {
			t.Fatalf("picture %d: got format %d, %dx%d", n, shot.Format, shot.Width, shot.Height)
		}
	}
	r.Close()
	if err := <-ended; err != nil {
		t.Errorf("nobody reads: got %v, want nil", err)
	}
}
