package picture

// Lossless WebP (VP8L) may use another set of five Huffman codes for each block of the picture. Which set a block uses
// is told by a small picture at the start of the data, the entropy image, and libwebp then builds the tables of all
// sets: up to 65536 of 5 to 20 KB each. A file of 300 KB and one megapixel took 370 MB so. This file reads the data as far
// as the entropy image, to know the number of sets. It follows the WebP Lossless Bitstream Specification and accepts what
// libwebp accepts; it keeps no pixel: the highest number stands in a literal, whatever is copied.

// Alphabets of the five codes of a set: green with the lengths of copies (and entries of the colour cache), red, blue,
// alpha, distances of copies.
const (
	numLiterals  = 256
	numLengths   = 24
	numDistances = 40
	codesPerSet  = 5
)

// tableEntries is the most entries that libwebp's tables of one set have, by the bits of the colour cache: the sum of
// the largest two-level tables with 8 bits in the first, as zlib's enough.c counts them.
var tableEntries = [12]int64{
	2954, 2956, 2958, 2962, 2970, 2986, 3018, 3082, 3212, 3468, 3980, 5004,
}

const (
	tableEntrySize = 4
	setSize        = 600 // libwebp's HTreeGroup, with a table of packed symbols
)

// errVP8L is what data that doesn't follow the format is refused with.
var errVP8L = &RefusedError{Reason: "the WebP is broken: its VP8L data can't be read"}

// huffmanTables reads VP8L data behind its header as far as the entropy image and bounds the memory, in bytes, that
// libwebp takes for Huffman tables.
func huffmanTables(data []byte, width, height int) (int64, error) {
	r := &bitReader{data: data}
	width, ok := skipTransforms(r, width, height)
	if !ok {
		return 0, errVP8L
	}
	cacheBits, ok := readCacheBits(r)
	if !ok {
		return 0, errVP8L
	}
	sets := 1
	if r.bits(1) == 1 {
		block := 2 + int(r.bits(3))
		highest, ok := skipImage(r, subsampled(width, block), subsampled(height, block))
		if !ok {
			return 0, errVP8L
		}
		sets += highest
	}
	if r.over {
		return 0, errVP8L
	}
	return int64(sets) * (tableEntries[cacheBits]*tableEntrySize + setSize), nil
}

// skipTransforms reads the transforms, each at most once, and returns the width of the picture behind them.
func skipTransforms(r *bitReader, width, height int) (int, bool) {
	const (
		predictor     = 0
		crossColor    = 1
		subtractGreen = 2
		colorIndexing = 3
	)
	var seen [4]bool
	for r.bits(1) == 1 {
		kind := r.bits(2)
		if seen[kind] {
			return 0, false
		}
		seen[kind] = true
		switch kind {
		case predictor, crossColor:
			block := 2 + int(r.bits(3))
			if _, ok := skipImage(r, subsampled(width, block), subsampled(height, block)); !ok {
				return 0, false
			}
		case subtractGreen:
		case colorIndexing:
			colors := 1 + int(r.bits(8))
			if _, ok := skipImage(r, colors, 1); !ok {
				return 0, false
			}
			switch { // few colours: several pixels share one
			case colors <= 2:
				width = subsampled(width, 3)
			case colors <= 4:
				width = subsampled(width, 2)
			case colors <= 16:
				width = subsampled(width, 1)
			}
		}
	}
	return width, !r.over
}

func subsampled(size, bits int) int { return (size + 1<<bits - 1) >> bits }

// readCacheBits reads the size of the colour cache: 0 for none, else 1 to 11.
func readCacheBits(r *bitReader) (int, bool) {
	if r.bits(1) == 0 {
		return 0, true
	}
	n := int(r.bits(4))
	return n, n >= 1 && n <= 11
}

// skipImage reads an image of the data's lower level and returns the highest red<<8|green of its pixels.
func skipImage(r *bitReader, width, height int) (highest int, ok bool) {
	cacheBits, ok := readCacheBits(r)
	if !ok {
		return 0, false
	}
	greens := numLiterals + numLengths
	if cacheBits > 0 {
		greens += 1 << cacheBits
	}
	var codes [codesPerSet]huffmanCode
	for i, size := range [codesPerSet]int{greens, numLiterals, numLiterals, numLiterals, numDistances} {
		if !codes[i].read(r, size) {
			return 0, false
		}
	}
	for left := width * height; left > 0; {
		if r.over {
			return 0, false
		}
		green := codes[0].symbol(r)
		switch {
		case green < numLiterals:
			red := codes[1].symbol(r)
			codes[2].symbol(r)
			codes[3].symbol(r)
			highest = max(highest, red<<8|green)
			left--
		case green < numLiterals+numLengths:
			length := readLength(r, green-numLiterals)
			readLength(r, codes[4].symbol(r))
			if length > left {
				return 0, false
			}
			left -= length
		default: // an entry of the colour cache: a pixel that was met before
			left--
		}
	}
	return highest, !r.over
}

