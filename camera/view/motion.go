package view

import (
	"math/bits"
	"time"
)

// A cell has changed where it differs from the reference by more than its threshold, the largest of
//   - least levels: what compression and flicker do to a still picture;
//   - tolerance times the cell's own noise: the median of its differences between successive pictures, learned slowly;
//   - a part of that times the noise of this very picture: the median over all cells, which a moving object doesn't reach.
//
// It counts only where two of its neighbours have changed too: noise comes in single cells, objects come whole.
const (
	least     = 8  // levels of 255
	most      = 32 // levels: no noise hides more
	tolerance = 5  // medians: 3.4 standard deviations of the difference of two pictures
	spatial   = 3.5

	// unit is a level in the fixed-point numbers for noise.
	unit = 1024

	// step is how much the learned noise of a cell moves with a picture: a tenth of a level. Where the cell has changed it grows by no
	// more than a tenth of a level a second, so that a visitor isn't taken for noise, but a tree in the wind is after a minute.
	step = unit / 10
)

// motion measures what has changed.
type motion struct {
	reference Picture // the picture that was classified last
	referred  bool    // there is one
	last      Picture
	seen      bool           // there was a last one
	noise     [cells]uint16  // in units
	learned   bool           // there is noise
	level     float64        // of the last picture's noise
	changed   [Height]uint64 // a bit for each changed cell
	count     int            // of those that count
}

// refer makes the last picture the reference.
func (m *motion) refer() {
	if m.seen {
		m.reference, m.referred = m.last, true
		m.changed, m.count = [Height]uint64{}, 0
	}
}

// measure compares a picture with the reference and says how many cells have changed. It learns what is noise. passed is the time
// since the last picture.
func (m *motion) measure(p *Picture, passed time.Duration) int {
	if !m.seen {
		m.last, m.seen = *p, true
		return 0
	}
	if *p == m.last {
		return m.count // what is repeated tells nothing of noise
	}
	shift, noise := typical(p, &m.last)
	m.level = min(noise, most)
	if !m.learned {
		for i := range m.noise {
			m.noise[i] = uint16(m.level * unit)
		}
		m.learned = true
	}
	if m.referred {
		m.compare(p)
	}
	m.learn(p, shift, passed)
	m.last = *p
	return m.count
}

// compare marks the changed cells and counts those that count.
func (m *motion) compare(p *Picture) {
	tone := adapt(p, &m.reference)
	floor := int32(max(least, min(spatial*m.level, most)) * unit)
	for y := range Height {
		row := uint64(0)
		now, before, noise := p[y*Width:][:Width], m.reference[y*Width:][:Width], m.noise[y*Width:][:Width]
		for x := range Width {
			difference := int32(now[x]) - int32(tone[before[x]])
			if max(difference, -difference)*unit > max(floor, min(tolerance*int32(noise[x]), most*unit)) {
				row |= 1 << x
			}
		}
		m.changed[y] = row
	}
	m.count = together(&m.changed)
}

// learn moves the noise of each cell towards the median of its differences. shift is how much brighter the whole picture became.
func (m *motion) learn(p *Picture, shift int32, passed time.Duration) {
	slow := min(int32(passed.Milliseconds()*step/1000), step)
	for y := range Height {
		changed := m.changed[y]
		now, before, noise := p[y*Width:][:Width], m.last[y*Width:][:Width], m.noise[y*Width:][:Width]
		if changed == 0 {
			for x := range Width { // no jumps in here: they can't be foreseen
				difference := int32(now[x]) - int32(before[x]) - shift
				noise[x] = towards(noise[x], difference, step)
			}
			continue
		}
		for x := range Width {
			up := int32(step)
			if changed>>x&1 != 0 {
				up = slow
			}
			noise[x] = towards(noise[x], int32(now[x])-int32(before[x])-shift, up)
		}
	}
}

// towards moves a learned median by a step towards the absolute difference.
func towards(noise uint16, difference, up int32) uint16 {
	move := int32(-step)
	if max(difference, -difference)*unit > int32(noise) {
		move = up
	}
	return uint16(min(max(int32(noise)+move, 0), most*unit))
}

// together counts the marked cells that have at least two marked neighbours, of eight.
func together(marks *[Height]uint64) int {
	count := 0
	for y, row := range marks {
		if row == 0 {
			continue
		}
		one, two := row<<1, uint64(0) // cells with at least one and with at least two marked neighbours
		add := func(row uint64) {
			two |= one & row
			one |= row
		}
		add(row >> 1)
		if y > 0 {
			above := marks[y-1]
			add(above << 1)
			add(above)
			add(above >> 1)
		}
		if y < Height-1 {
			below := marks[y+1]
			add(below << 1)
			add(below)
			add(below >> 1)
		}
		count += bits.OnesCount64(row & two)
	}
	return count
}
