package drawn

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/pictures.txt anew")

// TestPictures compares the SHA-256 of each picture with those in testdata: one file for every architecture, so that a fused
// multiply-add that reaches a pixel shows.
func TestPictures(t *testing.T) {
	var b strings.Builder
	for _, name := range Names() {
		for _, size := range []int{96, 160, 224, 480} {
			pixels, err := draw(name, size)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "%s %d %x\n", name, size, sha256.Sum256(pixels))
		}
	}
	const golden = "testdata/pictures.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("the pictures have changed: have\n%swant\n%s", b.String(), want)
	}
}

// TestKept compares the pictures that are kept with what is drawn.
func TestKept(t *testing.T) {
	var all []byte
	for _, name := range Names() {
		pixels, err := draw(name, keptSize)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, pixels...)
		if have, err := Picture(name, keptSize); err != nil || !*update && !bytes.Equal(have, pixels) {
			t.Errorf("%s: want what is drawn, have others (%v)", name, err)
		}
	}
	if *update {
		if err := os.WriteFile("size160.rgb", all, 0o644); err != nil {
			t.Fatal(err)
		}
	} else if kept != string(all) {
		t.Error("size160.rgb: want what is drawn: go test ./models/drawn -update")
	}
}

// TestScenes keeps the scenes recognizable and the patterns full: a few pixels whose colours the pictures' descriptions
// state.
func TestScenes(t *testing.T) {
	const size = 200
	for _, test := range []struct {
		name string
		x, y int
		want string // of red, green and blue: r, g or b if that one is the largest by 16, else grey
	}{
		{"golf_ball", 100, 104, "grey"},
		{"golf_ball", 5, 5, "g"},
		{"parachute", 5, 5, "b"},
		{"parachute", 50, 70, "r"},
		{"gradient", 199, 10, "r"},
		{"gradient", 0, 0, "b"},
	} {
		pixels, err := Picture(test.name, size)
		if err != nil {
			t.Fatal(err)
		}
		p := pixels[3*(test.y*size+test.x):][:3]
		have := "grey"
		for k, c := range p {
			if int(c) >= 16+int(max(p[(k+1)%3], p[(k+2)%3])) {
				have = "rgb"[k : k+1]
			}
		}
		if have != test.want {
			t.Errorf("%s: pixel %d,%d is %v, want %s", test.name, test.x, test.y, p, test.want)
		}
	}
}

// TestBounds draws at the smallest and the largest size and refuses what lies beyond.
func TestBounds(t *testing.T) {
	for _, size := range []int{1, 2, 7} {
		for _, name := range Names() {
			if pixels, err := Picture(name, size); err != nil || len(pixels) != 3*size*size {
				t.Errorf("Picture(%s, %d): %d bytes, error %v; want %d bytes", name, size, len(pixels), err, 3*size*size)
			}
		}
	}
	for _, test := range []struct {
		name string
		size int
		want string
	}{
		{"noise", 0, "draw noise: want a size from 1 to 4096, have 0"},
		{"noise", -3, "draw noise: want a size from 1 to 4096, have -3"},
		{"noise", MaxSize + 1, "draw noise: want a size from 1 to 4096, have 4097"},
		{"tabby", 8, `draw "tabby": want one of [golf_ball parachute gradient noise]`},
		{"", 8, `draw "": want one of [golf_ball parachute gradient noise]`},
	} {
		if pixels, err := Picture(test.name, test.size); err == nil || err.Error() != test.want || pixels != nil {
			t.Errorf("Picture(%q, %d): %d bytes, error %v; want %s", test.name, test.size, len(pixels), err, test.want)
		}
		if img, err := Image(test.name, test.size); err == nil || err.Error() != test.want || img != nil {
			t.Errorf("Image(%q, %d): error %v, want %s", test.name, test.size, err, test.want)
		}
	}
}

// TestImage compares the image with the picture, pixel by pixel.
func TestImage(t *testing.T) {
	const size = 33
	for _, name := range Names() {
		pixels, err := Picture(name, size)
		if err != nil {
			t.Fatal(err)
		}
		img, err := Image(name, size)
		if err != nil {
			t.Fatal(err)
		}
		if img.Rect.Dx() != size || img.Rect.Dy() != size {
			t.Fatalf("%s: image of %v, want %d by %d", name, img.Rect, size, size)
		}
		for i := range size * size {
			c := img.NRGBAAt(i%size, i/size)
			if !bytes.Equal([]byte{c.R, c.G, c.B}, pixels[3*i:3*i+3]) || c.A != 255 {
				t.Fatalf("%s: pixel %d,%d is %v, want %v and opaque", name, i%size, i/size, c, pixels[3*i:3*i+3])
			}
		}
	}
}

func BenchmarkPicture(b *testing.B) {
	for _, name := range Names() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Picture(name, 160); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
