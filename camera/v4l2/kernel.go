package v4l2

import (
	"encoding/binary"
	"io"
	"strings"
	"unicode"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What is below is laid out as in linux/videodev2.h, which a test holds it against: a struct here has no padding, and
// encoding/binary writes its fields one behind the other.

type capability struct {
	Driver       [16]byte
	Card         [32]byte
	Bus          [32]byte
	Version      uint32
	Capabilities uint32 // of all nodes of the device together
	DeviceCaps   uint32 // of this node
	Reserved     [3]uint32
}

type formatDescription struct {
	Index       uint32
	Type        uint32 // of buffer
	Flags       uint32
	Description [32]byte
	PixelFormat uint32
	BusCode     uint32
	Reserved    [3]uint32
}

type frameSize struct {
	Index       uint32
	PixelFormat uint32
	Type        uint32
	Size        [6]uint32 // discrete: width, height; else least and largest width and its step, least and largest height and its step
	Reserved    [2]uint32
}

type frameInterval struct {
	Index         uint32
	PixelFormat   uint32
	Width, Height uint32
	Type          uint32
	Interval      [6]uint32 // fractions of a second; discrete: one; else least, largest and step
	Reserved      [2]uint32
}

type bufferRequest struct {
	Count        uint32
	Type         uint32
	Memory       uint32
	Capabilities uint32
	Flags        uint8
	Reserved     [3]uint8
}

// node are the capabilities of the node that was asked.
func (c *capability) node() uint32 {
	if c.Capabilities&capDeviceCaps != 0 {
		return c.DeviceCaps
	}
	return c.Capabilities
}

// The requests: direction, size, 'V' and number, as _IOR and _IOWR make them on amd64 and arm64.
const (
	reqCapability     uint32 = 2<<30 | 104<<16 | 'V'<<8
	reqFormat         uint32 = 3<<30 | 64<<16 | 'V'<<8 | 2
	reqBuffers        uint32 = 3<<30 | 20<<16 | 'V'<<8 | 8
	reqFrameSizes     uint32 = 3<<30 | 44<<16 | 'V'<<8 | 74
	reqFrameIntervals uint32 = 3<<30 | 52<<16 | 'V'<<8 | 75
)

// What a node can do (V4L2_CAP_*).
const (
	capCapture       uint32 = 0x00000001
	capOutput        uint32 = 0x00000002
	capCapturePlanes uint32 = 0x00001000
	capOutputPlanes  uint32 = 0x00002000
	capMemoryPlanes  uint32 = 0x00004000 // memory to memory: codecs, scalers
	capMemory        uint32 = 0x00008000
	capMetaCapture   uint32 = 0x00800000
	capStreaming     uint32 = 0x04000000
	capMetaOutput    uint32 = 0x08000000
	capTouch         uint32 = 0x10000000
	capMediaControl  uint32 = 0x20000000
	capDeviceCaps    uint32 = 0x80000000
)

// Kinds of buffers, of memory, and of entries of an enumeration.
const (
	bufCapture       uint32 = 1
	bufCapturePlanes uint32 = 9
	memoryMapped     uint32 = 1

	typeDiscrete   uint32 = 1
	typeContinuous uint32 = 2
	typeStepwise   uint32 = 3
)

// ioctl asks a driver. arg is the request's struct, which the answer is written over. The error is the kernel's number.
type ioctl func(request uint32, arg []byte) error

// device is an open node.
type device struct {
	io.Closer
	ioctl ioctl
}

// descriptor is an open file, of which the Go runtime knows nothing: a device that doesn't answer must not be polled.
type descriptor int

func (d descriptor) Close() error { return unix.Close(int(d)) }

// openDevice opens a node as drivers want it, and doesn't wait for one that is in use.
func openDevice(path string) (device, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != nil {
		return device{}, err
	}
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil || stat.Mode&unix.S_IFMT != unix.S_IFCHR {
		unix.Close(fd) // nothing was written
		return device{}, unix.ENOTTY
	}
	return device{descriptor(fd), func(request uint32, arg []byte) error {
		for {
			_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(unsafe.Pointer(&arg[0])))
			if errno == 0 {
				return nil
			}
			if errno != unix.EINTR {
				return errno
			}
		}
	}}, nil
}

// ask fills in v with the driver's answer.
func ask[T any](call ioctl, request uint32, v *T) error {
	arg, err := binary.Append(nil, binary.NativeEndian, v)
	if err != nil {
		return err
	}
	if err := call(request, arg); err != nil {
		return err
	}
	_, err = binary.Decode(arg, binary.NativeEndian, v)
	return err
}

// text is a string in a fixed field: up to the first zero byte or all of it, and printable whatever the driver wrote.
func text(field []byte) string {
	for i, b := range field {
		if b == 0 {
			field = field[:i]
			break
		}
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.TrimSpace(strings.ToValidUTF8(string(field), "?")))
}

// bigEndian marks a format in its highest bit.
const bigEndian = 1 << 31

// fourCC is a format's name: its four bytes without spaces at the end.
func fourCC(code uint32) string {
	b := binary.LittleEndian.AppendUint32(nil, code&^bigEndian)
	name := text(b)
	if code&bigEndian != 0 {
		name += "-BE"
	}
	return name
}
