package camera_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gocv.io/x/gocv"

	"sightd/camera"
	"sightd/camera/internal/handmade"
	"sightd/camera/picture"
)

// limits are the configuration's defaults.
var limits = picture.Limits{MaxPixels: 50_000_000, MaxBytes: 64 << 20}

// maxOverIdle is what no file may cost, in bytes over the idle process.
const maxOverIdle = 250e6

// hostile are files that are made to cost memory. Where want is "decoded", the file is one that is only large.
var hostile = []struct {
	name string
	file func(t *testing.T) []byte
	want string // "decoded", or a part of the reason
}{
	{"JPEG 50 MP baseline 4:2:0", func(*testing.T) []byte {
		return handmade.JPEG{Width: 8000, Height: 6250, Sampling: []byte{0x22, 0x11, 0x11}}.Bytes()
	}, "decoded"},
	{"JPEG 50 MP baseline, rotated", func(*testing.T) []byte {
		exif := handmade.APP1(handmade.EXIF(binary.BigEndian, 6))
		return handmade.JPEG{Width: 8000, Height: 6250, Sampling: []byte{0x11, 0x11, 0x11}, Segments: exif}.Bytes()
	}, "decoded"},
	{"JPEG 50 MP baseline, a strip", func(*testing.T) []byte {
		return handmade.JPEG{Width: 65400, Height: 764, Sampling: []byte{0x42, 0x11, 0x11}}.Bytes()
	}, "decoded"},
	{"JPEG 50 MP baseline, a strip on its side", func(*testing.T) []byte {
		exif := handmade.APP1(handmade.EXIF(binary.BigEndian, 6))
		return handmade.JPEG{Width: 65400, Height: 764, Sampling: []byte{0x22, 0x11, 0x11}, Segments: exif}.Bytes()
	}, "decoded"},
	{"JPEG 50 MP CMYK", func(*testing.T) []byte {
		return handmade.JPEG{Width: 8000, Height: 6250, Sampling: []byte{0x11, 0x11, 0x11, 0x11}}.Bytes()
	}, "decoded"},
	{"JPEG 50 MP progressive 4:2:0", func(*testing.T) []byte {
		return handmade.JPEG{Width: 8000, Height: 6250, SOF: 0xc2, Sampling: []byte{0x22, 0x11, 0x11}}.Bytes()
	}, "decoded"},
	{"JPEG 50 MP progressive 4:4:4", func(*testing.T) []byte {
		return handmade.JPEG{Width: 8000, Height: 6250, SOF: 0xc2, Sampling: []byte{0x11, 0x11, 0x11}}.Bytes()
	}, "MB of memory"},
	{"JPEG 50 MP, a scan for each component", func(*testing.T) []byte {
		return handmade.JPEG{Width: 8000, Height: 6250, Sampling: []byte{0x11, 0x11, 0x11}, Separate: true}.Bytes()
	}, "MB of memory"},
	{"JPEG 33 MP progressive 4:4:4, rotated, 64 MB behind the end", func(*testing.T) []byte {
		file := handmade.JPEG{Width: 5760, Height: 5760, SOF: 0xc2, Sampling: []byte{0x11, 0x11, 0x11},
			Segments: handmade.APP1(handmade.EXIF(binary.BigEndian, 6))}.Bytes()
		return append(file, make([]byte, int(limits.MaxBytes)-len(file))...)
	}, "MB of memory"},
	{"JPEG of 64 MB", func(*testing.T) []byte {
		segment := handmade.Segment(0xfe, make([]byte, 65000))
		return handmade.JPEG{Width: 5000, Height: 4000, Sampling: []byte{0x22, 0x11, 0x11},
			Segments: bytes.Repeat(segment, int(limits.MaxBytes)/len(segment)-9)}.Bytes()
	}, "decoded"},
	{"JPEG with 64 MB behind the end", func(*testing.T) []byte {
		file := handmade.JPEG{Width: 5000, Height: 4000, Sampling: []byte{0x22, 0x11, 0x11}}.Bytes()
		return append(file, bytes.Repeat([]byte{0xff}, int(limits.MaxBytes)-len(file))...)
	}, "decoded"},
	{"JPEG of 10000 scans", func(*testing.T) []byte {
		return handmade.JPEG{Width: 80, Height: 80, SOF: 0xc2, Scans: 10000}.Bytes()
	}, "more than 100 scans"},
	{"PNG 50 MP", func(*testing.T) []byte {
		return handmade.PNG{Width: 8000, Height: 6250, Color: 2}.Bytes()
	}, "decoded"},
	{"PNG 50 MP, 16 bits, interlaced", func(*testing.T) []byte {
		return handmade.PNG{Width: 8000, Height: 6250, Bits: 16, Interlaced: true}.Bytes()
	}, "decoded"},
	{"PNG 50 MP, a strip", func(*testing.T) []byte {
		return handmade.PNG{Width: 65535, Height: 762, Color: 3}.Bytes()
	}, "decoded"},
	{"PNG 50 MP, rotated", func(*testing.T) []byte {
		exif := handmade.Chunk("eXIf", handmade.EXIF(binary.BigEndian, 6))
		return handmade.PNG{Width: 8000, Height: 6250, Color: 2, Chunks: exif}.Bytes()
	}, "MB of memory"},
	{"PNG 32 MP, rotated", func(*testing.T) []byte {
		exif := handmade.Chunk("eXIf", handmade.EXIF(binary.BigEndian, 6))
		return handmade.PNG{Width: 8000, Height: 4000, Color: 2, Chunks: exif}.Bytes()
	}, "decoded"},
	{"PNG 12 MP, 16 bits, alpha, animated", func(*testing.T) []byte {
		animation := handmade.Chunk("acTL", []byte{0, 0, 0, 2, 0, 0, 0, 0})
		return handmade.PNG{Width: 4000, Height: 3000, Bits: 16, Color: 6, Chunks: animation}.Bytes()
	}, "decoded"},
	{"PNG with texts that inflate to 2 GB", func(*testing.T) []byte {
		texts := bytes.Repeat(handmade.ZTXT(7_900_000), 250)
		return handmade.PNG{Width: 80, Height: 80, Color: 2, Chunks: texts}.Bytes()
	}, "decoded"},
	{"PNG of 58 MB in one chunk", func(*testing.T) []byte {
		file := handmade.PNG{Width: 4000, Height: 4000, Color: 2}.Bytes()
		return growIDAT(file, 58e6-len(file))
	}, "decoded"},
	{"PNG of 64 MB and 50 MP", func(*testing.T) []byte {
		file := handmade.PNG{Width: 8000, Height: 6250, Color: 2}.Bytes()
		return growIDAT(file, int(limits.MaxBytes)-len(file))
	}, "MB of memory"},
	{"PNG of 64 MB of palettes", func(*testing.T) []byte {
		palette := handmade.Chunk("PLTE", make([]byte, 768))
		return handmade.PNG{Width: 80, Height: 80, Chunks: bytes.Repeat(palette, int(limits.MaxBytes)/len(palette)-1)}.Bytes()
	}, "2 palettes"},
	{"WebP 50 MP lossy", func(t *testing.T) []byte { return encodeWebP(t, 16383, 3050, 80) }, "decoded"},
	{"WebP 24 MP lossless", func(t *testing.T) []byte { return encodeWebP(t, 6000, 4000, 101) }, "decoded"},
	{"WebP 50 MP lossless", func(t *testing.T) []byte { return encodeWebP(t, 16383, 3050, 101) }, "MB of memory"},
	{"WebP 21 MP lossless with alpha", func(*testing.T) []byte {
		return handmade.VP8L{Width: 16000, Height: 1300, Alpha: true, Predictor: true}.Lossless()
	}, "decoded"},
	{"WebP with 65536 sets of Huffman codes", func(*testing.T) []byte {
		return handmade.VP8L{Width: 1024, Height: 1024, Sets: 65536}.Lossless()
	}, "MB of memory"},
	{"WebP with 14000 sets of Huffman codes", func(*testing.T) []byte {
		return handmade.VP8L{Width: 1024, Height: 1024, Sets: 14000}.Lossless()
	}, "decoded"},
}

