package publish

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"sightd/decide"
)

// Requests come over a connection of their own. Pictures of many megabytes then hold up no acknowledgement of an event, and
// the daemon can stop reading when it has enough to do: MQTT 3.1.1 has no other way to tell a broker so. The broker keeps the
// session of that connection, and gives again, to this daemon, what was not answered when it broke: requests are acknowledged
// once their answer is.

// Intake says which requests a Client takes in.
type Intake struct {
	Held  int    // requests that are held at a time, answered ones excluded; 0: none are taken in
	Bytes int    // of their payloads together; one alone may have more
	Fleet string // group whose classify requests are taken too; "": none
}

func (i Intake) wanted() bool { return i.Held > 0 }

// requestPatience is how long a request may be held before it is begun; later it gets an error. One that was begun may take its time.
const requestPatience = 30 * time.Second

// intakePing is longer than a queue of requests takes to be worked off. That the broker is gone is noticed by the first
// connection, with which this one ends.
const intakePing = 10 * time.Minute

// ErrLate is the error that a request is answered with when its time is over.
var ErrLate = errors.New("too late")

// errAbandoned is the error of answering a request whose connection is gone: the broker will give it again.
var errAbandoned = errors.New("the connection that the request came over is gone")

// IncomingRequest is a Request that wants an answer. It must be ended by one of the answers or by Release.
type IncomingRequest struct {
	Request         // what is asked
	Command  string // HealthCheck, Classify, Explain, Snapshot, Reload, or one that there isn't
	Err      error  // why Request is incomplete; it is to be answered with that
	Received time.Time

	client   *Client
	link     *link
	message  mqtt.Message
	response string // topic of the answer
	size     int
	settled  chan struct{} // closed when the broker has the answer, and was told so
}

// intake holds the requests of a Client.
type intake struct {
	Intake
	arrivals chan *IncomingRequest // Held of them

	mu     sync.Mutex
	link   *link             // that stands, or nil
	held   map[packetOf]bool // those of the requests that are held
	freed  chan struct{}     // closed when there may be room again, and replaced
	bytes  int
	counts IntakeStats
}

// packetOf is a message that came over a link, until it is acknowledged. One with QoS 0 has the id 0.
type packetOf struct {
	link *link
	id   uint16
}

// IntakeStats count requests since New.
type IntakeStats struct {
	Held     int    // now
	HeldMax  int    // at any time
	Limit    int    // Intake.Held
	Answered uint64 // acknowledged answers
	Late     uint64 // of them, those that said so
}

func newIntake(i Intake) intake {
	return intake{
		Intake: i, arrivals: make(chan *IncomingRequest, i.Held), held: make(map[packetOf]bool), freed: make(chan struct{}), counts: IntakeStats{Limit: i.Held},
	}
}

func (in *intake) stats() IntakeStats {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.counts
}

// acquire waits for room for a request of so many bytes, and reports whether there was some before the link was down.
func (in *intake) acquire(p packetOf, size int) bool {
	for {
		in.mu.Lock()
		if n := in.counts.Held; n < in.Held && (n == 0 || in.bytes+size <= in.Bytes) {
			in.bytes += size
			in.held[p] = true
			in.counts.Held++
			in.counts.HeldMax = max(in.counts.HeldMax, in.counts.Held)
			in.mu.Unlock()
			return true
		}
		freed := in.freed
		in.mu.Unlock()
		select {
		case <-freed:
		case <-p.link.down:
			return false
		}
	}
}

// repeats reports whether m is a message over again that is held. Some brokers send what isn't acknowledged within some seconds
// a second time over the same connection.
func (in *intake) repeats(l *link, m mqtt.Message) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return m.Duplicate() && in.held[packetOf{l, m.MessageID()}]
}

// release makes the room free that a request took.
func (in *intake) release(p packetOf, size int) {
	in.mu.Lock()
	defer in.mu.Unlock()
	delete(in.held, p)
	in.bytes -= size
	in.counts.Held--
	close(in.freed)
	in.freed = make(chan struct{})
}

func (in *intake) stands(l *link) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.link = l
}

func (in *intake) answered(late bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.counts.Answered++
	if late {
		in.counts.Late++
	}
}

