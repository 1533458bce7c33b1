package picture

import (
	"bytes"
	"encoding/binary"
)

// EXIF data is a TIFF file: a byte order, the number 42, the offset of a directory, and there entries of 12 bytes.
const (
	exifOrientation = 0x0112
	exifShort       = 3
	exifEntrySize   = 12
)

// exifPrefix stands before the TIFF file in a JPEG's APP1, and in the EXIF chunks of some WebP writers.
var exifPrefix = []byte("Exif\x00\x00")

// orientation reads the orientation tag of EXIF data, 1 to 8: 1 where there is none, or where the data makes no sense.
func orientation(exif []byte) int {
	exif = bytes.TrimPrefix(exif, exifPrefix)
	if len(exif) < 8 {
		return 1
	}
	var order binary.ByteOrder
	switch string(exif[:4]) {
	case "II*\x00":
		order = binary.LittleEndian
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return 1
	}
	offset := uint64(order.Uint32(exif[4:]))
	if offset+2 > uint64(len(exif)) {
		return 1
	}
	directory := exif[offset:]
	count := int(order.Uint16(directory))
	for entries := directory[2:]; count > 0 && len(entries) >= exifEntrySize; count-- {
		tag, kind := order.Uint16(entries), order.Uint16(entries[2:])
		if tag == exifOrientation && kind == exifShort && order.Uint32(entries[4:]) == 1 {
			if value := int(order.Uint16(entries[8:])); value >= 1 && value <= 8 {
				return value
			}
			return 1
		}
		entries = entries[exifEntrySize:]
	}
	return 1
}
