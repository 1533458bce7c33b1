package publish

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"sightd/decide"
)

// Options say where a Client publishes, and as whom.
type Options struct {
	Broker         string // URL: mqtt (or tcp), mqtts (or ssl), ws, wss; without a port the scheme's usual one
	ClientID       string // unique on the broker: see ClientID
	Base           string // what all topics start with: see CheckBase
	User, Password string // a password wants a user
	CA             string // PEM file with the authorities to trust, for mqtts and wss; "": the system's
	Cert, Key      string // PEM files of this client's certificate and its private key; both or neither
	QoS            byte   // of events: 1, or 0 for those who accept losses
	Info           Info   // published on each connect; its model goes into every event
	Log            *slog.Logger

	times times
}

// times are the waits that tests shorten. Zero values mean the defaults.
type times struct {
	backoff func(attempt int) time.Duration // before attempt 0, 1 ... of connecting again
	now     func() time.Time
	ack     time.Duration
}

// healthy is how long a connection must last for the next loss to count as the first.
const healthy = 30 * time.Second

// ErrClosed is the error of a Client that was closed.
var ErrClosed = errors.New("MQTT client is closed")

// Client publishes to one broker, over as many connections as it takes. Its methods may be called from several
// goroutines. It makes no promise about the order of messages from different callers, nor of repeats.
type Client struct {
	opts     Options
	endpoint endpoint
	model    Model
	report   report

	ctx  context.Context // ends with the first Close
	stop context.CancelFunc
	hard context.Context // ends when Close may wait no longer
	kill context.CancelFunc
	done chan struct{} // closed when run has returned

	mu       sync.Mutex
	link     *link             // lent to Publish; nil while there is none
	lent     chan struct{}     // closed when link changes, and replaced
	retained map[string]string // topic -> payload, for each connection
	dirty    chan struct{}     // holds a token when retained has changed
	unsaid   error             // why Offline may not have arrived
}

// New checks opts, reads the files they name, and starts connecting in the background, for as long as it takes: a broker
// that comes minutes later is found. Only Close ends that.
func New(opts Options) (*Client, error) {
	e, err := parseBroker(opts.Broker)
	if err != nil {
		return nil, err
	}
	if err := e.trust(opts.CA, opts.Cert, opts.Key); err != nil {
		return nil, err
	}
	if err := CheckBase(opts.Base); err != nil {
		return nil, fmt.Errorf("check mqtt.base: %w", err)
	}
	switch {
	case opts.ClientID == "":
		return nil, errors.New("check the client id: want one, have none")
	case opts.QoS > 1:
		return nil, fmt.Errorf("check mqtt.qos: want 0 or 1, have %d", opts.QoS)
	case opts.Password != "" && opts.User == "":
		return nil, errors.New("check mqtt.password: want mqtt.user with it, have none (MQTT 3.1.1, section 3.1.2.9)")
	case max(len(opts.User), len(opts.Password), len(opts.ClientID)) > 65535:
		return nil, errors.New("check mqtt.user and mqtt.password: want at most 65535 bytes each, have more")
	}
	info, err := InfoPayload(opts.Info)
	if err != nil {
		return nil, err
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.times.backoff == nil {
		opts.times.backoff = backoff
	}
	if opts.times.now == nil {
		opts.times.now = time.Now
	}
	if opts.times.ack == 0 {
		opts.times.ack = ackTimeout
	}
	c := &Client{
		opts:     opts,
		endpoint: e,
		model:    opts.Info.model(),
		report:   report{log: opts.Log, host: e.host, clientID: opts.ClientID, user: opts.User},
		done:     make(chan struct{}),
		lent:     make(chan struct{}),
		retained: map[string]string{InfoTopic(opts.Base): string(info)},
		dirty:    make(chan struct{}, 1),
	}
	c.ctx, c.stop = context.WithCancel(context.Background())
	c.hard, c.kill = context.WithCancel(context.Background())
	go c.run()
	return c, nil
}

// backoff is the wait before connecting again: 1 s, doubled with each attempt up to 60 s, of which a random part of up
// to a half is taken off, so that a street of boards doesn't fall upon a broker that is back.
func backoff(attempt int) time.Duration {
	d := min(time.Second<<min(attempt, 6), time.Minute)
	return d - rand.N(d/2)
}

// Publish sends e to its source's EventTopic and waits until the broker has acknowledged it (QoS 0: until it is written
// to the connection). It rides out any number of lost and refused connections, and sends the same payload over each, so
// the broker gets e at least once, always with the same id. It fails with the error of ctx, with ErrClosed, and at once
// where the payload can't be made (see EventPayload); in the first two cases the broker may have got e all the same.
func (c *Client) Publish(ctx context.Context, e decide.Event) error {
	if !ValidSource(e.Source) {
		return fmt.Errorf("publish event %s: want a source's name of a-z, 0-9, _ and -, have %q", e.ID, e.Source)
	}
	payload, err := EventPayload(e, c.model)
	if err != nil {
		return err
	}
	m := message{topic: EventTopic(c.opts.Base, e.Source), payload: payload, qos: c.opts.QoS}
	for {
		link, err := c.connected(ctx)
		if err == nil {
			err = link.publish(ctx, m)
		}
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, errLinkDown):
			return fmt.Errorf("publish event %s: %w", e.ID, err)
		}
	}
}

