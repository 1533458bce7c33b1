package camera

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"gocv.io/x/gocv"
	"golang.org/x/sys/unix"

	"sightd/camera/internal/handmade"
	"sightd/camera/picture"
)

// samplingFactor is OpenCV's IMWRITE_JPEG_SAMPLING_FACTOR, which GoCV doesn't name.
const samplingFactor = 7

// samplings are its values.
var samplings = []struct {
	name  string
	value int
}{{"4:4:4", 0x111111}, {"4:2:2", 0x211111}, {"4:4:0", 0x121111}, {"4:2:0", 0x221111}, {"4:1:1", 0x411111}}

// scene makes a picture of soft colours and an edge, with noise of so many levels.
func scene(t testing.TB, size image.Point, noise float64) gocv.Mat {
	t.Helper()
	small := gocv.NewMatWithSize(7, 9, gocv.MatTypeCV8UC3)
	defer small.Close() // frees C memory; there is nothing to report
	random := rand.New(rand.NewPCG(1, 2))
	pixels, err := small.DataPtrUint8()
	if err != nil {
		t.Fatal(err)
	}
	for i := range pixels {
		pixels[i] = uint8(64 + random.IntN(128)) // with noise it stays inside
	}
	mat := gocv.NewMat()
	t.Cleanup(func() { mat.Close() }) // as above
	if err := gocv.Resize(small, &mat, size, 0, 0, gocv.InterpolationLinear); err != nil {
		t.Fatal(err)
	}
	if pixels, err = mat.DataPtrUint8(); err != nil {
		t.Fatal(err)
	}
	for i := range pixels {
		level := float64(pixels[i]) + noise*random.NormFloat64()
		if i/3%size.X > size.X/2 {
			level = 255 - level
		}
		pixels[i] = uint8(min(max(level, 0), 255))
	}
	return mat
}

// written makes a JPEG with OpenCV's parameters.
func written(t testing.TB, mat gocv.Mat, params ...int) []byte {
	t.Helper()
	file, err := gocv.IMEncodeWithParams(gocv.JPEGFileExt, mat, params)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() // frees C memory
	return bytes.Clone(file.GetBytes())
}

// byLibjpeg decodes a file as a Decoder does with no eighth.
func byLibjpeg(t testing.TB, d *Decoder, file []byte) (gocv.Mat, error) {
	t.Helper()
	header, err := picture.Inspect(file, picture.DefaultLimits)
	if err != nil {
		return gocv.Mat{}, err
	}
	err = d.imdecode(picture.Strip(nil, file), header, 8)
	return d.mat, err
}