// takeIn keeps up the connection for requests for as long as the first one stands.
func (c *Client) takeIn(first *link) {
	ctx, cancel := context.WithCancel(c.hard) // Close ends it with first: after the acknowledgements of the last answers
	defer cancel()
	go func() {
		select {
		case <-first.down:
			cancel()
		case <-ctx.Done():
		}
	}()
	said := ""
	for attempt := 0; ; attempt++ {
		link, err := c.connectIntake(ctx)
		if err == nil {
			said = ""
			c.receive(ctx, link)
			if c.opts.times.now().Sub(link.since) >= healthy {
				attempt = 0
			}
		} else if ctx.Err() == nil && err.Error() != said {
			said = err.Error()
			c.opts.Log.Warn("no connection for requests, trying on: none is heard", "err", err, "client_id", c.intakeID())
		}
		wait := time.NewTimer(c.opts.times.backoff(attempt))
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return
		}
	}
}

func (c *Client) intakeID() string { return c.opts.ClientID + "-requests" }

func (c *Client) connectIntake(ctx context.Context) (*link, error) {
	line, err := c.endpoint.dial(ctx)
	if err != nil {
		return nil, err
	}
	return newLink(ctx, line, c.opts, c.endpoint.host, session{
		clientID: c.intakeID(), keep: true, manualAck: true, arrived: c.arrived, ping: intakePing,
	})
}

// receive subscribes, and waits until the link is down or ctx ends. The messages go to arrived.
func (c *Client) receive(ctx context.Context, link *link) {
	defer link.close()
	if !c.subscribeIntake(ctx, link) {
		return
	}
	c.intake.stands(link)
	defer c.intake.stands(nil)
	select {
	case <-link.down:
	case <-ctx.Done():
	}
}

// subscribeIntake subscribes, also where the session was kept: mosquitto forgets shared subscriptions at its restart. The
// embedded broker refuses a SUBSCRIBE whose identifier a message has that it gives again, hence the second try.
func (c *Client) subscribeIntake(ctx context.Context, link *link) bool {
	refused, err := link.subscribe(ctx, c.intakeFilters()...)
	if err != nil || len(refused) == 0 {
		return err == nil
	}
	select {
	case <-time.After(time.Second):
	case <-link.down:
	case <-ctx.Done():
	}
	return c.subscribe(link, refused...)
}

// intakeFilters are the topics of requests.
func (c *Client) intakeFilters() []string {
	filters := []string{RequestFilter(c.opts.Base)}
	if c.opts.Intake.Fleet != "" {
		filters = append(filters, FleetRequestFilter(c.opts.Intake.Fleet))
	}
	return filters
}

// arrived takes in one request. Until it returns nothing more is read from the connection.
func (c *Client) arrived(l *link, m mqtt.Message) {
	topic, err := ParseTopic(c.opts.Base, c.opts.Intake.Fleet, "", m.Topic())
	unanswerable := topic.Kind != RequestMessage && (topic.Kind != FleetMessage || err != nil)
	if unanswerable || m.Retained() {
		c.opts.Log.Warn("request ignored", "topic", m.Topic(), "retained", m.Retained(), "err", err)
		m.Ack()
		return
	}
	size := len(m.Payload())
	if c.intake.repeats(l, m) || !c.intake.acquire(packetOf{l, m.MessageID()}, size) {
		return
	}
	r := &IncomingRequest{client: c, link: l, message: m, size: size, Received: c.opts.times.now(), Command: topic.Command, settled: make(chan struct{})}
	r.response = ResponseTopic(c.opts.Base, topic.Command)
	if topic.Kind == FleetMessage {
		r.Command, r.response = Classify, FleetResultTopic(c.opts.Intake.Fleet, topic.Transaction)
	}
	switch {
	case err != nil:
		r.Err = err
	case topic.Transaction == "":
		r.Request, r.Err = ParseRequest(topic.Command, m.Payload(), r.Received)
	case bytes.HasPrefix(m.Payload(), []byte("{")): // with a time limit, say
		r.Request, r.Err = ParseRequest(Classify, m.Payload(), r.Received)
		r.Transaction = quote(topic.Transaction)
	default:
		r.Request, r.Err = ParseImageRequest(topic.Transaction, m.Payload())
	}
	c.intake.arrivals <- r // has room for all that are held
}

// NextRequest waits for a request. Its error is that of ctx, or ErrClosed. Requests that have become late are answered on the
// way, and those whose connection is gone are dropped: the broker gives them again.
func (c *Client) NextRequest(ctx context.Context) (*IncomingRequest, error) {
	for {
		select {
		case r := <-c.intake.arrivals:
			if r.abandoned() {
				r.Release()
				continue
			}
			if err := r.tooLate(c.opts.times.now()); err != nil {
				if err := r.AnswerError(ctx, err); err != nil {
					c.opts.Log.Debug("late request not answered", "err", err)
				}
				continue
			}
			return r, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-c.ctx.Done():
			return nil, ErrClosed
		}
	}
}

