package page

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// FuzzServeHTTP asks the handler: nothing but what is there is answered, and to nobody who calls this machine by a foreign name.
func FuzzServeHTTP(f *testing.F) {
	f.Add("GET", "/", "localhost:8080")
	f.Add("HEAD", "/metrics", "[::1]")
	f.Add("POST", "/health", "127.0.0.1.")
	f.Add("GET", "/../health", "127.0.0.1.evil.example")
	f.Add("GET", "//", "[")
	server, err := Open(Options{Listen: "127.0.0.1:0"})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := server.Close(); err != nil {
			f.Error(err)
		}
	})
	server.Show(calm)
	f.Fuzz(func(t *testing.T, method, path, host string) {
		r := &http.Request{Method: method, Host: host, URL: &url.URL{Path: path}, Header: http.Header{}}
		w := httptest.NewRecorder()
		server.ServeHTTP(w, r)
		if w.Header().Get("Content-Security-Policy") != policy || w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("have headers %v", w.Header())
		}
		name := hostOf(host)
		ours := name == "localhost" || strings.HasPrefix(name, "127.") || strings.Contains(name, ":")
		switch _, there := documents[path]; {
		case w.Code == http.StatusOK && (!ours || !there || method != http.MethodGet && method != http.MethodHead):
			t.Errorf("%s %q on %q: have it", method, path, host)
		case w.Code >= 500 && path != "/health":
			t.Errorf("%s %q on %q: have status %d", method, path, host, w.Code)
		case w.Code == http.StatusOK && net.ParseIP(strings.Trim(name, "[]")) != nil && !net.ParseIP(strings.Trim(name, "[]")).IsLoopback():
			t.Errorf("%q: have it", host)
		}
	})
}

// FuzzRequest sends bytes to the server's port: it answers or closes, and serves others after that.
func FuzzRequest(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"))
	f.Add([]byte("POST /health HTTP/1.0\r\nTransfer-Encoding: chunked\r\nContent-Length: 99999999999999999999\r\n\r\nffffffffffffffff\r\n"))
	f.Add([]byte("GET / HTTP/1.1\r\n" + strings.Repeat("a: b\r\n", 2000)))
	f.Add([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"))
	f.Add([]byte("\x16\x03\x01\x02\x00\x01"))
	server, err := Open(Options{Listen: "127.0.0.1:0"})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := server.Close(); err != nil {
			f.Error(err)
		}
	})
	server.Show(calm)
	f.Fuzz(func(t *testing.T, data []byte) {
		conn, err := net.Dial("tcp", server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(data); err == nil {
			conn.(*net.TCPConn).CloseWrite() // what it answers, or whether it closes, is looked at either way
		}
		answer, err := io.ReadAll(conn)
		if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
			t.Fatal("want an answer or the connection closed, it is open")
		}
		if len(answer) > 0 && err == nil && !strings.HasPrefix(string(answer), "HTTP/1.") {
			t.Errorf("have answer %.100q", answer)
		}
		if response, _ := ask(t, server, http.MethodGet, "/health", ""); response.StatusCode != http.StatusOK {
			t.Errorf("have status %d after it", response.StatusCode)
		}
	})
}
