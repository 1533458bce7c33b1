// Package cameras makes cameras for tests: an HTTP camera whose faults are switched on and off while it runs, and a program that
// plays rpicam-vid. They show what they are told to, picture after picture.
//
// It knows nothing of sightd, and tests nothing itself.
package cameras

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// Picture is a JPEG file, and what the camera's faults make of it.
type Picture struct {
	Data []byte // the file
	half []byte // it, cut off
	torn []byte // it, with its middle missing
	size []byte // it, in another size
}

// NewPicture prepares a JPEG file to be shown.
func NewPicture(data []byte) (Picture, error) {
	img, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		return Picture{}, fmt.Errorf("prepare picture: %w", err)
	}
	smaller, err := encode(scale(img, img.Bounds().Dx()*3/4, img.Bounds().Dy()*5/8))
	if err != nil {
		return Picture{}, err
	}
	half := data[:len(data)/2]
	return Picture{Data: data, half: half, torn: append(bytes.Clone(half), 0xff, 0xd9), size: smaller}, nil
}

// scale takes the nearest pixels.
func scale(img image.Image, width, height int) image.Image {
	b, to := img.Bounds(), image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			to.Set(x, y, img.At(b.Min.X+x*b.Dx()/width, b.Min.Y+y*b.Dy()/height))
		}
	}
	return to
}

// shade is a picture of one grey and a little noise.
func shade(level uint8) ([]byte, error) {
	img := image.NewGray(image.Rect(0, 0, 320, 240))
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range img.Pix {
		img.Pix[i] = uint8(min(255, int(level)+rng.IntN(4)))
	}
	return encode(img)
}

func encode(img image.Image) ([]byte, error) {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 90}); err != nil {
		return nil, fmt.Errorf("encode picture: %w", err)
	}
	return b.Bytes(), nil
}

// Noisy makes a JPEG of an image with a sensor's noise, of so many levels to both sides. Different seeds make different noise.
func Noisy(img image.Image, levels int, seed uint64) ([]byte, error) {
	rng := rand.New(rand.NewPCG(seed, 0))
	b := img.Bounds()
	to := image.NewRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	for y := range b.Dy() {
		for x := range b.Dx() {
			r, g, blue, _ := img.At(b.Min.X+x, b.Min.Y+y).RGBA()
			n := rng.IntN(2*levels+1) - levels
			level := func(v uint32) uint8 { return uint8(min(255, max(0, int(v>>8)+n))) }
			to.SetRGBA(x, y, color.RGBA{level(r), level(g), level(blue), 255})
		}
	}
	return encode(to)
}

// numbered is a JPEG with a comment that no other of its pictures has, as no two pictures of a sensor are the same. The pixels stay.
// It is written over buf.
func numbered(buf, data []byte, n uint64) []byte {
	at := 2 // behind the start marker
	if len(data) > 6 && data[2] == 0xff && data[3] == 0xe0 {
		at += 2 + int(data[4])<<8 + int(data[5]) // and JFIF's segment, which comes first
	}
	comment := fmt.Sprintf("picture %020d", n)
	buf = append(buf[:0], data[:at]...)
	buf = append(buf, 0xff, 0xfe, 0, byte(2+len(comment)))
	buf = append(buf, comment...)
	return append(buf, data[at:]...)
}

// Fault is what a camera suffers from.
type Fault string

// The faults. Where a connection hangs in one, it doesn't recover with the camera: it must be made anew.
const (
	None        Fault = ""
	Silent      Fault = "silent"      // nothing more is sent
	Frozen      Fault = "frozen"      // the same bytes again and again
	Black       Fault = "black"       // as with a lens cap on
	Overexposed Fault = "overexposed" // all white
	Closes      Fault = "closes"      // the connection is closed, each new one after the request
	OtherSize   Fault = "other size"  // no fault: pictures of another size come
	Garbage     Fault = "garbage"     // bytes that are no HTTP and no JPEG
	NoAnswer    Fault = "no answer"   // connections are taken, and nothing is said
	Failing     Fault = "failing"     // HTTP status 500
	Refusing    Fault = "refusing"    // nobody listens
	Truncated   Fault = "truncated"   // pictures that are cut off
	Torn        Fault = "torn"        // pictures that are cut off, with the end marker of whole ones
)

