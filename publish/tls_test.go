package publish

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// trouble is something wrong with a broker or with the options, as both Check and a Client's log tell it.
type trouble struct {
	name   string
	broker func(t *testing.T) string // gives the URL
	change func(*Options)
	stage  string
	detail []string // of the stage
	log    []string // of the Client
	hint   []string // of both
}

// told wants trouble to be told by Check, and by a Client.
func (tt trouble) told(t *testing.T, opts Options) {
	t.Helper()
	j, log := newJournal()
	opts.Log = log
	if tt.change != nil {
		tt.change(&opts)
	}
	report := mustCheck(t, opts, CheckOptions{Timeout: 5 * time.Second})
	wantStage(t, report, tt.stage, StageFailed, tt.detail...)
	for _, s := range report.Stages {
		if s.Stage == tt.stage && !containsAll(s.Hint, tt.hint) {
			t.Errorf("want a hint with %q, have %s", tt.hint, s.Hint)
		}
	}
	start(t, opts)
	line := strings.ReplaceAll(j.wait(t, 1, tt.log...), `\"`, `"`)
	if !containsAll(line, tt.hint) {
		t.Errorf("want a hint with %q in the log, have %s", tt.hint, line)
	}
	if opts.Password != "" && strings.Contains(j.String()+table(report), opts.Password) {
		t.Errorf("the password is shown:\n%s\n%s", j, table(report))
	}
}

// The failures of TLS are told apart, by a mosquitto with each kind of certificate.
func TestTLSTroubles(t *testing.T) {
	ca, stranger := newCA(t), newCA(t)
	day := 24 * time.Hour
	good := ca.issue(t, "127.0.0.1", time.Now().Add(100*day))
	early := sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "early"}, NotBefore: time.Now().Add(day), NotAfter: time.Now().Add(2 * day),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, ca)
	foreignCert, foreignKey := stranger.issue(t, "client", time.Now().Add(time.Hour)).files(t)
	authority, _ := ca.files(t)
	secure := func(server pair, more string) func(t *testing.T) string {
		return func(t *testing.T) string {
			return "mqtts://" + mosquittoWith(t, "LISTENER\nallow_anonymous true\n"+tlsLines(t, server, ca)+more).addr
		}
	}
	embedded := func(config *tls.Config) func(t *testing.T) string {
		config.Certificates = []tls.Certificate{good.certificate(t)}
		return func(t *testing.T) string {
			return "mqtts://" + open(t, tls.NewListener(listen(t), config), newWitness()).Addr().String()
		}
	}
	for _, tt := range []trouble{
		{"unknown authority", secure(stranger.issue(t, "127.0.0.1", time.Now().Add(time.Hour)), ""), nil,
			"TLS", []string{"unknown authority", "the broker showed the certificate of", "CN=127.0.0.1"},
			[]string{"not reached", "TLS handshake with", "unknown authority"}, []string{"mqtt.ca must name"}},
		{"not the system's", secure(good, ""), func(o *Options) { o.CA = "" },
			"TLS", []string{"unknown authority"}, []string{"not reached", "unknown authority"}, []string{"mqtt.ca must name", "only the system's"}},
		{"expired", secure(ca.issue(t, "127.0.0.1", time.Now().Add(-time.Hour)), ""), nil,
			"TLS", []string{"expired"}, []string{"not reached", "expired"}, []string{"ended at", "this board's clock says", "renew the certificate"}},
		{"not valid yet", secure(early, ""), nil,
			"TLS", []string{"is before"}, []string{"not reached", "is before"}, []string{"this board's clock says", "begins at", "time server"}},
		{"another host", secure(ca.issue(t, "127.0.0.2", time.Now().Add(time.Hour)), ""), nil,
			"TLS", []string{"127.0.0.2, not 127.0.0.1"}, []string{"not reached", "127.0.0.2, not 127.0.0.1"}, []string{"mqtt.broker", "subjectAltName"}},
		{"no client certificate", secure(good, "require_certificate true\n"), nil,
			"TLS", []string{"certificate required"}, []string{"not reached", "certificate required"}, []string{"mqtt.cert and mqtt.key"}},
		{"no client certificate, TLS 1.2", embedded(&tls.Config{MaxVersion: tls.VersionTLS12, ClientAuth: tls.RequireAnyClientCert}), nil,
			"TLS", []string{"remote error: tls: "}, []string{"not reached", "remote error: tls: "}, []string{"mqtt.cert and mqtt.key"}},
		{"TLS 1.1", embedded(&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}), nil,
			"TLS", []string{"protocol version"}, []string{"not reached", "protocol version"}, []string{"TLS 1.2 and 1.3"}},
		{"client certificate of a stranger", secure(good, "require_certificate true\n"), func(o *Options) { o.Cert, o.Key = foreignCert, foreignKey },
			"TLS", []string{"unknown certificate authority"}, []string{"not reached", "unknown certificate authority"}, []string{"mqtt.cert", "cafile"}},
		{"a port without TLS", func(t *testing.T) string { return strings.Replace(newMosquitto(t).url(), "mqtt:", "mqtts:", 1) }, nil,
			"TLS", nil, []string{"not reached", "TLS handshake with"}, []string{"mqtt://"}},
		{"a port with TLS", func(t *testing.T) string { return strings.Replace(secure(good, "")(t), "mqtts:", "mqtt:", 1) },
			func(o *Options) { o.CA = "" },
			"CONNECT", nil, []string{"not reached", "get CONNACK of"}, []string{"mqtts://"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			noLeak(t)
			opts := quick(tt.broker(t), nil)
			opts.CA = authority
			tt.told(t, opts)
		})
	}
}

