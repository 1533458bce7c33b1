package publish

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"sightd/publish/outbox"
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
	Info           Info   // published on each connect; its model goes into every event that names none
	MaxPayload     int    // bytes of a payload at most; 0: MaxPayload
	Log            *slog.Logger

	// Outbox keeps what Accept was given until the broker has it. The Client hands it on, and leaves closing it to the caller.
	// nil: Accept fails.
	Outbox *outbox.Outbox

	// Embedded is the broker at the URL, where it is this process's: it is given new events without a connection in between. All else
	// goes over one, as to other brokers. nil: the broker is another's.
	Embedded *Broker

	Discovery string // what Home Assistant's topics start with; "": it isn't listened to
	Intake    Intake // of requests; the zero value takes none

	times times
}

// times are the waits that tests shorten. Zero values mean the defaults.
type times struct {
	backoff func(attempt int) time.Duration // before attempt 0, 1 ... of connecting again
	now     func() time.Time
	ack     time.Duration
	pause   time.Duration // between two looks at what is retained
	birth   time.Duration // within which discovery is sent again when Home Assistant has started
	state   time.Duration // for Ask to wait for what is retained on StateTopic
	deny    time.Duration // between two repeats of Online
	answer  time.Duration // for Ask to wait for the answer
	again   time.Duration // before Ask asks a second time
}

// complete sets the times that are zero.
func (t *times) complete() {
	if t.backoff == nil {
		t.backoff = backoff
	}
	if t.now == nil {
		t.now = time.Now
	}
	if t.ack == 0 {
		t.ack = ackTimeout
	}
	if t.pause == 0 {
		t.pause = 100 * time.Millisecond
	}
	if t.birth == 0 {
		t.birth = 3 * time.Second
	}
	if t.state == 0 {
		t.state = stateTimeout
	}
	if t.deny == 0 {
		t.deny = denyEach
	}
	if t.answer == 0 {
		t.answer = answerTimeout
	}
	if t.again == 0 {
		t.again = askAgain
	}
}

// healthy is how long a connection must last for the next loss to count as the first.
const healthy = 30 * time.Second

// ErrClosed is the error of a Client that was closed.
var ErrClosed = errors.New("MQTT client is closed")

// Client publishes to one broker, over as many connections as it takes, and hears what is asked of the daemon. Its methods
// may be called from several goroutines.
//
// Events are handed to the broker in the order in which Send, Publish and Accept were called, and so many at a time that a
// slow network is used well: Window of them may be unacknowledged. After a loss of the connection those are sent again, in
// the same order, before any other.
type Client struct {
	opts     Options
	endpoint endpoint
	model    Model
	report   report
	denials  denials

	ctx  context.Context // ends with the first Close
	stop context.CancelFunc
	hard context.Context // ends when Close may wait no longer
	kill context.CancelFunc
	done chan struct{} // closed when run has returned

	outgoing deliveries
	feeding  sync.WaitGroup // of Options.Outbox
	commands chan command   // what came over the first connection
	intake   intake

	mu       sync.Mutex
	retained map[string]kept // by topic, for each connection
	born     bool            // Home Assistant has started: it wants to be told again
	denied   bool            // somebody has said Offline
	connects uint64
	link     *link         // that stands, or nil
	unsaid   error         // why Offline may not have arrived
	dirty    chan struct{} // holds a token when retained, born or denied has changed
}

