package publish

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"syscall"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// advice is what to look at when a connection failed with err, or "" where err says it all. now is this board's clock: a board
// without a battery for it starts in the past, and then no certificate is valid.
func advice(err error, now time.Time) string {
	at := stage("")
	if e := (*stageError)(nil); errors.As(err, &e) {
		at = e.stage
	}
	if s := certificateAdvice(err, now); s != "" {
		return s
	}
	if s := networkAdvice(err); s != "" {
		return s
	}
	if no := refusal(0); errors.As(err, &no) {
		return no.advice()
	}
	var other notMQTT
	switch {
	case errors.As(err, &other):
		return other.advice()
	case at == tlsUp && errors.Is(err, errSilent):
		return "the port is open and nothing answers there: does the broker hang? Does the port speak TLS (without it mqtt.broker wants mqtt:// or ws://)?"
	case at == tlsUp:
		return "does this port speak TLS? Brokers take TLS on 8883 as a rule; a port without it wants mqtt:// or ws:// in mqtt.broker"
	case at == wsUp:
		return "check the path in mqtt.broker (often /mqtt, or / with mosquitto), and that this port is the broker's for WebSockets"
	case at == connack && errors.Is(err, errSilent):
		return "the port is open and nothing answers there: does the broker hang? Does the port want TLS (mqtts:// in mqtt.broker)?"
	case at == connack:
		return "does this port want TLS (mqtts:// in mqtt.broker)? The broker's own log may tell why it hung up"
	}
	return ""
}

// certificateAdvice is advice on what the two sides' certificates made fail.
func certificateAdvice(err error, now time.Time) string {
	var (
		unknown x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
		host    x509.HostnameError
		remote  *net.OpError
		record  tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &unknown):
		return "mqtt.ca must name the PEM file of the authority that signed the broker's certificate; where it is empty only the system's authorities are trusted"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil:
		return clockAdvice(invalid.Cert, now)
	case errors.As(err, &invalid):
		return "the broker's certificate is not one for a server, or its chain is wrong: make it anew (extended key usage serverAuth)"
	case errors.As(err, &host):
		return "the host in mqtt.broker must be one of the names or addresses in the broker's certificate (its subjectAltName)"
	case errors.As(err, &record):
		return "this port doesn't speak TLS: mqtt.broker wants the port that does (8883 as a rule), or mqtt:// or ws:// without TLS"
	case errors.As(err, &remote) && remote.Op == "remote error":
		return alertAdvice(remote.Err)
	}
	return ""
}

// clockAdvice compares a certificate that is not valid now with the clock.
func clockAdvice(cert *x509.Certificate, now time.Time) string {
	who := printable(cert.Subject.String())
	if now.Before(cert.NotBefore) {
		return fmt.Sprintf("this board's clock says %s, the certificate of %q begins at %s: is the clock right (timedatectl)? "+
			"A board without a battery for it needs a time server before it can use TLS", timestamp(now), who, timestamp(cert.NotBefore))
	}
	return fmt.Sprintf("the certificate of %q ended at %s, this board's clock says %s: renew the certificate, unless the clock is wrong (timedatectl)",
		who, timestamp(cert.NotAfter), timestamp(now))
}

// The alerts of RFC 8446, section 6, that brokers send for reasons that a configuration can help.
const (
	alertHandshakeFailure    = 40
	alertBadCertificate      = 42
	alertCertificateExpired  = 45
	alertCertificateUnknown  = 46
	alertUnknownAuthority    = 48
	alertProtocolVersion     = 70
	alertCertificateRequired = 116
)

// alertAdvice is advice on an alert that the broker sent. Package tls keeps the type of those to itself: only the text is there
// to compare.
func alertAdvice(alert error) string {
	is := func(codes ...tls.AlertError) bool {
		return slices.ContainsFunc(codes, func(c tls.AlertError) bool { return c.Error() == alert.Error() })
	}
	switch {
	case is(alertCertificateRequired, alertHandshakeFailure, alertBadCertificate):
		return "the broker may want a client certificate, or another one: check mqtt.cert and mqtt.key"
	case is(alertCertificateExpired, alertCertificateUnknown, alertUnknownAuthority):
		return "the broker doesn't accept this client's certificate: check that mqtt.cert is valid, and signed by the authority that the broker trusts (cafile)"
	case is(alertProtocolVersion):
		return "sightd speaks TLS 1.2 and 1.3, the broker neither"
	}
	return "the broker's own log may tell more"
}

// networkAdvice is advice on names, addresses and ports.
func networkAdvice(err error) string {
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return "check the host in mqtt.broker; a name that ends in .local needs avahi-daemon and libnss-mdns on this board"
	case errors.As(err, &dns):
		return "the name server doesn't answer: check this board's network, or give the broker's address in mqtt.broker"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there: is the broker running, is the port right (1883, with TLS 8883), and does the broker listen on more than its own 127.0.0.1?"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "there is no way to this address: check this board's network"
	}
	e, timeout := (*stageError)(nil), net.Error(nil)
	if errors.As(err, &e) && e.stage == connect && (errors.Is(err, errSilent) || errors.As(err, &timeout) && timeout.Timeout()) {
		return "is the address right, is the machine on, does a firewall drop the packets?"
	}
	return ""
}

// advice is what to do about a login that was refused.
func (r refusal) advice() string {
	switch byte(r) {
	case packets.ErrRefusedBadProtocolVersion:
		return "sightd speaks MQTT 3.1.1: allow that in the broker's settings"
	case packets.ErrRefusedIDRejected:
		return "the broker takes certain client ids only: allow this one, or change name or state_dir, which it is made of"
	case packets.ErrRefusedServerUnavailable:
		return "the broker is full or just starting: sightd goes on trying"
	case packets.ErrRefusedBadUsernameOrPassword, packets.ErrRefusedNotAuthorised:
		return "check mqtt.user and the password (mqtt.password, mqtt.password_file or systemd's credential mqtt); many brokers let nobody in without them"
	}
	return ""
}

// notMQTT is the beginning of what came in place of CONNACK.
type notMQTT []byte

func (n notMQTT) Error() string {
	return fmt.Sprintf("want CONNACK, have what is not MQTT: %q", []byte(n[:min(len(n), 16)]))
}

func (n notMQTT) advice() string {
	switch {
	case len(n) > 1 && n[0] == 0x15 && n[1] == 3: // an alert of TLS (RFC 8446, section 5.1)
		return "this port speaks TLS: mqtt.broker wants mqtts://, or wss://"
	case len(n) > 3 && string(n[:4]) == "HTTP":
		return "this is a web server: mqtt.broker wants the broker's own port, or ws:// for MQTT over WebSockets"
	}
	return "something else than an MQTT broker listens there: check the port in mqtt.broker"
}

// hungUp reports whether the other side closed the connection.
func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
