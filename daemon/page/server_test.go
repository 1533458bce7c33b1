package page

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sightd/publish"
)

// patience bounds what a test waits for; one that passes never waits it out.
const patience = 30 * time.Second

// open opens a server on loopback that shows s, and closes it at the test's end.
func open(t *testing.T, s Status) *Server {
	t.Helper()
	server := openEmpty(t, Options{Listen: "127.0.0.1:0"})
	server.Show(func() Status { return s })
	return server
}

func openEmpty(t *testing.T, o Options) *Server {
	t.Helper()
	server, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return server
}

// ask asks the server for a path, by a method and a host; "" is its address. Any goroutine may do so.
func ask(t testing.TB, server *Server, method, path, host string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequest(method, "http://"+server.Addr().String()+path, nil)
	if err != nil {
		t.Error(err)
		return new(http.Response), ""
	}
	if host != "" {
		request.Host = host
	}
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}}
	response, err := client.Do(request)
	if err != nil {
		t.Error(err)
		return new(http.Response), ""
	}
	defer response.Body.Close() // it was read
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Error(err)
	}
	return response, string(body)
}

// settle waits until no more goroutines run than before.
func settle(t *testing.T, before int) {
	t.Helper()
	for deadline := time.Now().Add(patience); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<16)
			t.Fatalf("goroutines: %d before, %d after\n%s", before, runtime.NumGoroutine(), buf[:runtime.Stack(buf, true)])
		}
	}
}

func TestServer(t *testing.T) {
	server := open(t, calm())
	for _, test := range []struct {
		method, path string
		code         int
		kind, has    string
	}{
		{"GET", "/", 200, "text/html; charset=utf-8", "English springer"},
		{"HEAD", "/", 200, "text/html; charset=utf-8", ""},
		{"GET", "/?x=1", 200, "text/html; charset=utf-8", "English springer"},
		{"GET", "/metrics", 200, "text/plain; version=0.0.4; charset=utf-8", "sightd_uptime_seconds 273600\n"},
		{"GET", "/health", 200, "application/json", `{"status":"ok"`},
		{"POST", "/", 405, "text/plain; charset=utf-8", "GET or HEAD"},
		{"DELETE", "/metrics", 405, "text/plain; charset=utf-8", "GET or HEAD"},
		{"OPTIONS", "/health", 405, "text/plain; charset=utf-8", "GET or HEAD"},
		{"GET", "/favicon.ico", 404, "text/plain; charset=utf-8", "/metrics"},
		{"GET", "/health/", 404, "text/plain; charset=utf-8", "/metrics"},
		{"GET", "/../metrics", 404, "text/plain; charset=utf-8", "/metrics"},
		{"GET", "/debug/pprof/", 404, "text/plain; charset=utf-8", "/metrics"},
	} {
		response, body := ask(t, server, test.method, test.path, "")
		if response.StatusCode != test.code || response.Header.Get("Content-Type") != test.kind || !strings.Contains(body, test.has) {
			t.Errorf("%s %s: want %d, %s and %q, have %d, %s and %.200s", test.method, test.path, test.code, test.kind, test.has,
				response.StatusCode, response.Header.Get("Content-Type"), body)
		}
		if test.method == "HEAD" && (body != "" || response.ContentLength < 1000) {
			t.Errorf("HEAD: want a length and no body, have %d and %q", response.ContentLength, body)
		}
		if allow := response.Header.Get("Allow"); (test.code == 405) != (allow == "GET, HEAD") {
			t.Errorf("%s %s: have Allow %q", test.method, test.path, allow)
		}
		for name, want := range map[string]string{
			"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
			"Cross-Origin-Resource-Policy": "same-origin", "Access-Control-Allow-Origin": "", "Server": "", "Etag": "",
		} {
			if have := response.Header.Get(name); have != want {
				t.Errorf("%s %s: want %s %q, have %q", test.method, test.path, name, want, have)
			}
		}
	}
}

