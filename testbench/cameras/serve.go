package cameras

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"time"
)

const (
	answer   = "HTTP/1.0 200 OK\r\nServer: camera\r\nConnection: close\r\nContent-Type: multipart/x-mixed-replace; boundary=picture\r\n\r\n"
	failing  = "HTTP/1.0 500 Internal Server Error\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\nsensor lost\n"
	boundary = "\r\n--picture\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
)

// connection is one that the camera serves.
type connection struct {
	camera  *Camera
	conn    net.Conn
	gone    chan struct{} // closed when the other side has closed it, or the camera
	part    []byte        // what is written next
	picture []byte
	frozen  []byte // the picture that is sent for ever
}

// serve answers a connection until either side closes it.
func (c *Camera) serve(conn net.Conn) {
	s := &connection{camera: c, conn: conn, gone: make(chan struct{})}
	defer func() {
		conn.Close() // a second time maybe; nobody is left to be told
		<-s.gone
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.conns, conn)
	}()
	reader := bufio.NewReader(conn)
	_, err := http.ReadRequest(reader)
	if err != nil {
		close(s.gone)
		return
	}
	go func() {
		defer close(s.gone)
		_, _ = io.Copy(io.Discard, reader) // returns when the connection ends, how doesn't matter
	}()
	if s.greet() {
		s.stream()
	}
}

// suffers is the camera's fault now.
func (s *connection) suffers() Fault {
	s.camera.mu.Lock()
	defer s.camera.mu.Unlock()
	return s.camera.fault
}

// greet answers the request, and says whether pictures follow.
func (s *connection) greet() bool {
	switch s.suffers() {
	case Closes:
		return false
	case NoAnswer:
		<-s.gone
		return false
	case Failing:
		_, _ = io.WriteString(s.conn, failing) // it is closed anyway
		return false
	case Garbage:
		return true
	}
	_, err := io.WriteString(s.conn, answer)
	return err == nil
}

// stream sends pictures at the camera's rate. One that comes late doesn't hurry the next ones.
func (s *connection) stream() {
	tick := time.NewTicker(time.Duration(float64(time.Second) / s.camera.fps))
	defer tick.Stop()
	for n := 1; ; n++ {
		if !s.send() || n == s.camera.once {
			return
		}
		select {
		case <-tick.C:
		case <-s.gone:
			return
		}
	}
}

// send sends the next picture, or what the camera's fault makes of it. It is false at the connection's end.
func (s *connection) send() bool {
	c := s.camera
	c.mu.Lock()
	fault, which := c.fault, int(c.count)/c.each%len(c.show)
	picture := c.show[which]
	c.count++
	number := c.count
	c.mu.Unlock()

	data := picture.Data
	switch fault {
	case Silent:
		<-s.gone
		return false
	case Garbage:
		return s.write(garbage(number))
	case Black:
		data = c.black
	case Overexposed:
		data = c.white
	case OtherSize:
		data = picture.size
	case Truncated:
		data = picture.half
	case Torn:
		data = picture.torn
	}
	if fault == Frozen && s.frozen != nil {
		data = s.frozen
	} else {
		s.picture = numbered(s.picture, data, uint64(rand.Uint32())<<32|number)
		data = s.picture
	}
	if fault == Frozen && s.frozen == nil {
		s.frozen = append([]byte(nil), data...)
	}
	s.part = fmt.Appendf(s.part[:0], boundary, len(data))
	s.part = append(s.part, data...)
	at := time.Now()
	if !s.write(s.part) {
		return false
	}
	if fault == None {
		s.frozen = nil
		c.mu.Lock()
		defer c.mu.Unlock()
		c.sent = append(c.sent, Sent{at, which})
	}
	return true
}

func (s *connection) write(data []byte) bool {
	_, err := s.conn.Write(data)
	return err == nil
}

// garbage is random bytes, other ones for each number.
func garbage(number uint64) []byte {
	rng := rand.New(rand.NewPCG(number, 7))
	data := make([]byte, 8<<10)
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	return data
}
