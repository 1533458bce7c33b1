package testbench

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"testing"
	"time"

	"gocv.io/x/gocv"
	"golang.org/x/sys/unix"

	"sightd/camera"
	"sightd/camera/view"
	"sightd/daemon"
	"sightd/inference"
	"sightd/testbench/cameras"
)

// still is a decoded picture of a static scene, and its file.
type still struct {
	frame camera.Frame
	file  []byte
}

// stills decodes JPEG files, each to pixels of its own, which live until the test's end.
func stills(t testing.TB, files ...[]byte) (stills []still) {
	t.Helper()
	decoder := camera.NewDecoder(testLimits)
	defer decoder.Close() // frees C memory; there is nothing to report
	for _, file := range files {
		mat, _, err := decoder.Decode(file)
		if err != nil {
			t.Fatal(err)
		}
		own := mat.Clone()
		t.Cleanup(func() { own.Close() }) // as above
		stills = append(stills, still{camera.Frame{Mat: own}, file})
	}
	return stills
}

// scenery is a static scene of 640x480 with something in it, or not.
func scenery(t testing.TB, thing image.Rectangle) image.Image {
	t.Helper()
	scene := image.NewRGBA(image.Rect(0, 0, 640, 480))
	draw.Draw(scene, scene.Bounds(), drawnImage(t, "parachute", 640), image.Pt(0, 80), draw.Src)
	draw.Draw(scene, thing, image.NewUniform(color.RGBA{70, 60, 50, 255}), image.Point{}, draw.Src)
	return scene
}

