package testbench

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"testing"
)

// judged is what a network says of pictures, in their order.
type judged struct {
	name    string
	ms      float64   // of the processor: the median of preparing and Invoke
	best    []int     // class
	margins []float64 // the logarithm of the best score less that of the second: what a temperature only scales
}

// cascade is a small network that answers where its margin is at least a threshold, and a full one that answers the rest.
type cascade struct {
	small, full judged
	decodeMS    float64
	classes     []int // of the pictures
}

// tradeoff is what a cascade gives on pictures with a threshold.
type tradeoff struct {
	cpu          float64 // processor time a picture over that of the full network alone, decoding included in both
	kept         float64 // share that the small network answers
	same         float64 // share with the full network's label
	gained, lost int     // pictures that only the cascade, or only the full network, is right on
	n            int
}

// points is the difference of top-1 from the full network's.
func (o tradeoff) points() float64 { return 100 * float64(o.gained-o.lost) / float64(o.n) }

// halfWidth is that of the 95 % interval of points. The two judge the same photos: only those where one alone is right say anything.
func (o tradeoff) halfWidth() float64 {
	d := float64(o.gained - o.lost)
	return 100 * 1.96 * math.Sqrt(float64(o.gained+o.lost)-d*d/float64(o.n)) / float64(o.n)
}

// at gives the tradeoff on some pictures with a threshold for each of them.
func (c cascade) at(pictures []int, threshold func(picture int) float64) tradeoff {
	o := tradeoff{n: len(pictures)}
	kept, same := 0, 0
	for _, i := range pictures {
		best := c.full.best[i]
		if c.small.margins[i] >= threshold(i) {
			best = c.small.best[i]
			kept++
		}
		same += btoi(best == c.full.best[i])
		o.gained += btoi(best == c.classes[i] && c.full.best[i] != c.classes[i])
		o.lost += btoi(best != c.classes[i] && c.full.best[i] == c.classes[i])
	}
	o.kept, o.same = float64(kept)/float64(o.n), float64(same)/float64(o.n)
	o.cpu = (c.decodeMS + c.small.ms + (1-o.kept)*c.full.ms) / (c.decodeMS + c.full.ms)
	return o
}

// fit gives the least threshold at which the small network answers otherwise than the full one on at most the share allowed of the
// pictures. It needs no labels.
func (c cascade) fit(pictures []int, allowed float64) float64 {
	sorted := c.byMargin(pictures)
	differ, most := 0, int(allowed*float64(len(pictures)))
	for k, i := range sorted {
		if differ += btoi(c.small.best[i] != c.full.best[i]); differ > most {
			if k == 0 {
				return math.Inf(1)
			}
			return c.small.margins[sorted[k-1]]
		}
	}
	return 0
}

// byMargin sorts the pictures, those of the largest margin first.
func (c cascade) byMargin(pictures []int) []int {
	return slices.SortedFunc(slices.Values(pictures), func(a, b int) int { return cmp.Compare(c.small.margins[b], c.small.margins[a]) })
}

// frontier gives the tradeoffs on the pictures with each threshold that these very pictures can tell apart, the highest first: what no
// fitted threshold can be better than.
func (c cascade) frontier(pictures []int) []tradeoff {
	var all []tradeoff
	sorted := c.byMargin(pictures)
	for step := range 401 {
		threshold := math.Inf(1)
		if k := step * len(sorted) / 400; k > 0 {
			threshold = c.small.margins[sorted[k-1]]
		}
		all = append(all, c.at(pictures, func(int) float64 { return threshold }))
	}
	return all
}

// cheapest is the least share of the processor's time at which top-1 loses at most so many points, over all that tradeoffs has.
func cheapest(tradeoffs []tradeoff, points float64) (best tradeoff, found bool) {
	for _, o := range tradeoffs {
		if o.points() >= points && (!found || o.cpu < best.cpu) {
			best, found = o, true
		}
	}
	return best, found
}

// nearest is the best top-1 at a share of the processor's time.
func nearest(tradeoffs []tradeoff, cpu float64) (best tradeoff, found bool) {
	for _, o := range tradeoffs {
		if o.cpu <= cpu && (!found || o.points() > best.points()) {
			best, found = o, true
		}
	}
	return best, found
}

// cascades are those of several small networks with one full one.
type cascades struct {
	what     string
	nets     []judged // the full one last
	decodeMS float64
	classes  []int   // of the pictures that are measured; there may be more behind them
	halves   [][]int // of those
}

// of is the cascade of a small network.
func (c cascades) of(small int) cascade {
	return cascade{small: c.nets[small], full: c.nets[len(c.nets)-1], decodeMS: c.decodeMS, classes: c.classes}
}

