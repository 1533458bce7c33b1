package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
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
	paho mqtt.Client
	acks time.Duration // to wait for PUBACK
}

// newLink logs in over l, which it closes on failure. Errors are *stageError.
func newLink(ctx context.Context, l *line, o Options, host string) (*link, error) {
	opts := mqtt.NewClientOptions().
		SetClientID(o.ClientID).
		SetUsername(o.User).
		SetPassword(o.Password).
		SetBinaryWill(StateTopic(o.Base), []byte(Offline), 1, true).
		SetProtocolVersion(4). // 3.1.1, and no second try with 3.1, which would repeat a refused password
		SetCleanSession(true).
		SetAutoReconnect(false).
		SetConnectRetry(false).
		SetOrderMatters(false).
		SetKeepAlive(keepAlive).
		SetPingTimeout(pingTimeout).
		SetConnectTimeout(connectTimeout).
		SetWriteTimeout(handOver).
		SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) { return l, nil })
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
	up := &link{line: l, paho: c, acks: o.times.ack}
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
	errNotTaken = errors.New("paho did not take the message")
	errNoAck    = errors.New("no PUBACK in time")
)

// publish sends m and waits for the broker's acknowledgement (QoS 0: until it is written). Its errors are that of ctx,
// and errLinkDown: then m is to be sent over another link. In both cases the broker may have got m. A link over which the
// acknowledgement doesn't come in time is cut.
func (l *link) publish(ctx context.Context, m message) error {
	timer := time.NewTimer(l.acks)
	defer timer.Stop()
	for {
		if err := l.offer(ctx, m, timer.C); !errors.Is(err, errNotTaken) {
			return err
		}
		select {
		case <-l.down:
			return errLinkDown
		case <-time.After(10 * time.Millisecond): // paho knew before the line, or had waited for handOver
		}
	}
}

// offer is one attempt at publish, with one more error, errNotTaken: the link is going down, or m was not sent.
func (l *link) offer(ctx context.Context, m message, late <-chan time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	handed := make(chan mqtt.Token, 1)
	go func() { handed <- l.paho.Publish(m.topic, m.qos, m.retained, m.payload) }() // ends within handOver
	var token mqtt.Token
	var complete <-chan struct{} // nil until paho has taken m
	for {
		select {
		case token = <-handed:
			complete = token.Done()
		case <-complete:
			if token.Error() != nil {
				return errNotTaken
			}
			return nil
		case <-l.down:
			select {
			case <-complete:
				if token.Error() == nil { // acknowledged just before
					return nil
				}
			default:
			}
			return errLinkDown
		case <-ctx.Done():
			return ctx.Err()
		case <-late:
			l.cut(errNoAck)
		}
	}
}

// close ends the link with DISCONNECT, upon which the broker forgets the will, or, if it is down already, waits for paho
// to have noticed. It takes closeTimeout at most.
func (l *link) close() {
	l.paho.Disconnect(uint(closeTimeout.Milliseconds()))
	l.cut(net.ErrClosed)
}
