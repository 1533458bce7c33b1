package tflitefile

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"runtime"
	"strings"
	"testing"
)

// FuzzLabelsFile puts a file into the zip behind a model, as labels, perhaps with a damaged byte: they are its lines.
func FuzzLabelsFile(f *testing.F) {
	for _, s := range []string{"a\nb\n", "\ufeffa\r\nb", "", "\n\n", "\x00\xff", strings.Repeat("\n", 1000)} {
		f.Add([]byte(s), uint8(0), uint16(0))
	}
	f.Fuzz(func(t *testing.T, text []byte, flip uint8, at uint16) {
		data := withZip(t, func(w *zip.Writer) error {
			e, err := w.Create("labels.txt")
			if err != nil {
				return err
			}
			_, err = e.Write(text)
			return err
		})
		if at, archive := int(at), bytes.LastIndex(data, []byte("PK\x03\x04")); flip != 0 { // which breaks the zip, or nothing
			data[archive+at%(len(data)-archive)] ^= flip
		}
		back, err := Read(data)
		if err != nil {
			if flip == 0 {
				t.Fatal(err)
			}
			return
		}
		labels, err := back.Labels()
		if err != nil {
			if flip == 0 && len(text) > 0 {
				t.Fatal(err)
			}
			return
		}
		if flip == 0 && strings.Join(labels, "\n") != strings.Join(lines(text), "\n") {
			t.Fatalf("%q: have labels %q", text, labels)
		}
	})
}

// TestReadMemory puts the largest number in the place of every aligned four bytes of a file, of which some are counts, offsets and sizes: what is
// allocated stays within what Read promises. The zip's own reader takes about 100 KB.
func TestReadMemory(t *testing.T) {
	good := mustBytes(t, newInt8Net().model)
	bound := uint64(2*budgetPerByte*len(good) + 512<<10)
	worst := uint64(0)
	for at := 0; at+4 <= len(good); at += 4 { // where the numbers of a flatbuffer lie
		for _, huge := range []uint32{0xffffffff, 0x7fffffff, 0x00ffffff} {
			data := bytes.Clone(good)
			binary.LittleEndian.PutUint32(data[at:], huge)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := Read(data)
			runtime.ReadMemStats(&after)
			taken := after.TotalAlloc - before.TotalAlloc
			if worst = max(worst, taken); taken > bound {
				t.Fatalf("%#x at %d: %d bytes were allocated for a file of %d, want at most %d: %v", huge, at, taken, len(data), bound, err)
			}
		}
	}
	t.Logf("at most %d bytes for a file of %d", worst, len(good))
}
