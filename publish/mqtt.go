package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"
)

// This file is all that knows paho (v1.5.1). A paho client can connect again on its own, but then its tokens, which
// should say what was delivered, don't:
//
//   - While it is reconnecting, a QoS 0 publish is dropped, and its token completes without an error (client.go, Publish).
//   - After reconnecting, what was not acknowledged is sent again under a new token, and the caller's token completes
//     without an error before that (messageids.go, claimID, called by client.go, resume).
//   - ConnectRetry is off by default: without it a client that finds no broker at the start stays dead.
//
// So every connection gets a paho client of its own, with both kinds of retrying off and a clean session, and the
// connections follow each other in Client.run. Then a token completes without an error only when PUBACK came (QoS 1) or
// the packet was written (QoS 0); at a loss it completes with an error, or never:
//
//   - A publish that comes between the loss and its clean-up is stored and forgotten: its token never completes.
//   - A publish that comes at the moment of the loss blocks until WriteTimeout, which is also what one waits for behind
//     another that is being written.
//   - A CONNACK with a code that is not in MQTT 3.1.1 counts as success, with the connection closed (ConnErrors has no
//     such key, so the error is nil); a read from a closed connection is not reported (net.go, startIncoming).
//
// Hence the line below paho says itself when it is down, and everything that waits here waits for that, too.

// Time limits of a connection.
const (
	keepAlive      = 30 * time.Second // between packets; the broker publishes the will after 1.5 times this
	pingTimeout    = 10 * time.Second
	connectTimeout = 10 * time.Second // from nothing to the end of the last handshake, and again for CONNACK
	writeTimeout   = 10 * time.Second // of one packet
	handOver       = time.Second      // for paho to take a message; then it is offered again
	ackTimeout     = 30 * time.Second // from PUBLISH to PUBACK; then the connection is cut, and all is sent again
	closeTimeout   = time.Second      // for paho's goroutines to end
)

// message is what PUBLISH carries.
type message struct {
	topic    string
	payload  []byte
	qos      byte
	retained bool
}

// link is one MQTT connection, from CONNACK until it is down.
type link struct {
	*line
	paho  mqtt.Client
	acks  time.Duration // to wait for PUBACK and SUBACK
	since time.Time     // of CONNACK
}

// session says how a link logs in, and what becomes of the messages that come over it.
type session struct {
	clientID string
	keep     bool // the broker keeps the session while there is no connection (clean session 0)
	will     bool // the broker publishes Offline when the connection is lost

	// arrived is called with each message, one after the other in the order of their coming; until it returns nothing else
	// is read from the connection. Without manualAck the message is acknowledged then.
	arrived   func(l *link, m mqtt.Message)
	manualAck bool

	ping time.Duration // to wait for PINGRESP, which comes behind the messages that arrived hasn't taken yet
}

// newLink logs in over l, which it closes on failure. Errors are *stageError.
func newLink(ctx context.Context, l *line, o Options, host string, s session) (*link, error) {
	up := &link{line: l, acks: o.times.ack}
	known := make(chan struct{}) // closed when up is complete
	opts := mqtt.NewClientOptions().
		SetClientID(s.clientID).
		SetUsername(o.User).
		SetPassword(o.Password).
		SetProtocolVersion(4). // 3.1.1, and no second try with 3.1, which would repeat a refused password
		SetCleanSession(!s.keep).
		SetAutoReconnect(false).
		SetConnectRetry(false).
		SetOrderMatters(true).
		SetAutoAckDisabled(s.manualAck).
		SetKeepAlive(keepAlive).
		SetPingTimeout(s.ping).
		SetConnectTimeout(connectTimeout).
		SetWriteTimeout(handOver).
		SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) { return l, nil })
	if s.will {
		opts.SetBinaryWill(StateTopic(o.Base), []byte(Offline), 1, true)
	}
	if s.arrived != nil {
		// Set before the login: a session that was kept may bring messages with CONNACK.
		opts.SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) {
			select {
			case <-known:
				s.arrived(up, m)
			case <-l.down:
			}
		})
	}
	opts.Servers = []*url.URL{{Scheme: "mqtt", Host: host}} // never dialed, but there must be one

	stop := context.AfterFunc(ctx, func() { l.cut(ctx.Err()) })
	defer stop()
	c := mqtt.NewClient(opts)
	token := c.Connect().(*mqtt.ConnectToken)
	<-token.Done() // within connectTimeout, or as soon as ctx ends
	if err := token.Error(); err != nil {
		l.cut(err)
		if code := token.ReturnCode(); code != packets.ErrNetworkError {
			return nil, &stageError{logIn, host, refusal(code)}
		}
		return nil, &stageError{connack, host, noConnack(err, l.why)}
	}
	up.paho, up.since = c, o.times.now()
	close(known)
	select {
	case <-l.down:
		if l.why == errGivenUp { // so soon: paho closed it for a code that it doesn't know, or for what came with it
			up.close()
			return nil, &stageError{connack, host, errors.New("the answer to the login is not MQTT 3.1.1")}
		}
	default:
	}
	return up, nil
}