// Faults are all faults but None.
var Faults = []Fault{Silent, Frozen, Black, Overexposed, Closes, OtherSize, Garbage, NoAnswer, Failing, Refusing, Truncated, Torn}

// Sent is a picture that was sent.
type Sent struct {
	At      time.Time // when its last byte was given to the system, or a moment before
	Picture int       // which one of those that are shown
}

// Camera is an HTTP camera: what asks it for anything gets MJPEG, that is multipart/x-mixed-replace with a Content-Length for each
// picture and no more than that behind it. Its methods may be called from several goroutines.
type Camera struct {
	fps       float64
	once      int // pictures of a connection; 0: no end
	addr      string
	black     []byte
	white     []byte
	handlers  sync.WaitGroup
	accepting sync.WaitGroup

	mu       sync.Mutex
	listener net.Listener // nil while it refuses
	conns    map[net.Conn]bool
	closed   bool
	fault    Fault
	show     []Picture
	each     int // pictures in a row that show the same
	count    uint64
	sent     []Sent
	asked    int // connections
}

// Start starts a camera that shows pictures, each for as many pictures of the stream as each says, round and round.
func Start(fps float64, each int, pictures ...Picture) (*Camera, error) {
	return start(&Camera{fps: fps, each: each, show: pictures})
}

// StartClosing starts a camera that closes each connection after one picture.
func StartClosing(pictures ...Picture) (*Camera, error) {
	return start(&Camera{fps: 1000, each: 1, once: 1, show: pictures})
}

func start(c *Camera) (*Camera, error) {
	if len(c.show) == 0 || c.fps <= 0 || c.each < 1 {
		return nil, fmt.Errorf("start camera: want pictures, have %d, %v a second, each %d times", len(c.show), c.fps, c.each)
	}
	c.conns = map[net.Conn]bool{}
	var err error
	if c.black, err = shade(3); err != nil {
		return nil, err
	}
	if c.white, err = shade(252); err != nil {
		return nil, err
	}
	for range 50 {
		// One below the ports that systems give to outgoing connections stays free while the camera refuses.
		c.addr = fmt.Sprintf("127.0.0.1:%d", 10000+rand.IntN(10000))
		if err = c.listen(); err == nil {
			return c, nil
		}
	}
	return nil, fmt.Errorf("start camera: %w", err)
}

// URL is where the camera is.
func (c *Camera) URL() string { return "http://" + c.addr + "/video" }

// listen takes connections.
func (c *Camera) listen() error {
	listener, err := net.Listen("tcp", c.addr)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listener = listener
	c.accepting.Go(func() { c.accept(listener) })
	return nil
}

func (c *Camera) accept(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return // it was closed
		}
		c.mu.Lock()
		welcome := !c.closed && c.listener == listener
		if welcome {
			c.conns[conn] = true
			c.asked++
			c.handlers.Go(func() { c.serve(conn) })
		}
		c.mu.Unlock()
		if !welcome {
			conn.Close() // the camera is gone; there is nobody to tell
		}
	}
}

// Show has the camera show other pictures.
func (c *Camera) Show(each int, pictures ...Picture) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.each, c.show, c.count = each, pictures, 0
}

// Suffer has the camera suffer from a fault, or from None.
func (c *Camera) Suffer(f Fault) error {
	c.mu.Lock()
	before := c.fault
	c.fault = f
	var listener net.Listener
	if f == Refusing {
		listener, c.listener = c.listener, nil
	}
	if f == Closes || f == Failing || f == Refusing || f == NoAnswer {
		for conn := range c.conns {
			conn.Close() // its handler ends by that
		}
	}
	c.mu.Unlock()
	if listener != nil {
		return listener.Close()
	}
	if before == Refusing && f != Refusing {
		return c.listen()
	}
	return nil
}

// Sent are the pictures that were sent without a fault, in order.
func (c *Camera) Sent() []Sent {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sent[:len(c.sent):len(c.sent)]
}

// Asked is how many connections the camera has taken.
func (c *Camera) Asked() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked
}

// Close ends the camera, its connections and its goroutines.
func (c *Camera) Close() error {
	c.mu.Lock()
	listener := c.listener
	c.closed, c.listener = true, nil
	for conn := range c.conns {
		conn.Close() // its handler ends by that
	}
	c.mu.Unlock()
	var err error
	if listener != nil {
		err = listener.Close()
	}
	c.accepting.Wait()
	c.handlers.Wait()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	return err
}