// anEighth makes a Decoder to which no picture is too small.
func anEighth(t testing.TB) *Decoder {
	t.Helper()
	d := NewDecoder(picture.DefaultLimits)
	d.Enough = func(image.Point) bool { return true }
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// takesEighth says whether eighth takes a file that is good for inspecting, and decodes it to d.mat.
func takesEighth(t testing.TB, d *Decoder, file []byte) bool {
	t.Helper()
	header, err := picture.Inspect(file, picture.DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	return eighth(file, header, &d.mat)
}

// differs is how much the levels of two pictures of one size and type differ: on average, and at most.
func differs(t testing.TB, a, b gocv.Mat) (mean float64, most int) {
	t.Helper()
	if a.Rows() != b.Rows() || a.Cols() != b.Cols() || a.Type() != b.Type() {
		t.Fatalf("sizes %v and %v, types %v and %v, want the same", a.Size(), b.Size(), a.Type(), b.Type())
	}
	left, right := a.ToBytes(), b.ToBytes()
	sum := 0
	for i := range left {
		d := max(int(left[i])-int(right[i]), int(right[i])-int(left[i]))
		sum += d
		most = max(most, d)
	}
	return float64(sum) / float64(len(left)), most
}

func TestEighth(t *testing.T) {
	ours, theirs := anEighth(t), anEighth(t)
	sizes := []image.Point{{X: 1, Y: 1}, {X: 8, Y: 8}, {X: 9, Y: 7}, {X: 17, Y: 31}, {X: 33, Y: 16}, {X: 640, Y: 480}, {X: 643, Y: 485}}
	for _, size := range sizes {
		for _, noise := range []float64{0, 4, 60} {
			mat := scene(t, size, noise)
			for _, sampling := range samplings {
				for i, params := range [][]int{
					{gocv.IMWriteJpegQuality, 90},
					{gocv.IMWriteJpegQuality, 20},
					{gocv.IMWriteJpegQuality, 100, gocv.IMWriteJpegOptimize, 1},
					{gocv.IMWriteJpegQuality, 95, gocv.IMWriteJpegRstInterval, 1},
					{gocv.IMWriteJpegQuality, 75, gocv.IMWriteJpegRstInterval, 7, gocv.IMWriteJpegOptimize, 1},
					{gocv.IMWriteJpegQuality, 75, gocv.IMWriteJpegProgressive, 1},
				} {
					name := fmt.Sprintf("%v, noise %v, %s, %v", size, noise, sampling.name, params)
					file := written(t, mat, append(params, samplingFactor, sampling.value)...)
					took := takesEighth(t, ours, file)
					if want := sampling.name != "4:1:1" && i < 5; took != want {
						t.Fatalf("%s: taken %v, want %v", name, took, want)
					}
					if !took {
						continue
					}
					want, err := byLibjpeg(t, theirs, file)
					if err != nil {
						t.Fatalf("%s: %v", name, err)
					}
					mean, most := differs(t, ours.mat, want)
					if sampling.name != "4:2:0" && most != 0 {
						t.Errorf("%s: levels differ by %.2f on average, %d at most, want none to differ", name, mean, most)
					}
					if noise > 4 {
						continue // levels end at 0 and 255, and luma with them
					}
					// In 4:2:0 chroma is coarser; so is all of a small picture's, which has the whole scene in some blocks.
					if limit := min(3+400/float64(size.X+size.Y), 15); mean > limit {
						t.Errorf("%s: levels differ by %.2f on average, want %.1f at most", name, mean, limit)
					}
					if luma := lumaDiffers(ours.mat, want); luma > 1.5 {
						t.Errorf("%s: luma differs by up to %.2f, want 1.5 at most", name, luma)
					}
				}
			}
		}
	}
}

// lumaDiffers is how much the luma of two pictures of one size differs at most.
func lumaDiffers(a, b gocv.Mat) float64 {
	left, right := a.ToBytes(), b.ToBytes()
	most := 0.0
	for i := 0; i < len(left); i += 3 {
		d := 0.0
		for c, part := range [3]float64{0.114, 0.587, 0.299} {
			d += part * (float64(left[i+c]) - float64(right[i+c]))
		}
		most = max(most, d, -d)
	}
	return most
}

// TestEighthGrey decodes pictures of one component.
func TestEighthGrey(t *testing.T) {
	ours, theirs := anEighth(t), anEighth(t)
	for _, size := range []image.Point{{X: 1, Y: 1}, {X: 65, Y: 33}, {X: 643, Y: 485}} {
		grey := gocv.NewMat()
		t.Cleanup(func() { grey.Close() }) // frees C memory
		if err := gocv.CvtColor(scene(t, size, 20), &grey, gocv.ColorBGRToGray); err != nil {
			t.Fatal(err)
		}
		for _, interval := range []int{0, 3} {
			file := written(t, grey, gocv.IMWriteJpegRstInterval, interval)
			file[bytes.Index(file, []byte{0xff, 0xc0})+11] = 0x22 // sampling factors, which mean nothing here
			if !takesEighth(t, ours, file) {
				t.Fatalf("%v, interval %d: want it taken", size, interval)
			}
			want, err := byLibjpeg(t, theirs, file)
			if err != nil {
				t.Fatal(err)
			}
			if _, most := differs(t, ours.mat, want); most != 0 {
				t.Errorf("%v, interval %d: levels differ by up to %d, want none to differ", size, interval, most)
			}
		}
	}
}

// TestEighthBroken breaks files: what eighth then takes, libjpeg must take as well.
func TestEighthBroken(t *testing.T) {
	const rounds = 4000
	ours, theirs, random := anEighth(t), anEighth(t), rand.New(rand.NewPCG(3, 4))
	mat := scene(t, image.Pt(100, 70), 20)
	var files [][]byte
	for _, sampling := range samplings {
		files = append(files,
			written(t, mat, gocv.IMWriteJpegQuality, 80, samplingFactor, sampling.value),
			written(t, mat, gocv.IMWriteJpegQuality, 80, samplingFactor, sampling.value, gocv.IMWriteJpegRstInterval, 2, gocv.IMWriteJpegOptimize, 1))
	}
	refused, mine := 0, 0
	for i := range rounds {
		file := bytes.Clone(files[i%len(files)])
		switch i / len(files) % 4 {
		case 0: // cut, and ended
			file = append(file[:random.IntN(len(file))], 0xff, 0xd9)
		case 1: // some bytes changed
			for range 1 + random.IntN(3) {
				file[random.IntN(len(file))] = uint8(random.IntN(256))
			}
		case 2: // a header's byte changed
			file[random.IntN(640)] = uint8(random.IntN(256))
		case 3: // some bytes taken out
			at := random.IntN(len(file) - 4)
			file = append(file[:at], file[at+1+random.IntN(3):]...)
		}
		_, header, gotErr := ours.Decode(file)
		want, wantErr := byLibjpeg(t, theirs, file)
		if (gotErr == nil) != (wantErr == nil) || gotErr != nil && gotErr.Error() != wantErr.Error() {
			t.Fatalf("file %x: error %v, want %v", file, gotErr, wantErr)
		}
		if gotErr != nil {
			refused++
			continue
		}
		if eighth(file, header, &ours.mat) {
			mine++
			differs(t, ours.mat, want)
		}
	}
	if refused < rounds/10 || mine < rounds/50 {
		t.Errorf("%d of %d were refused, %d taken, want more of both", refused, rounds, mine)
	}
	t.Logf("%d of %d were refused, %d taken", refused, rounds, mine)
}

// TestEighthLeaves has files that are for libjpeg, or that only look like those.
func TestEighthLeaves(t *testing.T) {
	d := anEighth(t)
	ycc, adobe := []byte{0x22, 0x11, 0x11}, func(transform byte) []byte {
		return handmade.Segment(0xee, append([]byte("Adobe\x00\x64\x00\x00\x00\x00"), transform))
	}
	jfif := handmade.Segment(0xe0, []byte("JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"))
	renamed := handmade.JPEG{Width: 20, Height: 10, Sampling: []byte{0x11, 0x11, 0x11}}.Bytes()
	for _, header := range [][]byte{{0xff, 0xc0}, {0xff, 0xda}} { // its components are called R, G and B
		at := bytes.Index(renamed, header) + 5
		if header[1] == 0xc0 {
			at += 5
		}
		step := map[byte]int{0xc0: 3, 0xda: 2}[header[1]]
		for i, name := range []byte("RGB") {
			renamed[at+i*step] = name
		}
	}
	whole := handmade.JPEG{Width: 20, Height: 10, Sampling: ycc}.Bytes()
	behind := func(more ...byte) []byte {
		return append(append(bytes.Clone(whole[:len(whole)-2]), more...), 0xff, 0xd9)
	}
	for _, tt := range []struct {
		name string
		file []byte
		want bool
	}{
		{"grey", handmade.JPEG{Width: 20, Height: 10}.Bytes(), true},
		{"grey, 2x2", handmade.JPEG{Width: 20, Height: 10, Sampling: []byte{0x22}}.Bytes(), true},
		{"4:2:0", whole, true},
		{"extended sequential", handmade.JPEG{Width: 20, Height: 10, SOF: 0xc1, Sampling: ycc}.Bytes(), true},
		{"progressive", handmade.JPEG{Width: 20, Height: 10, SOF: 0xc2, Sampling: ycc}.Bytes(), false},
		{"a scan for each component", handmade.JPEG{Width: 20, Height: 10, Sampling: ycc, Separate: true}.Bytes(), false},
		{"two scans", handmade.JPEG{Width: 20, Height: 10, Sampling: ycc, Scans: 2}.Bytes(), false},
		{"CMYK", handmade.JPEG{Width: 20, Height: 10, Sampling: []byte{0x11, 0x11, 0x11, 0x11}}.Bytes(), false},
		{"4:1:1", handmade.JPEG{Width: 20, Height: 10, Sampling: []byte{0x41, 0x11, 0x11}}.Bytes(), false},
		{"chroma larger", handmade.JPEG{Width: 20, Height: 10, Sampling: []byte{0x11, 0x21, 0x11}}.Bytes(), false},
		{"JFIF", handmade.JPEG{Width: 20, Height: 10, Sampling: ycc, Segments: jfif}.Bytes(), true},
		{"Adobe's YCbCr", handmade.JPEG{Width: 20, Height: 10, Sampling: ycc, Segments: adobe(1)}.Bytes(), true},
		{"Adobe's RGB", handmade.JPEG{Width: 20, Height: 10, Sampling: ycc, Segments: adobe(0)}.Bytes(), false},
		{"components R, G and B", renamed, false},
		{"EXIF and a comment", handmade.JPEG{Width: 20, Height: 10, Sampling: ycc, Segments: append(handmade.APP1(handmade.EXIF(binary.BigEndian, 6)),
			handmade.Segment(0xfe, []byte("no picture"))...)}.Bytes(), true},
		{"bytes between segments", handmade.JPEG{Width: 20, Height: 10, Sampling: ycc, Segments: append(handmade.Segment(0xfe, nil), 7, 7)}.Bytes(), false},
		{"bytes behind the end", handmade.JPEG{Width: 20, Height: 10, Sampling: ycc, Tail: []byte("a film")}.Bytes(), true},
		{"a byte behind the data", behind(0), false},
		{"a restart marker behind the data", behind(0xff, 0xd0), false},
		{"fill behind the data", behind(0xff), false},
	} {
		if got := takesEighth(t, d, tt.file); got != tt.want {
			t.Errorf("%s: taken %v, want %v", tt.name, got, tt.want)
		}
	}
}

// FuzzEighth compares verdicts and sizes: what eighth takes, libjpeg must take as well.
func FuzzEighth(f *testing.F) {
	for _, sampling := range samplings {
		f.Add(written(f, scene(f, image.Pt(20, 9), 20), samplingFactor, sampling.value))
		f.Add(written(f, scene(f, image.Pt(40, 33), 20), samplingFactor, sampling.value, gocv.IMWriteJpegRstInterval, 1))
	}
	f.Add(handmade.JPEG{Width: 20, Height: 10}.Bytes())
	ours, theirs := anEighth(f), anEighth(f)
	f.Fuzz(func(t *testing.T, file []byte) {
		header, err := picture.Inspect(file, picture.Limits{MaxPixels: 1_000_000, MaxBytes: 1 << 20})
		if err != nil || header.Format != picture.JPEG || !takesEighth(t, ours, file) {
			return
		}
		want, err := byLibjpeg(t, theirs, file)
		if err != nil {
			t.Fatalf("taken, though libjpeg doesn't: %v", err)
		}
		differs(t, ours.mat, want)
	})
}

// threadTime is the processor time of the calling thread.
func threadTime(t testing.TB) time.Duration {
	t.Helper()
	var used unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Nano())
}

// BenchmarkEighth compares processor time, the least of all rounds, on a noisy picture of 12 megapixels.
func BenchmarkEighth(b *testing.B) {
	for _, sampling := range samplings[:4] {
		b.Run(sampling.name, func(b *testing.B) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			file := written(b, scene(b, image.Pt(4032, 3024), 8), gocv.IMWriteJpegQuality, 90, samplingFactor, sampling.value)
			ours, theirs := anEighth(b), anEighth(b)
			var inspect, strip, mine, libjpeg time.Duration = time.Hour, time.Hour, time.Hour, time.Hour
			stripped := make([]byte, 0, len(file))
			b.ReportAllocs()
			for b.Loop() {
				times := append(make([]time.Duration, 0, 5), threadTime(b))
				header, err := picture.Inspect(file, picture.DefaultLimits)
				times = append(times, threadTime(b))
				stripped = picture.Strip(stripped[:0], file)
				times = append(times, threadTime(b))
				if err != nil || !eighth(file, header, &ours.mat) {
					b.Fatal(errors.Join(err, errors.New("eighth didn't take it")))
				}
				times = append(times, threadTime(b))
				if err := theirs.imdecode(stripped, header, 8); err != nil {
					b.Fatal(err)
				}
				times = append(times, threadTime(b))
				inspect, strip = min(inspect, times[1]-times[0]), min(strip, times[2]-times[1])
				mine, libjpeg = min(mine, times[3]-times[2]), min(libjpeg, times[4]-times[3])
			}
			ms := func(d time.Duration) float64 { return d.Seconds() * 1e3 }
			b.ReportMetric(float64(len(file))/1e6, "MB")
			b.ReportMetric(ms(inspect), "inspect-ms")
			b.ReportMetric(ms(strip), "strip-ms")
			b.ReportMetric(ms(mine), "eighth-ms")
			b.ReportMetric(ms(libjpeg), "libjpeg-ms")
		})
	}
}
