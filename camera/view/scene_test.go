package view_test

import (
	"math"
	"math/rand/v2"
	"time"

	"sightd/camera/view"
)

var start = time.Date(2026, 3, 29, 0, 59, 0, 0, time.UTC)

// scene is a room without people: a bright window, a dark floor, a shelf with things on it.
func scene() *view.Picture {
	var p view.Picture
	for y := range view.Height {
		for x := range view.Width {
			level := 90 + x/4
			switch {
			case y > 36:
				level = 45 + (x+y)%7
			case x > 44 && y < 20:
				level = 225 - y
			case y > 18 && y < 28 && x < 30:
				level = 60 + 37*(x/3%4)
			}
			p[y*view.Width+x] = byte(level)
		}
	}
	return &p
}

// box paints a rectangle of one shade.
func box(p *view.Picture, x0, y0, width, height int, shade byte) *view.Picture {
	painted := *p
	for y := max(y0, 0); y < min(y0+height, view.Height); y++ {
		for x := max(x0, 0); x < min(x0+width, view.Width); x++ {
			painted[y*view.Width+x] = shade
		}
	}
	return &painted
}

// noisy adds normal noise of that many levels.
func noisy(p *view.Picture, random *rand.Rand, sigma float64) *view.Picture {
	return each(p, func(_ int, level float64) float64 { return level + sigma*random.NormFloat64() })
}

// each makes a picture of another, cell by cell.
func each(p *view.Picture, change func(i int, level float64) float64) *view.Picture {
	var changed view.Picture
	for i, level := range p {
		changed[i] = byte(min(max(math.Round(change(i, float64(level))), 0), 255))
	}
	return &changed
}

func source(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 7)) }