// connected waits for a link that isn't known to be down.
func (c *Client) connected(ctx context.Context) (*link, error) {
	for {
		if c.ctx.Err() != nil {
			return nil, ErrClosed
		}
		c.mu.Lock()
		link, lent := c.link, c.lent
		c.mu.Unlock()
		if link != nil {
			select {
			case <-link.down: // tend is about to take it back
			default:
				return link, nil
			}
		}
		select {
		case <-lent:
		case <-c.ctx.Done():
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for a connection: %w", ctx.Err())
		}
	}
}

// SetAvailability says Online, Offline or Disabled of a source, retained, now and on each connect: brokers may lose what
// they retain. It doesn't wait; while there is no connection the last call for a source counts.
func (c *Client) SetAvailability(source, state string) error {
	if !ValidSource(source) {
		return fmt.Errorf("set availability: want a source's name of a-z, 0-9, _ and -, have %q", source)
	}
	if state != Online && state != Offline && state != Disabled {
		return fmt.Errorf("set availability of %s: want %s, %s or %s, have %q", source, Online, Offline, Disabled, state)
	}
	c.mu.Lock()
	c.retained[AvailabilityTopic(c.opts.Base, source)] = state
	c.mu.Unlock()
	select {
	case c.dirty <- struct{}{}:
	default: // tend knows already
	}
	return nil
}

// Close publishes what SetAvailability was told last, and Offline, waits for the acknowledgements, and disconnects. What is still being published gets ErrClosed
// unless its acknowledgement comes first. When ctx ends before, the connection is cut, so that the broker publishes the
// will, and Close returns an error soon. Without a connection it has nothing to wait for. More calls wait for the first.
//
// Of the goroutines only a hand-over to paho may outlive Close, by a second, and only where a connection broke at that
// very moment.
func (c *Client) Close(ctx context.Context) error {
	c.stop()
	select {
	case <-c.done:
	case <-ctx.Done():
		c.kill()
		<-c.done
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.unsaid
}

// run makes connections, one after the other, and tends each. It is the only goroutine that does.
func (c *Client) run() {
	defer close(c.done)
	defer c.kill()
	for attempt := 0; ; attempt++ {
		link, err := c.connect()
		if err == nil {
			up := c.opts.times.now()
			c.tend(link)
			link.close()
			now := c.opts.times.now()
			if now.Sub(up) >= healthy {
				attempt = 0
			}
			if c.ctx.Err() == nil {
				c.report.lost(link.why, now.Sub(up), now)
			}
		} else if c.ctx.Err() == nil {
			c.report.failed(err, c.opts.times.now())
		}
		wait := time.NewTimer(c.opts.times.backoff(attempt))
		select {
		case <-wait.C:
		case <-c.ctx.Done():
			wait.Stop()
			return
		}
	}
}

// connect makes one attempt at a connection. Errors are *stageError.
func (c *Client) connect() (*link, error) {
	line, err := c.endpoint.dial(c.ctx)
	if err != nil {
		return nil, err
	}
	return newLink(c.ctx, line, c.opts, c.endpoint.host)
}

// tend publishes over a new link what is retained, Online last, lends it to Publish, and keeps the retained messages up
// to date until the link is down or the Client is closed. In the latter case it publishes Offline.
func (c *Client) tend(link *link) {
	defer c.lend(nil)
	sent := make(map[string]string)
	for c.publishRetained(c.ctx, link, sent) {
		if sent[StateTopic(c.opts.Base)] == "" {
			if !c.retain(c.ctx, link, sent, StateTopic(c.opts.Base), Online) {
				break
			}
			c.report.up()
			c.lend(link)
		}
		select {
		case <-c.dirty:
			continue
		case <-link.down:
		case <-c.ctx.Done():
		}
		break
	}
	if c.ctx.Err() != nil {
		c.lend(nil)
		c.sayGoodbye(link, sent)
	}
}

// publishRetained publishes what link hasn't got yet, and reports whether that worked.
func (c *Client) publishRetained(ctx context.Context, link *link, sent map[string]string) bool {
	c.mu.Lock()
	retained := maps.Clone(c.retained)
	c.mu.Unlock()
	for _, topic := range slices.Sorted(maps.Keys(retained)) {
		if sent[topic] != retained[topic] && !c.retain(ctx, link, sent, topic, retained[topic]) {
			return false
		}
	}
	return true
}

// retain publishes one retained message, and reports whether the broker has it. If not, link is down or ctx has ended.
func (c *Client) retain(ctx context.Context, link *link, sent map[string]string, topic, payload string) bool {
	if link.publish(ctx, message{topic: topic, payload: []byte(payload), qos: 1, retained: true}) != nil {
		return false
	}
	sent[topic] = payload
	return true
}

// sayGoodbye publishes what SetAvailability was told last, and Offline. If that takes too long the link is cut: then, as
// when it was down already, the broker publishes the will, which says the same of the bridge.
func (c *Client) sayGoodbye(link *link, sent map[string]string) {
	c.publishRetained(c.hard, link, sent) // what keeps it from the broker keeps Offline too, and is told then
	err := link.publish(c.hard, message{topic: StateTopic(c.opts.Base), payload: []byte(Offline), qos: 1, retained: true})
	if err == nil || errors.Is(err, errLinkDown) {
		return
	}
	link.cut(err)
	c.mu.Lock()
	c.unsaid = fmt.Errorf("publish %s on closing: %w", Offline, err)
	c.mu.Unlock()
}

// lend gives link to Publish, or with nil takes it back.
func (c *Client) lend(link *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link != link {
		c.link = link
		close(c.lent)
		c.lent = make(chan struct{})
	}
}
