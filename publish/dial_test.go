package publish

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

func TestParseBroker(t *testing.T) {
	for raw, want := range map[string]string{
		"mqtt://broker":            "broker:1883",
		"tcp://broker:1":           "broker:1",
		"mqtts://ha.local":         "ha.local:8883 tls ha.local",
		"ssl://10.0.0.1:88":        "10.0.0.1:88 tls 10.0.0.1",
		"MQTT://[::1]:1884/":       "[::1]:1884",
		"mqtt://[fe80::1%25eth0]":  "[fe80::1%eth0]:1883",
		"ws://broker/mqtt?a=b":     "broker:80 ws://broker:80/mqtt?a=b",
		"wss://broker:8084":        "broker:8084 tls broker wss://broker:8084",
		"":                         `read mqtt.broker "": want a URL with mqtt, mqtts, ws or wss, have scheme ""`,
		"broker:1883":              `read mqtt.broker "broker:1883": want a URL with mqtt, mqtts, ws or wss, have scheme "broker"`,
		"http://broker":            `read mqtt.broker "http://broker": want a URL with mqtt, mqtts, ws or wss, have scheme "http"`,
		"mqtt://":                  `read mqtt.broker "mqtt://": want a host, have none`,
		"mqtt://:1883":             `read mqtt.broker "mqtt://:1883": want a host, have none`,
		"mqtt://broker/topic":      `read mqtt.broker "mqtt://broker/topic": want nothing behind host and port`,
		"mqtt://broker?tls=no":     `read mqtt.broker "mqtt://broker?tls=no": want nothing behind host and port`,
		"mqtt://broker:port":       `read mqtt.broker "mqtt://broker:port": invalid port ":port" after host`,
		"mqtt://cam:s3cret@broker": "read mqtt.broker: want no user or password in the URL, but in mqtt.user and mqtt.password",
		"mqtt://cam:s3cret@b:x":    "read mqtt.broker: want no user or password in the URL, but in mqtt.user and mqtt.password",
	} {
		e, err := parseBroker(raw)
		have := e.host
		if e.tls != nil {
			have += " tls " + e.tls.ServerName
		}
		if e.ws != "" {
			have += " " + e.ws
		}
		if err != nil {
			have = err.Error()
		}
		if have != want {
			t.Errorf("%s:\nwant %s\nhave %s", raw, want, have)
		}
	}
}

