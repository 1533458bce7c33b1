package camera

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"io/fs"
	"os"
	"testing"

	"sightd/camera/picture"
)

// shade is a JPEG of one shade, in a file of that size: what is behind its end is no fault.
func shade(t *testing.T, y uint8, size int) string {
	t.Helper()
	canvas := image.NewGray(image.Rect(0, 0, 16, 16))
	draw.Draw(canvas, canvas.Rect, image.NewUniform(color.Gray{y}), image.Point{}, draw.Src)
	var file bytes.Buffer
	must(t, jpeg.Encode(&file, canvas, nil))
	return file.String() + string(make([]byte, size-file.Len()))
}

// TestItemDecode has files change between being handed out and being decoded.
func TestItemDecode(t *testing.T) {
	limits := picture.Limits{MaxPixels: 1 << 20, MaxBytes: 1 << 20}
	for _, test := range []struct {
		name   string
		size   int
		change func(path, other string) error
		err    error // nil: the picture that was handed out
	}{
		{"small", 2000, nil, nil},
		{"small, written anew", 2000, func(path, other string) error { return os.WriteFile(path, []byte(other), 0o600) }, nil},
		{"small, removed", 2000, func(path, _ string) error { return os.Remove(path) }, nil},
		{"the largest that is held", heldBytes, func(path, _ string) error { return os.Remove(path) }, nil},
		{"large", heldBytes + 1, nil, nil},
		{"large, written anew", heldBytes + 1, func(path, other string) error { return os.WriteFile(path, []byte(other), 0o600) }, ErrFileChanged},
		{"large, removed", heldBytes + 1, func(path, _ string) error { return os.Remove(path) }, fs.ErrNotExist},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newStepped(t, func(o *FolderOptions) { o.Whole = Whole(limits) })
			d := NewDecoder(limits)
			defer d.Close()
			file := shade(t, 40, test.size)
			item := s.one("a.jpg", file)
			if item.sum != sha256.Sum256([]byte(file)) {
				t.Error("the sum is of something else")
			}
			path := s.dir + "/a.jpg"
			if test.change != nil {
				must(t, test.change(path, shade(t, 200, test.size+1)))
			}
			mat, header, err := item.Decode(d)
			if !errors.Is(err, test.err) {
				t.Fatalf("have %v, want %v", err, test.err)
			}
			if err != nil {
				item.Release()
				return
			}
			if got := mat.GetUCharAt(8, 24); header.Width != 16 || got < 38 || got > 42 {
				t.Errorf("have %d pixels of shade %d, want 16 of 40", header.Width, got)
			}
			must(t, item.Done(nil))
		})
	}
}

// TestItemsHold has pictures be decoded in another order than they came: what each holds is its own.
func TestItemsHold(t *testing.T) {
	limits := picture.Limits{MaxPixels: 1 << 20, MaxBytes: 1 << 20}
	s := newStepped(t, func(o *FolderOptions) { o.Whole = Whole(limits) })
	d := NewDecoder(limits)
	defer d.Close()
	const many = 5
	for round := range 3 {
		items := map[uint8]*Item{}
		for i := range many {
			y := uint8(20 + 40*i + 5*round)
			items[y] = s.one(fmt.Sprintf("%d-%d.jpg", round, i), shade(t, y, 1500+100*i))
		}
		for y, item := range items {
			mat, _, err := item.Decode(d)
			must(t, err)
			if got := mat.GetUCharAt(0, 0); max(got, y)-min(got, y) > 2 {
				t.Errorf("%s: have shade %d, want %d", item.File, got, y)
			}
			must(t, item.Done(nil))
		}
	}
}
