package export

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"sightd/export/graph"
	"sightd/export/quantize"
	"sightd/inference"
)

// TestInHalves counts the calls for each picture, and what progress is told.
func TestInHalves(t *testing.T) {
	for _, n := range []int{0, 1, 2, 3, 10, 101} {
		var lock sync.Mutex
		calls, told := map[[2]int]int{}, []int{}
		err := inHalves(n, func(done, total int) {
			told = append(told, done) // one call at a time
			if total != n {
				t.Errorf("%d pictures: progress of %d", n, total)
			}
		}, func(half, i int) error {
			lock.Lock()
			defer lock.Unlock()
			calls[[2]int{half, i}]++
			return nil
		})
		if err != nil || len(calls) != n {
			t.Errorf("%d pictures: %d calls, error %v", n, len(calls), err)
		}
		for i := range n {
			if calls[[2]int{i % 2, i}] != 1 {
				t.Errorf("%d pictures: %d calls for picture %d of half %d, want 1", n, calls[[2]int{i % 2, i}], i, i%2)
			}
		}
		for i, done := range told {
			if done != i+1 || len(told) != n {
				t.Fatalf("%d pictures: progress %v", n, told)
			}
		}
	}
}

// TestInHalvesSideBySide has each half wait for the other in every picture: one after the other they would never end.
func TestInHalvesSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		meet := make(chan int)
		err := inHalves(20, quiet, func(half, i int) error {
			if half == 0 {
				meet <- i
			} else if other := <-meet; other != i-1 {
				t.Errorf("picture %d meets %d", i, other)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// TestInHalvesStops has one half fail while the other is in its first picture, which goes on after the first half's goroutine has ended:
// no second one may follow, and no goroutine be left.
func TestInHalvesStops(t *testing.T) {
	broken := errors.New("broken")
	for failing := range 2 {
		synctest.Test(t, func(t *testing.T) {
			var pictures, told []int
			err := inHalves(100, func(done, _ int) { told = append(told, done) }, func(half, i int) error {
				if half == failing {
					return fmt.Errorf("picture %d: %w", i, broken)
				}
				synctest.Wait() // until the other half has stopped
				pictures = append(pictures, i)
				return nil
			})
			if !errors.Is(err, broken) || err.Error() != fmt.Sprintf("picture %d: broken", failing) {
				t.Errorf("error %v, want that of picture %d", err, failing)
			}
			if !slices.Equal(pictures, []int{1 - failing}) || !slices.Equal(told, []int{2}) {
				t.Errorf("the other half did pictures %v, progress was told %v", pictures, told)
			}
		})
	}
}

// TestInHalvesBothFail gives both errors.
func TestInHalvesBothFail(t *testing.T) {
	var both sync.WaitGroup
	both.Add(2)
	err := inHalves(10, quiet, func(half, i int) error {
		both.Done()
		both.Wait()
		return fmt.Errorf("half %d fails at picture %d", half, i)
	})
	if err == nil || err.Error() != "half 0 fails at picture 0\nhalf 1 fails at picture 1" {
		t.Errorf("error %v, want both", err)
	}
}

// TestCalibrate compares what is noted of pictures with the outputs of a network that is run on each of them.
func TestCalibrate(t *testing.T) {
	c := calibrateOn(t, smallNet(graph.BVLC, 9), randomPictures(7, smallSize, 12))
	m, err := Float(c.g, c.float.layers)
	if err != nil {
		t.Fatal(err)
	}
	run := openModel(t, m)
	want := map[string]*quantize.Seen{}
	for _, layer := range c.float.layers {
		want[layer] = quantize.NewSeen(c.g.Op(layer).Channels)
		want[layer].Sampled = c.g.Op(layer).Kind == graph.MaxPool
	}
	for i, s := range c.p.samples {
		if scores := answer(t, run, c.norm, s.pixels, 0); !slices.Equal(scores, c.seen.scores[i]) {
			t.Errorf("picture %d: scores %v, want %v", i, c.seen.scores[i], scores)
		}
		for j, layer := range c.float.layers {
			values, err := run.Floats(1 + j)
			if err != nil {
				t.Fatal(err)
			}
			want[layer].Include(i, values)
			if layer == graph.Classifier && !slices.Equal(values, c.seen.logits[i]) {
				t.Errorf("picture %d: logits %v, want %v", i, c.seen.logits[i], values)
			}
		}
	}
	if !reflect.DeepEqual(c.seen.seen, want) {
		t.Error("what was seen differs from what a run of picture after picture shows")
	}
}

// TestLayersOf names what is looked at.
func TestLayersOf(t *testing.T) {
	g := smallNet(graph.BVLC, 9)
	front := []string{"conv1/7x7_s2", "pool1/3x3_s2"}
	rest := []string{"pool1/norm1", "conv2/3x3", "conv2/norm2", "pool2/3x3_s2", "inception_3a/1x1", "inception_3a/5x5_reduce", "inception_3a/5x5",
		"inception_3a/pool", "inception_3a/pool_proj", graph.Features, graph.Classifier}
	if have := layersOf(g, nil); !slices.Equal(have, append(front, rest...)) {
		t.Errorf("of a network without float layers: %v", have)
	}
	if have := layersOf(g, floatOps(g, form{int8: true})); !slices.Equal(have, rest) {
		t.Errorf("of a network with float layers before the first norm: %v, want %v", have, rest)
	}
	if have := layersOf(g, floatOps(g, form{})); !slices.Equal(have, []string{"pool1/norm1", "conv2/norm2", graph.Features, graph.Classifier}) {
		t.Errorf("of a float network: %v", have)
	}
}

// TestCalibrateErrors has a picture that can't be used in either half, and a network that answers no numbers.
func TestCalibrateErrors(t *testing.T) {
	c := calibrateOn(t, smallNet(graph.Torchvision, 10), randomPictures(6, smallSize, 13))
	for _, bad := range []int{0, 3} {
		p := &pictures{samples: slices.Clone(c.p.samples)}
		p.samples[bad] = sample{file: "odd.png", pixels: make([]byte, 5)}
		if _, err := calibrate(c.float, c.g, p, quiet); err == nil || !strings.HasPrefix(err.Error(), "calibrate with odd.png: fill the input: ") {
			t.Errorf("picture %d has 5 pixels: error %v", bad, err)
		}
	}
	g := smallNet(graph.Torchvision, 10)
	g.Op(graph.Classifier).Bias[2] = float32(math.Inf(1))
	float, err := openFloat(g, c.norm, layersOf(g, nil), 2)
	if err != nil {
		t.Fatal(err)
	}
	defer closeBoth(float.runs)
	if _, err := calibrate(float, g, c.p, quiet); err == nil || !strings.Contains(err.Error(), "value 0 is") && !strings.Contains(err.Error(), "value 2 is") {
		t.Errorf("an infinite bias: error %v", err)
	}
}

// TestDeterministic builds the same network twice, from calibration on: the files must be the same to the byte.
func TestDeterministic(t *testing.T) {
	for _, a := range []graph.Architecture{graph.Torchvision, graph.BVLC} {
		for _, o := range []Options{{Input: inference.Int8}, {Input: inference.UInt8, IntegerOutput: true, Features: true}} {
			var files [2][]byte
			for i := range files {
				c := calibrateOn(t, smallNet(a, 11), randomPictures(40, smallSize, 14))
				var err error
				if files[i], err = c.write(t, o).Bytes(); err != nil {
					t.Fatal(err)
				}
			}
			if !slices.Equal(files[0], files[1]) {
				t.Errorf("%s: two builds differ", a)
			}
		}
	}
}

// TestGraphIsKept shows that building a network leaves the graph as it is, so that another form can be built of it.
func TestGraphIsKept(t *testing.T) {
	for _, a := range []graph.Architecture{graph.Torchvision, graph.BVLC} {
		c := calibrateOn(t, smallNet(a, 12), randomPictures(6, smallSize, 15))
		for _, o := range forms() {
			c.write(t, o)
		}
		if !reflect.DeepEqual(c.g, smallNet(a, 12)) {
			t.Errorf("%s: the graph has changed", a)
		}
	}
}