// noisy are n JPEG files of a scene, each with other noise.
func noisy(t testing.TB, scene image.Image, n int, seed uint64) (files [][]byte) {
	t.Helper()
	for i := range n {
		file, err := cameras.Noisy(scene, 6, seed+uint64(i))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}

// staticScene are n JPEG files of a scene in which nothing happens.
func staticScene(t testing.TB, n int) [][]byte {
	t.Helper()
	return noisy(t, scenery(t, image.Rectangle{}), n, 1)
}

// glancer looks at pictures as the daemon does with those of a live source.
type glancer struct {
	grey   *camera.Grey
	eye    *view.Eye
	engine *daemon.Engine
	now    time.Time
}

func newGlancer(t testing.TB, engine *daemon.Engine) *glancer {
	t.Helper()
	grey := camera.NewGrey()
	t.Cleanup(func() { grey.Close() }) // frees C memory; there is nothing to report
	return &glancer{grey, view.New(view.Options{Motion: view.Auto, Frozen: 30 * time.Second}), engine, time.Unix(1e9, 0)}
}

// glance looks at the next picture, which comes a fifteenth of a second after the one before, and classifies it if it has changed, or always.
func (g *glancer) glance(t testing.TB, s still, always bool) (changed bool) {
	t.Helper()
	g.now = g.now.Add(time.Second / 15)
	var look view.Look
	if g.eye.Identical(s.file, g.now) {
		look = g.eye.Again(g.now)
	} else {
		var thumb view.Picture
		if err := g.grey.Shrink(&thumb, s.frame.Mat, wholeOf(s.frame.Mat)); err != nil {
			t.Fatal(err)
		}
		look = g.eye.Look(&thumb, g.now)
	}
	if look.Problem != "" {
		t.Fatalf("want nothing wrong with the scene, have %q", look.Problem)
	}
	if look.Changed || always {
		if _, err := g.engine.Classify(s.frame, ""); err != nil {
			t.Fatal(err)
		}
		g.eye.Classified()
	}
	return look.Changed
}

func wholeOf(mat gocv.Mat) image.Rectangle { return image.Rect(0, 0, mat.Cols(), mat.Rows()) }

// processorTime is what this process has used, of all processors.
func processorTime(t testing.TB) time.Duration {
	t.Helper()
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// TestStaticScene compares what a static, noisy scene costs with what it costs to classify each of its pictures: processor time, without
// capture and decoding. It isn't parallel: it measures the whole process.
func TestStaticScene(t *testing.T) {
	const attempts = 3
	engine := openEngine(t, daemon.EngineOptions{Top: 5, Options: inference.Options{Delegate: inference.XNNPACK}})
	scene := stills(t, staticScene(t, 20)...)
	var share float64
	for range attempts {
		full, _ := glanceCost(t, engine, scene, true)
		gated, changed := glanceCost(t, engine, scene, false)
		share = float64(gated) / float64(full)
		t.Logf("processor time of a picture of 640x480, of %d: %v with a look at it, %d of them classified; %v if all are: %.1f %%",
			staticPictures, gated, changed, full, 100*share)
		if changed > staticPictures/150+1 {
			t.Errorf("want the scene classified each 10 s, have %d times in %d s", changed, staticPictures/15)
		}
		if share <= staticShare {
			break
		}
	}
	if share > staticShare && !raceDetector {
		t.Errorf("want a tenth of the processor time or less, have %.1f %%", 100*share)
	}
}

const (
	staticPictures = 450 // half a minute at 15 a second, of which two or three are classified anyway
	staticShare    = 0.1 // at most, of the processor time
	quietPictures  = 45  // less than the 10 s after which the scene is looked at anyway
)

// glanceCost is the processor time of a picture of a static scene, and how often the scene was classified.
func glanceCost(t testing.TB, engine *daemon.Engine, scene []still, always bool) (each time.Duration, changed int) {
	t.Helper()
	g := newGlancer(t, engine)
	for i := range 15 {
		g.glance(t, scene[i], always)
	}
	begin := processorTime(t)
	for i := range staticPictures {
		changed += btoi(g.glance(t, scene[i%len(scene)], always))
	}
	return (processorTime(t) - begin) / staticPictures, changed
}

// things are where something enters a scene of 640x480.
var things = []image.Rectangle{
	image.Rect(0, 200, 60, 320),    // at the left border
	image.Rect(310, 430, 345, 465), // small, in the middle
	image.Rect(560, 400, 640, 480), // in a corner
	image.Rect(200, 300, 480, 315), // flat
	image.Rect(500, 100, 520, 300), // narrow
	image.Rect(100, 20, 400, 460),  // large
	image.Rect(0, 0, 640, 240),     // a half
}

// TestStaticSceneChanges has things enter a static, noisy scene: each is noticed on the first picture that shows it.
func TestStaticSceneChanges(t *testing.T) {
	engine := openEngine(t, daemon.EngineOptions{Top: 5, Options: inference.Options{Delegate: inference.XNNPACK}})
	scene := stills(t, noisy(t, scenery(t, image.Rectangle{}), 15, 100)...)
	for _, thing := range things {
		t.Run(fmt.Sprint(thing), func(t *testing.T) {
			alarms, noticed := enters(t, engine, scene, thing, 777)
			if alarms > 0 {
				t.Errorf("want nothing to have changed in the static scene, have %d changes", alarms)
			}
			if !noticed {
				t.Error("want a thing noticed on the first picture that shows it")
			}
		})
	}
}

// enters has a thing enter a static scene. It says how often the scene was said to change before, and whether the thing was noticed on the
// first picture that shows it.
func enters(t testing.TB, engine *daemon.Engine, scene []still, thing image.Rectangle, seed uint64) (alarms int, noticed bool) {
	t.Helper()
	entered := stills(t, noisy(t, scenery(t, thing), 1, seed)...)[0]
	g := newGlancer(t, engine)
	if !g.glance(t, scene[0], false) {
		t.Error("want the first picture classified")
	}
	for i := range quietPictures {
		alarms += btoi(g.glance(t, scene[(1+i)%len(scene)], false))
	}
	if g.now.Sub(time.Unix(1e9, 0)) > 9*time.Second {
		t.Fatal("the scene is looked at anyway by now")
	}
	return alarms, g.glance(t, entered, false)
}