// TestHealth: it is the payload of the bridge's health, and its code tells whether the daemon does its work.
func TestHealth(t *testing.T) {
	for status, code := range map[publish.Status]int{publish.StatusOK: 200, publish.StatusDegraded: 200, publish.StatusFailing: 503} {
		s := calm()
		s.Health.Status = status
		want, err := publish.HealthPayload(s.Health, publish.MaxPayload)
		if err != nil {
			t.Fatal(err)
		}
		if response, body := ask(t, open(t, s), "GET", "/health", ""); response.StatusCode != code || body != string(want) {
			t.Errorf("%s: want %d and %s, have %d and %s", status, code, want, response.StatusCode, body)
		}
	}
	s := calm()
	s.Health.FPS = math.NaN() // no JSON
	server := open(t, s)
	if response, body := ask(t, server, "GET", "/health", ""); response.StatusCode != 500 || !strings.Contains(body, "log") {
		t.Errorf("what can't be made: want 500, have %d and %s", response.StatusCode, body)
	}
}

// TestHost: on loopback a request must name loopback, so that no web site reads it under its own name.
func TestHost(t *testing.T) {
	local := open(t, calm())
	for host, code := range map[string]int{
		"localhost": 200, "LOCALHOST:80": 200, "localhost.": 200, "127.0.0.1": 200, "127.0.0.1:8080": 200, "127.1.2.3": 200, "[::1]": 200, "[::1]:8080": 200,
		"[::ffff:127.0.0.1]": 200, "evil.example": 421, "127.0.0.1.evil.example": 421, "localhost.evil.example:80": 421, "192.168.1.5": 421, "0.0.0.0": 421, "[::]": 421,
	} {
		if response, _ := ask(t, local, "GET", "/metrics", host); response.StatusCode != code {
			t.Errorf("%s: want %d, have %d", host, code, response.StatusCode)
		}
	}
	for _, test := range []struct{ listen, host string }{{"myboard:80", "MyBoard:8080"}, {"localhost:80", "localhost"}} {
		if s := (&Server{local: hostOf(test.listen)}); !s.known(test.host) || s.known("") || s.known("other") {
			t.Errorf("listening on %s: want %s alone to be known", test.listen, test.host)
		}
	}
}

// TestListen: other addresses than loopback are warned of, and answer whatever they are called.
func TestListen(t *testing.T) {
	for _, test := range []struct {
		listen, host string
		warns        bool
		code         int
	}{
		{"127.0.0.1:0", "board.lan", false, 421},
		{"[::1]:0", "board.lan", false, 421},
		{"[::1]:0", "", false, 200},
		{"localhost:0", "localhost", false, 200},
		{"0.0.0.0:0", "board.lan", true, 200},
		{"[::]:0", "board.lan", true, 200},
		{":0", "board.lan:80", true, 200},
	} {
		var log bytes.Buffer
		server, err := Open(Options{Listen: test.listen, Log: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Errorf("%s: %v", test.listen, err)
			continue
		}
		server.Show(calm)
		response, _ := ask(t, server, "GET", "/", test.host)
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if have := strings.Contains(log.String(), "level=WARN"); have != test.warns || response.StatusCode != test.code {
			t.Errorf("%s: want warning %v and %d, have %d and %q", test.listen, test.warns, test.code, response.StatusCode, log.String())
		}
	}
}

func TestOpenErrors(t *testing.T) {
	taken := open(t, calm()).Addr().String()
	for listen, want := range map[string]string{
		taken:              "listen on " + taken + " (http.listen): address already in use: another program listens there; set http.listen to another port",
		"nonsense":         "listen on nonsense (http.listen): want host:port: ",
		"127.0.0.1:http-x": "(http.listen)",
		"192.0.2.1:80":     "listen on 192.0.2.1:80 (http.listen): bind: cannot assign requested address",
	} {
		server, err := Open(Options{Listen: listen})
		if err == nil {
			t.Errorf("%s: want an error, have none: %v", listen, server.Close())
		} else if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: want one line with %q, have %q", listen, want, err)
		}
	}
}

// clock is a time that tests set.
type clock struct{ nanos atomic.Int64 }

func (c *clock) now() time.Time       { return noon.Add(time.Duration(c.nanos.Load())) }
func (c *clock) pass(d time.Duration) { c.nanos.Add(int64(d)) }

