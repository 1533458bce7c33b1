package publish

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// A scheme is one way to reach a broker.
type scheme struct {
	port string // the default
	tls  bool
	ws   bool
}

var schemes = map[string]scheme{
	"mqtt":  {port: "1883"},
	"tcp":   {port: "1883"},
	"mqtts": {port: "8883", tls: true},
	"ssl":   {port: "8883", tls: true},
	"ws":    {port: "80", ws: true},
	"wss":   {port: "443", tls: true, ws: true},
}

// endpoint is a broker's address, checked.
type endpoint struct {
	scheme scheme
	host   string      // host:port, for dialing and for messages; never with a password
	ws     string      // the WebSocket's URL, if it is one
	tls    *tls.Config // nil without TLS
}

// parseBroker reads a broker's URL. No error shows what may be a password.
func parseBroker(raw string) (endpoint, error) {
	u, err := url.Parse(raw)
	if strings.Contains(raw, "@") {
		return endpoint{}, errors.New("read mqtt.broker: want no user or password in the URL, but in mqtt.user and mqtt.password")
	}
	if err != nil {
		var parse *url.Error
		if errors.As(err, &parse) {
			err = parse.Err
		}
		return endpoint{}, fmt.Errorf("read mqtt.broker %q: %w", raw, err)
	}
	s, ok := schemes[u.Scheme]
	switch {
	case !ok:
		return endpoint{}, fmt.Errorf("read mqtt.broker %q: want a URL with mqtt, mqtts, ws or wss, have scheme %q", raw, u.Scheme)
	case u.Hostname() == "":
		return endpoint{}, fmt.Errorf("read mqtt.broker %q: want a host, have none", raw)
	case strings.ContainsAny(u.Hostname(), "[]"):
		return endpoint{}, fmt.Errorf("read mqtt.broker %q: want a host, have %q", raw, u.Hostname())
	case u.Fragment != "" || !s.ws && (u.RawQuery != "" || u.Path != "" && u.Path != "/"):
		return endpoint{}, fmt.Errorf("read mqtt.broker %q: want nothing behind host and port", raw)
	}
	port := u.Port()
	if port == "" {
		port = s.port
	}
	e := endpoint{scheme: s, host: net.JoinHostPort(u.Hostname(), port)}
	if s.ws {
		u.Host = e.host
		e.ws = u.String()
	}
	if s.tls {
		e.tls = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: u.Hostname()}
	}
	return e, nil
}

// trust loads PEM files into e's TLS settings: the authorities to trust in place of the system's, and the certificate
// this client shows. Any path may be empty. There is no setting that skips the checks.
func (e endpoint) trust(ca, cert, key string) error {
	if e.tls == nil {
		if ca != "" || cert != "" || key != "" {
			return errors.New("set up TLS: mqtt.ca, mqtt.cert and mqtt.key want an mqtts or wss URL in mqtt.broker")
		}
		return nil
	}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return fmt.Errorf("read mqtt.ca: %w", err)
		}
		e.tls.RootCAs = x509.NewCertPool()
		if !e.tls.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("read mqtt.ca %s: want certificates in PEM form, have none", ca)
		}
	}
	if (cert == "") != (key == "") {
		return errors.New("set up TLS: want mqtt.cert and mqtt.key both or neither, have one")
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return fmt.Errorf("read mqtt.cert %s and mqtt.key %s: %w", cert, key, err)
		}
		e.tls.Certificates = []tls.Certificate{pair}
	}
	return nil
}

// A stage is a part of making a connection. Failures of different stages have different remedies.
type stage string

const (
	lookUp  stage = "look up"
	connect stage = "connect to"
	tlsUp   stage = "TLS handshake with"
	wsUp    stage = "WebSocket handshake with"
	logIn   stage = "log in to"      // the broker answered, and refused
	connack stage = "get CONNACK of" // the broker didn't answer, or not in MQTT
)

// A stageError says at which stage a connection failed.
type stageError struct {
	stage stage
	host  string
	err   error
}

func (e *stageError) Error() string { return fmt.Sprintf("%s %s: %v", e.stage, e.host, e.err) }
func (e *stageError) Unwrap() error { return e.err }

// dial makes the connection up to where MQTT begins. The end of ctx cuts it short at any point. Errors are *stageError.
//
// paho could dial on its own, but only until its own time-outs, and with one error for all stages.
func (e endpoint) dial(ctx context.Context) (*line, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, connectTimeout, errNoAnswer)
	defer cancel()
	failed := func(at stage, err error) error {
		if ctx.Err() != nil { // what the end of ctx did to the connection says less
			err = context.Cause(ctx)
		}
		return &stageError{at, e.host, bare(err)}
	}
	var d net.Dialer
	raw, err := d.DialContext(ctx, "tcp", e.host)
	if err != nil {
		if dns := (*net.DNSError)(nil); errors.As(err, &dns) {
			return nil, failed(lookUp, err)
		}
		return nil, failed(connect, err)
	}
	stop := context.AfterFunc(ctx, func() { raw.Close() }) // a failing Close has nobody to tell
	defer stop()

	conn := raw
	var secure *tls.Conn
	if e.scheme.tls {
		secure = tls.Client(raw, e.tls)
		if err := secure.HandshakeContext(ctx); err != nil {
			raw.Close()
			return nil, failed(tlsUp, err)
		}
		conn = secure
	}
	if e.scheme.ws {
		ws, err := upgrade(ctx, e.ws, conn)
		if err != nil {
			raw.Close()
			return nil, failed(wsUp, err)
		}
		conn = ws
	}
	return &line{Conn: conn, raw: raw, tls: secure, down: make(chan struct{})}, nil
}

