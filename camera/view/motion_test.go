package view_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"sightd/camera/view"
)

// still never looks without cause: what is counted then is false.
func still() view.Options { return view.Options{Motion: view.Auto, Refresh: -1} }

// minutes is for how long still scenes are watched.
const minutes = 3

// long skips a test of many pictures under the race detector, which has nothing to find where all is done by one goroutine.
func long(t *testing.T) {
	t.Helper()
	if raceDetector {
		t.Skip("takes long under the race detector, and starts nothing")
	}
}

// falseLooks shows an Eye a still scene, as altered by change, and counts the looks a minute that were
// not worth it, those of the first seconds too.
func falseLooks(fps float64, classifyEach int, change func(n int, at time.Duration, random *rand.Rand, p *view.Picture) *view.Picture) float64 {
	eye, random, room := view.New(still()), source(3), scene()
	looks := 0
	frames := int(float64(minutes) * 60 * fps)
	for n := range frames {
		at := time.Duration(float64(n) / fps * float64(time.Second))
		look := eye.Look(change(n, at, random, room), start.Add(at))
		switch {
		case n == 0:
			eye.Classified()
		case look.Changed:
			looks++
			eye.Classified()
		case n%classifyEach == 0:
			eye.Classified() // as a Refresh would
		}
	}
	return float64(looks) / float64(minutes)
}

func TestStillSceneIsStill(t *testing.T) {
	long(t)
	type change = func(n int, at time.Duration, random *rand.Rand, p *view.Picture) *view.Picture
	noise := func(sigma float64) change {
		return func(_ int, _ time.Duration, random *rand.Rand, p *view.Picture) *view.Picture {
			return noisy(p, random, sigma)
		}
	}
	tests := []struct {
		name   string
		fps    float64
		change change
	}{
		{"no noise", 15, noise(0)},
		{"noise 0.5", 15, noise(0.5)},
		{"noise 1", 15, noise(1)},
		{"noise 2", 15, noise(2)},
		{"noise 4", 15, noise(4)},
		{"noise 6", 15, noise(6)},
		{"noise 6, slow", 1, noise(6)},
		{"noise 3, fast", 60, noise(3)},
		{"more noise where it is bright", 15, func(_ int, _ time.Duration, random *rand.Rand, p *view.Picture) *view.Picture {
			return each(p, func(_ int, level float64) float64 { return level + math.Sqrt(level/255)*6*random.NormFloat64() })
		}},
		{"night comes, and noise with it", 15, func(_ int, at time.Duration, random *rand.Rand, p *view.Picture) *view.Picture {
			return noisy(p, random, 1+at.Minutes())
		}},
		{"flicker of 2 levels at 100 Hz", 15, func(n int, at time.Duration, random *rand.Rand, p *view.Picture) *view.Picture {
			light := 2 * math.Sin(2*math.Pi*100.3*at.Seconds())
			return noisy(each(p, func(_ int, level float64) float64 { return level + light }), random, 1.5)
		}},
		{"each picture twice", 30, func(n int, _ time.Duration, _ *rand.Rand, p *view.Picture) *view.Picture {
			return noisy(p, source(uint64(n/2)), 5)
		}},
		{"the night's gain, all at once", 15, func(_ int, at time.Duration, random *rand.Rand, p *view.Picture) *view.Picture {
			if at < 30*time.Second {
				return noisy(p, random, 0.5)
			}
			return noisy(p, random, 5)
		}},
		{"haze that adds 20 levels and goes", 15, func(_ int, at time.Duration, random *rand.Rand, p *view.Picture) *view.Picture {
			haze := 10 - 10*math.Cos(2*math.Pi*at.Seconds()/8)
			return noisy(each(p, func(_ int, level float64) float64 { return level + haze }), random, 1)
		}},
		{"bands of 3 levels that roll", 15, func(n int, at time.Duration, random *rand.Rand, p *view.Picture) *view.Picture {
			return each(p, func(i int, level float64) float64 {
				return level + 3*math.Sin(2*math.Pi*(float64(i/view.Width)/24+3.3*at.Seconds())) + random.NormFloat64()
			})
		}},
		{"exposure that hunts by 15 %", 15, func(n int, at time.Duration, random *rand.Rand, p *view.Picture) *view.Picture {
			gain := 1 + 0.15*math.Sin(2*math.Pi*at.Seconds()/4)
			return noisy(each(p, func(_ int, level float64) float64 { return level * gain }), random, 1.5)
		}},
		{"dusk: half the light in 3 minutes", 5, func(n int, at time.Duration, random *rand.Rand, p *view.Picture) *view.Picture {
			gain := 1 - 0.5*at.Minutes()/3
			return noisy(each(p, func(_ int, level float64) float64 { return level * gain }), random, 1.5)
		}},
		{"blocks of 2x2 that flicker", 15, func(n int, at time.Duration, random *rand.Rand, p *view.Picture) *view.Picture {
			var blocks [view.Width * view.Height / 4]float64
			for i := range blocks {
				blocks[i] = 1.5 * random.NormFloat64()
			}
			return each(p, func(i int, level float64) float64 {
				return level + blocks[i/view.Width/2*(view.Width/2)+i%view.Width/2] + random.NormFloat64()
			})
		}},
		{"a key frame of 3 levels each second", 15, func(n int, at time.Duration, random *rand.Rand, p *view.Picture) *view.Picture {
			key := source(uint64(n / 15))
			return each(p, func(i int, level float64) float64 { return level + 2*key.NormFloat64() + 0.5*random.NormFloat64() })
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			looks := falseLooks(test.fps, int(max(10*test.fps, 1)), test.change)
			t.Logf("%.2f false looks a minute", looks)
			if looks > 1 {
				t.Errorf("%.2f false looks a minute, want at most 1", looks)
			}
		})
	}
}

