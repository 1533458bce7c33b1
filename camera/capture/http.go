package capture

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	httpTimeout  = 10 * time.Second // to connect, for the TLS handshake, for the header of the answer
	openTimeout  = 4 * httpTimeout  // for all together, with redirects and a login
	maxRedirects = 5
	maxHeader    = 64 << 10
	snapshotFPS  = 1 // where none is wanted
)

// httpStream reads MJPEG over HTTP, or a snapshot again and again.
type httpStream struct {
	o       Options
	name    string // for messages
	secrets secrets
	target  *url.URL // without user and password
	login   login
	client  *http.Client
	conns   *connections

	ctx    context.Context // of all requests, ends with Close
	cancel context.CancelFunc

	reads  sync.Mutex // held by a Read: Close waits for it
	answer *http.Response
	next   func(*Shot) error
	due    time.Time // of the next snapshot
	seq    uint64
	err    error
}

// openHTTP asks for the URL. What the answer turns out to be is read by Go, if it is pictures, or else by ffmpeg.
func openHTTP(ctx context.Context, o Options, u *url.URL) (Stream, error) {
	s := newHTTPStream(o, u)
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, s.cancel)
	other, err := s.open()
	if !stop() && ctx.Err() != nil {
		s.Close() // returns no error
		return nil, fmt.Errorf("open %s: %w", s.name, ctx.Err())
	}
	if err != nil || other {
		s.Close() // as above
	}
	if err != nil {
		return nil, err
	}
	if other {
		return openLive(ctx, o)
	}
	return s, nil
}

func newHTTPStream(o Options, u *url.URL) *httpStream {
	target := *u
	target.User, target.Fragment = nil, ""
	ctx, cancel := context.WithCancel(context.Background())
	s := &httpStream{o: o, name: printable(Redact(o.URL), 256), secrets: secretsOf(o.URL), target: &target, login: login{user: u.User},
		conns: &connections{}, ctx: ctx, cancel: cancel}
	s.client = &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment,
			DialContext: func(_ context.Context, network, addr string) (net.Conn, error) {
				return s.conns.dial(ctx, network, addr)
			},
			TLSHandshakeTimeout:    httpTimeout,
			ResponseHeaderTimeout:  httpTimeout,
			MaxResponseHeaderBytes: maxHeader,
			DisableCompression:     true,
			MaxIdleConns:           1,
			MaxConnsPerHost:        1,
		},
		CheckRedirect: checkRedirect,
	}
	return s
}

// checkRedirect lets a camera send on to another address of its own only: the login goes there, too.
func checkRedirect(to *http.Request, via []*http.Request) error {
	from := via[0].URL
	switch {
	case to.URL.Hostname() != from.Hostname():
		return fmt.Errorf("it redirects to another host, %s", printable(to.URL.Host, 128))
	case from.Scheme == "https" && to.URL.Scheme != "https":
		return errors.New("it redirects from https to http")
	case len(via) > maxRedirects:
		return fmt.Errorf("it redirects more than %d times", maxRedirects)
	}
	to.Header.Del("Authorization") // one of this address; it will ask
	return nil
}

// open asks and decides by the answer. Other: it is nothing that is read here.
func (s *httpStream) open() (other bool, err error) {
	s.answer, err = s.get()
	if err != nil {
		return false, fmt.Errorf("read %s: %w", s.name, err)
	}
	body := bufio.NewReaderSize(s.answer.Body, 4<<10)
	media, _, _ := strings.Cut(s.answer.Header.Get("Content-Type"), ";")
	media = strings.ToLower(strings.TrimSpace(media))
	switch media {
	case "image/jpeg", "image/jpg", "image/pjpeg", "image/png", "image/webp":
		s.due = time.Now()
		s.next = s.snapshot
		return false, nil
	case "text/html":
		return false, fmt.Errorf("read %s: it answers with a web page, not with pictures", s.name)
	case "", "application/octet-stream", "text/plain":
		start, err := body.Peek(2)
		if err != nil {
			return false, fmt.Errorf("read %s: %w", s.name, s.hide(err))
		}
		if !bytes.Equal(start, []byte{0xff, markerSOI}) && string(start) != "--" && string(start) != "\r\n" {
			return true, nil
		}
	case "video/x-motion-jpeg", "video/x-mjpeg", "video/mjpeg", "image/x-mjpeg", "image/mjpeg", "video/x-jpeg":
	default:
		if !strings.HasPrefix(media, "multipart/") {
			return true, nil
		}
	}
	// The pictures' own ends are trusted, not the lengths in the headers between them: those are sometimes wrong, and a picture
	// is handed on with its last byte just so.
	s.next = newJPEGReader(body, s.o.MaxBytes).next
	return false, nil
}

