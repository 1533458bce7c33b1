package capture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// serve runs a camera. Its handlers end with the test at the latest.
func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL
}

// send writes bytes and sends them off.
func send(w http.ResponseWriter, data []byte) {
	w.Write(data) // fails when the client is gone, as the request's context tells
	w.(http.Flusher).Flush()
}

// hang says nothing more until the client goes: what it has sent before must be enough.
func hang(r *http.Request) { <-r.Context().Done() }

func TestMultipart(t *testing.T) {
	for _, test := range []struct{ name, media, before, header, after string }{
		{"plain", "multipart/x-mixed-replace; boundary=frame", "", "--frame\r\nContent-Type: image/jpeg\r\n\r\n", "\r\n"},
		{"lengths", "multipart/x-mixed-replace;boundary=frame", "", "--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n", "\r\n"},
		{"quoted", `multipart/x-mixed-replace; boundary="my frame"`, "\r\n", "--my frame\r\nContent-type: image/jpeg\r\n\r\n", "\r\n"},
		{"leading dashes", "multipart/x-mixed-replace; boundary=--frame", "", "--frame\r\nContent-Type: image/jpeg\r\n\r\n", "\r\n"},
		{"bare newlines", "multipart/x-mixed-replace; boundary=x", "", "--x\nContent-Type: image/jpeg\n\n", "\n"},
		{"no boundary", "multipart/x-mixed-replace", "", "--x\r\n\r\n", ""},
		{"a preamble", "Multipart/Mixed; boundary=x", "This is a camera.\r\n", "--x\r\n\r\n", "\r\n"},
		{"a wrong length", "multipart/x-mixed-replace; boundary=x", "", "--x\r\nContent-Length: 5\r\n\r\n", "\r\n"},
		{"a huge length", "multipart/x-mixed-replace; boundary=x", "", "--x\r\nContent-Length: 99999999999999999999\r\n\r\n", "\r\n"},
		{"no type", "", "", "--x\r\n\r\n", "\r\n"},
		{"no type, newline first", "application/octet-stream", "\r\n", "--x\r\n\r\n", "\r\n"},
		{"bare pictures", "application/octet-stream", "", "", ""},
		{"video", "video/x-motion-jpeg", "", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			noLeak(t)
			all := pictures()
			address := serve(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header()["Content-Type"] = []string{test.media}
				send(w, []byte(test.before))
				for _, p := range all {
					header := test.header
					if strings.Contains(header, "%d") {
						header = fmt.Sprintf(header, len(p))
					}
					send(w, append([]byte(header), p...))
					send(w, []byte(test.after))
				}
				hang(r)
			})
			s := open(t, Options{Kind: URL, URL: address + "/video"})
			var shot Shot
			for i, p := range all {
				wantJPEG(t, s, &shot, p, uint64(i+1))
			}
			closeStream(t, s)
			if err := s.Read(&shot); !errors.Is(err, fs.ErrClosed) {
				t.Errorf("after Close: %v", err)
			}
		})
	}
}

