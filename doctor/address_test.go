package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
)

// TestAddress has the password hunter2 in its URLs, which no finding shows.
func TestAddress(t *testing.T) {
	installed(t, "ffmpeg")
	ln := listening(t)
	defer ln.Close() // the test needs it no more
	gone := listening(t)
	port := func(l *net.TCPListener) int { return l.Addr().(*net.TCPAddr).Port }
	closed := port(gone)
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	const program = "ok source a program: ffmpeg"
	for _, test := range []struct {
		name, url string
		lookup    func(context.Context, string) ([]string, error)
		want      []string
	}{
		{"answers", fmt.Sprintf("rtsp://u:hunter2@127.0.0.1:%d/s?p=hunter2", port(ln)), nil, []string{program, "ok source a: rtsp://***@127.0.0.1"}},
		{"HTTP", fmt.Sprintf("http://127.0.0.1:%d/mjpeg", port(ln)), nil, []string{fmt.Sprintf("ok source a: 127.0.0.1 accepts connections on port %d; what it sends isn't looked at", port(ln))}},
		{"refuses", fmt.Sprintf("rtsp://u:hunter2@127.0.0.1:%d/s", closed), nil, []string{program, "fail source a: nothing listens on port -> switch on"}},
		{"unknown name", "rtsp://u:hunter2@door.home/s", func(context.Context, string) ([]string, error) {
			return nil, &net.DNSError{Err: "no such host", Name: "door.home", IsNotFound: true}
		}, []string{program, "fail source a: rtsp -> use the camera's IP address"}},
		{"silent name server", "rtsp://u:hunter2@door.home/s", func(ctx context.Context, _ string) ([]string, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}, []string{program, "fail source a: rtsp -> resolvectl query door.home"}},
		{"multicast", "udp://@239.0.0.1:5000", nil, []string{program, "ok source a: udp"}},
		{"any address", "rtp://:5004", nil, []string{program, "ok source a: rtp"}},
		{"UDP", "srt://localhost:9000", func(context.Context, string) ([]string, error) { return []string{"192.0.2.7"}, nil }, []string{program, "ok source a: srt"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := recorded(t, nil)
			if test.lookup != nil {
				s.lookup = test.lookup
			}
			found := live(t, s, "{name: a, type: url, url: '"+test.url+"'}")
			want(t, found, test.want...)
			if strings.Contains(fmt.Sprintf("%+v", found), "hunter2") {
				t.Errorf("a finding shows the password: %+v", found)
			}
		})
	}
}

func TestConnectTrouble(t *testing.T) {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	for _, test := range []struct {
		ctx  context.Context
		err  error
		want string
	}{
		{context.Background(), &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, "nothing listens on port 554"},
		{context.Background(), &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EHOSTUNREACH)}, "there is no way to 192.0.2.7"},
		{ended, &net.OpError{Op: "dial", Err: context.DeadlineExceeded}, "no answer from 192.0.2.7, port 554, within 3s"},
		{context.Background(), &net.OpError{Op: "dial", Err: errors.New("odd")}, "connect to 192.0.2.7, port 554: odd"},
	} {
		detail, hint := connectTrouble(test.ctx, "rtsp://door/s", "192.0.2.7", "554", test.err)
		if want := "rtsp://door/s: "; !strings.HasPrefix(detail, want) || !strings.Contains(detail, test.want) || hint == "" {
			t.Errorf("%v: got %s -> %s, want %s", test.err, detail, hint, test.want)
		}
	}
	if got := lookupTrouble(context.Background(), nil); got != "it has no address" {
		t.Errorf("a name without an address: got %s", got)
	}
	for scheme, want := range map[string]string{"http": "80", "https": "443", "rtsp": "554", "rtsps": "322", "rtmp": "1935", "rtmps": "443", "tcp": "", "srt": ""} {
		if got := defaultPort(scheme); got != want {
			t.Errorf("%s: got port %q, want %q", scheme, got, want)
		}
	}
}
