package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"sightd/publish"
)

// pageLog gives the URLs of the status page that are logged.
type pageLog chan string

func (l pageLog) Write(line []byte) (int, error) {
	var said struct{ Msg, URL string }
	if err := json.Unmarshal(line, &said); err != nil {
		return 0, err
	}
	if said.Msg == "status page" {
		l <- said.URL
	}
	return len(line), nil
}

func (l pageLog) logger() *slog.Logger { return slog.New(slog.NewJSONHandler(l, nil)) }

// getPage asks the status page.
func getPage(t *testing.T, url string) (int, string) {
	t.Helper()
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close() // it was read
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// awaitPage asks until the answer has what is wanted: it may be a second old.
func awaitPage(t *testing.T, url, want string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		code, body := getPage(t, url)
		if code == http.StatusOK && strings.Contains(body, want) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: want %q, have %d\n%s", url, want, code, body)
		}
	}
}

// TestStatusPage runs the daemon with its status page, and moves that by a reload.
func TestStatusPage(t *testing.T) {
	goroutines := runtime.NumGoroutine()
	c := testConfig(t)
	c.HTTP.Listen = "127.0.0.1:0"
	var mu sync.Mutex
	pages, reload, ready, ended := make(pageLog, 2), make(chan struct{}), make(chan string, 1), make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	opts := Options{Version: "test-version", Log: pages.logger(), Sample: true, Reload: reload, Ready: func(url string) { ready <- url }}
	opts.Load = func() (Config, error) {
		mu.Lock()
		defer mu.Unlock()
		return c, nil
	}
	go func() { ended <- Run(ctx, c, opts) }()
	broker := <-ready
	url := <-pages
	for _, file := range []string{"golf_ball.png", "parachute.png"} {
		waitFor(t, filepath.Join(c.Sources[0].Path, "done", file))
	}
	awaitPage(t, url+"metrics", "\nsightd_classified_total 2\n")
	awaitPage(t, url+"metrics", "\nsightd_mqtt_connected 1\n")
	awaitPage(t, url+"metrics", `sightd_source_pictures_total{source="inbox",outcome="classified"} 2`)
	for _, want := range []string{"test-version", "inbox", "parachute", "all is well", "embedded, on " + strings.TrimPrefix(broker, "mqtt://")} {
		awaitPage(t, url, want)
	}
	_, body := getPage(t, url+"health")
	var health struct {
		Status  publish.Status
		Sources []struct{ Name string }
	}
	if err := json.Unmarshal([]byte(body), &health); err != nil || health.Status != publish.StatusOK || len(health.Sources) != 1 || health.Sources[0].Name != "inbox" {
		t.Errorf("health: want ok with the source inbox, have %s, %v", body, err)
	}

	mu.Lock()
	c.HTTP.Listen = "[::1]:0"
	mu.Unlock()
	reload <- struct{}{}
	moved := <-pages
	if !strings.HasPrefix(moved, "http://[::1]:") {
		t.Errorf("want a page on [::1], have %s", moved)
	}
	awaitPage(t, moved, "parachute")
	if conn, err := net.Dial("tcp", strings.Trim(url, "htp:/")); err == nil {
		t.Errorf("want no page on %s any more, have one: %v", url, conn.Close())
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	settle(t, goroutines)
}

// TestStatusPagePort: a port in use is told in one line that names the key, and ends the start.
func TestStatusPagePort(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close() // the test's own
	goroutines := runtime.NumGoroutine()
	c := testConfig(t)
	c.HTTP.Listen = taken.Addr().String()
	err = Run(context.Background(), c, Options{Log: quiet})
	if want := fmt.Sprintf("listen on %s (http.listen): address already in use: another program listens there; set http.listen to another port", taken.Addr()); err == nil || err.Error() != want {
		t.Errorf("want %q, have %v", want, err)
	}
	settle(t, goroutines)
}
