package camera

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestPictureName(t *testing.T) {
	for name, want := range map[string]bool{
		"a.jpg": true, "a.JPG": true, "a.Jpeg": true, "a.jpe": true, "a.jfif": true, "a.png": true, "a.webp": true,
		"a.bmp": true, "a.tif": true, "a.tiff": true, "a.gif": true, "a.heic": true, "a.avif": true,
		"a b\nü\xff.jpg": true, "dir/a.jpg": true, ".dir/a.jpg": true, "a.txt.jpg": true,
		"a.jpg.part": false, "a.jpg.partial": false, "a.jpg.tmp": false, "a.jpg.crdownload": false,
		"a.jpg.filepart": false, "a.jpg~": false, ".a.jpg": false, "._a.jpg": false, "dir/.a.jpg": false, ".jpg": false,
		"a.txt": false, "a": false, "jpg": false, "": false, ".": false, "a.": false, "a.jpg.txt": false,
	} {
		if got := PictureName(name); got != want {
			t.Errorf("%q: got %v", name, got)
		}
	}
}

func TestNumbered(t *testing.T) {
	long := strings.Repeat("ü", 200)
	for _, test := range []struct {
		base  string
		n     int
		limit int
		want  string
	}{
		{"x.jpg", 0, nameMax, "x.jpg"},
		{"x.jpg", 1, nameMax, "x-1.jpg"},
		{"x.y.jpg", 12, nameMax, "x.y-12.jpg"},
		{"x", 3, nameMax, "x-3"},
		{long + ".jpg", 0, 20, "üüüüüüüü.jpg"},
		{long + ".jpg", 7, 20, "üüüüüüü-7.jpg"},
		{"x." + long, 1, 20, "x.üüüüüüüü-1"},
		{strings.Repeat("\xbf", 40) + ".jpg", 1, 20, strings.Repeat("\xbf", 10) + "-1.jpg"},
	} {
		if got := numbered(test.base, test.n, test.limit); got != test.want || len(got) > test.limit {
			t.Errorf("%q, %d: got %q, want %q", test.base, test.n, got, test.want)
		}
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add("plain name.jpg")
	f.Add("\xff\n\x00\u202e�\xc3")
	f.Fuzz(func(t *testing.T, name string) {
		shown := printable(name)
		if !utf8.ValidString(shown) || strings.ContainsAny(shown, "\n\r\x00\x1b\u202e\u2028") || len(shown) > 8*len(name) {
			t.Errorf("%q is shown as %q", name, shown)
		}
		if printable(shown) != shown {
			t.Errorf("%q is not shown as itself", shown)
		}
		if n := numbered(name, 1, nameMax); len(n) > nameMax {
			t.Errorf("%q has %d bytes", n, len(n))
		}
	})
}
