package camera_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	"image/jpeg"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gocv.io/x/gocv"

	"sightd/camera"
	"sightd/camera/internal/handmade"
	"sightd/camera/picture"
)

// shared finds a file or folder of ../shared, which lies beside the repository.
func shared(t *testing.T, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
	path := filepath.Join(dir, "..", "shared", name)
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("test data: %v", err)
		}
		t.Skipf("needs %s beside the repository", filepath.Join("shared", name))
	}
	return path
}

func newDecoder(t testing.TB) *camera.Decoder {
	t.Helper()
	decoder := camera.NewDecoder(limits)
	t.Cleanup(func() {
		if err := decoder.Close(); err != nil {
			t.Error(err)
		}
	})
	return decoder
}

func wantRefused(t *testing.T, err error, reason string) {
	t.Helper()
	var refused *picture.RefusedError
	if !errors.As(err, &refused) {
		t.Fatalf("error %v, want a refusal", err)
	}
	if !strings.Contains(refused.Reason, reason) {
		t.Errorf("refused: %s, want %q", refused.Reason, reason)
	}
}

func TestOddFiles(t *testing.T) {
	folder := shared(t, "images/odd")
	table, err := os.ReadFile(filepath.Join(folder, "EXPECTED.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	decoder := newDecoder(t)
	for line := range strings.Lines(string(table)) {
		fields := strings.Split(strings.TrimSpace(line), "\t")
		name, expected := fields[0], fields[1]
		if expected == "expected" || expected == "ignore" {
			continue // the heading; rows on what a folder passes over
		}
		t.Run(name, func(t *testing.T) {
			f, err := os.Open(filepath.Join(folder, name))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			mat, header, err := decoder.ReadFile(f)
			switch expected {
			case "reject":
				wantRefused(t, err, "")
			case "any":
				if err != nil {
					wantRefused(t, err, "")
				}
			default:
				if err != nil {
					t.Fatal(err)
				}
				if mat.Empty() || mat.Type() != gocv.MatTypeCV8UC3 || header.Width == 0 {
					t.Errorf("decoded to %v, type %v, from %+v", mat.Size(), mat.Type(), header)
				}
			}
		})
	}
}

// TestPhotos compares with what OpenCV makes of the whole file, metadata included.
func TestPhotos(t *testing.T) {
	photos, err := filepath.Glob(filepath.Join(shared(t, "images/imagenet"), "*.jpg"))
	if err != nil || len(photos) < 100 {
		t.Fatalf("%d photos, want at least 100 (%v)", len(photos), err)
	}
	odd, err := filepath.Glob(filepath.Join(shared(t, "images/odd"), "*.[jpw]*"))
	if err != nil {
		t.Fatal(err)
	}
	decoder := newDecoder(t)
	compared := 0
	for i, name := range append(odd, photos...) {
		if i >= len(odd) && i%5 != 0 {
			continue
		}
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		mat, header, err := decoder.Decode(data)
		if err != nil {
			if i >= len(odd) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if header.Width*header.Height > 10_000_000 {
			continue // decoded at a reduced size
		}
		want, err := gocv.IMDecode(data, gocv.IMReadColor)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(mat.ToBytes(), want.ToBytes()) || mat.Rows() != want.Rows() {
			t.Errorf("%s: other pixels than from the whole file", name)
		}
		want.Close()
		compared++
	}
	if compared < 100 {
		t.Errorf("%d pictures compared, want at least 100", compared)
	}
}

func TestReducedSize(t *testing.T) {
	tests := []struct {
		width, height int
		wantCols      int
		wantRows      int
	}{
		{2046, 2046, 2046, 2046},
		{2047, 3000, 1024, 1500},
		{2048, 2048, 1024, 1024},
		{4032, 3024, 2016, 1512},
		{4033, 3025, 2017, 1513},
		{3000, 4100, 1500, 2050},
		{8000, 6250, 2000, 1563},
		{65400, 700, 65400, 700}, // a strip stays as it is
		{10, 5, 10, 5},
	}
	decoder := newDecoder(t)
	for _, tt := range tests {
		mat, _, err := decoder.Decode(handmade.JPEG{Width: tt.width, Height: tt.height}.Bytes())
		if err != nil {
			t.Errorf("%dx%d: %v", tt.width, tt.height, err)
			continue
		}
		if mat.Cols() != tt.wantCols || mat.Rows() != tt.wantRows {
			t.Errorf("%dx%d: decoded to %dx%d, want %dx%d",
				tt.width, tt.height, mat.Cols(), mat.Rows(), tt.wantCols, tt.wantRows)
		}
		if got := mat.GetVecbAt(mat.Rows()-1, mat.Cols()-1)[1]; got != 128 {
			t.Errorf("%dx%d: last pixel is %d, want 128", tt.width, tt.height, got)
		}
	}
}

// TestEnough has pictures decoded at the smallest size that is said to be enough.
func TestEnough(t *testing.T) {
	decoder, turned := newDecoder(t), handmade.APP1(handmade.EXIF(binary.LittleEndian, 6))
	for _, tt := range []struct {
		file       []byte
		wide, high int // that are enough
		want       image.Point
	}{
		{handmade.JPEG{Width: 4032, Height: 3024}.Bytes(), 240, 240, image.Pt(504, 378)},
		{handmade.JPEG{Width: 4032, Height: 3024}.Bytes(), 504, 378, image.Pt(504, 378)},
		{handmade.JPEG{Width: 4032, Height: 3024}.Bytes(), 505, 1, image.Pt(1008, 756)},
		{handmade.JPEG{Width: 4032, Height: 3024}.Bytes(), 1, 757, image.Pt(2016, 1512)},
		{handmade.JPEG{Width: 4032, Height: 3024}.Bytes(), 2017, 1, image.Pt(4032, 3024)},
		{handmade.JPEG{Width: 4032, Height: 3024}.Bytes(), 9999, 9999, image.Pt(4032, 3024)},
		{handmade.JPEG{Width: 4032, Height: 3024}.Bytes(), 1, 1, image.Pt(504, 378)}, // no decoder makes it smaller
		{handmade.JPEG{Width: 801, Height: 1}.Bytes(), 101, 1, image.Pt(101, 1)},
		{handmade.JPEG{Width: 400, Height: 300, Segments: turned}.Bytes(), 150, 100, image.Pt(150, 200)},
		{handmade.JPEG{Width: 400, Height: 300, Segments: turned}.Bytes(), 100, 150, image.Pt(150, 200)},
		{handmade.JPEG{Width: 400, Height: 300, Segments: turned}.Bytes(), 200, 150, image.Pt(300, 400)},
		{handmade.PNG{Width: 400, Height: 300}.Bytes(), 1, 1, image.Pt(400, 300)},
	} {
		decoder.Enough = func(size image.Point) bool { return size.X >= tt.wide && size.Y >= tt.high }
		mat, header, err := decoder.Decode(tt.file)
		if err != nil {
			t.Errorf("%+v: %v", header, err)
			continue
		}
		if got := image.Pt(mat.Cols(), mat.Rows()); got != tt.want {
			t.Errorf("%+v: decoded to %v where %dx%d are enough, want %v", header, got, tt.wide, tt.high, tt.want)
		}
	}
}

// TestDecodeAllocatesNothing decodes pictures of a size again and again, as live sources have them.
func TestDecodeAllocatesNothing(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	decoder := newDecoder(t)
	var upright, turned bytes.Buffer
	if err := jpeg.Encode(&upright, corners(64, 48), nil); err != nil {
		t.Fatal(err)
	}
	turned.Write(insert(upright.Bytes(), 2, handmade.APP1(handmade.EXIF(binary.LittleEndian, 3))))
	decoder.Enough = func(size image.Point) bool { return size.X >= 30 }
	for name, file := range map[string][]byte{"JPEG": upright.Bytes(), "JPEG, upside down": turned.Bytes()} {
		allocations := testing.AllocsPerRun(20, func() {
			if _, _, err := decoder.Decode(file); err != nil {
				t.Fatal(err)
			}
		})
		if allocations != 0 {
			t.Errorf("%s: %v allocations, want none", name, allocations)
		}
	}
}

// TestBrokenPixels has files that are whole and whose pixels can't be decoded: the Mat of the picture before must not
// be taken for theirs.
func TestBrokenPixels(t *testing.T) {
	broken := handmade.PNG{Width: 64, Height: 64}.Bytes()
	i := bytes.Index(broken, []byte("IDAT"))
	noise := handmade.Chunk("IDAT", bytes.Repeat([]byte{0xff}, 40))
	decoder := newDecoder(t)
	for name, file := range map[string][]byte{
		"PNG":        append(append(bytes.Clone(broken[:i-4]), noise...), handmade.Chunk("IEND", nil)...),
		"PNG header": handmade.PNG{Width: 64, Height: 64, Bits: 5}.Bytes(),
		"WebP":       handmade.RIFF(handmade.RIFFChunk("VP8 ", append(handmade.VP8(64, 64), make([]byte, 64)...))),
		"JPEG":       handmade.JPEG{Width: 64, Height: 64, Sampling: []byte{0x44, 0x11, 0x11}}.Bytes(),
	} {
		if _, _, err := decoder.Decode(handmade.PNG{Width: 64, Height: 64}.Bytes()); err != nil {
			t.Fatal(err)
		}
		_, _, err := decoder.Decode(file)
		if err == nil {
			t.Errorf("%s: decoded", name)
			continue
		}
		wantRefused(t, err, "can't be decoded")
	}
}

func TestReadFileRefuses(t *testing.T) {
	folder := t.TempDir()
	large := filepath.Join(folder, "large.jpg")
	if err := os.WriteFile(large, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, limits.MaxBytes+1); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(folder, "empty.jpg")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	decoder := newDecoder(t)
	for name, want := range map[string]string{
		folder:      "no regular file",
		"/dev/zero": "no regular file",
		large:       "at most 67108864 are allowed",
		empty:       "the file is empty",
	} {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = decoder.ReadFile(f)
		wantRefused(t, err, want)
		f.Close()
	}
	f, err := os.Open(empty)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	var refused *picture.RefusedError
	if _, _, err := decoder.ReadFile(f); err == nil || errors.As(err, &refused) {
		t.Errorf("closed file: error %v, want one that is no refusal", err)
	}
}

// TestReadFileFromStart reads a file whose offset stands elsewhere.
func TestReadFileFromStart(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a.png")
	if err := os.WriteFile(name, handmade.PNG{Width: 7, Height: 5}.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	decoder := newDecoder(t)
	for range 2 {
		if _, err := f.Seek(0, 2); err != nil {
			t.Fatal(err)
		}
		mat, _, err := decoder.ReadFile(f)
		if err != nil || mat.Cols() != 7 || mat.Rows() != 5 {
			t.Fatalf("decoded to %v, %v", mat.Size(), err)
		}
	}
}

// TestDecodeKeepsData makes sure that the caller's bytes stay as they are.
func TestDecodeKeepsData(t *testing.T) {
	decoder := newDecoder(t)
	data := handmade.PNG{Width: 8, Height: 8, Chunks: handmade.ZTXT(100)}.Bytes()
	before := bytes.Clone(data)
	if _, _, err := decoder.Decode(data); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(data, before) {
		t.Error("Decode has changed its argument")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(handmade.JPEG{Width: 20, Height: 10, Sampling: []byte{0x22, 0x11, 0x11}}.Bytes())
	f.Add(handmade.JPEG{Width: 20, Height: 10, SOF: 0xc2, Sampling: []byte{0x11, 0x11, 0x11}, Scans: 2}.Bytes())
	f.Add(handmade.PNG{Width: 20, Height: 10, Color: 6, Bits: 16, Interlaced: true}.Bytes())
	f.Add(handmade.PNG{Width: 20, Height: 10, Color: 3}.Bytes())
	f.Add(handmade.VP8L{Width: 40, Height: 40, Sets: 50, Predictor: true}.Lossless())
	f.Add(handmade.RIFF(handmade.RIFFChunk("VP8 ", append(handmade.VP8(16, 16), make([]byte, 64)...))))
	decoder := camera.NewDecoder(picture.Limits{MaxPixels: 1_000_000, MaxBytes: 1 << 20})
	f.Fuzz(func(t *testing.T, data []byte) {
		mat, header, err := decoder.Decode(data)
		if err != nil {
			wantRefused(t, err, "")
			return
		}
		cols, rows := header.Width, header.Height
		if header.Turned() {
			cols, rows = rows, cols
		}
		if mat.Cols() != cols || mat.Rows() != rows || mat.Type() != gocv.MatTypeCV8UC3 {
			t.Errorf("decoded to %dx%d from %+v", mat.Cols(), mat.Rows(), header)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	for _, size := range []struct {
		name          string
		width, height int
	}{{"640x480", 640, 480}, {"4032x3024", 4032, 3024}} {
		b.Run(size.name, func(b *testing.B) {
			var file bytes.Buffer
			if err := jpeg.Encode(&file, corners(size.width, size.height), nil); err != nil {
				b.Fatal(err)
			}
			decoder := newDecoder(b)
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := decoder.Decode(file.Bytes()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