// noConnack explains err, which came instead of CONNACK over a connection that ended with why.
func noConnack(err, why error) error {
	var timeout net.Error
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("connection closed by the other side: not an MQTT broker, or one that wants TLS")
	case errors.As(err, &timeout) && timeout.Timeout():
		return errNoAnswer
	case why == errGivenUp:
		return fmt.Errorf("not an MQTT broker: %w", err)
	}
	return why
}

// refusal is the code of a CONNACK that refuses (MQTT 3.1.1, table 3.1).
type refusal byte

// passing reports whether it is no matter of this client: nothing in its configuration can help.
func (r refusal) passing() bool { return r == packets.ErrRefusedServerUnavailable }

func (r refusal) Error() string {
	switch byte(r) {
	case packets.ErrRefusedBadProtocolVersion:
		return "refused: the broker doesn't speak MQTT 3.1.1"
	case packets.ErrRefusedIDRejected:
		return "refused: client id rejected"
	case packets.ErrRefusedServerUnavailable:
		return "refused: broker not available, or full"
	case packets.ErrRefusedBadUsernameOrPassword:
		return "refused: bad user name or password (mqtt.user, mqtt.password)"
	case packets.ErrRefusedNotAuthorised:
		return "refused: not authorized (mqtt.user, mqtt.password)"
	}
	return fmt.Sprintf("refused with code %d", byte(r))
}

var (
	errLinkDown = errors.New("connection lost before the message was acknowledged")
	errNoAck    = errors.New("no acknowledgement in time")
)

// publish sends m and waits for the broker's acknowledgement: hand and wait in one.
func (l *link) publish(ctx context.Context, m message) error {
	token, err := l.hand(ctx, m)
	if err != nil {
		return err
	}
	return l.wait(ctx, token)
}

// hand has paho take m, and returns before it is acknowledged. Messages that are handed over one after the other are sent in
// that order. Its errors are that of ctx, and errLinkDown: then m is to be sent over another link.
func (l *link) hand(ctx context.Context, m message) (mqtt.Token, error) {
	late := time.NewTimer(l.acks)
	defer late.Stop()
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		handed := make(chan mqtt.Token, 1)
		go func() { handed <- l.paho.Publish(m.topic, m.qos, m.retained, m.payload) }() // ends within handOver
		select {
		case token := <-handed:
			select {
			case <-token.Done():
				if token.Error() == nil {
					return token, nil
				}
			default:
				return token, nil
			}
		case <-l.down:
			return nil, errLinkDown
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-late.C:
			l.cut(errNoAck)
		}
		select {
		case <-l.down:
			return nil, errLinkDown
		case <-time.After(10 * time.Millisecond): // paho knew before the line, or had waited for handOver
		}
	}
}

// wait waits for the acknowledgement of what paho has taken (QoS 0: until it is written). Its errors are that of ctx, and
// errLinkDown; in both cases the broker may have got the message. A link over which the acknowledgement doesn't come in time
// is cut.
func (l *link) wait(ctx context.Context, token mqtt.Token) error {
	late := time.NewTimer(l.acks)
	defer late.Stop()
	for {
		select {
		case <-token.Done():
			if err := token.Error(); err != nil {
				l.cut(err) // paho has given the connection up
				return errLinkDown
			}
			return nil
		case <-l.down:
			select {
			case <-token.Done():
				if token.Error() == nil { // acknowledged just before
					return nil
				}
			default:
			}
			return errLinkDown
		case <-ctx.Done():
			return ctx.Err()
		case <-late.C:
			l.cut(errNoAck)
		}
	}
}

// subscribe asks for the messages of the filters, with QoS 1, and returns those that the broker refused. Its errors are those
// of wait.
func (l *link) subscribe(ctx context.Context, filters ...string) (refused []string, err error) {
	with := make(map[string]byte, len(filters))
	for _, filter := range filters {
		with[filter] = 1
	}
	token := l.paho.SubscribeMultiple(with, nil)
	if err := l.wait(ctx, token); err != nil {
		return nil, err
	}
	const failure = 0x80 // MQTT 3.1.1, section 3.9.3
	for filter, code := range token.(*mqtt.SubscribeToken).Result() {
		if code == failure {
			refused = append(refused, filter)
		}
	}
	slices.Sort(refused)
	return refused, nil
}

// close ends the link with DISCONNECT, upon which the broker forgets the will, or, if it is down already, waits for paho
// to have noticed. It takes closeTimeout at most.
func (l *link) close() {
	l.paho.Disconnect(uint(closeTimeout.Milliseconds()))
	l.cut(net.ErrClosed)
}
