package publish

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// The stages of Check. Those up to CONNECT make the connection in the way of endpoint.dial, with a pause for a look after each
// step.

func (k *check) lookUp(ctx context.Context) finding {
	host, port, err := net.SplitHostPort(k.endpoint.host)
	if err != nil {
		return finding{err: err}
	}
	if name, _, _ := strings.Cut(host, "%"); net.ParseIP(name) != nil {
		k.addresses = []string{k.endpoint.host}
		return finding{skipped: true, detail: host + " is an address"}
	}
	found, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return finding{err: k.at(lookUp, err)}
	}
	for _, a := range found {
		k.addresses = append(k.addresses, net.JoinHostPort(a, port))
	}
	return finding{detail: host + " is " + strings.Join(found, ", ")}
}

// at gives err a stage, and takes the addresses off it.
func (k *check) at(s stage, err error) error { return &stageError{s, k.endpoint.host, bare(err)} }

// dial tries one address after the other.
func (k *check) dial(ctx context.Context) finding {
	var d net.Dialer
	var tried []string
	var last error
	for i, a := range k.addresses {
		each, cancel := ctx, context.CancelFunc(func() {})
		if deadline, ok := ctx.Deadline(); ok { // a share of the time for each of those that are left
			each, cancel = context.WithTimeout(ctx, time.Until(deadline)/time.Duration(len(k.addresses)-i))
		}
		conn, err := d.DialContext(each, "tcp", a)
		cancel()
		if err == nil {
			k.raw, k.conn = conn, conn
			return finding{detail: strings.Join(append(tried, "connected to "+a), "; ")}
		}
		last = err
		tried = append(tried, fmt.Sprintf("%s: %v", a, bare(err)))
	}
	return finding{err: k.at(connect, last), detail: strings.Join(tried, "; ")}
}

func (k *check) secure(ctx context.Context) finding {
	if !k.endpoint.scheme.tls {
		return finding{skipped: true, detail: "mqtt.broker is a URL without TLS: passwords and pictures cross the network as they are"}
	}
	conn := tls.Client(k.raw, k.endpoint.tls)
	if err := conn.HandshakeContext(ctx); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		f := finding{err: k.at(tlsUp, err)}
		var bad *tls.CertificateVerificationError
		if errors.As(err, &bad) && len(bad.UnverifiedCertificates) > 0 {
			f.detail = text(fmt.Sprintf("%v; the broker showed the %s", bare(err), describe(bad.UnverifiedCertificates[0])), maxText)
		}
		return f
	}
	k.conn = conn
	state := conn.ConnectionState()
	leaf := state.PeerCertificates[0]
	f := finding{detail: printable(fmt.Sprintf("%s, %s, %s", tls.VersionName(state.Version), tls.CipherSuiteName(state.CipherSuite), describe(leaf)))}
	if left := leaf.NotAfter.Sub(k.now()); left < 14*24*time.Hour {
		f.hint = fmt.Sprintf("the broker's certificate ends in %.0f h: renew it", left.Hours())
	}
	return f
}

// describe tells a certificate in a line. What it says is the other side's: it isn't printable yet.
func describe(c *x509.Certificate) string {
	names := c.DNSNames
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	return fmt.Sprintf("certificate of %q for %q, signed by %q, valid from %s to %s",
		c.Subject, strings.Join(names, ", "), c.Issuer, timestamp(c.NotBefore), timestamp(c.NotAfter))
}

func (k *check) upgrade(ctx context.Context) finding {
	if !k.endpoint.scheme.ws {
		return finding{skipped: true, detail: "mqtt.broker is no ws:// or wss:// URL"}
	}
	conn, err := upgrade(ctx, k.endpoint.ws, k.conn)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return finding{err: k.at(wsUp, err)}
	}
	k.conn = conn
	return finding{detail: "the web server passes MQTT on"}
}