// readLength reads the extra bits of a length or a distance.
func readLength(r *bitReader, symbol int) int {
	if symbol < 4 {
		return symbol + 1
	}
	extra := (symbol - 2) >> 1
	return (2+(symbol&1))<<extra + int(r.bits(extra)) + 1
}

// huffmanCode is a canonical Huffman code.
type huffmanCode struct {
	count   [16]int // symbols of each length
	symbols []int   // by length, then by value
}

// read reads a code of an alphabet; false where it isn't complete.
func (c *huffmanCode) read(r *bitReader, alphabet int) bool {
	lengths := make([]int, max(alphabet, 256))
	if r.bits(1) == 1 {
		two := r.bits(1) == 1
		first := r.bits(1)*7 + 1 // bits of the first symbol: 1 or 8
		lengths[r.bits(int(first))] = 1
		if two {
			lengths[r.bits(8)] = 1
		}
	} else if !readLengths(r, lengths[:alphabet]) {
		return false
	}
	return c.build(lengths[:alphabet]) && !r.over
}

// readLengths reads the lengths of a code's symbols, which are coded themselves.
func readLengths(r *bitReader, lengths []int) bool {
	order := [19]int{17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	var own [19]int
	for _, symbol := range order[:4+r.bits(4)] {
		own[symbol] = int(r.bits(3))
	}
	left := len(lengths) // symbols of the code of lengths that follow
	if r.bits(1) == 1 {
		left = 2 + int(r.bits(2+2*int(r.bits(3))))
		if left > len(lengths) {
			return false
		}
	}
	var code huffmanCode
	if !code.build(own[:]) {
		return false
	}
	previous := 8
	for i := 0; i < len(lengths) && left > 0; left-- {
		length, repeat := code.symbol(r), 1
		switch length {
		case 16:
			length, repeat = previous, 3+int(r.bits(2))
		case 17:
			length, repeat = 0, 3+int(r.bits(3))
		case 18:
			length, repeat = 0, 11+int(r.bits(7))
		}
		if r.over || repeat > len(lengths)-i {
			return false
		}
		if length != 0 {
			previous = length
		}
		for ; repeat > 0; repeat-- {
			lengths[i] = length
			i++
		}
	}
	return true
}

// build makes the code of symbols with these lengths. It must be complete; one symbol alone needs no bits.
func (c *huffmanCode) build(lengths []int) bool {
	for _, length := range lengths {
		if length > 0 {
			c.count[length]++
		}
	}
	open := 1 // codes of the current length that aren't taken
	for length := 1; length < len(c.count); length++ {
		for symbol, l := range lengths {
			if l == length {
				c.symbols = append(c.symbols, symbol)
			}
		}
		if open = open<<1 - c.count[length]; open < 0 {
			return false
		}
	}
	return open == 0 || len(c.symbols) == 1
}

// symbol reads one symbol; any where the data is over.
func (c *huffmanCode) symbol(r *bitReader) int {
	if len(c.symbols) == 1 {
		return c.symbols[0]
	}
	code, first, index := 0, 0, 0
	for length := 1; length < len(c.count); length++ {
		code |= int(r.bits(1))
		count := c.count[length]
		if code-first < count {
			return c.symbols[index+code-first]
		}
		index += count
		first = (first + count) << 1
		code <<= 1
	}
	return 0 // not reached: the code is complete
}

// bitReader reads bits from the lowest of each byte on.
type bitReader struct {
	data []byte
	pos  int // in bits
	over bool
}

// bits reads n bits, at most 24; zeros where the data is over.
func (r *bitReader) bits(n int) uint32 {
	var value uint32
	for i := range n {
		if r.pos>>3 >= len(r.data) {
			r.over = true
			return 0
		}
		value |= uint32(r.data[r.pos>>3]>>(r.pos&7)&1) << i
		r.pos++
	}
	return value
}