// The failures of the login, too.
func TestLoginTroubles(t *testing.T) {
	cam := func(t *testing.T) string { return newMosquitto(t).url() }
	anyone := func(conf string) func(t *testing.T) string {
		return func(t *testing.T) string { return mosquittoWith(t, "LISTENER\nallow_anonymous true\n"+conf).url() }
	}
	code := func(code byte) func(t *testing.T) string {
		return func(t *testing.T) string {
			return newScripted(t, func(_ int, p *peer) { p.login(code); p.drain() }).url()
		}
	}
	for _, tt := range []trouble{
		{"wrong password", cam, func(o *Options) { o.User, o.Password = "cam", "wrong-s3cret" },
			"CONNECT", []string{"not authorized", `as user "cam"`}, []string{"login refused", "user=cam"}, []string{"mqtt.password_file"}},
		{"no user", cam, nil,
			"CONNECT", []string{"not authorized", "without a user"}, []string{"login refused"}, []string{"many brokers let nobody in"}},
		{"bad user name or password", code(packets.ErrRefusedBadUsernameOrPassword), func(o *Options) { o.User = "cam" },
			"CONNECT", []string{"bad user name or password", "CONNACK 4"}, []string{"login refused", "bad user name"}, []string{"mqtt.user"}},
		{"client id refused", code(packets.ErrRefusedIDRejected), nil,
			"CONNECT", []string{"client id rejected", "sightd-test-000000-test"}, []string{"login refused", "client id rejected"}, []string{"certain client ids only"}},
		{"client id refused by mosquitto", anyone("clientid_prefixes other-"), nil,
			"CONNECT", []string{"refused"}, []string{"refused"}, nil},
		{"full", code(packets.ErrRefusedServerUnavailable), nil,
			"CONNECT", []string{"not available"}, []string{"not reached", "not available"}, []string{"full or just starting"}},
		{"only MQTT 5", code(packets.ErrRefusedBadProtocolVersion), nil,
			"CONNECT", []string{"doesn't speak MQTT 3.1.1"}, []string{"login refused"}, []string{"allow that in the broker"}},
		{"hangs up after CONNECT", func(t *testing.T) string {
			return newScripted(t, func(_ int, p *peer) { p.read() }).url()
		}, nil,
			"CONNECT", []string{"closed the connection in place of CONNACK"}, []string{"not reached", "get CONNACK of"}, []string{"own log may tell", "mqtts://"}},
		{"a web server", func(t *testing.T) string {
			return newScripted(t, func(_ int, p *peer) {
				p.read()
				_, _ = p.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) // the client may have gone
			}).url()
		}, nil,
			"CONNECT", []string{"not MQTT", "HTTP/1.1 400", "web server", "ws://"}, []string{"not reached", "get CONNACK of"}, nil},
		{"nothing listens", func(t *testing.T) string {
			return "mqtt://" + string(reserve(t))
		}, nil,
			"TCP", []string{"connection refused"}, []string{"not reached", "connect to"}, []string{"is the broker running"}},
		{"no such name", func(t *testing.T) string { return "mqtt://broker.invalid" }, nil, // RFC 6761: never resolves
			"DNS", []string{"broker.invalid"}, []string{"not reached", "look up broker.invalid:1883"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			noLeak(t)
			tt.told(t, quick(tt.broker(t), nil))
		})
	}
}

// A broker that accepts and then says nothing is told by the stage at which it fell silent. A Client waits 10 s for that, too long
// for a test: its texts come from the same function.
func TestSilence(t *testing.T) {
	ca := newCA(t)
	authority, _ := ca.files(t)
	config := &tls.Config{Certificates: []tls.Certificate{ca.issue(t, "127.0.0.1", time.Now().Add(time.Hour)).certificate(t)}}
	swallow := func(r io.Reader) { _, _ = io.Copy(io.Discard, r) } // until the client is gone
	for _, tt := range []struct {
		name, scheme string
		script       func(n int, p *peer)
		stage        string
		want         []string
	}{
		{"after TCP", "mqtt", func(_ int, p *peer) { swallow(p) }, "CONNECT", []string{"no answer within 200ms", "does the broker hang", "mqtts://"}},
		{"after TCP, for TLS", "mqtts", func(_ int, p *peer) { swallow(p) }, "TLS", []string{"no answer within 200ms", "does the broker hang"}},
		{"after TLS", "mqtts", func(_ int, p *peer) { swallow(tls.Server(p.Conn, config)) }, "CONNECT", []string{"no answer within 200ms", "does the broker hang"}},
		{"after CONNACK", "mqtt", func(_ int, p *peer) { p.login(packets.Accepted); p.drain() }, "SUBSCRIBE", []string{"wait for SUBACK: no answer within 200ms"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			noLeak(t)
			s := newScripted(t, tt.script)
			opts := quick(tt.scheme+"://"+s.ln.Addr().String(), nil)
			if tt.scheme == "mqtts" {
				opts.CA = authority
			}
			wantStage(t, mustCheck(t, opts, CheckOptions{Timeout: 200 * time.Millisecond}), tt.stage, StageFailed, tt.want...)
		})
	}
	for at, want := range map[stage]string{connect: "firewall", tlsUp: "does the broker hang", connack: "does the broker hang"} {
		if s := advice(&stageError{at, "broker:1", errNoAnswer}, time.Now()); !strings.Contains(s, want) {
			t.Errorf("%s: want advice with %q, have %q", at, want, s)
		}
	}
}