func TestEnteringObjectIsSeenAtOnce(t *testing.T) {
	long(t)
	tests := []struct {
		sigma         float64
		width, height int
		contrast      int
	}{
		{0, 4, 4, 12},
		{1, 4, 4, 20},
		{2, 4, 4, 40},
		{4, 4, 4, 60},
		{6, 4, 4, 70},
		{1.5, 4, 3, 60}, // a sixteenth of both sides
		{1.5, 20, 30, 15},
		{1.5, 60, 46, 30}, // nearly all of it
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("noise %v, %dx%d, contrast %d", test.sigma, test.width, test.height, test.contrast), func(t *testing.T) {
			missed, shown := 0, 0
			for place := range 20 {
				eye, random, room := view.New(still()), source(uint64(place)), scene()
				now := start
				for range 30 {
					eye.Look(noisy(room, random, test.sigma), now)
					eye.Classified()
					now = now.Add(time.Second / 15)
				}
				x, y := place*7%(view.Width-test.width+1), place*5%(view.Height-test.height+1)
				object := each(room, func(i int, level float64) float64 {
					if change := add(x, y, test.width, test.height, float64(test.contrast))(i, level); change <= 250 {
						return change
					}
					return level - float64(test.contrast)
				})
				shown++
				if look := eye.Look(noisy(object, random, test.sigma), now); !look.Changed {
					missed++
				}
			}
			if missed > 0 {
				t.Errorf("%d of %d objects weren't seen on their first picture", missed, shown)
			}
		})
	}
}

// TestFlickerIsNotNoise has lamps flicker for a while: what is then learned of noise mustn't hide what comes in.
func TestFlickerIsNotNoise(t *testing.T) {
	long(t)
	eye, random, now := view.New(still()), source(6), start
	for n := range 600 {
		light := 8 * float64(n%2)
		eye.Look(noisy(each(scene(), func(_ int, level float64) float64 { return level + light }), random, 0.5), now)
		eye.Classified()
		now = now.Add(time.Second / 15)
	}
	if look := eye.Look(each(scene(), add(20, 20, 5, 5, 16)), now); !look.Changed {
		t.Errorf("motion %.4f: something 16 levels brighter isn't seen", look.Motion)
	}
}

