package page

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/netutil"
)

// Limits of the server.
const (
	maxConns     = 32               // at a time; more wait until one ends
	maxHeader    = 8 << 10          // bytes of a request
	readTimeout  = 5 * time.Second  // for a whole request: there is no body to read
	writeTimeout = 10 * time.Second // for an answer
	freshFor     = time.Second      // that an answer is good for: who asks more often gets the same again
)

// Options say where it is shown.
type Options struct {
	Listen string           // host:port, with port 0 for any free one
	Now    func() time.Time // nil: time.Now
	Log    *slog.Logger     // nil: nothing is logged
}

// Server answers what is asked by HTTP. It is made by Open.
type Server struct {
	options Options
	listen  net.Listener
	local   string // the name that it was told to listen on, where that is of the loopback interface; "": it isn't
	http    http.Server
	served  chan struct{}  // closed when no connection is taken any more
	conns   sync.WaitGroup // each open one

	mu     sync.Mutex
	look   func() Status // nil: there is nothing to look at now
	seen   bool          // status was taken
	due    bool          // it is to be taken again, however new it is
	looked time.Time     // when it was taken
	status Status
	made   map[string]document // of status, by path
}

// Open begins to answer on o.Listen. Who can reach that may read: there are no users. On the loopback interface that is who is on this
// machine, and no web site that has made a browser take this machine for its own (DNS rebinding): a request must name a loopback
// address or localhost there. Other addresses are logged as a warning.
//
// The error of a port in use is one line that names the key to change.
func Open(o Options) (*Server, error) {
	tcp, err := net.ResolveTCPAddr("tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen on %s (http.listen): want host:port: %w", o.Listen, err)
	}
	listener, err := net.ListenTCP("tcp", tcp)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("listen on %s (http.listen): %w: another program listens there; set http.listen to another port", o.Listen, syscall.EADDRINUSE)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s (http.listen): %w", o.Listen, bare(err))
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Server{options: o, listen: listener, served: make(chan struct{}), made: make(map[string]document)}
	if tcp.IP.IsLoopback() {
		s.local = hostOf(o.Listen)
	} else {
		o.Log.Warn("everybody who can reach this address can read the status page: what is seen, and by which cameras; "+
			"set http.listen to a loopback address such as 127.0.0.1:8080 to keep it to this machine", "listen", o.Listen)
	}
	s.http = http.Server{
		Handler: s, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, MaxHeaderBytes: maxHeader,
		ConnState: s.count, ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}
	s.http.SetKeepAlivesEnabled(false) // a connection that waits for another request would keep others out
	go func() {
		defer close(s.served)
		err := s.http.Serve(netutil.LimitListener(listener, maxConns))
		if !errors.Is(err, http.ErrServerClosed) {
			o.Log.Error("the status page is gone", "err", err)
		}
	}()
	return s, nil
}

// bare is err without the address, which is told before it.
func bare(err error) error {
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		return op.Err
	}
	return err
}

// Addr is the address that it listens on, with the port it got.
func (s *Server) Addr() net.Addr { return s.listen.Addr() }

// count counts the connections.
func (s *Server) count(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.conns.Add(1)
	case http.StateClosed:
		s.conns.Done()
	}
}

// Show has look called for what is to be shown: once a second at most, and never twice at a time. With nil nothing is called any more
// when Show returns, and the last is shown on; while there is none, as before the first Show, it is said that sightd starts.
func (s *Server) Show(look func() Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.look, s.due = look, true
}

// Close cuts all connections, whatever they are at, and waits until they are gone. Nothing is looked at any more then. Closing twice is
// no error.
func (s *Server) Close() error {
	s.Show(nil)
	err := s.http.Close()
	<-s.served
	err = errors.Join(err, s.http.Close()) // of one that was taken at that very moment
	s.conns.Wait()
	if err != nil {
		return fmt.Errorf("close the status page: %w", err)
	}
	return nil
}

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Security-Policy", policy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Cache-Control", "no-store")
	if !s.known(r.Host) {
		http.Error(w, "this address is for this machine alone: ask for localhost, 127.0.0.1 or [::1], or set http.listen", http.StatusMisdirectedRequest)
		return
	}
	build, ok := documents[r.URL.Path]
	switch {
	case !ok:
		http.Error(w, "there are /, /metrics and /health", http.StatusNotFound)
		return
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		header.Set("Allow", "GET, HEAD")
		http.Error(w, "want GET or HEAD: nothing can be changed here", http.StatusMethodNotAllowed)
		return
	}
	d, ok := s.document(r.URL.Path, build)
	if !ok {
		header.Set("Retry-After", "5")
		http.Error(w, "sightd is starting", http.StatusServiceUnavailable)
		return
	}
	header.Set("Content-Type", d.kind)
	header.Set("Content-Length", strconv.Itoa(len(d.body)))
	w.WriteHeader(d.code)
	w.Write(d.body) // who is gone needs no answer
}

// known reports whether a request may name the server so. On loopback a name that others give out may be an attacker's.
func (s *Server) known(host string) bool {
	if s.local == "" {
		return true
	}
	host = hostOf(host)
	ip, err := netip.ParseAddr(host)
	if err == nil {
		return ip.IsLoopback()
	}
	return host == "localhost" || host != "" && host == s.local
}

// hostOf is the host of host:port, or of host, in lower case and without brackets.
func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil { // there is no port
		host = strings.TrimSuffix(strings.TrimPrefix(address, "["), "]")
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// document gives what is at path, made by build; ok is false while there is nothing to make it of.
func (s *Server) document(path string, build builder) (d document, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.options.Now()
	if passed := now.Sub(s.looked); s.look != nil && (s.due || passed < 0 || passed >= freshFor) {
		s.status, s.looked, s.seen, s.due = s.look(), now, true, false
		clear(s.made)
	}
	if !s.seen {
		return document{}, false
	}
	if d, ok := s.made[path]; ok {
		return d, true
	}
	d, err := build(&s.status)
	if err != nil {
		s.options.Log.Error("answer what was asked by HTTP", "path", path, "err", err)
		d = document{"text/plain; charset=utf-8", http.StatusInternalServerError, []byte("this can't be made; the log says why\n")}
	}
	s.made[path] = d
	return d, true
}
