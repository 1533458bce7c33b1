package capture

import (
	"strings"
	"testing"
)

func TestRedact(t *testing.T) {
	for _, test := range []struct{ url, want string }{
		{"rtsp://cam:554/stream1", "rtsp://cam:554/stream1"},
		{"rtsp://admin:pa55@cam:554/stream1", "rtsp://cam:554/stream1"},
		{"rtsp://token@cam/x", "rtsp://cam/x"},
		{"http://cam/x?user=admin&password=pa55#pa55", "http://cam/x"},
		{"rtsp://cam/user=admin&password=pa55&channel=1", "rtsp://cam/user=admin&password=***&channel=1"},
		{"rtsp://admin:p@ss@cam/x", "rtsp://cam/x"},
		{"rtsp://admin:pa/ss@cam/x", "rtsp://***"},
		{"rtsp://admin:pa?ss@cam/x", "rtsp://***"},
		{"rtsp://admin:12/34@cam/x", "rtsp://***"},
		{"rtsp://admin:12#34@cam/x", "rtsp://***"},
		{"rtsp://admin:pa%ss@cam/x", "rtsp://***"},
		{"rtsp:///admin:pa55@cam/x", "rtsp://***"},
		{"rtsp://admin:p@s/s@cam/x", "rtsp://***"},
		{"http://cam/x?mail=a@b", "http://cam/x"},
		{"srt://cam:9000?passphrase=pa55", "srt://cam:9000"},
		{"/videos/x@y?.mp4", "/videos/x@y?.mp4"},
		{"file:///videos/x.mp4", "file:///videos/x.mp4"},
		{"", ""},
	} {
		if got := Redact(test.url); got != test.want {
			t.Errorf("%q: got %q, want %q", test.url, got, test.want)
		}
	}
}

func TestSecrets(t *testing.T) {
	for _, test := range []struct{ of, text, want string }{
		{"rtsp://me:pa55%21@cam/x?k=v", "rtsp://me:pa55%21@cam/x?k=v: Connection refused", "rtsp://cam/x: Connection refused"},
		{"rtsp://me:pa55%21@cam/x?k=v", "tcp://me:pa55%21@cam?k=v wrong pa55! or pa55%21", "tcp://***@cam?*** wrong *** or ***"},
		{"rtsp://cam/x", "rtsp://cam/x: Connection refused", "rtsp://cam/x: Connection refused"},
		{"rtsp://t0ken@cam/x", "t0ken is wrong", "*** is wrong"},
		{"rtspsrc location=rtsp://me:pa55@cam/x user-id=me user-pw=pa66 ! x", "rtsp://me:pa55@cam/x: pa66", "rtsp://cam/x: ***"},
		{`rtspsrc location="rtsp://me:pa55@cam/x" user-pw="pa 66" ! x`, "rtsp://me:pa55@cam/x: pa 66, pa55", "rtsp://cam/x: ***, ***"},
		{"videotestsrc ! x264enc key-int-max=30", "30 frames", "30 frames"},
		{"rtsp://cam/user=me&password=pa55&channel=1", "wrong: pa55", "wrong: ***"},
	} {
		if got := secretsOf(test.of).clean(test.text, false); got != test.want {
			t.Errorf("%q: got %q, want %q", test.of, got, test.want)
		}
	}
	const address = "rtsp://me:pa55@cam/x"
	for cut := 1; cut < len(address); cut++ {
		if got := secretsOf(address).clean("open "+address[:cut], true); got != "open " {
			t.Errorf("cut after %d bytes of the URL: got %q", cut, got)
		}
	}
}

func FuzzRedact(f *testing.F) {
	f.Add("rtsp", "me", "pa55word", "cam/x")
	f.Add("http", "", "pa/55", "cam:80/?x")
	f.Fuzz(func(t *testing.T, scheme, user, password, rest string) {
		if len(password) < 6 || strings.Contains(scheme, password) || strings.Contains(rest, password) || strings.Contains(user, password) || strings.Contains(scheme, "://") {
			t.Skip()
		}
		address := scheme + "://" + user + ":" + password + "@" + rest
		if _, err := parseURL(address); err != nil {
			if strings.Contains(err.Error(), password) {
				t.Errorf("the error %q has the password", err)
			}
			return
		}
		if got := Redact(address); strings.Contains(got, password) {
			t.Errorf("%q: got %q", address, got)
		}
		if got := secretsOf(address).clean(address, false); strings.Contains(got, password) && !strings.ContainsAny(address, " \t\"'!") {
			t.Errorf("%q: cleaned to %q", address, got)
		}
	})
}
