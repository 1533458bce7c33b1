package capture

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"golang.org/x/sys/unix"
)

// A picture between the child that reads a V4L2 device and sightd is a header, numbers in little endian, and the data:
//
//	offset  bytes
//	0       4      "sht1"
//	4       4      Format
//	8       4      Width
//	12      4      Height
//	16      4      bytes of Data
//	20      4      0
//	24      8      CLOCK_MONOTONIC of Time, in nanoseconds
const (
	frameMagic  = "sht1"
	frameHeader = 32
)

// WriteShot writes a picture for the Stream of a V4L2 device. Time must have a monotonic reading, or be zero for now; Seq and
// File aren't written.
func WriteShot(w io.Writer, s *Shot) error {
	clock, err := monotonic()
	if err != nil {
		return fmt.Errorf("write picture: %w", err)
	}
	if !s.Time.IsZero() {
		clock -= int64(time.Since(s.Time))
	}
	if int64(len(s.Data)) > 1<<31-1 {
		return fmt.Errorf("write picture: %d bytes are too many", len(s.Data))
	}
	var h [frameHeader]byte
	copy(h[:], frameMagic)
	for i, n := range []int{int(s.Format), s.Width, s.Height, len(s.Data)} {
		binary.LittleEndian.PutUint32(h[4+4*i:], uint32(n))
	}
	binary.LittleEndian.PutUint64(h[24:], uint64(clock))
	if _, err := w.Write(h[:]); err != nil {
		return fmt.Errorf("write picture: %w", err)
	}
	if _, err := w.Write(s.Data); err != nil {
		return fmt.Errorf("write picture: %w", err)
	}
	return nil
}

// monotonic is CLOCK_MONOTONIC in nanoseconds, the same for all processes.
func monotonic() (int64, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0, fmt.Errorf("read the clock: %w", err)
	}
	return t.Nano(), nil
}

// ShotReader reads what WriteShot has written.
type ShotReader struct {
	r   *bufio.Reader
	max int64
	seq uint64
	h   [frameHeader]byte
}

// NewShotReader returns a reader of pictures of at most maxBytes each.
func NewShotReader(r io.Reader, maxBytes int64) *ShotReader {
	return &ShotReader{r: bufio.NewReaderSize(r, 64<<10), max: maxBytes}
}

// Read reads a picture into shot, as Stream.Read does. The error is io.EOF between pictures, io.ErrUnexpectedEOF amid one; any
// other says what is wrong with the header.
func (s *ShotReader) Read(shot *Shot) error {
	if _, err := io.ReadFull(s.r, s.h[:]); err != nil {
		return err
	}
	field := func(i int) int64 { return int64(binary.LittleEndian.Uint32(s.h[4+4*i:])) }
	format, width, height, size := field(0), field(1), field(2), field(3)
	switch {
	case string(s.h[:4]) != frameMagic || field(4) != 0:
		return fmt.Errorf("want the header of a picture, got %q", printable(string(s.h[:]), frameHeader))
	case size < 1 || size > s.max:
		return fmt.Errorf("a picture has %d bytes, want 1 to %d", size, s.max)
	case format == int64(Encoded):
		if width != 0 || height != 0 {
			return fmt.Errorf("an encoded picture says that it is %dx%d pixels, want 0x0", width, height)
		}
	case format != int64(BGR) && format != int64(RGB):
		return fmt.Errorf("a picture has the format %d, want %d to %d", format, Encoded, RGB)
	case width > maxSide || height > maxSide || size != width*height*3:
		return fmt.Errorf("a picture of %dx%d pixels has %d bytes, want %d", width, height, size, width*height*3)
	}
	if err := readData(s.r, shot, int(size)); err != nil {
		return err
	}
	clock, err := monotonic()
	if err != nil {
		return err
	}
	age := time.Duration(clock - int64(binary.LittleEndian.Uint64(s.h[24:])))
	if age < 0 || age > time.Hour {
		return fmt.Errorf("a picture was taken %v ago, want 0 to 1h", age)
	}
	s.seq++
	*shot = Shot{Format: Format(format), Width: int(width), Height: int(height), Data: shot.Data, Time: time.Now().Add(-age), Seq: s.seq}
	return nil
}
