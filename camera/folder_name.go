package camera

import (
	"fmt"
	"path"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// pictureExtensions are the names' endings that promise a picture. Formats that sightd doesn't decode are among them, so
// that their files are refused with a reason instead of lying in the folder unnoticed.
var pictureExtensions = map[string]bool{
	".jpg": true, ".jpeg": true, ".jpe": true, ".jfif": true, ".jif": true,
	".png": true, ".apng": true, ".webp": true,
	".bmp": true, ".dib": true, ".tif": true, ".tiff": true, ".gif": true,
	".heic": true, ".heif": true, ".avif": true, ".jxl": true, ".jp2": true,
	".ppm": true, ".pgm": true, ".pbm": true, ".pnm": true,
}

// PictureName reports whether a file of that name is to be taken for a picture when a directory is read: its extension,
// in whatever case, is a picture format's, and it is no dot file. Names of unfinished uploads (x.jpg.part, x.jpg.partial,
// x.jpg.tmp, x.jpg.crdownload, x.jpg.filepart, x.jpg~) have other extensions, so they are not. Directories in name don't
// matter.
func PictureName(name string) bool {
	name = path.Base(name)
	return !strings.HasPrefix(name, ".") && pictureExtensions[strings.ToLower(path.Ext(name))]
}

// printable returns a file's name, or a reason that may quote one, for messages and logs: control characters, other
// invisible ones and bytes that aren't UTF-8 are escaped as in Go.
func printable(name string) string {
	plain := func(r rune) bool { return r != utf8.RuneError && unicode.IsPrint(r) }
	if strings.IndexFunc(name, func(r rune) bool { return !plain(r) }) < 0 {
		return name
	}
	var b strings.Builder
	for i, width := 0, 0; i < len(name); i += width {
		var r rune
		r, width = utf8.DecodeRuneInString(name[i:])
		switch {
		case r == utf8.RuneError && width == 1:
			fmt.Fprintf(&b, `\x%02x`, name[i])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			quoted := strconv.QuoteRune(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
	}
	return b.String()
}

// nameMax is how long a file's name may be on Linux, in bytes.
const nameMax = 255

// numbered returns base with -n before its extension, or base itself for 0, shortened at a rune's border to at most limit
// bytes.
func numbered(base string, n, limit int) string {
	ext := path.Ext(base)
	if len(ext) > limit/2 {
		ext = "" // no extension, but a name with a dot in front
	}
	stem := strings.TrimSuffix(base, ext)
	suffix := ext
	if n > 0 {
		suffix = "-" + strconv.Itoa(n) + ext
	}
	if room := limit - len(suffix); len(stem) > room {
		cut := room
		for cut > room-utf8.UTFMax && !utf8.RuneStart(stem[cut]) {
			cut--
		}
		stem = stem[:cut]
	}
	return stem + suffix
}
