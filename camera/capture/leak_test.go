package capture

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// What is opened and closed a thousand times leaves nothing behind, whether it brings pictures, ends at once, or is cut off.
func TestThousandStreams(t *testing.T) {
	rounds := 1000
	if testing.Short() {
		rounds = 50
	}
	picture := picture(1)
	jpeg := filepath.Join(t.TempDir(), "x.jpg")
	if err := os.WriteFile(jpeg, picture, 0o600); err != nil {
		t.Fatal(err)
	}
	self := func(script string) Options {
		return Options{Kind: V4L2, Device: "/dev/null", Self: []string{"/bin/sh", "-c", script}}
	}
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/snapshot":
			w.Header().Set("Content-Type", "image/jpeg")
			w.Write(picture)
		case "/stream":
			w.Header().Set("Content-Type", "multipart/x-mixed-replace; boundary=x")
			send(w, picture)
			hang(r)
		default:
			http.NotFound(w, r)
		}
	})
	for name, test := range map[string]struct {
		o     Options
		brief bool // it ends by itself
	}{
		"child that ends":   {self("echo bye >&2"), true},
		"child that stays":  {self("exec sleep 1000"), false},
		"HTTP stream":       {Options{Kind: URL, URL: address + "/stream"}, false},
		"HTTP snapshot":     {Options{Kind: URL, URL: address + "/snapshot"}, false},
		"HTTP, not there":   {Options{Kind: URL, URL: address + "/"}, true},
		"folder":            {Options{Kind: Replay, Path: filepath.Dir(jpeg)}, false},
		"program not there": {Options{Kind: V4L2, Device: "/dev/null", Self: []string{"/no/such"}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			noLeak(t)
			open := mustNew(t, test.o)
			var shot Shot
			for i := range rounds {
				s, err := open(t.Context())
				if err != nil {
					if test.brief {
						continue
					}
					t.Fatal(fmt.Errorf("round %d: %w", i, err))
				}
				if name != "child that stays" {
					if err := s.Read(&shot); (err != nil) != test.brief {
						t.Fatalf("round %d: %v", i, err)
					}
				}
				if err := s.Close(); err != nil {
					t.Fatalf("round %d: %v", i, err)
				}
			}
		})
	}
}