func (k *check) logIn(ctx context.Context) finding {
	k.wire = newWire(k.conn, k.MaxPayload+maxAnswer)
	code, err := k.wire.connect(ctx, k.id, k.options.User, k.options.Password)
	who := fmt.Sprintf("as user %q with client id %s", k.options.User, k.id)
	if k.options.User == "" {
		who = "without a user, with client id " + k.id
	}
	remote := (*net.OpError)(nil)
	switch {
	case err == nil && code == 0:
		return finding{detail: "logged in " + who}
	case err == nil:
		return finding{err: k.at(logIn, refusal(code)), detail: fmt.Sprintf("%v (CONNACK %d), %s", refusal(code), code, who)}
	case errors.As(err, &remote) && remote.Op == "remote error":
		// In TLS 1.3 a server looks at the client's certificate after the client's part of the handshake is done.
		return finding{err: k.at(connack, err), detail: printable(bare(err).Error()), blame: stageTLS}
	case hungUp(err):
		return finding{err: k.at(connack, err), detail: "the other side closed the connection in place of CONNACK"}
	}
	return finding{err: k.at(connack, err)}
}

// subscribe asks for what the daemon asks for, too: the test's client gets copies, and takes nothing away from the daemon.
func (k *check) subscribe(ctx context.Context) finding {
	base := k.options.Base
	filters := []string{k.topic("+"), RequestFilter(base), SetFilter(base)}
	if k.Discovery != "" {
		filters = append(filters, k.Discovery+"/status", k.discoveryTopic())
	}
	refused, err := k.wire.subscribe(ctx, k.note, filters...)
	switch {
	case err != nil:
		return finding{err: fmt.Errorf("wait for SUBACK: %w", err), hint: k.mayHint(err)}
	case len(refused) > 0:
		return finding{err: fmt.Errorf("the broker refuses subscriptions to %s", strings.Join(refused, ", ")),
			hint: fmt.Sprintf("let user %q read these topics in the broker's ACL", k.options.User), goOn: refused[0] != filters[0]}
	}
	return finding{detail: "the broker took the subscriptions to " + strings.Join(filters, ", ")}
}

// mayHint is advice on a broker that stopped answering after the login.
func (k *check) mayHint(err error) string {
	switch {
	case errors.Is(err, errSilent):
		return "the broker takes logins and then falls silent: does it hang, is it overloaded?"
	case hungUp(err):
		return fmt.Sprintf("the broker's own log may tell why it closed the connection; some do so when user %q may not do what is asked", k.options.User)
	}
	return ""
}

// The payloads of READ BACK.
func (k *check) small() []byte { return []byte("sightd mqtt test " + k.random) }

func (k *check) large() []byte {
	return append(k.small(), bytes.Repeat([]byte{'.'}, max(0, k.MaxPayload-len(k.small())))...)
}

func (k *check) publish(ctx context.Context) finding {
	if err := k.wire.publish(ctx, k.note, k.topic("small"), k.small(), false); err != nil {
		return finding{err: fmt.Errorf("wait for PUBACK of %d bytes to %s: %w", len(k.small()), k.topic("small"), err), hint: k.mayHint(err)}
	}
	if err := k.wire.publish(ctx, k.note, k.topic("large"), k.large(), false); err != nil {
		f := finding{err: fmt.Errorf("wait for PUBACK of %d bytes to %s: %w", k.MaxPayload, k.topic("large"), err)}
		if hungUp(err) {
			f.hint = fmt.Sprintf("the broker closed the connection over a payload of %d bytes: raise its limit (mosquitto: max_packet_size), or lower sightd's", k.MaxPayload)
		}
		return f
	}
	return finding{detail: fmt.Sprintf("the broker acknowledged %d and %d bytes below %s", len(k.small()), k.MaxPayload, k.topic(""))}
}

func (k *check) readBack(ctx context.Context) finding {
	err := k.awaitMessage(ctx, k.topic("small"), k.small(), false)
	if errors.Is(err, errSilent) && k.arrived[k.topic("large")] == nil {
		return finding{
			err: fmt.Errorf("the broker acknowledged what was published to %s, but did not send it to this subscriber", k.topic("small")),
			hint: fmt.Sprintf("either publishing or subscribing is not permitted: MQTT 3.1.1 can't tell which. Let user %q read and write %s/# in the broker's ACL",
				k.options.User, k.options.Base),
		}
	}
	if err == nil {
		err = k.awaitMessage(ctx, k.topic("large"), k.large(), false)
	}
	if errors.Is(err, errSilent) {
		return finding{
			err: fmt.Errorf("the broker acknowledged %d bytes, but did not pass them on; %d bytes came through", k.MaxPayload, len(k.small())),
			hint: fmt.Sprintf("the broker drops large payloads: raise its limit (mosquitto: message_size_limit) to %d or more, or lower sightd's",
				k.MaxPayload+maxTopic),
			goOn: true,
		}
	}
	if err != nil {
		return finding{err: fmt.Errorf("wait for what was published: %w", err), hint: k.mayHint(err)}
	}
	return finding{detail: fmt.Sprintf("%d and %d bytes came back", len(k.small()), k.MaxPayload)}
}