// TestLook: many who ask in a second have the daemon looked at once.
func TestLook(t *testing.T) {
	var hand clock
	server := openEmpty(t, Options{Listen: "127.0.0.1:0", Now: hand.now})
	var looks, at atomic.Int64
	look := func() Status {
		if at.Add(1) > 1 {
			t.Error("want one look at a time")
		}
		looks.Add(1)
		at.Add(-1)
		s := calm()
		s.Classified = uint64(looks.Load())
		return s
	}
	server.Show(look)
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() { ask(t, server, "GET", []string{"/", "/metrics", "/health", "/none"}[i%4], "") })
	}
	all.Wait()
	if looks.Load() != 1 {
		t.Errorf("within a second: want 1 look, have %d", looks.Load())
	}
	for _, step := range []struct {
		passes time.Duration
		looks  int64
	}{{freshFor - 1, 1}, {1, 2}, {-time.Hour, 3}, {0, 3}, {freshFor, 4}} {
		hand.pass(step.passes)
		_, body := ask(t, server, "GET", "/metrics", "")
		if want := fmt.Sprintf("sightd_classified_total %d\n", step.looks); looks.Load() != step.looks || !strings.Contains(body, want) {
			t.Errorf("after %v: want %d looks and %q, have %d", step.passes, step.looks, want, looks.Load())
		}
	}
}

// TestShow: before there is anything to show that is said, and while there is nothing to look at the last is shown on.
func TestShow(t *testing.T) {
	var hand clock
	server := openEmpty(t, Options{Listen: "127.0.0.1:0", Now: hand.now})
	for _, path := range []string{"/", "/metrics", "/health"} {
		if response, body := ask(t, server, "GET", path, ""); response.StatusCode != 503 || response.Header.Get("Retry-After") == "" {
			t.Errorf("%s: want 503 before there is anything, have %d and %s", path, response.StatusCode, body)
		}
	}
	shows := func(name string) func() Status {
		return func() Status {
			s := calm()
			s.Name = name
			return s
		}
	}
	has := func(want string) {
		t.Helper()
		if response, body := ask(t, server, "GET", "/", ""); response.StatusCode != 200 || !strings.Contains(body, want) {
			t.Errorf("want 200 and %s, have %d and %.300s", want, response.StatusCode, body)
		}
	}
	server.Show(shows("first"))
	has("first")
	server.Show(nil)
	hand.pass(time.Hour)
	has("first")
	server.Show(shows("second"))
	has("second")
	server.Show(shows("third"))
	has("third") // though a second hasn't passed
}

// TestClose: clients that send and read nothing don't hold it up, and no goroutine stays.
func TestClose(t *testing.T) {
	before := runtime.NumGoroutine()
	server, err := Open(Options{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	looking := make(chan struct{})
	server.Show(func() Status {
		<-looking
		return crowded(64)
	})
	var clients []net.Conn
	for i := range maxConns + 8 { // the last ones aren't taken
		c, err := net.Dial("tcp", server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		clients = append(clients, c)
		if sent := []string{"", "GET / HT", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"}[i%3]; sent != "" {
			if _, err := io.WriteString(c, sent); err != nil {
				t.Fatal(err)
			}
		}
	}
	close(looking)
	if _, err := bufio.NewReader(clients[2]).ReadString('\n'); err != nil {
		t.Errorf("an answer: %v", err)
	}
	for range 2 {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, c := range clients {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	settle(t, before)
	if c, err := net.Dial("tcp", server.Addr().String()); err == nil {
		t.Errorf("want nobody to listen any more, have a connection: %v", c.Close())
	}
}

// TestLimits: no more connections than maxConns are answered at a time, and none that sends too long a header.
func TestLimits(t *testing.T) {
	server := open(t, calm())
	var idle []net.Conn
	for range maxConns {
		c, err := net.Dial("tcp", server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		idle = append(idle, c)
	}
	var room atomic.Bool
	answered := make(chan int)
	go func() {
		response, _ := ask(t, server, "GET", "/health", "")
		if !room.Load() {
			t.Errorf("want no answer while %d others are connected", maxConns)
		}
		answered <- response.StatusCode
	}()
	other := open(t, calm())
	for range 20 { // it has the chance to do wrong meanwhile
		ask(t, other, "GET", "/health", "")
	}
	room.Store(true)
	for _, c := range idle {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	if code := <-answered; code != 200 {
		t.Errorf("want 200, have %d", code)
	}
	request, err := http.NewRequest("GET", "http://"+server.Addr().String()+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Long", strings.Repeat("x", 4*maxHeader))
	response, err := http.DefaultTransport.RoundTrip(request)
	if err == nil {
		if response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("a long header: want %d, have %d", http.StatusRequestHeaderFieldsTooLarge, response.StatusCode)
		}
		if err := response.Body.Close(); err != nil {
			t.Error(err)
		}
	}
}
