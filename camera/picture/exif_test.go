package picture

import (
	"encoding/binary"
	"testing"

	"sightd/camera/internal/handmade"
)

func TestOrientation(t *testing.T) {
	whole := string(handmade.EXIF(binary.BigEndian, 6))
	edit := func(offset int, bytes string) string {
		return whole[:offset] + bytes + whole[offset+len(bytes):]
	}
	tests := []struct {
		name, exif string
		want       int
	}{
		{"none", "", 1},
		{"big endian", whole, 6},
		{"little endian", string(handmade.EXIF(binary.LittleEndian, 5)), 5},
		{"with the prefix of JPEG", "Exif\x00\x00" + whole, 6},
		{"value 0", string(handmade.EXIF(binary.BigEndian, 0)), 1},
		{"value 9", string(handmade.EXIF(binary.BigEndian, 9)), 1},
		{"byte order unknown", edit(0, "XX"), 1},
		{"no 42", edit(3, "\x2b"), 1},
		{"directory behind the end", edit(4, "\xff\xff\xff\xff"), 1},
		{"directory at the end", edit(4, "\x00\x00\x00\x1a"), 1},
		{"no entries", edit(8, "\x00\x00"), 1},
		{"more entries than there are", edit(8, "\xff\xff"), 6},
		{"another tag", edit(10, "\x01\x13"), 1},
		{"another type", edit(12, "\x00\x04"), 1},
		{"two values", edit(17, "\x02"), 1},
		{"cut in the entry", whole[:20], 1},
		{"cut in the header", whole[:7], 1},
	}
	for _, tt := range tests {
		if got := orientation([]byte(tt.exif)); got != tt.want {
			t.Errorf("%s: orientation %d, want %d", tt.name, got, tt.want)
		}
	}
}