// New checks opts, reads the files they name, and starts connecting in the background, for as long as it takes: a broker
// that comes minutes later is found. Only Close ends that.
func New(opts Options) (*Client, error) {
	e, err := opts.check()
	if err != nil {
		return nil, err
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	opts.times.complete()
	c := &Client{
		opts:     opts,
		endpoint: e,
		report:   report{log: opts.Log, host: e.host, clientID: opts.ClientID, user: opts.User},
		done:     make(chan struct{}),
		outgoing: newDeliveries(),
		commands: make(chan command, maxCommands),
		intake:   newIntake(opts.Intake),
		retained: make(map[string]kept),
		dirty:    make(chan struct{}, 1),
	}
	if err := c.SetInfo(opts.Info); err != nil {
		return nil, err
	}
	c.ctx, c.stop = context.WithCancel(context.Background())
	c.hard, c.kill = context.WithCancel(context.Background())
	if opts.Outbox != nil {
		c.feeding.Go(c.feed)
	}
	go c.run()
	return c, nil
}

// check sets the defaults and reads the files that the options name.
func (o *Options) check() (endpoint, error) {
	e, err := parseBroker(o.Broker)
	if err != nil {
		return e, err
	}
	if err := e.trust(o.CA, o.Cert, o.Key); err != nil {
		return e, err
	}
	if err := CheckBase(o.Base); err != nil {
		return e, fmt.Errorf("check mqtt.base: %w", err)
	}
	if o.MaxPayload == 0 {
		o.MaxPayload = MaxPayload
	}
	switch {
	case o.ClientID == "":
		return e, errors.New("check the client id: want one, have none")
	case o.QoS > 1:
		return e, fmt.Errorf("check mqtt.qos: want 0 or 1, have %d", o.QoS)
	case o.Password != "" && o.User == "":
		return e, errors.New("check mqtt.password: want mqtt.user with it, have none (MQTT 3.1.1, section 3.1.2.9)")
	case max(len(o.User), len(o.Password), len(o.ClientID)) > 65535:
		return e, errors.New("check mqtt.user and mqtt.password: want at most 65535 bytes each, have more")
	}
	return e, nil
}

// backoff is the wait before connecting again: 1 s, doubled with each attempt up to 60 s, of which a random part of up
// to a half is taken off, so that a street of boards doesn't fall upon a broker that is back.
func backoff(attempt int) time.Duration {
	d := min(time.Second<<min(attempt, 6), time.Minute)
	return d - rand.N(d/2)
}

// Stats are for the bridge's health.
type Stats struct {
	Connected bool
	Connects  uint64 // connections since New
	Unsent    int    // events that wait for the broker's acknowledgement
	Requests  IntakeStats
}

// Stats returns the counts.
func (c *Client) Stats() Stats {
	c.mu.Lock()
	s := Stats{Connected: c.link != nil, Connects: c.connects}
	c.mu.Unlock()
	s.Unsent = c.outgoing.unsent()
	s.Requests = c.intake.stats()
	return s
}

// Close publishes what is retained, and Offline, waits for the acknowledgements, and disconnects. What is still being
// published gets ErrClosed unless its acknowledgement comes first; what Accept took stays in the outbox. When ctx ends
// before, the connection is cut, so that the broker publishes the will, and Close returns an error soon. Without a
// connection it has nothing to wait for. More calls wait for the first.
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
	c.feeding.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.unsaid
}

// run makes connections, one after the other, and tends each. It is the only goroutine that does.
func (c *Client) run() {
	defer close(c.done)
	defer c.outgoing.end()
	defer c.kill()
	for attempt := 0; ; attempt++ {
		link, err := c.connect()
		if err == nil {
			c.tend(link)
			now := c.opts.times.now()
			lasted := now.Sub(link.since)
			if lasted >= healthy {
				attempt = 0
			}
			if c.ctx.Err() == nil {
				c.report.lost(link.why, lasted, now)
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
	return newLink(c.ctx, line, c.opts, c.endpoint.host, session{
		clientID: c.opts.ClientID, will: true, ping: pingTimeout,
		arrived: func(_ *link, m mqtt.Message) { c.hear(m) },
	})
}

// tend works with a new link until that is down, or the Client is closed, and closes it: it subscribes, publishes what is
// retained and Online last, then sends what there is to send, takes requests in, and keeps the retained messages up to date.
func (c *Client) tend(link *link) {
	var working sync.WaitGroup
	defer working.Wait()
	defer link.close() // ends what works
	sent := make(map[string]kept)
	if c.listen(link) && c.publishRetained(c.ctx, link, sent) && c.retain(c.ctx, link, sent, StateTopic(c.opts.Base), kept{Online, 1}) {
		c.standing(link)
		defer c.standing(nil)
		deliver := c.deliver
		if c.opts.Embedded != nil {
			deliver = c.deliverInside
		}
		working.Go(func() { deliver(link) })
		if c.opts.Intake.wanted() {
			working.Go(func() { c.takeIn(link) })
		}
		c.refresh(link, sent)
	}
	if c.ctx.Err() != nil {
		c.sayGoodbye(link, sent)
	}
}

// standing notes the link that stands, nil for none.
func (c *Client) standing(link *link) {
	c.mu.Lock()
	if c.link = link; link != nil {
		c.connects++
	}
	c.mu.Unlock()
	if link != nil {
		c.report.up()
	}
}
