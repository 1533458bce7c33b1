package view

import "time"

// Sight is whether a camera sees, or what keeps it from seeing.
type Sight uint8

// What a camera sees: something, or nothing but dark, bright, or what is right before it.
const (
	Clear Sight = iota
	Black
	Overexposed
	Covered
)

// problem says it for people.
func (k Sight) problem() string {
	return [...]string{"", "picture is black", "picture is overexposed", "picture is covered: one shade"}[k]
}

// blind judges pictures, one by one and over time.
type blind struct {
	judged Sight // of the last picture

	now   Sight     // what it is
	since time.Time // since when
	tells Sight     // what lasts
	begun bool
}

// last says what lasts: a trouble that was there for as long as wait, until it was away for half of that.
func (b *blind) last(k Sight, now time.Time, wait time.Duration) Sight {
	if !b.begun || k != b.now || now.Before(b.since) {
		b.now, b.since, b.begun = k, now, true
	}
	if k == Clear {
		wait /= 2
	}
	if now.Sub(b.since) >= wait {
		b.tells = k
	}
	return b.tells
}

// limits are what a picture is judged by, in levels of 255 unless said otherwise.
type limits struct {
	// Black: 95 % of the cells are no brighter than dark, and fewer than few cells are brighter than lamp. Sensors without light
	// give 0 to 16 and some noise; a single light at night fills or outshines a few cells.
	dark, lamp, few int

	// Overexposed: 98 % of the cells are at least white. Sensors clip at 255; exposure holds white walls, snow and fog below that.
	white int

	// Covered: 96 % of the cells are within spread; the means of 4x4 cells change evenly: their second differences exceed bend in at most
	// folds of 328 places; and 95 % of the cells differ from the mean of the four around them by no more than grain. A hand or tape is so
	// smooth; fog and walls have edges, spots or shadows somewhere. What noise adds to bend and grain is allowed on top.
	spread, bend, folds, grain int
}

// bounds are what makes a trouble, and the wider ones that hold it: a picture on the border doesn't flap.
func bounds(held bool) limits {
	if held {
		return limits{dark: 30, lamp: 48, few: 5, white: 244, spread: 50, bend: 4, folds: 12, grain: 3}
	}
	return limits{dark: 24, lamp: 40, few: 3, white: 248, spread: 40, bend: 3, folds: 6, grain: 2}
}

// maxGrain is how many levels of noise are allowed for.
const maxGrain = 3

// judge says what keeps a camera from seeing, by one picture, what the last one was, and the noise of cells in levels.
func (b *blind) judge(p *Picture, noise float64) Sight {
	noise = min(noise, maxGrain) // more is a change of scene
	var counts [256]uint16
	for _, level := range p {
		counts[level]++
	}
	for k := Black; k <= Covered; k++ {
		l := bounds(k == b.judged)
		l.bend += int(noise)
		l.grain += int(2.5 * noise)
		if l.hold(k, p, &counts) {
			b.judged = k
			return k
		}
	}
	b.judged = Clear
	return Clear
}

// hold says whether a picture, whose cells of each level are counted, is of a kind.
func (l *limits) hold(k Sight, p *Picture, counts *[256]uint16) bool {
	switch k {
	case Black:
		return share(counts, 0.95) <= l.dark && above(counts, l.lamp) < l.few
	case Overexposed:
		return share(counts, 0.02) >= l.white
	case Covered:
		return share(counts, 0.98)-share(counts, 0.02) <= l.spread && folds(p, l.bend) <= l.folds && rough(p, l.grain) <= cells/20
	}
	return false
}

// share is the level that this part of the cells doesn't exceed.
func share(counts *[256]uint16, part float64) int {
	below := 0
	for level, count := range counts {
		if below += int(count); float64(below) >= part*cells {
			return level
		}
	}
	return 255
}

// above counts the cells that are brighter than a level.
func above(counts *[256]uint16, level int) int {
	n := 0
	for _, count := range counts[level+1:] {
		n += int(count)
	}
	return n
}

const (
	block        = 4 // cells
	blockColumns = Width / block
	blockRows    = Height / block
)

// folds counts the places where the means of blocks change unevenly from one to the next, along rows and columns, by more
// than limit levels.
func folds(p *Picture, limit int) int {
	var sums [blockRows][blockColumns]int
	for y := range Height {
		for x := range Width {
			sums[y/block][x/block] += int(p[y*Width+x])
		}
	}
	limit *= block * block
	n := 0
	for y := range blockRows {
		for x := range blockColumns {
			if x > 0 && x < blockColumns-1 && bent(sums[y][x-1], sums[y][x], sums[y][x+1]) > limit {
				n++
			}
			if y > 0 && y < blockRows-1 && bent(sums[y-1][x], sums[y][x], sums[y+1][x]) > limit {
				n++
			}
		}
	}
	return n
}

// bent is how far the middle one is off the line, twice.
func bent(a, b, c int) int {
	return max(a+c-2*b, 2*b-a-c)
}

// rough counts the cells inside the border that differ from the mean of the four around them by more than limit levels.
func rough(p *Picture, limit int) int {
	n := 0
	for y := 1; y < Height-1; y++ {
		for x := 1; x < Width-1; x++ {
			i := y*Width + x
			around := int(p[i-1]) + int(p[i+1]) + int(p[i-Width]) + int(p[i+Width])
			if max(around-4*int(p[i]), 4*int(p[i])-around) > 4*limit {
				n++
			}
		}
	}
	return n
}