// upgrade speaks HTTP on conn until it is a WebSocket for MQTT (MQTT 3.1.1, section 6).
func upgrade(ctx context.Context, url string, conn net.Conn) (net.Conn, error) {
	give := func(context.Context, string, string) (net.Conn, error) { return conn, nil }
	d := websocket.Dialer{NetDialContext: give, NetDialTLSContext: give, Subprotocols: []string{"mqtt"}}
	ws, resp, err := d.DialContext(ctx, url, nil)
	if err != nil {
		if resp != nil {
			return nil, fmt.Errorf("%w: want HTTP status %d, have %s", err, http.StatusSwitchingProtocols, resp.Status)
		}
		return nil, err
	}
	// gorilla leaves ctx's deadline on the connection.
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return nil, err
	}
	return &webSocket{Conn: ws, in: websocket.JoinMessages(ws, "")}, nil
}

// webSocket makes a WebSocket's messages a stream of bytes. MQTT packets may begin and end anywhere in messages.
type webSocket struct {
	*websocket.Conn
	in io.Reader
}

func (w *webSocket) Read(p []byte) (int, error) { return w.in.Read(p) }

func (w *webSocket) Write(p []byte) (int, error) {
	if err := w.WriteMessage(websocket.BinaryMessage, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (w *webSocket) SetDeadline(t time.Time) error {
	return errors.Join(w.SetReadDeadline(t), w.SetWriteDeadline(t))
}

// line is a connection that tells when it is over, and why. paho keeps some ends to itself: see link.
type line struct {
	net.Conn
	raw net.Conn  // the TCP connection below
	tls *tls.Conn // between the two; nil without TLS

	write sync.Mutex // held during Write: paho's pings and packets come from two goroutines, gorilla wants one

	once sync.Once
	why  error         // set before down is closed
	down chan struct{} // closed when the connection is over
}

// end records why the connection is over. Only the first call counts.
func (l *line) end(why error) {
	l.once.Do(func() {
		l.why = bare(why)
		close(l.down)
	})
}

// cut ends the connection at once: without a TLS alert, which may wait for a peer that is gone.
func (l *line) cut(why error) {
	l.end(why)
	l.raw.Close() // it is lost either way
}

func (l *line) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	if err != nil {
		l.end(err)
	}
	return n, err
}

// Write gives up, for good, after writeTimeout.
func (l *line) Write(p []byte) (int, error) {
	l.write.Lock()
	defer l.write.Unlock()
	n, err := 0, l.Conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	if err == nil {
		n, err = l.Conn.Write(p)
	}
	if err == nil {
		err = l.Conn.SetWriteDeadline(time.Time{})
	}
	if err != nil {
		err = l.alerted(err)
		l.end(err)
	}
	return n, err
}

// alerted is the alert that the other side sent before it closed the connection to what was written next, or err where it sent
// none. In TLS 1.3 that is how a client learns that its certificate was refused.
func (l *line) alerted(err error) error {
	if l.tls == nil || !hungUp(err) || l.tls.SetReadDeadline(time.Now().Add(handOver)) != nil {
		return err
	}
	var alert *net.OpError
	if _, last := l.tls.Read(make([]byte, 1)); errors.As(last, &alert) && alert.Op == "remote error" {
		return last
	}
	return err
}

// SetWriteDeadline is called by paho with handOver from now, which is too short for a slow network.
func (l *line) SetWriteDeadline(time.Time) error { return nil }

// Close is called by paho: after DISCONNECT, and when it gives up a connection that is open but silent or garbled.
func (l *line) Close() error {
	l.end(errGivenUp)
	return l.Conn.Close()
}

var (
	errSilent   = errors.New("no answer")
	errNoAnswer = fmt.Errorf("%w within %v", errSilent, connectTimeout)
	errGivenUp  = errors.New("no answer to PINGREQ, or a packet that is not MQTT") // only paho knows which
)

// bare takes the addresses off a network error: they are said already, and the local port differs every time. The peer's
// TLS alerts keep their "remote error".
func bare(err error) error {
	if dns := (*net.DNSError)(nil); errors.As(err, &dns) {
		return dns
	}
	if op := (*net.OpError)(nil); errors.As(err, &op) && op.Op != "remote error" {
		return op.Err
	}
	return err
}
