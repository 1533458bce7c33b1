// Package drawn draws pictures by code: a golf ball on grass and a parachute in the sky, which sightd's default model knows,
// and two test patterns. They prove that a model runs as it should, and give a newcomer something to classify.
//
// The same name and size give the same pixels on every machine. Go may fuse a product and a sum into one operation that
// rounds once, and does so on arm64: where a product is added to something, an explicit conversion to float64 rounds it
// first. The standard library's Asin and Atan2 have fused operations of their own and may differ in the last bit; a test
// holds the pixels of the usual sizes to one list for all architectures.
package drawn

import (
	_ "embed"
	"fmt"
	"image"
	"math"
	"slices"
)

// Names lists the pictures, in order.
func Names() []string { return []string{"golf_ball", "parachute", "gradient", "noise"} }

// MaxSize is the largest side that Picture draws.
const MaxSize = 4096

// kept holds all pictures at keptSize, the default model's, in the order of Names: to draw them takes a small board as long as everything
// else that its start does.
//
//go:embed size160.rgb
var kept string

const (
	keptSize  = 160
	keptBytes = 3 * keptSize * keptSize
)

// Picture gives a picture of size by size pixels: RGB, 8 bits a channel, row by row, 3*size*size bytes.
func Picture(name string, size int) ([]byte, error) {
	if i := slices.Index(Names(), name); i >= 0 && size == keptSize {
		return []byte(kept[i*keptBytes:][:keptBytes]), nil
	}
	return draw(name, size)
}

func draw(name string, size int) ([]byte, error) {
	if size < 1 || size > MaxSize {
		return nil, fmt.Errorf("draw %s: want a size from 1 to %d, have %d", name, MaxSize, size)
	}
	shade, ok := map[string]func(x, y float64) color{
		"golf_ball": golfBall,
		"parachute": parachute,
		"gradient":  gradient,
		"noise":     noise,
	}[name]
	if !ok {
		return nil, fmt.Errorf("draw %q: want one of %v", name, Names())
	}
	at := make([]float64, samples*size) // of each sample along a side, from 0 to 1
	for i := range at {
		at[i] = (float64(i/samples) + float64((float64(i%samples)+0.5)/samples)) / float64(size)
	}
	pixels := make([]byte, 0, 3*size*size)
	for y := range size {
		for x := range size {
			c := average(shade, at[samples*x:][:samples], at[samples*y:][:samples])
			pixels = append(pixels, level(c.r), level(c.g), level(c.b))
		}
	}
	return pixels, nil
}

// Image draws a picture as an image.
func Image(name string, size int) (*image.NRGBA, error) {
	pixels, err := Picture(name, size)
	if err != nil {
		return nil, err
	}
	img := image.NewNRGBA(image.Rect(0, 0, size, size))
	for i := 0; i < size*size; i++ {
		copy(img.Pix[4*i:], pixels[3*i:3*i+3])
		img.Pix[4*i+3] = 255
	}
	return img, nil
}

// color is red, green and blue from 0 to 1. It is a struct, since a function's result is kept in registers then, which an array isn't.
type color struct{ r, g, b float64 }

// samples is the number of samples along each side of a pixel.
const samples = 3

// average gives the mean of a shade over the samples of a pixel, times their number. Shades take x and y from 0 (left, top) to 1.
func average(shade func(x, y float64) color, xs, ys []float64) (sum color) {
	for _, y := range ys {
		for _, x := range xs {
			c := shade(x, y)
			sum.r += min(max(c.r, 0), 1)
			sum.g += min(max(c.g, 0), 1)
			sum.b += min(max(c.b, 0), 1)
		}
	}
	return sum
}

// level is a channel's byte.
func level(sum float64) byte { return byte(math.Floor(float64(sum*255/(samples*samples)) + 0.5)) }

// gradient rises in red from left to right, in green from top to bottom, and falls in blue along the diagonal.
func gradient(x, y float64) color { return color{x, y, 1 - float64((x+y)/2)} }

// noise is a chequerboard of 16 fields a side in colours from a linear congruential generator's bits.
func noise(x, y float64) color {
	h := hash(int(x*16), int(y*16))
	return color{float64(h&255) / 255, float64(h>>8&255) / 255, float64(h>>16&255) / 255}
}

// hash mixes two numbers (the finalizer of MurmurHash3).
func hash(x, y int) uint32 {
	h := uint32(x)*0x9e3779b1 + uint32(y)*0x85ebca6b + 0x27d4eb2f
	h ^= h >> 16
	h *= 0x85ebca6b
	h ^= h >> 13
	h *= 0xc2b2ae35
	return h ^ h>>16
}

// valueNoise is smooth noise from 0 to 1: random values on a grid of whole numbers, blended between.
func valueNoise(x, y float64) float64 {
	x0, y0 := math.Floor(x), math.Floor(y)
	fx, fy := smooth(x-x0), smooth(y-y0)
	at := func(dx, dy int) float64 { return float64(hash(int(x0)+dx, int(y0)+dy)&0xffff) / 0xffff }
	top := mix(at(0, 0), at(1, 0), fx)
	return mix(top, mix(at(0, 1), at(1, 1), fx), fy)
}

// smooth goes from 0 to 1 as t does, level at both ends.
func smooth(t float64) float64 { return float64(t*t) * (3 - float64(2*t)) }

// mix goes from a to b as t goes from 0 to 1.
func mix(a, b, t float64) float64 { return a + float64((b-a)*t) }

// mixColor mixes each channel.
func mixColor(a, b color, t float64) color {
	return color{mix(a.r, b.r, t), mix(a.g, b.g, t), mix(a.b, b.b, t)}
}
