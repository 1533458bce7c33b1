package capture

import (
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"net/http"
	"net/url"
	"strings"
)

// login answers what a server asks for with 401: Digest (RFC 7616) if it is offered, since it doesn't tell the password, else
// Basic. Nothing is told before it is asked for.
type login struct {
	user   *url.Userinfo // nil for none
	basic  bool
	digest map[string]string // parameters of the server's challenge; nil for none
	hash   func() hash.Hash
	count  uint32 // requests with this challenge
}

// challenge takes the values of WWW-Authenticate.
func (l *login) challenge(values []string) error {
	l.basic, l.digest = false, nil
	for _, value := range values {
		scheme, rest, _ := strings.Cut(strings.TrimSpace(value), " ")
		switch strings.ToLower(scheme) {
		case "basic":
			l.basic = true
		case "digest":
			parameters := parseChallenge(rest)
			known := l.takeHash(parameters["algorithm"])
			qop, asked := parameters["qop"]
			if known && l.digest == nil && (!asked || hasToken(qop, "auth")) {
				l.digest, l.count = parameters, 0
			}
		}
	}
	if l.digest == nil && !l.basic {
		return errors.New("it wants a login that is neither Basic nor Digest with MD5 or SHA-256")
	}
	return nil
}

func (l *login) takeHash(algorithm string) bool {
	if l.digest != nil {
		return false // the first one that is known is the one the server likes best
	}
	switch strings.ToUpper(algorithm) {
	case "", "MD5":
		l.hash = md5.New
	case "SHA-256":
		l.hash = sha256.New
	default:
		return false
	}
	return true
}

func hasToken(list, token string) bool {
	for item := range strings.SplitSeq(list, ",") {
		if strings.EqualFold(strings.TrimSpace(item), token) {
			return true
		}
	}
	return false
}

// authorize adds the answer to the last challenge to a request.
func (l *login) authorize(req *http.Request) error {
	if l.user == nil {
		return nil
	}
	password, _ := l.user.Password()
	if l.digest == nil {
		if l.basic {
			req.SetBasicAuth(l.user.Username(), password)
		}
		return nil
	}
	nonce := make([]byte, 8)
	rand.Read(nonce) // never fails
	l.count++
	header, err := l.answer(req.Method, req.URL.RequestURI(), password, fmt.Sprintf("%x", nonce))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", header)
	return nil
}

func (l *login) answer(method, uri, password, clientNonce string) (string, error) {
	of := func(parts ...string) string {
		h := l.hash()
		h.Write([]byte(strings.Join(parts, ":"))) // never fails
		return fmt.Sprintf("%x", h.Sum(nil))
	}
	name, realm, nonce := l.user.Username(), l.digest["realm"], l.digest["nonce"]
	for _, text := range []string{name, realm, nonce, uri, l.digest["opaque"], l.digest["algorithm"]} {
		if strings.ContainsAny(text, "\"\\\r\n") {
			return "", errors.New("the login has a quote or backslash in it, which Digest can't tell")
		}
	}
	secret, request := of(name, realm, password), of(method, uri)
	var b strings.Builder
	fmt.Fprintf(&b, `Digest username="%s", realm="%s", nonce="%s", uri="%s"`, name, realm, nonce, uri)
	if _, asked := l.digest["qop"]; asked {
		count := fmt.Sprintf("%08x", l.count)
		fmt.Fprintf(&b, `, qop=auth, nc=%s, cnonce="%s", response="%s"`, count, clientNonce,
			of(secret, nonce, count, clientNonce, "auth", request))
	} else {
		fmt.Fprintf(&b, `, response="%s"`, of(secret, nonce, request))
	}
	if algorithm := l.digest["algorithm"]; algorithm != "" {
		fmt.Fprintf(&b, `, algorithm=%s`, algorithm)
	}
	if opaque, ok := l.digest["opaque"]; ok {
		fmt.Fprintf(&b, `, opaque="%s"`, opaque)
	}
	return b.String(), nil
}

// parseChallenge reads the parameters behind a scheme: name=value or name="value", with commas between. What makes no sense is
// passed over.
func parseChallenge(text string) map[string]string {
	parameters := map[string]string{}
	for text != "" {
		name, rest, ok := strings.Cut(text, "=")
		if !ok {
			break
		}
		name = strings.ToLower(strings.Trim(name, " \t,"))
		rest = strings.TrimLeft(rest, " \t")
		var value string
		if quoted, ok := strings.CutPrefix(rest, `"`); ok {
			value, text, _ = strings.Cut(quoted, `"`)
		} else {
			value, text, _ = strings.Cut(rest, ",")
			value = strings.TrimSpace(value)
		}
		if _, twice := parameters[name]; !twice {
			parameters[name] = value
		}
	}
	return parameters
}