// growIDAT makes the only IDAT chunk of a PNG larger, by bytes that the decoder finds behind the compressed data.
func growIDAT(file []byte, by int) []byte {
	i := bytes.Index(file, []byte("IDAT"))
	size := int(binary.BigEndian.Uint32(file[i-4:]))
	data := append(bytes.Clone(file[i+4:i+4+size]), make([]byte, by)...)
	grown := append(bytes.Clone(file[:i-4]), handmade.Chunk("IDAT", data)...)
	return append(grown, handmade.Chunk("IEND", nil)...)
}

// encodeWebP draws a picture; quality 101 is lossless.
func encodeWebP(t *testing.T, width, height, quality int) []byte {
	t.Helper()
	mat := gocv.NewMatWithSizeFromScalar(gocv.NewScalar(30, 90, 200, 0), height, width, gocv.MatTypeCV8UC3)
	defer mat.Close()
	buffer, err := gocv.IMEncodeWithParams(".webp", mat, []int{gocv.IMWriteWebpQuality, quality})
	if err != nil {
		t.Fatal(err)
	}
	defer buffer.Close()
	return bytes.Clone(buffer.GetBytes())
}

// TestHostileFiles decodes files in child processes, whose memory it measures: each in a child of its own, and all in
// one.
func TestHostileFiles(t *testing.T) {
	if raceDetector {
		t.Skip("memory is measured, which the race detector multiplies")
	}
	if testing.Short() {
		t.Skip("large files")
	}
	folder := t.TempDir()
	var names []string
	for i, tt := range hostile {
		name, file := filepath.Join(folder, fmt.Sprintf("%02d", i)), tt.file(t)
		if err := os.WriteFile(name, file, 0o600); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
		ways := []string{"ReadFile"}
		if len(file) > 10<<20 {
			ways = append(ways, "Decode") // keeps a second copy of the file
		}
		t.Run(tt.name, func(t *testing.T) {
			for _, way := range ways {
				result := decodeInChild(t, way, name)[0]
				t.Logf("%s: %s, %.1f MB over idle", way, result.outcome, result.overIdle/1e6)
				if !strings.Contains(result.outcome, tt.want) {
					t.Errorf("%s: %s, want %q", way, result.outcome, tt.want)
				}
				if result.overIdle > maxOverIdle {
					t.Errorf("%s: %.1f MB over idle, want at most %.0f", way, result.overIdle/1e6, maxOverIdle/1e6)
				}
			}
		})
	}
	t.Run("all in one process", func(t *testing.T) {
		for i, result := range decodeInChild(t, "ReadFile", names...) {
			t.Logf("%s: %s, %.1f MB over idle", hostile[i].name, result.outcome, result.overIdle/1e6)
			if result.overIdle > maxOverIdle {
				t.Errorf("%s: %.1f MB over idle, want at most %.0f", hostile[i].name, result.overIdle/1e6, maxOverIdle/1e6)
			}
		}
	})
}

