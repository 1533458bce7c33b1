package export

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sightd/export/graph"
	"sightd/export/weights"
	"sightd/inference"
	"sightd/inference/tflite"
)

// resultsEnv asks for measurements that take minutes.
const resultsEnv = "TEST_RESULTS"

// stepsPictures are photos with the float network's answers.
type stepsPictures struct {
	g      *graph.Graph
	norm   graph.Normalization
	folds  []stepsFold
	photos *pictures
	float  [][]float32 // scores
}

// stepsFold is what was seen of the calibration pictures, and which photos are scored then.
type stepsFold struct {
	seen   *observed
	scored []int
}

// TestSteps measures what each step of the int8 method brings: the whole method, and the method without one of them, on photos that were not
// used for calibration. Its table stands in RATIONALE.md.
//
//	TEST_RESULTS=1 go test -v -timeout 60m -run TestSteps ./export
func TestSteps(t *testing.T) {
	if os.Getenv(resultsEnv) == "" {
		t.Skip(resultsEnv + " is not set")
	}
	steps := []step{stepFront, stepBorder, stepBlocks, stepEqualize, stepRound, stepBias, stepLogits}
	for name, open := range map[string]func(*testing.T) *stepsPictures{"bvlc": bvlcPhotos, "imagenette": imagenettePhotos} {
		t.Run(name, func(t *testing.T) {
			p := open(t)
			t.Logf("%-55s %9s %8s %8s %9s", "", "agreement", "top-1", "float", "KL")
			p.measure(t, "all steps", Options{Input: inference.Int8})
			for _, s := range steps {
				p.measure(t, "without "+string(s), Options{Input: inference.Int8, without: map[step]bool{s: true}})
			}
			all := map[step]bool{}
			for _, s := range steps {
				all[s] = true
			}
			p.measure(t, "without any", Options{Input: inference.Int8, without: all})
			p.measure(t, "integer output", Options{Input: inference.Int8, IntegerOutput: true})
			p.measure(t, "integer output, without "+string(stepRange), Options{Input: inference.Int8, IntegerOutput: true,
				without: map[step]bool{stepRange: true}})
		})
	}
}

// measure builds each fold's network and compares it with the float one.
func (p *stepsPictures) measure(t *testing.T, name string, o Options) {
	t.Helper()
	var c struct {
		n, agree, right, floatRight int
		kl                          float64
	}
	for _, fold := range p.folds {
		b, err := o.buildInt8(p.g, p.norm, fold.seen)
		if err != nil {
			t.Fatal(err)
		}
		m, err := b.model(nil)
		if err != nil {
			t.Fatal(err)
		}
		data, err := m.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		run, err := tflite.OpenBytes(data, inference.Options{Delegate: inference.XNNPACK})
		if err != nil {
			t.Fatal(err)
		}
		scores := make([]float32, p.g.Classes)
		for _, i := range fold.scored {
			photo := &p.photos.samples[i]
			if err := invoke(run, p.norm, photo.pixels); err != nil {
				t.Fatal(err)
			}
			if err := run.Output(0, scores); err != nil {
				t.Fatal(err)
			}
			c.n++
			for counter, same := range map[*int]bool{&c.agree: argmax(scores) == argmax(p.float[i]), &c.right: argmax(scores) == photo.class,
				&c.floatRight: argmax(p.float[i]) == photo.class} {
				if same {
					*counter++
				}
			}
			c.kl += divergence(p.float[i], scores)
		}
		if err := run.Close(); err != nil {
			t.Fatal(err)
		}
	}
	n := float64(c.n)
	t.Logf("%-55s %7.2f %% %6.2f %% %6.2f %% %9.5f", name, 100*float64(c.agree)/n, 100*float64(c.right)/n, 100*float64(c.floatRight)/n, c.kl/n)
}

// bvlcPhotos are the photos of images/imagenet in two folds: the network is calibrated on 200 of one half and scored on the other half.
func bvlcPhotos(t *testing.T) *stepsPictures {
	photos := sharedPictures(t, "images/imagenet", 224, "weights/imagenet_labels.txt")
	var halves [2]*pictures
	var scored [2][]int
	for i, s := range photos.samples {
		if halves[i%2] == nil {
			halves[i%2] = &pictures{}
		}
		if h := halves[i%2]; len(h.samples) < 200 {
			h.samples = append(h.samples, s)
		}
		scored[1-i%2] = append(scored[1-i%2], i)
	}
	return openSteps(t, "bvlc_googlenet.caffemodel", 224, photos, halves[:], scored[:])
}

// imagenettePhotos are calibrated on the training photos and scored on the others.
func imagenettePhotos(t *testing.T) *stepsPictures {
	photos := sharedPictures(t, "images/imagenette/val", 160, "weights/imagenette_labels.txt")
	all := make([]int, len(photos.samples))
	for i := range all {
		all[i] = i
	}
	calibration := sharedPictures(t, "images/imagenette/calibration", 160, "weights/imagenette_labels.txt")
	return openSteps(t, "googlenet_imagenette.pth", 160, photos, []*pictures{calibration}, [][]int{all})
}

// sharedPictures reads labelled pictures.
func sharedPictures(t *testing.T, dir string, size int, labels string) *pictures {
	t.Helper()
	text, err := os.ReadFile(shared(t, labels))
	if err != nil {
		t.Fatal(err)
	}
	f, err := calibrationFolder(shared(t, dir), strings.Split(strings.TrimSpace(string(text)), "\n"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := f.read(size, func(_, _ int) {})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// openSteps runs the float network over all photos, and calibrates each fold.
func openSteps(t *testing.T, file string, size int, photos *pictures, calibration []*pictures, scored [][]int) *stepsPictures {
	t.Helper()
	set, err := weights.Open(shared(t, "weights/"+file))
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close() // it was only read
	g, err := graph.GoogLeNet(set, size)
	if err != nil {
		t.Fatal(err)
	}
	norm, bgr := g.Architecture.Trained()
	if bgr {
		g.SwapChannels()
	}
	// Without the float front all layers become int8, so all of them are looked at.
	float, err := openFloat(g, norm, layersOf(g, nil), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer closeBoth(float.runs)
	p := &stepsPictures{g: g, norm: norm, photos: photos}
	if p.float, err = float.scores(photos.samples, quiet); err != nil {
		t.Fatal(err)
	}
	for i := range calibration {
		seen, err := calibrate(float, g, calibration[i], quiet)
		if err != nil {
			t.Fatal(err)
		}
		p.folds = append(p.folds, stepsFold{seen: seen, scored: scored[i]})
	}
	t.Logf("%s, %d pixels, %d photos, XNNPACK %s", strings.TrimSuffix(file, filepath.Ext(file)), size, len(photos.samples), tflite.Version())
	return p
}
