package view_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"sightd/camera/view"
)

const (
	isBlack       = "picture is black"
	isOverexposed = "picture is overexposed"
	isCovered     = "picture is covered: one shade"
)

// plain is a picture of one shade.
func plain(shade byte) *view.Picture {
	return box(new(view.Picture), 0, 0, view.Width, view.Height, shade)
}

// smooth is a picture that changes by so many levels from the left to the right, and darkens towards the corners.
func smooth(shade, slope, vignette float64) *view.Picture {
	return each(new(view.Picture), func(i int, _ float64) float64 {
		x, y := float64(i%view.Width)/view.Width-0.5, float64(i/view.Width)/view.Height-0.5
		return shade + slope*x - vignette*(x*x+y*y)
	})
}

// lights is a dark picture with a few lights in it.
func lights(shade byte, n int, light byte) *view.Picture {
	p := plain(shade)
	for i := range n {
		p = box(p, (7+i*13)%view.Width, (11+i*17)%view.Height, 1, 1, light)
	}
	return p
}

func TestBlind(t *testing.T) {
	tests := []struct {
		name    string
		picture *view.Picture
		noise   float64
		want    string
	}{
		{"nothing", plain(0), 0, isBlack},
		{"video's black, and noise", plain(16), 2, isBlack},
		{"a cap on the lens of a camera that amplifies all it can", plain(14), 4, isBlack},
		{"one hot pixel", lights(5, 1, 200), 1, isBlack},
		{"night, three lamps", lights(8, 3, 200), 1.5, ""},
		{"night, a dim window", box(plain(6), 20, 10, 4, 5, 60), 1.5, ""},
		{"night, moonlight on a road", box(plain(14), 0, 30, 64, 10, 38), 1, ""},
		{"white", plain(255), 0, isOverexposed},
		{"nearly white", plain(252), 1, isOverexposed},
		{"a white page with a word on it", box(plain(252), 20, 20, 16, 5, 140), 0.5, ""},
		{"a dark thing before the sun", box(plain(255), 50, 30, 9, 18, 90), 0, ""},
		{"a white wall, its shelf", box(plain(225), 10, 30, 40, 2, 160), 1, ""},
		{"snow: grain that stays", noisy(plain(230), source(1), 5), 0.7, ""},
		{"tape", plain(60), 0.7, isCovered},
		{"a hand: red light from one side", smooth(70, 25, 20), 1, isCovered},
		{"a cloth, and a sensor's noise", smooth(110, 10, 10), 3, isCovered},
		{"fog with a tree in it", box(smooth(170, 15, 10), 30, 15, 5, 30, 155), 1, ""},
		{"a wall with plaster", noisy(smooth(150, 15, 10), source(2), 3), 0.5, ""},
		{"a net before the lens, finer than the blocks", each(plain(120), func(i int, level float64) float64 {
			return level + float64(8*((i+i/view.Width)&1))
		}), 0.5, ""},
		{"a gradient: the evening sky", smooth(140, 120, 0), 1, ""},
		{"a room", scene(), 2, ""},
		{"a room in dim light", each(scene(), func(_ int, level float64) float64 { return level / 4 }), 2, ""},
		{"stripes", each(new(view.Picture), func(i int, _ float64) float64 { return 120 + 15*math.Sin(float64(i%view.Width)) }), 1, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			eye, random := view.New(view.Options{}), source(11)
			var look view.Look
			for n := range 30 {
				look = eye.Look(noisy(test.picture, random, test.noise), start.Add(time.Duration(n)*time.Second/5))
				if n < 10 && look.Problem != "" {
					t.Fatalf("picture %d: the problem %q is told before its 2 s", n, look.Problem)
				}
			}
			if look.Problem != test.want || (look.Sight != view.Clear) != (test.want != "") {
				t.Errorf("problem %q, sight %v, want %q", look.Problem, look.Sight, test.want)
			}
		})
	}
}

// TestBlindHolds has a problem come, stay, and go.
func TestBlindHolds(t *testing.T) {
	dim := box(plain(22), 0, 0, view.Width, 4, 27) // 8 % a little brighter: no entry, but no way out
	steps := []struct {
		at      time.Duration
		picture *view.Picture
		blind   bool
		problem string
	}{
		{0, scene(), false, ""},
		{1000 * time.Millisecond, plain(2), true, ""},
		{2900 * time.Millisecond, plain(2), true, ""},
		{3000 * time.Millisecond, plain(2), true, isBlack},
		{3100 * time.Millisecond, scene(), false, isBlack}, // it may flash
		{3200 * time.Millisecond, plain(2), true, isBlack},
		{4000 * time.Millisecond, dim, true, isBlack},
		{5000 * time.Millisecond, plain(255), true, isBlack},
		{6900 * time.Millisecond, plain(255), true, isBlack},
		{7000 * time.Millisecond, plain(255), true, isOverexposed},
		{8000 * time.Millisecond, dim, false, isOverexposed},
		{8900 * time.Millisecond, scene(), false, isOverexposed},
		{9000 * time.Millisecond, scene(), false, ""},
		{9100 * time.Millisecond, plain(2), true, ""},
		{9200 * time.Millisecond, scene(), false, ""}, // one black picture is no problem
		{11200 * time.Millisecond, plain(2), true, ""},
		{11300 * time.Millisecond, scene(), false, ""},
	}
	eye := view.New(view.Options{})
	for _, step := range steps {
		look := eye.Look(step.picture, start.Add(step.at))
		if (look.Sight != view.Clear) != step.blind || look.Problem != step.problem {
			t.Errorf("at %v: sight %v, problem %q, want %v, %q", step.at, look.Sight, look.Problem, step.blind, step.problem)
		}
	}
}

// TestBlindFlapsNot shows pictures that are in and out all the time: what is told changes at most once.
func TestBlindFlapsNot(t *testing.T) {
	long(t)
	for name, picture := range map[string]func(n int, random *rand.Rand) *view.Picture{
		"on the border of black": func(n int, random *rand.Rand) *view.Picture {
			return noisy(box(plain(20), 0, 0, view.Width, 3, 25), random, 0.7)
		},
		"on the border of one shade": func(n int, random *rand.Rand) *view.Picture {
			return noisy(smooth(90, 41.5, 0), random, 0.7)
		},
		"a light that blinks": func(n int, _ *rand.Rand) *view.Picture {
			return lights(3, 5*(n%2), 200)
		},
	} {
		t.Run(name, func(t *testing.T) {
			eye, random, changes, last := view.New(view.Options{}), source(4), 0, ""
			for n := range 1500 {
				look := eye.Look(picture(n, random), start.Add(time.Duration(n)*time.Second/15))
				if look.Problem != last {
					changes, last = changes+1, look.Problem
				}
			}
			if changes > 1 {
				t.Errorf("the problem changed %d times in 100 s, want at most 1", changes)
			}
		})
	}
}

func TestBlindOff(t *testing.T) {
	eye := view.New(view.Options{Blind: -1})
	for n := range 10 {
		if look := eye.Look(plain(0), start.Add(time.Duration(n)*time.Minute)); look.Problem != "" || look.Sight == view.Clear {
			t.Fatalf("problem %q, sight %v, want none, true", look.Problem, look.Sight)
		}
	}
}