// get asks for the target, and logs in where that is asked for.
func (s *httpStream) get() (*http.Response, error) {
	for again := true; ; again = false {
		req, err := http.NewRequestWithContext(s.ctx, http.MethodGet, s.target.String(), nil)
		if err != nil {
			return nil, s.hide(err)
		}
		req.Header.Set("User-Agent", "sightd")
		if err := s.login.authorize(req); err != nil {
			return nil, err
		}
		answer, err := s.client.Do(req)
		switch {
		case err == nil:
		case strings.Contains(err.Error(), "malformed HTTP"):
			return nil, errors.New("its answer is no HTTP") // what it is instead may be different each time
		case errors.Is(err, io.EOF):
			return nil, errors.New("it closes the connection without an answer")
		default:
			return nil, s.hide(err)
		}
		if answer.StatusCode == http.StatusOK {
			return answer, nil
		}
		io.CopyN(io.Discard, answer.Body, maxHeader) // so that the connection can be used again; no matter if it can't
		answer.Body.Close()                          // was only read
		status := fmt.Sprintf("%d %s", answer.StatusCode, http.StatusText(answer.StatusCode))
		switch {
		case answer.StatusCode != http.StatusUnauthorized:
			return nil, fmt.Errorf("it answers %s", status)
		case s.login.user == nil:
			return nil, fmt.Errorf("it answers %s: write user and password into the url, as http://user:password@…", status)
		case !again:
			return nil, fmt.Errorf("it answers %s: user or password is wrong", status)
		}
		s.target = answer.Request.URL
		if err := s.login.challenge(answer.Header.Values("WWW-Authenticate")); err != nil {
			return nil, fmt.Errorf("it answers %s: %w", status, err)
		}
	}
}

// hide makes an error of net/http fit to be shown: on one line, and without the URL.
func (s *httpStream) hide(err error) error {
	var of *url.Error
	if errors.As(err, &of) {
		err = of.Err
	}
	return errors.New(printable(s.secrets.clean(err.Error(), false), 256))
}

// snapshot reads a picture that is the whole answer, and asks for it first but for the first time.
func (s *httpStream) snapshot(shot *Shot) error {
	if s.answer == nil {
		if !sleep(time.Until(s.due), s.ctx.Done()) {
			return fs.ErrClosed
		}
		s.due = time.Now()
		answer, err := s.get()
		if err != nil {
			return err
		}
		s.answer = answer
	}
	fps := s.o.FPS
	if fps == 0 {
		fps = snapshotFPS
	}
	s.due = s.due.Add(interval(fps))
	answer := s.answer
	s.answer = nil
	defer answer.Body.Close() // was only read
	size := answer.ContentLength
	switch {
	case size > s.o.MaxBytes:
		return fmt.Errorf("a picture has %d bytes, at most %d are allowed", size, s.o.MaxBytes)
	case size < 0:
		err := readData(io.LimitReader(answer.Body, s.o.MaxBytes+1), shot, int(s.o.MaxBytes)+1)
		if err == nil {
			return fmt.Errorf("a picture has more than the %d bytes that are allowed", s.o.MaxBytes)
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) || len(shot.Data) == 0 {
			return err
		}
	default:
		if err := readData(answer.Body, shot, int(size)); err != nil {
			return err
		}
	}
	if len(shot.Data) == 0 {
		return errors.New("it answers with an empty picture")
	}
	shot.Format, shot.Width, shot.Height, shot.File = Encoded, 0, 0, ""
	shot.Time = time.Now()
	return nil
}

// Read implements Stream.
func (s *httpStream) Read(shot *Shot) error {
	s.reads.Lock()
	defer s.reads.Unlock()
	if s.err == nil && s.ctx.Err() == nil {
		err := s.next(shot)
		if err == nil {
			s.seq++
			shot.Seq = s.seq
			return nil
		}
		s.err = s.explain(err)
	}
	if s.ctx.Err() != nil {
		return fmt.Errorf("read %s: %w", s.name, fs.ErrClosed)
	}
	return s.err
}

func (s *httpStream) explain(err error) error {
	switch {
	case err == io.EOF:
		return fmt.Errorf("read %s: the stream has ended", s.name)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("read %s: the connection has ended amid a picture", s.name)
	}
	return fmt.Errorf("read %s: %w", s.name, s.hide(err))
}

// Close implements Stream. It has no errors.
func (s *httpStream) Close() error {
	s.cancel() // ends a Read
	s.conns.close()
	s.reads.Lock()
	defer s.reads.Unlock()
	if s.answer != nil {
		s.answer.Body.Close() // was only read
		s.answer = nil
	}
	s.client.CloseIdleConnections()
	return nil
}

// connections are the open ones of a client: net/http closes them when it comes to it, Close at once.
type connections struct {
	mu     sync.Mutex
	closed bool
	open   map[*connection]bool
}

type connection struct {
	net.Conn
	of *connections
}

func (c *connections) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: httpTimeout}
	conn, err := dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		conn.Close() // unused
		return nil, net.ErrClosed
	}
	tracked := &connection{conn, c}
	if c.open == nil {
		c.open = map[*connection]bool{}
	}
	c.open[tracked] = true
	return tracked, nil
}

// Close implements net.Conn.
func (c *connection) Close() error {
	c.of.mu.Lock()
	delete(c.of.open, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

func (c *connections) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for conn := range c.open {
		conn.Conn.Close() // was only read
	}
	c.open = nil
}