// TestOpenCVLimit shows that OpenCV's own limit counts where the process is started with it.
func TestOpenCVLimit(t *testing.T) {
	name := filepath.Join(t.TempDir(), "64x64.png")
	if err := os.WriteFile(name, handmade.PNG{Width: 64, Height: 64}.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("OPENCV_IO_MAX_IMAGE_PIXELS", "2000")
	if result := decodeInChild(t, "ReadFile", name)[0]; !strings.Contains(result.outcome, "CV_IO_MAX_IMAGE_PIXELS") {
		t.Errorf("a picture over the limit: %s, want it refused by OpenCV", result.outcome)
	}
}

type childResult struct {
	outcome  string
	overIdle float64 // peak of the resident memory since the child was idle, in bytes
}

const childEnv = "SIGHTD_TEST_DECODE"

// decodeInChild decodes files, one after the other, with one Decoder in a child process.
func decodeInChild(t *testing.T, way string, names ...string) []childResult {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(exe, "-test.run=^TestDecodeChild$", "-test.v=false")
	child.Env = append(os.Environ(), childEnv+"="+way)
	child.Stdin = strings.NewReader(strings.Join(names, "\n"))
	var stdout, stderr bytes.Buffer
	child.Stdout, child.Stderr = &stdout, &stderr
	if err := child.Run(); err != nil {
		t.Fatalf("child: %v\n%s%s", err, stdout.Bytes(), stderr.Bytes())
	}
	var results []childResult
	for line := range strings.Lines(stdout.String()) {
		var idle, peak float64
		outcome, figures, ok := strings.Cut(strings.TrimSpace(line), "\t")
		if !ok {
			continue
		}
		if _, err := fmt.Sscan(figures, &idle, &peak); err != nil {
			t.Fatalf("child wrote %q: %v", line, err)
		}
		results = append(results, childResult{outcome, (peak - idle) * 1024})
	}
	if len(results) != len(names) {
		t.Fatalf("child wrote %d results, want %d:\n%s%s", len(results), len(names), stdout.Bytes(), stderr.Bytes())
	}
	return results
}

// TestDecodeChild is no test by itself: it is what decodeInChild runs.
func TestDecodeChild(t *testing.T) {
	way := os.Getenv(childEnv)
	if way == "" {
		t.Skip("run by other tests, in a child process")
	}
	decoder := camera.NewDecoder(limits)
	defer decoder.Close()
	for _, small := range [][]byte{
		handmade.JPEG{Width: 32, Height: 32}.Bytes(),
		handmade.PNG{Width: 32, Height: 32}.Bytes(),
		handmade.VP8L{Width: 32, Height: 32}.Lossless(),
	} {
		if _, _, err := decoder.Decode(small); err != nil {
			t.Fatal(err)
		}
	}
	idle := memory(t, "VmRSS:")
	var names string
	if data, err := os.ReadFile("/dev/stdin"); err != nil {
		t.Fatal(err)
	} else {
		names = string(data)
	}
	for _, name := range strings.Split(names, "\n") {
		// 5 resets the peak to what is resident now.
		if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
			t.Fatal(err)
		}
		outcome := "decoded"
		if err := decodeFile(decoder, way, name); err != nil {
			var refused *picture.RefusedError
			if !errors.As(err, &refused) {
				t.Fatal(err)
			}
			outcome = "refused: " + refused.Reason
		}
		fmt.Printf("%s\t%d %d\n", outcome, idle, memory(t, "VmHWM:"))
	}
}

func decodeFile(decoder *camera.Decoder, way, name string) error {
	if way == "Decode" {
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		_, _, err = decoder.Decode(data)
		return err
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	_, _, err = decoder.ReadFile(f)
	return err
}

// memory reads a figure of the process's memory, in kB.
func memory(t *testing.T, key string) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, key); ok {
			var kB int
			if _, err := fmt.Sscan(rest, &kB); err != nil {
				t.Fatal(err)
			}
			return kB
		}
	}
	t.Fatalf("/proc/self/status has no %s", key)
	return 0
}