func FuzzParseBroker(f *testing.F) {
	for _, s := range []string{"mqtt://b", "wss://b:1/x?y#z", "mqtts://[::1]:8883", "mqtt://u:p@b", "tcp://%zz", "ws://\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		e, err := parseBroker(raw)
		if err != nil {
			const secret = "read mqtt.broker: want no user or password in the URL, but in mqtt.user and mqtt.password"
			if strings.Contains(raw, "@") && err.Error() != secret {
				t.Errorf("%q: the error shows what may be a secret: %v", raw, err)
			}
			return
		}
		if host, port, err := net.SplitHostPort(e.host); err != nil || host == "" || port == "" {
			t.Errorf("%q: want host:port, have %q", raw, e.host)
		}
		if e.tls != nil && (e.tls.MinVersion != tls.VersionTLS12 || e.tls.InsecureSkipVerify || e.tls.ServerName == "") {
			t.Errorf("%q: TLS settings %+v", raw, e.tls)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	dir := t.TempDir()
	junk := filepath.Join(dir, "junk.pem")
	if err := os.WriteFile(junk, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	ca := newCA(t)
	cert, key := ca.issue(t, "client", time.Now().Add(time.Hour)).files(t)
	for want, change := range map[string]func(*Options){
		"read mqtt.broker":                                  func(o *Options) { o.Broker = "http://broker" },
		"check mqtt.base: want no wildcard":                 func(o *Options) { o.Base = "a/#" },
		"check the client id: want one":                     func(o *Options) { o.ClientID = "" },
		"check mqtt.qos: want 0 or 1, have 2":               func(o *Options) { o.QoS = 2 },
		"check mqtt.password: want mqtt.user with it":       func(o *Options) { o.Password = "x" },
		"check mqtt.user and mqtt.password: want at most":   func(o *Options) { o.User = strings.Repeat("x", 65536) },
		"set up TLS: mqtt.ca, mqtt.cert and mqtt.key want":  func(o *Options) { o.CA = junk },
		"read mqtt.ca: open":                                func(o *Options) { o.Broker, o.CA = "mqtts://b", junk+"x" },
		"read mqtt.ca " + junk + ": want certificates":      func(o *Options) { o.Broker, o.CA = "mqtts://b", junk },
		"set up TLS: want mqtt.cert and mqtt.key both":      func(o *Options) { o.Broker, o.Cert = "mqtts://b", cert },
		"read mqtt.cert " + cert + " and mqtt.key " + junk:  func(o *Options) { o.Broker, o.Cert, o.Key = "wss://b", cert, junk },
		"read mqtt.cert " + junk + " and mqtt.key " + key:   func(o *Options) { o.Broker, o.Cert, o.Key = "wss://b", junk, key },
		"read mqtt.broker: want no user or password in the": func(o *Options) { o.Broker = "mqtt://u:p@b" },
	} {
		opts := quick("mqtt://127.0.0.1:1", nil)
		change(&opts)
		c, err := New(opts)
		if err == nil {
			if err := c.Close(deadline(t)); err != nil {
				t.Error(err)
			}
		}
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("want %s\nhave %v", want, err)
		}
	}
}

func TestUnknownHost(t *testing.T) {
	noLeak(t)
	j, log := newJournal()
	start(t, quick("mqtt://broker.invalid", log)) // RFC 6761: never resolves
	j.wait(t, 1, "MQTT broker not reached", "look up broker.invalid:1883")
}

func TestTLS(t *testing.T) {
	ca, stranger := newCA(t), newCA(t)
	soon := time.Now().Add(time.Hour)
	clientCert, clientKey := ca.issue(t, "client", soon).files(t)
	for _, tt := range []struct {
		name   string
		server pair
		mutual bool // the broker wants a client certificate
		change func(*Options)
		want   []string // of the log
	}{
		{"trusted", ca.issue(t, "127.0.0.1", soon), false, nil, []string{"MQTT connected"}},
		{"client certificate", ca.issue(t, "127.0.0.1", soon), true, func(o *Options) { o.Cert, o.Key = clientCert, clientKey }, []string{"MQTT connected"}},
		{"no client certificate", ca.issue(t, "127.0.0.1", soon), true, nil, []string{"not reached", "remote error: tls: certificate required"}},
		{"system's authorities", ca.issue(t, "127.0.0.1", soon), false, func(o *Options) { o.CA = "" }, []string{"TLS handshake with", "unknown authority"}},
		{"another authority", stranger.issue(t, "127.0.0.1", soon), false, nil, []string{"TLS handshake with", "unknown authority"}},
		{"expired", ca.issue(t, "127.0.0.1", time.Now().Add(-time.Hour)), false, nil, []string{"TLS handshake with", "expired"}},
		{"another host", ca.issue(t, "127.0.0.2", soon), false, nil, []string{"TLS handshake with", "127.0.0.2, not 127.0.0.1"}},
		{"no TLS", pair{}, false, nil, []string{"TLS handshake with", "first record does not look like a TLS handshake"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			noLeak(t)
			ln := listen(t)
			if tt.server.der != nil {
				config := &tls.Config{Certificates: []tls.Certificate{tt.server.certificate(t)}, ClientCAs: ca.pool()}
				if tt.mutual {
					config.ClientAuth = tls.RequireAndVerifyClientCert
				}
				ln = tls.NewListener(ln, config)
			} else {
				ln = chatty{ln}
			}
			w := newWitness()
			b := open(t, ln, w)
			j, log := newJournal()
			opts := quick("mqtts://"+b.Addr().String(), log)
			opts.CA, _ = ca.files(t)
			if tt.change != nil {
				tt.change(&opts)
			}
			c := start(t, opts)
			j.wait(t, 1, tt.want...)
			if tt.want[0] == "MQTT connected" {
				if err := c.Publish(deadline(t), classified("tls", "x.jpg")); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// chatty answers each connection with text, as SSH and mail servers do.
type chatty struct{ net.Listener }

func (c chatty) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		_, err = conn.Write([]byte("220 hello, this is not TLS\r\n"))
	}
	return conn, err
}

func TestWebSocket(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(map[bool]string{false: "ws", true: "wss"}[secure], func(t *testing.T) {
			noLeak(t)
			w := newWitness()
			b := open(t, listen(t), w)
			site := httptest.NewUnstartedServer(websocketTo(b))
			if secure {
				site.StartTLS()
			} else {
				site.Start()
			}
			t.Cleanup(site.Close)
			t.Cleanup(site.CloseClientConnections)

			j, log := newJournal()
			opts := quick(strings.Replace(site.URL, "http", "ws", 1)+"/mqtt", log)
			if secure {
				opts.CA = filepath.Join(t.TempDir(), "ca.pem")
				writePEM(t, opts.CA, "CERTIFICATE", site.Certificate().Raw)
			}
			c := start(t, opts)
			e := classified("ws", strings.Repeat("x", 100_000)) // several reads and frames
			if err := c.Publish(deadline(t), e); err != nil {
				t.Fatal(err)
			}
			if n := w.count(EventTopic(testBase, "inbox"), []byte(payload(t, "ws", e.File))); n != 1 {
				t.Errorf("want the event once, have it %d times", n)
			}

			opts.Broker = strings.TrimSuffix(opts.Broker, "mqtt") + "elsewhere"
			start(t, opts)
			j.wait(t, 1, "MQTT broker not reached", "WebSocket handshake with", "404 Not Found")
		})
	}
}

// websocketTo serves MQTT over WebSockets on /mqtt.
func websocketTo(b *Broker) http.Handler {
	mux := http.NewServeMux()
	upgrader := websocket.Upgrader{Subprotocols: []string{"mqtt"}}
	mux.HandleFunc("/mqtt", func(w http.ResponseWriter, r *http.Request) {
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return // the client has its answer
		}
		if conn.Subprotocol() != "mqtt" {
			conn.Close()
			return
		}
		_ = b.server.EstablishConnection("ws", readTimed{&webSocket{Conn: conn, in: websocket.JoinMessages(conn, "")}}) // ends with the client
	})
	return mux
}

// readTimed keeps mochi from changing the time limit of a write while it writes.
type readTimed struct{ *webSocket }

func (r readTimed) SetDeadline(t time.Time) error { return r.SetReadDeadline(t) }

// pair is a certificate with its private key.
type pair struct {
	der []byte
	key *ecdsa.PrivateKey
}

func newCA(t *testing.T) pair {
	t.Helper()
	return sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotAfter: time.Now().Add(time.Hour),
	}, pair{})
}

// issue signs a certificate for an address, or for a client, that is valid until then.
func (p pair) issue(t *testing.T, name string, until time.Time) pair {
	t.Helper()
	c := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotAfter: until,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ip := net.ParseIP(name); ip != nil {
		c.IPAddresses = []net.IP{ip}
	}
	return sign(t, c, p)
}

// sign has the certificate signed by an issuer, or by itself.
func sign(t *testing.T, c *x509.Certificate, issuer pair) pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber = big.NewInt(time.Now().UnixNano())
	if c.NotBefore.IsZero() {
		c.NotBefore = time.Now().Add(-24 * time.Hour)
	}
	parent, signer := c, key
	if issuer.der != nil {
		signer = issuer.key
		if parent, err = x509.ParseCertificate(issuer.der); err != nil {
			t.Fatal(err)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	return pair{der, key}
}

func (p pair) certificate(t *testing.T) tls.Certificate {
	t.Helper()
	return tls.Certificate{Certificate: [][]byte{p.der}, PrivateKey: p.key}
}

func (p pair) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.der}))
	return pool
}

// files writes the certificate and the key as PEM files.
func (p pair) files(t *testing.T) (cert, key string) {
	t.Helper()
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	der, err := x509.MarshalPKCS8PrivateKey(p.key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, cert, "CERTIFICATE", p.der)
	writePEM(t, key, "PRIVATE KEY", der)
	return cert, key
}

// writeText writes a file that only its owner reads.
func writeText(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}
