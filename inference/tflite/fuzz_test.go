package tflite

import (
	"bytes"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// FuzzOpenStamped looks for packed weights among what lies in a folder: they are taken if, and only if, their stamp is the whole of what
// is wanted, with their own size and checksum.
func FuzzOpenStamped(f *testing.F) {
	const wanted = "sightd weights 1, a processor,"
	f.Add([]byte("weights"), []byte(wanted+stampEnd(7, crc32.Checksum([]byte("weights"), castagnoli))))
	f.Add([]byte("weights"), []byte(wanted+" file 7 00000000\n"))
	f.Add([]byte(""), []byte(wanted))
	f.Add([]byte("x"), []byte("sightd weights 2"))
	path := filepath.Join(f.TempDir(), "weights")
	f.Fuzz(func(t *testing.T, weights, stamp []byte) {
		whole := []byte(wanted + stampEnd(int64(len(weights)), crc32.Checksum(weights, castagnoli)))
		for _, stamp := range [][]byte{stamp, whole, append(whole, stamp...)} {
			if err := os.WriteFile(path, weights, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path+stampName, stamp, 0o600); err != nil {
				t.Fatal(err)
			}
			file := openStamped(path, wanted)
			if (file != nil) != bytes.Equal(stamp, whole) {
				t.Fatalf("%d bytes with stamp %q: opened is %v", len(weights), stamp, file != nil)
			}
			if file == nil {
				continue
			}
			have, err := io.ReadAll(io.NewSectionReader(file, 0, 1<<20))
			if err := file.Close(); err != nil {
				t.Error(err)
			}
			if err != nil || !bytes.Equal(have, weights) {
				t.Fatalf("want %q, have %q, %v", weights, have, err)
			}
		}
	})
}
