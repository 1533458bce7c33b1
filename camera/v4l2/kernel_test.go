package v4l2

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"
)

// TestLayout holds the structs and numbers against what a C compiler makes of the kernel's header.
func TestLayout(t *testing.T) {
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("skipped: this test needs gcc")
	}
	var c capability
	var f formatDescription
	var s frameSize
	var i frameInterval
	var b bufferRequest
	values := []struct {
		c    string
		have uint64
	}{
		{"sizeof(struct v4l2_capability)", uint64(binary.Size(c))},
		{"offsetof(struct v4l2_capability, card)", uint64(unsafe.Offsetof(c.Card))},
		{"offsetof(struct v4l2_capability, bus_info)", uint64(unsafe.Offsetof(c.Bus))},
		{"offsetof(struct v4l2_capability, version)", uint64(unsafe.Offsetof(c.Version))},
		{"offsetof(struct v4l2_capability, capabilities)", uint64(unsafe.Offsetof(c.Capabilities))},
		{"offsetof(struct v4l2_capability, device_caps)", uint64(unsafe.Offsetof(c.DeviceCaps))},
		{"sizeof(struct v4l2_fmtdesc)", uint64(binary.Size(f))},
		{"offsetof(struct v4l2_fmtdesc, type)", uint64(unsafe.Offsetof(f.Type))},
		{"offsetof(struct v4l2_fmtdesc, flags)", uint64(unsafe.Offsetof(f.Flags))},
		{"offsetof(struct v4l2_fmtdesc, description)", uint64(unsafe.Offsetof(f.Description))},
		{"offsetof(struct v4l2_fmtdesc, pixelformat)", uint64(unsafe.Offsetof(f.PixelFormat))},
		{"sizeof(struct v4l2_frmsizeenum)", uint64(binary.Size(s))},
		{"offsetof(struct v4l2_frmsizeenum, pixel_format)", uint64(unsafe.Offsetof(s.PixelFormat))},
		{"offsetof(struct v4l2_frmsizeenum, type)", uint64(unsafe.Offsetof(s.Type))},
		{"offsetof(struct v4l2_frmsizeenum, discrete.height)", uint64(unsafe.Offsetof(s.Size)) + 4},
		{"offsetof(struct v4l2_frmsizeenum, stepwise.max_width)", uint64(unsafe.Offsetof(s.Size)) + 4},
		{"offsetof(struct v4l2_frmsizeenum, stepwise.step_width)", uint64(unsafe.Offsetof(s.Size)) + 8},
		{"offsetof(struct v4l2_frmsizeenum, stepwise.min_height)", uint64(unsafe.Offsetof(s.Size)) + 12},
		{"offsetof(struct v4l2_frmsizeenum, stepwise.max_height)", uint64(unsafe.Offsetof(s.Size)) + 16},
		{"offsetof(struct v4l2_frmsizeenum, stepwise.step_height)", uint64(unsafe.Offsetof(s.Size)) + 20},
		{"sizeof(struct v4l2_frmivalenum)", uint64(binary.Size(i))},
		{"offsetof(struct v4l2_frmivalenum, width)", uint64(unsafe.Offsetof(i.Width))},
		{"offsetof(struct v4l2_frmivalenum, height)", uint64(unsafe.Offsetof(i.Height))},
		{"offsetof(struct v4l2_frmivalenum, type)", uint64(unsafe.Offsetof(i.Type))},
		{"offsetof(struct v4l2_frmivalenum, discrete.denominator)", uint64(unsafe.Offsetof(i.Interval)) + 4},
		{"offsetof(struct v4l2_frmivalenum, stepwise.min.numerator)", uint64(unsafe.Offsetof(i.Interval))},
		{"offsetof(struct v4l2_frmivalenum, stepwise.max.numerator)", uint64(unsafe.Offsetof(i.Interval)) + 8},
		{"sizeof(struct v4l2_requestbuffers)", uint64(binary.Size(b))},
		{"offsetof(struct v4l2_requestbuffers, memory)", uint64(unsafe.Offsetof(b.Memory))},
		{"VIDIOC_QUERYCAP", uint64(reqCapability)}, {"VIDIOC_ENUM_FMT", uint64(reqFormat)}, {"VIDIOC_REQBUFS", uint64(reqBuffers)},
		{"VIDIOC_ENUM_FRAMESIZES", uint64(reqFrameSizes)}, {"VIDIOC_ENUM_FRAMEINTERVALS", uint64(reqFrameIntervals)},
		{"V4L2_CAP_VIDEO_CAPTURE", uint64(capCapture)}, {"V4L2_CAP_VIDEO_OUTPUT", uint64(capOutput)},
		{"V4L2_CAP_VIDEO_CAPTURE_MPLANE", uint64(capCapturePlanes)}, {"V4L2_CAP_VIDEO_OUTPUT_MPLANE", uint64(capOutputPlanes)},
		{"V4L2_CAP_VIDEO_M2M_MPLANE", uint64(capMemoryPlanes)}, {"V4L2_CAP_VIDEO_M2M", uint64(capMemory)},
		{"V4L2_CAP_META_CAPTURE", uint64(capMetaCapture)}, {"V4L2_CAP_STREAMING", uint64(capStreaming)},
		{"V4L2_CAP_META_OUTPUT", uint64(capMetaOutput)}, {"V4L2_CAP_TOUCH", uint64(capTouch)},
		{"V4L2_CAP_IO_MC", uint64(capMediaControl)}, {"V4L2_CAP_DEVICE_CAPS", uint64(capDeviceCaps)},
		{"V4L2_BUF_TYPE_VIDEO_CAPTURE", uint64(bufCapture)}, {"V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE", uint64(bufCapturePlanes)},
		{"V4L2_MEMORY_MMAP", uint64(memoryMapped)}, {"V4L2_FRMSIZE_TYPE_DISCRETE", uint64(typeDiscrete)},
		{"V4L2_FRMSIZE_TYPE_CONTINUOUS", uint64(typeContinuous)}, {"V4L2_FRMIVAL_TYPE_STEPWISE", uint64(typeStepwise)},
		{"V4L2_PIX_FMT_MJPEG", uint64(code("MJPG"))}, {"V4L2_PIX_FMT_SRGGB10P", uint64(code("pRAA"))},
	}
	var source strings.Builder
	source.WriteString("#include <stddef.h>\n#include <stdio.h>\n#include <linux/videodev2.h>\nint main(void) {\n")
	for _, v := range values {
		fmt.Fprintf(&source, "\tprintf(\"%%lu\\n\", (unsigned long)(unsigned int)(%s));\n", v.c)
	}
	source.WriteString("}\n")
	dir := t.TempDir()
	write(t, filepath.Join(dir, "layout.c"), source.String())
	program := filepath.Join(dir, "layout")
	if out, err := exec.Command(gcc, "-o", program, filepath.Join(dir, "layout.c")).CombinedOutput(); err != nil {
		if strings.Contains(string(out), "videodev2.h: No such file") {
			t.Skip("skipped: this test needs linux/videodev2.h")
		}
		t.Fatalf("compile: %v\n%s", err, out)
	}
	out, err := exec.Command(program).Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Fields(string(out))
	if len(lines) != len(values) {
		t.Fatalf("got %d numbers, want %d", len(lines), len(values))
	}
	for n, v := range values {
		if lines[n] != fmt.Sprint(v.have) {
			t.Errorf("%s is %s here, %d in the kernel's header", v.c, fmt.Sprint(v.have), mustNumber(lines[n]))
		}
	}
}

func mustNumber(s string) (n uint64) {
	fmt.Sscan(s, &n)
	return n
}

func TestFourCC(t *testing.T) {
	for _, test := range []struct {
		code uint32
		want string
	}{{0x47504a4d, "MJPG"}, {0x20303159, "Y10"}, {1<<31 | 0x20363159, "Y16-BE"}, {0, ""}, {0x1b41ff41, "A?A?"}} {
		if got := fourCC(test.code); got != test.want {
			t.Errorf("%#x: got %q, want %q", test.code, got, test.want)
		}
	}
}

// TestOpen opens what is no video device.
func TestOpen(t *testing.T) {
	file := filepath.Join(t.TempDir(), "video0")
	write(t, file, "")
	before := descriptors(t)
	for _, path := range []string{file, filepath.Dir(file) + "/none", "/dev/null"} {
		m := machine{open: openDevice}
		d := m.examine(path, linkTable{})
		if d.Problem == "" || d.Ready() {
			t.Errorf("%s: got %+v, want a problem", path, d)
		}
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors are open, %d were before", after, before)
	}
}

func descriptors(t *testing.T) int {
	entries, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(entries)
}
