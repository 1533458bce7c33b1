package preprocess

import (
	"fmt"
	"image"
	"math"
)

// Crop is the part of an upright picture that a network is to see, in fractions of its width and height, from 0 to 1, from the left
// and from the top. It can be compared.
type Crop struct{ X1, Y1, X2, Y2 float64 }

// Whole is all of a picture.
var Whole = Crop{0, 0, 1, 1}

// Check says what is wrong with a Crop.
func (c Crop) Check() error {
	if someOf(c.X1, c.X2) && someOf(c.Y1, c.Y2) {
		return nil
	}
	return fmt.Errorf("crop [%v, %v, %v, %v], want [left, top, right, bottom] from 0 to 1, left less than right, top less than bottom",
		c.X1, c.Y1, c.X2, c.Y2)
}

// someOf says whether two fractions bound some of a side. No comparison with NaN holds.
func someOf(from, to float64) bool { return from >= 0 && from < to && to <= 1 }

// Rectangle is the Crop of a picture of that many pixels, to the nearest whole ones, at least one wide and high. It lies inside a
// picture that isn't empty, if the Crop passes its Check.
func (c Crop) Rectangle(size image.Point) image.Rectangle {
	x1, x2 := between(c.X1, c.X2, size.X)
	y1, y2 := between(c.Y1, c.Y2, size.Y)
	return image.Rect(x1, y1, x2, y2)
}

// between is a part of a side of n pixels.
func between(from, to float64, n int) (first, end int) {
	first = min(int(math.Round(from*float64(n))), n-1)
	end = max(int(math.Round(to*float64(n))), first+1)
	return first, end
}