// watcher shows an Eye some seconds of pictures, 15 a second, and counts the looks.
type watcher struct {
	eye    *view.Eye
	random *rand.Rand
	now    time.Time
}

func (w *watcher) watch(seconds int, draw func(n int) *view.Picture) (looks int) {
	for n := range 15 * seconds {
		w.now = w.now.Add(time.Second / 15)
		if w.eye.Look(noisy(draw(n), w.random, 1), w.now).Changed {
			looks++
			w.eye.Classified()
		}
	}
	return looks
}

// TestTreeIsLearned has a tree move in the wind: after some minutes it is worth few looks, and somebody beside it is still seen.
func TestTreeIsLearned(t *testing.T) {
	long(t)
	w := &watcher{view.New(still()), source(9), start}
	tree := func(int) *view.Picture {
		return each(scene(), func(i int, level float64) float64 {
			if i%view.Width >= 52 && i/view.Width > 20 && i/view.Width < 34 {
				return level + 28*w.random.Float64()
			}
			return level
		})
	}
	first := w.watch(20, tree)
	w.watch(60, tree)
	last := w.watch(60, tree)
	t.Logf("%d looks in the first 20 s, %d in the second minute", first, last)
	if first < 5 || last > 3 {
		t.Errorf("%d looks in the first 20 s, %d in the second minute, want at least 5 and at most 3", first, last)
	}
	if w.watch(1, func(n int) *view.Picture { return each(tree(n), add(10, 8, 5, 9, 30)) }) == 0 {
		t.Error("somebody beside the tree isn't seen")
	}
}

// TestVisitorIsNotLearned has somebody walk up and down, or wave, for 20 s: that is seen to the end, and so is who comes after.
func TestVisitorIsNotLearned(t *testing.T) {
	long(t)
	for name, draw := range map[string]func(n int) *view.Picture{
		"walks": func(n int) *view.Picture { return each(scene(), add(5+n%20, 8, 6, 12, 40)) },
		"waves": func(n int) *view.Picture { return each(scene(), add(12, 8, 6, 12, 25*float64(n%2))) },
	} {
		t.Run(name, func(t *testing.T) {
			w := &watcher{view.New(still()), source(2), start}
			room := func(int) *view.Picture { return scene() }
			w.watch(5, room)
			w.watch(18, draw)
			if looks := w.watch(2, draw); looks < 25 {
				t.Errorf("seen in %d of the last 30 pictures, want at least 25", looks)
			}
			w.watch(1, room)
			if w.watch(1, func(int) *view.Picture { return each(scene(), add(12, 8, 6, 12, 30)) }) == 0 {
				t.Error("who comes after isn't seen")
			}
			w.watch(120, draw)
			if looks := w.watch(10, draw); name == "waves" && looks > 3 {
				t.Errorf("a lamp that blinks for two minutes is still worth %d looks in 10 s, want at most 3", looks)
			}
			if w.watch(1, func(int) *view.Picture { return each(scene(), add(12, 8, 6, 12, 60)) }) == 0 {
				t.Error("who stands there then in full contrast isn't seen")
			}
		})
	}
}

// add makes a part of a picture brighter.
func add(x0, y0, width, height int, levels float64) func(i int, level float64) float64 {
	return func(i int, level float64) float64 {
		if x, y := i%view.Width-x0, i/view.Width-y0; x >= 0 && x < width && y >= 0 && y < height {
			return level + levels
		}
		return level
	}
}

func BenchmarkLook(b *testing.B) {
	random, room := source(5), scene()
	var pictures [16]*view.Picture
	for i := range pictures {
		pictures[i] = noisy(box(room, 4*i, 10, 6, 12, 20), random, 2)
	}
	eye, now, n := view.New(view.Options{Motion: view.Auto}), start, 0
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Second / 15)
		if eye.Look(pictures[n%len(pictures)], now).Changed {
			eye.Classified()
		}
		n++
	}
}