// abandoned reports whether the answer could not be acknowledged.
func (r *IncomingRequest) abandoned() bool {
	select {
	case <-r.link.down:
		return true
	default:
		return false
	}
}

// tooLate returns an ErrLate when the request's time is over.
func (r *IncomingRequest) tooLate(now time.Time) error {
	if r.Late(now) {
		return fmt.Errorf("%w: the request was to be answered until %s", ErrLate, timestamp(r.Expires))
	}
	if held := now.Sub(r.Received); held > requestPatience {
		return fmt.Errorf("%w: the request has waited for %v here", ErrLate, held.Round(time.Second))
	}
	return nil
}

// AnswerEvent, AnswerHealth, AnswerExplain, AnswerSnapshot, AnswerReload and AnswerError publish an answer and end the request: when the
// broker has acknowledged the answer the request is acknowledged in turn. They wait until the answer can be sent, and not for
// the acknowledgement. Where they fail, and where a connection breaks before the acknowledgement, the broker gives the request
// again.
func (r *IncomingRequest) AnswerEvent(ctx context.Context, e decide.Event) error {
	r.client.mu.Lock()
	model := r.client.model
	r.client.mu.Unlock()
	payload, err := ClassifyResponse(r.Transaction, e, model, r.client.opts.MaxPayload)
	return r.answer(ctx, payload, err, false)
}

// AnswerHealth is one of the answers: see AnswerEvent.
func (r *IncomingRequest) AnswerHealth(ctx context.Context, h Health) error {
	payload, err := HealthResponse(r.Transaction, h, r.client.opts.MaxPayload)
	return r.answer(ctx, payload, err, false)
}

// AnswerExplain is one of the answers: see AnswerEvent. The entries are those of Source from At-Span to At+Span, the oldest
// first, at most MaxEntries and one more; problem is what keeps it from seeing now, "" for nothing: see ExplainResponse.
func (r *IncomingRequest) AnswerExplain(ctx context.Context, entries []decide.Entry, problem string) error {
	e := Explanation{Source: r.Source, At: r.At, From: r.At.Add(-r.Span), To: r.At.Add(r.Span), Problem: problem, Entries: entries}
	payload, err := ExplainResponse(r.Transaction, e, r.client.opts.MaxPayload)
	return r.answer(ctx, payload, err, false)
}

// AnswerSnapshot is one of the answers: see AnswerEvent. The JPEG is the newest picture of Source, taken then: see
// SnapshotResponse.
func (r *IncomingRequest) AnswerSnapshot(ctx context.Context, taken time.Time, jpeg []byte) error {
	payload, err := SnapshotResponse(r.Transaction, r.Source, taken, jpeg, r.client.opts.MaxPayload)
	return r.answer(ctx, payload, err, false)
}

// AnswerError is one of the answers: see AnswerEvent.
func (r *IncomingRequest) AnswerError(ctx context.Context, why error) error {
	payload, err := ErrorResponse(r.Transaction, why, r.client.opts.MaxPayload)
	return r.answer(ctx, payload, err, errors.Is(why, ErrLate))
}

func (r *IncomingRequest) answer(ctx context.Context, payload []byte, err error, late bool) error {
	if err == nil && r.abandoned() {
		err = errAbandoned
	}
	if err == nil {
		m := message{topic: r.response, payload: payload, qos: 1}
		err = r.client.push(ctx, &delivery{message: m, made: r.client.opts.times.now(), done: func(err error) {
			if err == nil && !r.abandoned() {
				r.message.Ack()
				r.client.intake.answered(late)
			}
			r.Release()
			close(r.settled)
		}})
	}
	if err != nil {
		r.Release()
	}
	return err
}

// Release gives up a request that wasn't answered. The broker gives it again when the connection is made anew.
func (r *IncomingRequest) Release() {
	r.client.intake.release(packetOf{r.link, r.message.MessageID()}, r.size)
}

// Leave has the broker send no more requests, for a daemon that stops: those to a group go to the others from now on. What the
// broker has set aside for this daemon already still comes, and what isn't answered comes again when it is back.
func (c *Client) Leave(ctx context.Context) {
	c.intake.mu.Lock()
	link := c.intake.link
	c.intake.mu.Unlock()
	if link == nil {
		return
	}
	if err := link.wait(ctx, link.paho.Unsubscribe(c.intakeFilters()...)); err != nil {
		c.opts.Log.Debug("requests not unsubscribed", "err", err)
	}
}