func TestHTTPFaults(t *testing.T) {
	mjpeg := func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "multipart/x-mixed-replace; boundary=x")
	}
	for _, test := range []struct {
		name    string
		handler http.HandlerFunc
		open    string // error of Open
		read    string // error of Read
	}{
		{"not found", http.NotFound, "answers 404 Not Found", ""},
		{"a web page", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html><body>hello") }, "answers with a web page", ""},
		{"empty", func(w http.ResponseWriter, _ *http.Request) { w.Header()["Content-Type"] = nil }, "EOF", ""},
		{"a login", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }, "write user and password into the url", ""},
		{"another host", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://me:s3cret@example.com/x?s3cret", http.StatusFound)
		}, "redirects to another host, example.com", ""},
		{"a circle", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/s3cret", http.StatusFound) }, "redirects more than 5 times", ""},
		{"ends", func(w http.ResponseWriter, _ *http.Request) {
			mjpeg(w)
			send(w, picture(1))
		}, "", "the stream has ended"},
		{"breaks off", func(w http.ResponseWriter, _ *http.Request) {
			mjpeg(w)
			send(w, picture(1)[:100])
			panic(http.ErrAbortHandler)
		}, "", "the connection has ended amid a picture"},
		{"truncated", func(w http.ResponseWriter, _ *http.Request) {
			mjpeg(w)
			send(w, picture(1)[:100])
		}, "", "the connection has ended amid a picture"},
		{"garbage", func(w http.ResponseWriter, r *http.Request) {
			mjpeg(w)
			for r.Context().Err() == nil {
				send(w, bytes.Repeat([]byte("garbage\r\n"), 1<<12))
			}
		}, "", "bytes without a JPEG in them"},
		{"too large", func(w http.ResponseWriter, _ *http.Request) {
			mjpeg(w)
			send(w, picture(1)[:300])
			send(w, make([]byte, 1<<20))
		}, "", "more than the 100000 bytes"},
		{"a snapshot that is too large", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "image/jpeg")
			w.Header().Set("Content-Length", "1000000000000")
			send(w, picture(1))
		}, "", "has 1000000000000 bytes, at most 100000"},
		{"a snapshot without end", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "image/jpeg")
			for r.Context().Err() == nil {
				send(w, picture(1))
			}
		}, "", "more than the 100000 bytes"},
		{"a snapshot that is cut", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "image/jpeg")
			w.Header().Set("Content-Length", "1000")
			send(w, picture(1)[:100])
			panic(http.ErrAbortHandler)
		}, "", "the connection has ended amid a picture"},
		{"no snapshot", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", "image/jpeg") }, "", "empty picture"},
	} {
		t.Run(test.name, func(t *testing.T) {
			noLeak(t)
			address := serve(t, test.handler)
			s, err := mustNew(t, Options{Kind: URL, URL: address + "/x?token=s3cret", MaxBytes: 100_000})(t.Context())
			if test.open != "" {
				if s != nil || err == nil || !strings.Contains(err.Error(), test.open) || strings.Contains(err.Error(), "s3cret") {
					t.Fatalf("got %v, %v, want an error with %q", s, err, test.open)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer closeStream(t, s)
			if err := wantError(t, s, test.read); strings.Contains(err.Error(), "s3cret") {
				t.Errorf("error %q", err)
			}
		})
	}
}

func TestHTTPIsSilent(t *testing.T) {
	noLeak(t)
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/never" {
			hang(r)
		}
		w.Header().Set("Content-Type", "multipart/x-mixed-replace; boundary=x")
		send(w, picture(1)[:100])
		hang(r)
	})
	s := open(t, Options{Kind: URL, URL: address + "/silent"})
	failed := make(chan error)
	go func() { failed <- s.Read(&Shot{}) }()
	closeStream(t, s)
	within(t, "Read", func() {
		if err := <-failed; !errors.Is(err, fs.ErrClosed) {
			t.Errorf("Read: %v", err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	within(t, "Open", func() {
		if s, err := mustNew(t, Options{Kind: URL, URL: address + "/never"})(ctx); s != nil || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Open: %v, %v", s, err)
		}
	})
	// A stream outlives the context of its opening.
	ctx, cancel = context.WithCancel(t.Context())
	s, err := mustNew(t, Options{Kind: URL, URL: address + "/silent"})(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	go func() { failed <- s.Read(&Shot{}) }()
	select {
	case err := <-failed:
		t.Errorf("Read ends with the context of Open: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	closeStream(t, s)
	<-failed
}

func TestHTTPNotThere(t *testing.T) {
	noLeak(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	s, err := mustNew(t, Options{Kind: URL, URL: "http://me:s3cret@" + address + "/x?s3cret"})(t.Context())
	if s != nil || err == nil || !strings.Contains(err.Error(), "refused") || strings.Contains(err.Error(), "s3cret") ||
		!strings.Contains(err.Error(), "http://"+address+"/x") {
		t.Errorf("got %v, %v", s, err)
	}
	listener, err = net.Listen("tcp", address)
	if err != nil {
		t.Skip("the port is taken")
	}
	defer listener.Close()
	go func() {
		for conn, err := listener.Accept(); err == nil; conn, err = listener.Accept() {
			conn.Read(make([]byte, 4096)) // the request
			conn.Write([]byte("SSH-2.0-\x1b[31mcamera\r\n\r\n"))
			conn.Close()
		}
	}()
	s, err = mustNew(t, Options{Kind: URL, URL: "http://" + address})(t.Context())
	if s != nil || err == nil || !strings.Contains(err.Error(), "no HTTP") || strings.ContainsAny(err.Error(), "\x1b\n") {
		t.Errorf("got %v, %v", s, err)
	}
}

func TestSnapshots(t *testing.T) {
	noLeak(t)
	var n, conns atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := picture(int(n.Add(1)))
		switch r.URL.Path {
		case "/chunked":
			w.Header().Set("Content-Type", "image/jpeg; charset=x")
			send(w, p[:50])
			send(w, p[50:])
		default:
			w.Header().Set("Content-Type", "image/jpeg")
			w.Write(p)
		}
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	for _, path := range []string{"/whole", "/chunked"} {
		n.Store(0)
		conns.Store(0)
		s := open(t, Options{Kind: URL, URL: server.URL + path, FPS: 100})
		var shot Shot
		start := time.Now()
		for i := range 10 {
			wantJPEG(t, s, &shot, picture(i+1), uint64(i+1))
		}
		if took := time.Since(start); took < 80*time.Millisecond {
			t.Errorf("%s: 10 pictures at 100 a second take %v", path, took)
		}
		if got := conns.Load(); got != 1 {
			t.Errorf("%s: %d connections, want 1", path, got)
		}
		closeStream(t, s)
	}
	// Close ends the wait for the next one.
	s := open(t, Options{Kind: URL, URL: server.URL, FPS: 0.001})
	if err := read(t, s, &Shot{}); err != nil {
		t.Fatal(err)
	}
	failed := make(chan error)
	go func() { failed <- s.Read(&Shot{}) }()
	closeStream(t, s)
	within(t, "Read", func() {
		if err := <-failed; !errors.Is(err, fs.ErrClosed) {
			t.Errorf("Read: %v", err)
		}
	})
}

func TestHTTPLogin(t *testing.T) {
	noLeak(t)
	for _, test := range []struct {
		name       string
		challenges []string
		password   string
		want       string // error of Open
	}{
		{"basic", []string{`Basic realm="cam"`}, "pa:ss@w", ""},
		{"digest", []string{`Digest realm="cam", nonce="n0", qop="auth,auth-int", opaque="o"`}, "pa:ss@w", ""},
		{"digest of old", []string{`Digest realm="cam",nonce="n0"`}, "pa:ss@w", ""},
		{"digest with SHA-256, best first", []string{`Basic realm="cam"`, `Digest realm="cam", nonce="n0", algorithm=SHA-512-256`,
			`Digest realm="cam", nonce="n0", algorithm=SHA-256, qop="auth"`, `Digest realm="cam", nonce="n0", qop="auth"`}, "pa:ss@w", ""},
		{"wrong", []string{`Basic realm="cam"`}, "other", "401 Unauthorized: user or password is wrong"},
		{"wrong digest", []string{`Digest realm="cam", nonce="n0"`}, "other", "401 Unauthorized: user or password is wrong"},
		{"unknown", []string{`Negotiate`, `Digest realm="cam", nonce="n0", qop="auth-int"`}, "pa:ss@w", "neither Basic nor Digest"},
		{"hostile", []string{`Digest realm="a\b", nonce="n0"`}, "pa:ss@w", "quote or backslash"},
	} {
		t.Run(test.name, func(t *testing.T) {
			address := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/start" { // logins of other addresses aren't taken along
					http.Redirect(w, r, "/x?y=z", http.StatusFound)
					return
				}
				if !allowed(r, "me", "pa:ss@w") {
					w.Header()["Www-Authenticate"] = test.challenges
					w.WriteHeader(http.StatusUnauthorized)
					return
				}
				w.Header().Set("Content-Type", "image/jpeg")
				w.Write(picture(1))
			})
			password := strings.NewReplacer(":", "%3A", "@", "%40").Replace(test.password)
			address = strings.Replace(address, "http://", "http://me:"+password+"@", 1)
			s, err := mustNew(t, Options{Kind: URL, URL: address + "/start", FPS: 100})(t.Context())
			if test.want != "" {
				if s != nil || err == nil || !strings.Contains(err.Error(), test.want) {
					t.Fatalf("got %v, %v, want an error with %q", s, err, test.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer closeStream(t, s)
			for i := range 3 {
				wantJPEG(t, s, &Shot{}, picture(1), uint64(i+1))
			}
		})
	}
}

// allowed checks a request's login as a server does.
func allowed(r *http.Request, user, password string) bool {
	if name, got, ok := r.BasicAuth(); ok {
		return name == user && got == password
	}
	header, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Digest ")
	if !ok {
		return false
	}
	p := parseChallenge(header)
	sum := digestSum(p["algorithm"])
	parts := []string{sum(user + ":" + p["realm"] + ":" + password), p["nonce"]}
	if p["qop"] != "" {
		parts = append(parts, p["nc"], p["cnonce"], p["qop"])
	}
	parts = append(parts, sum(r.Method+":"+r.URL.RequestURI()))
	return p["uri"] == r.URL.RequestURI() && p["response"] == sum(strings.Join(parts, ":"))
}

func TestHTTPSVerifies(t *testing.T) {
	noLeak(t)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "image/jpeg")
		w.Write(picture(1))
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	s, err := mustNew(t, Options{Kind: URL, URL: server.URL})(t.Context())
	if s != nil || err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("got %v, %v, want an error of the certificate", s, err)
	}
}

// What isn't pictures goes to ffmpeg, with the URL as it was given.
func TestHTTPOther(t *testing.T) {
	noLeak(t)
	notes := play(t, "die", ffmpeg)
	address := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.apple.mpegurl")
		fmt.Fprint(w, "#EXTM3U\n")
	})
	s := open(t, Options{Kind: URL, URL: address + "/live"})
	wantError(t, s, "ffmpeg ended with status 3")
	arguments, err := os.ReadFile(filepath.Join(notes, "arguments"))
	if err != nil || !strings.Contains(string(arguments), "\n-i\n"+address+"/live\n") {
		t.Errorf("started with\n%s (%v)", arguments, err)
	}
}
