package view

// A quarter of the cells stands for the picture where medians are wanted: each second of a row, in each second row, shifted by
// one from sampled row to sampled row.
const sampled = cells / 4

// typical is how two successive pictures differ: by how many levels the later one is brighter, by the median, and the median of how
// much single cells differ from that, in levels, either way.
func typical(now, before *Picture) (shift int32, noise float64) {
	var counts [512]uint16 // of differences, plus 256
	for y := 0; y < Height; y += 2 {
		a, b := now[y*Width:][:Width], before[y*Width:][:Width]
		for x := y / 2 & 1; x < Width; x += 2 {
			counts[256+int(a[x])-int(b[x])]++
		}
	}
	middle, below := 0, 0
	for ; below+int(counts[middle]) <= sampled/2; middle++ {
		below += int(counts[middle])
	}
	near := int(counts[middle])
	if near > sampled/2 {
		return int32(middle - 256), 0.5 * sampled / 2 / float64(near) // most cells differ by the same: by rounding
	}
	for away := 1; ; away++ {
		ring := 0
		if i := middle + away; i < len(counts) {
			ring += int(counts[i])
		}
		if i := middle - away; i >= 0 {
			ring += int(counts[i])
		}
		if near+ring > sampled/2 {
			return int32(middle - 256), float64(away) - 0.5 + float64(sampled/2-near)/float64(ring)
		}
		near += ring
	}
}

// How far the light may change for a picture to stay the same one: exposure that adapts, a cloud. Beyond that the picture has changed.
const (
	maxShift = 40 // levels
	minGain  = gainUnit * 6 / 10
	maxGain  = gainUnit * 16 / 10

	gainUnit = 512 // of gains in fixed point
	darkest  = 16  // levels: below this a cell tells no gain
	outlier  = 12  // levels: what differs by more is something else than light
)

// adapt says what became of the reference's levels by a change of light alone: the same shift for all, or the same gain for all,
// whichever leaves less to explain.
func adapt(now, reference *Picture) (tone [256]uint8) {
	shift, gain := light(now, reference)
	var shifted, gained [256]uint8
	for i := range 256 {
		shifted[i] = uint8(min(max(i+shift, 0), 255))
		gained[i] = uint8(min((i*gain+gainUnit/2)/gainUnit, 255))
	}
	byShift, byGain := 0, 0
	for y := 0; y < Height; y += 2 {
		a, b := now[y*Width:][:Width], reference[y*Width:][:Width]
		for x := y / 2 & 1; x < Width; x += 2 {
			level := int(a[x])
			byShift += apart(level, int(shifted[b[x]]))
			byGain += apart(level, int(gained[b[x]]))
		}
	}
	if byShift <= byGain {
		return shifted
	}
	return gained
}

// apart is how far two levels are apart, up to outlier.
func apart(a, b int) int {
	return min(max(a-b, b-a), outlier)
}

// light is the median difference, in levels, and the median gain, in gainUnits, of a picture over the reference; 0 and gainUnit
// where that is more than a change of light.
func light(now, reference *Picture) (shift, gain int) {
	var shifts [512]uint16
	var gains [2 * gainUnit]uint16
	lit := 0
	for y := 0; y < Height; y += 2 {
		a, b := now[y*Width:][:Width], reference[y*Width:][:Width]
		for x := y / 2 & 1; x < Width; x += 2 {
			level, before := int(a[x]), int(b[x])
			shifts[256+level-before]++
			if before >= darkest && before < 250 && level < 250 { // neither too dark to tell nor clipped
				gains[min((level*gainUnit+before/2)/before, len(gains)-1)]++
				lit++
			}
		}
	}
	shift, gain = median(shifts[:], sampled)-256, gainUnit
	if lit > sampled/8 {
		gain = median(gains[:], lit)
	}
	if max(shift, -shift) > maxShift {
		shift = 0
	}
	if gain < minGain || gain > maxGain {
		gain = gainUnit
	}
	return shift, gain
}

// median is the middle one of n things that are counted.
func median(counts []uint16, n int) int {
	below := 0
	for i, count := range counts {
		if below += int(count); 2*below > n {
			return i
		}
	}
	return len(counts) - 1
}
