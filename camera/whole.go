package camera

import (
	"io"
	"sync"

	"sightd/camera/picture"
)

// Whole makes the FolderOptions.Whole of folders whose pictures a Decoder with these limits reads: it walks a file from its magic bytes
// to its end marker, and decodes nothing. The function may be called by several goroutines; they take turns, so that one
// buffer serves all.
func Whole(limits picture.Limits) func(*io.SectionReader) error {
	var mu sync.Mutex
	reader := &Decoder{limits: limits} // without Mats: it is used to read, not to decode
	return func(f *io.SectionReader) error {
		mu.Lock()
		defer mu.Unlock()
		defer reader.dropLargeFile()
		if err := reader.read(f, f.Size()); err != nil {
			return err
		}
		_, err := picture.Inspect(reader.file, limits)
		return err
	}
}