// figures compares all cascades with the full network. other gives the threshold for a half of the pictures that was fitted on others; calibration,
// if there is one, that which was fitted on calibration pictures.
func (c cascades) figures(other func(small, half int) float64, calibration func(small int) float64) (figures []figure) {
	all := slices.Concat(c.halves...)
	n, full, right := len(all), c.nets[len(c.nets)-1], 0
	for i, class := range c.classes {
		right += btoi(full.best[i] == class)
	}
	figures = append(figures, figure{what: c.what + ", the full size: " + full.name,
		value: fmt.Sprintf("top-1 %s, %.2f ms", percent(right, n), c.decodeMS+full.ms), n: n, spread: wilson(right, n)})
	of := map[int]int{}
	for half, pictures := range c.halves {
		for _, i := range pictures {
			of[i] = half
		}
	}
	row := func(what string, o tradeoff) {
		figures = append(figures, figure{
			what:   what,
			value:  fmt.Sprintf("%.2f of the time, top-1 %+.2f points, %.0f %% answered small", o.cpu, o.points(), 100*o.kept),
			target: fmt.Sprintf("%.2f or less at %.1f points or better", cascadeCPU, cascadePoints), met: o.cpu <= cascadeCPU && o.points() >= cascadePoints,
			n: n, spread: fmt.Sprintf("± %.2f points (95 %%, paired)", o.halfWidth()),
		})
	}
	var tradeoffs []tradeoff
	for small, net := range c.nets[:len(c.nets)-1] {
		one := c.of(small)
		what := c.what + ", " + net.name
		alone := one.at(all, func(int) float64 { return 0 })
		figures = append(figures, figure{what: what + ": alone", value: fmt.Sprintf("%.2f of the time, top-1 %+.2f points, the same label on %.1f %%",
			alone.cpu, alone.points(), 100*alone.same), n: n, spread: fmt.Sprintf("± %.2f points (95 %%, paired)", alone.halfWidth())})
		thresholds := []float64{other(small, 0), other(small, 1)}
		row(what+": cascade, fitted on the other half", one.at(all, func(i int) float64 { return thresholds[of[i]] }))
		if calibration != nil {
			threshold := calibration(small)
			row(what+": cascade, fitted on calibration pictures", one.at(all, func(int) float64 { return threshold }))
		}
		tradeoffs = append(tradeoffs, one.frontier(all)...)
	}
	if o, found := cheapest(tradeoffs, cascadePoints); found {
		row(fmt.Sprintf("%s, at best, %.1f points or better", c.what, cascadePoints), o)
	}
	if o, found := nearest(tradeoffs, cascadeCPU); found {
		row(fmt.Sprintf("%s, at best, %.2f of the time or less", c.what, cascadeCPU), o)
	}
	return figures
}

// fourPictures have margins of 4, 3, 2, 1; the small network is wrong on the third, the full one on the first.
func fourPictures() cascade {
	return cascade{
		small:    judged{ms: 2, best: []int{0, 1, 0, 3}, margins: []float64{4, 3, 2, 1}},
		full:     judged{ms: 7, best: []int{1, 1, 2, 3}},
		decodeMS: 1, classes: []int{0, 1, 2, 3},
	}
}

func TestCascadeAt(t *testing.T) {
	c, all := fourPictures(), []int{0, 1, 2, 3}
	for threshold, want := range map[float64]tradeoff{
		5:   {cpu: 10. / 8, kept: 0, same: 1, n: 4},
		3.5: {cpu: (3 + 0.75*7) / 8, kept: 0.25, same: 0.75, gained: 1, n: 4},
		2:   {cpu: (3 + 0.25*7) / 8, kept: 0.75, same: 0.5, gained: 1, lost: 1, n: 4},
		0:   {cpu: 3. / 8, kept: 1, same: 0.5, gained: 1, lost: 1, n: 4},
	} {
		if have := c.at(all, func(int) float64 { return threshold }); have != want {
			t.Errorf("threshold %g: want %+v, have %+v", threshold, want, have)
		}
	}
}

func TestCascadeFit(t *testing.T) {
	c := fourPictures()
	for _, tt := range []struct {
		pictures []int
		allowed  float64
		want     float64
	}{
		{[]int{3, 2, 1, 0}, 0, math.Inf(1)}, // the largest margin has another label already
		{[]int{3, 2, 1, 0}, 0.25, 3},
		{[]int{3, 2, 1, 0}, 0.5, 0},
		{[]int{1, 3}, 0, 0},
		{[]int{2, 1}, 0, 3},
	} {
		if have := c.fit(tt.pictures, tt.allowed); have != tt.want {
			t.Errorf("fit on %v with %g: want %g, have %g", tt.pictures, tt.allowed, tt.want, have)
		}
	}
}

func TestCascadeFrontier(t *testing.T) {
	tradeoffs := fourPictures().frontier([]int{0, 1, 2, 3})
	if o, found := cheapest(tradeoffs, 0); !found || o.cpu != 3./8 {
		t.Errorf("cheapest without a loss: want 3/8 of the time, have %+v, %v", o, found)
	}
	if o, found := nearest(tradeoffs, 0.9); !found || o.points() != 25 {
		t.Errorf("nearest at 0.9: want +25 points, have %+v, %v", o, found)
	}
	if o, found := nearest(tradeoffs, 0.1); found {
		t.Errorf("nearest at 0.1: want none, have %+v", o)
	}
}
