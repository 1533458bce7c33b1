package capture

import (
	"crypto/md5"
	"crypto/sha256"
	"fmt"
	"net/url"
	"strings"
	"testing"
)

func digestSum(algorithm string) func(string) string {
	if algorithm == "SHA-256" {
		return func(s string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(s))) }
	}
	return func(s string) string { return fmt.Sprintf("%x", md5.Sum([]byte(s))) }
}

// The example of RFC 7616, section 3.9.1.
func TestDigest(t *testing.T) {
	for _, test := range []struct{ algorithm, want string }{
		{"MD5", "8ca523f5e9506fed4657c9700eebdbec"},
		{"SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"},
	} {
		l := login{user: url.UserPassword("Mufasa", "Circle of Life")}
		challenge := `Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=` + test.algorithm +
			`, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"`
		if err := l.challenge([]string{challenge}); err != nil {
			t.Fatal(err)
		}
		l.count = 1
		got, err := l.answer("GET", "/dir/index.html", "Circle of Life", "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ")
		if err != nil || !strings.Contains(got, `response="`+test.want+`"`) {
			t.Errorf("%s: got %s, %v", test.algorithm, got, err)
		}
	}
}

func FuzzChallenge(f *testing.F) {
	f.Add(`Digest realm="x", nonce="y", qop="auth", stale=true`)
	f.Add(`Digest realm=x,,nonce=`)
	f.Fuzz(func(t *testing.T, header string) {
		l := login{user: url.UserPassword("me", "secret")}
		if l.challenge([]string{header}) != nil || l.digest == nil {
			return
		}
		got, err := l.answer("GET", "/", "secret", "c")
		if err == nil && strings.ContainsAny(got, "\r\n") {
			t.Errorf("%q: got %q", header, got)
		}
	})
}
