package v4l2

import (
	"cmp"
	"math"
	"slices"
)

// Bounds on what is believed of a driver. A Logitech C920 takes 450 questions.
const (
	maxQuestions = 8192 // a device
	maxFormats   = 64
	maxSizes     = 128 // a format
	maxRates     = 64  // a size
	maxSide      = 1 << 15
	maxRate      = 1000
)

// questions asks a device with a bound on their number, so that a list without end ends.
type questions struct {
	ioctl ioctl
	left  int
}

// more reports whether another question may be asked and was answered.
func more[T any](q *questions, request uint32, v *T) bool {
	if q.left <= 0 {
		return false
	}
	q.left--
	return ask(q.ioctl, request, v) == nil
}

// formats lists what a node offers, as far as the bounds go.
func (q *questions) formats(bufferType uint32) []Format {
	formats := []Format{}
	for i := range uint32(maxFormats) {
		f := formatDescription{Index: i, Type: bufferType}
		if !more(q, reqFormat, &f) {
			break
		}
		name := fourCC(f.PixelFormat)
		if slices.ContainsFunc(formats, func(have Format) bool { return have.FourCC == name }) {
			continue
		}
		formats = append(formats, Format{
			FourCC: name, Description: text(f.Description[:]), Readable: readable[name], Sizes: q.sizes(f.PixelFormat),
		})
	}
	return formats
}

func (q *questions) sizes(pixelFormat uint32) []Size {
	sizes := []Size{}
	var last [6]uint32
	for i := range uint32(maxSizes) {
		f := frameSize{Index: i, PixelFormat: pixelFormat}
		if !more(q, reqFrameSizes, &f) || i > 0 && f.Size == last {
			break
		}
		last = f.Size
		size, ok := decodeSize(&f)
		if ok {
			w, h := size.near(wantWidth, wantHeight)
			size.Rates, size.AnyRate = q.rates(pixelFormat, w, h)
			sizes = append(sizes, size)
		}
		if f.Type != typeDiscrete {
			break // a range is the only entry
		}
	}
	return sizes
}

func decodeSize(f *frameSize) (s Size, ok bool) {
	for _, v := range f.Size {
		if f.Type != typeDiscrete && v > maxSide {
			return s, false
		}
	}
	v := f.Size
	switch f.Type {
	case typeDiscrete:
		s = Size{Width: int(min(v[0], maxSide+1)), Height: int(min(v[1], maxSide+1))}
	case typeContinuous, typeStepwise:
		s = Size{
			Width: int(max(v[0], 1)), MaxWidth: int(v[1]), StepX: int(max(v[2], 1)),
			Height: int(max(v[3], 1)), MaxHeight: int(v[4]), StepY: int(max(v[5], 1)),
		}
		if s.MaxWidth < s.Width || s.MaxHeight < s.Height {
			return s, false
		}
	}
	return s, s.Width > 0 && s.Height > 0 && s.Width <= maxSide && s.Height <= maxSide
}

// near is the size of a range that is nearest to what is wanted; of a single size it is that.
func (s *Size) near(width, height int) (w, h int) {
	if s.MaxWidth == 0 {
		return s.Width, s.Height
	}
	step := func(want, least, most, step int) int {
		want = min(max(want, least), most)
		up := least + (want-least+step-1)/step*step
		if up > most {
			up -= step
		}
		return up
	}
	return step(width, s.Width, s.MaxWidth, s.StepX), step(height, s.Height, s.MaxHeight, s.StepY)
}

// rates lists the pictures a second, fastest first; of a range its ends.
func (q *questions) rates(pixelFormat uint32, width, height int) (rates []float64, all bool) {
	rates = []float64{}
	var last [6]uint32
	for i := range uint32(maxRates) {
		f := frameInterval{Index: i, PixelFormat: pixelFormat, Width: uint32(width), Height: uint32(height)}
		if !more(q, reqFrameIntervals, &f) || i > 0 && f.Interval == last {
			break
		}
		last = f.Interval
		if f.Type == typeDiscrete {
			rates = appendRate(rates, f.Interval[0], f.Interval[1])
			continue
		}
		fast := appendRate(nil, f.Interval[0], f.Interval[1])
		slow := appendRate(nil, f.Interval[2], f.Interval[3])
		if len(fast) == 0 {
			fast = []float64{maxRate} // a shortest interval of nothing: any
		}
		rates, all = append(fast, slow...), true
		break
	}
	slices.SortFunc(rates, func(a, b float64) int { return cmp.Compare(b, a) })
	return slices.Compact(rates), all && len(rates) == 2
}

// appendRate adds 1 over an interval in seconds, to a thousandth, if it can be meant.
func appendRate(rates []float64, numerator, denominator uint32) []float64 {
	if numerator == 0 || denominator == 0 {
		return rates
	}
	rate := math.Round(float64(denominator)/float64(numerator)*1000) / 1000
	if rate <= 0 || rate > maxRate {
		return rates
	}
	return append(rates, rate)
}