// retain publishes a retained message, and asks for it with a new subscription.
func (k *check) retain(ctx context.Context) finding {
	topic := k.topic("retained")
	k.left = topic
	if err := k.wire.publish(ctx, k.note, topic, k.small(), true); err != nil {
		return finding{err: fmt.Errorf("wait for PUBACK of a retained message: %w", err), hint: k.mayHint(err)}
	}
	_, err := k.wire.subscribe(ctx, k.note, topic)
	if err == nil {
		err = k.awaitMessage(ctx, topic, k.small(), true)
	}
	switch {
	case errors.Is(err, errSilent):
		return finding{err: errors.New("the broker did not keep a retained message"), goOn: true,
			hint: "allow retained messages in the broker (mosquitto: retain_available): without them nobody sees a state who wasn't there when it changed"}
	case err != nil:
		return finding{err: fmt.Errorf("wait for a retained message: %w", err), hint: k.mayHint(err)}
	}
	if err := k.wire.publish(ctx, k.note, topic, nil, true); err != nil {
		return finding{err: fmt.Errorf("wait for PUBACK of clearing a retained message: %w", err), hint: k.mayHint(err)}
	}
	k.left = ""
	return finding{detail: "a retained message came back on a new subscription, and is cleared"}
}

// discoveryTopic is that of a device that nobody has.
func (k *check) discoveryTopic() string {
	return k.Discovery + "/device/" + k.id + "-" + k.random + "/config"
}

// discovery publishes an empty message, which is how a device is removed: Home Assistant has none to remove.
func (k *check) discovery(ctx context.Context) finding {
	if k.Discovery == "" {
		return finding{skipped: true, detail: "mqtt.discovery is off"}
	}
	topic := k.discoveryTopic()
	err := k.wire.publish(ctx, k.note, topic, nil, false)
	if err == nil {
		err = k.awaitMessage(ctx, topic, nil, false)
	}
	switch {
	case errors.Is(err, errSilent):
		return finding{err: fmt.Errorf("what was published to %s did not come back", topic), goOn: true,
			hint: fmt.Sprintf("let user %q read and write %s/device/+/config in the broker's ACL, or switch mqtt.discovery off", k.options.User, k.Discovery)}
	case err != nil:
		return finding{err: fmt.Errorf("wait for PUBACK to %s: %w", topic, err), hint: k.mayHint(err)}
	}
	return finding{detail: "a message to " + topic + " came back"}
}

// fleet subscribes to the requests of one transaction that nobody has, and to a topic of the test in a group of its own: in
// the fleet's own group it would take requests away from the boards.
func (k *check) fleet(ctx context.Context) finding {
	if k.Fleet == "" {
		return finding{skipped: true, detail: "mqtt.fleet is empty"}
	}
	topic := "sightd/fleet/" + k.Fleet + "/classify/" + k.random
	mine := k.options.Base + "/" + bridge + "/test/" + k.random + "-shared"
	refused, err := k.wire.subscribe(ctx, k.note, "$share/"+k.Fleet+"/"+topic, "$share/"+k.id+"/"+mine)
	if err == nil && len(refused) > 0 {
		return finding{err: fmt.Errorf("the broker refuses the shared subscription to %s", strings.Join(refused, ", ")),
			hint: fmt.Sprintf("allow shared subscriptions in the broker, and user %q to read sightd/fleet/%s/classify/+", k.options.User, k.Fleet)}
	}
	if err == nil {
		err = k.wire.publish(ctx, k.note, mine, k.small(), false)
	}
	if err == nil {
		err = k.awaitMessage(ctx, mine, k.small(), false)
	}
	switch {
	case errors.Is(err, errSilent):
		return finding{err: errors.New("nothing came over a shared subscription"),
			hint: "the broker doesn't know shared subscriptions ($share) for MQTT 3.1.1: a fleet needs one that does, such as mosquitto 1.6 or later"}
	case err != nil:
		return finding{err: fmt.Errorf("try a shared subscription: %w", err), hint: k.mayHint(err)}
	}
	return finding{detail: "the broker takes shared subscriptions; whether requests reach this board can't be tried without answering one"}
}
