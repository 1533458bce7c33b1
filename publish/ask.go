package publish

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// The waits of Ask.
const (
	answerTimeout = 10 * time.Second // from the request to its answer
	stateTimeout  = 2 * time.Second  // for what is retained, which brokers may send behind SUBACK
	askAgain      = 3 * time.Second  // until the request is sent a second time
)

// Ask logs in beside the daemon that o is of, under its client id with "-ask-" and a random number behind it, puts a request to
// it, waits for the answer, at most 10 s, and leaves. The request is sent a second time after 3 s: a daemon that has just started
// says that it is there before it hears requests. payload is that of the command, a JSON object or nothing; its transaction is
// replaced by a random one. That the daemon answers with an error is no error of Ask: see Response.Error.
//
// Ask's own errors say at which stage it failed, and what to do about that, in one line for people. Whether the daemon is there
// at all is known at once, by what is retained on StateTopic. An access list that drops the request or its answer can't be told
// from a daemon that doesn't answer: MQTT 3.1.1 has no word for it.
func Ask(ctx context.Context, o Options, command string, payload []byte) (Response, error) {
	return ask(ctx, o, question{command: command}, payload)
}

// ask is Ask, with a question whose first two fields are set.
func ask(ctx context.Context, o Options, asked question, payload []byte) (Response, error) {
	e, err := o.check()
	if err != nil {
		return Response{}, err
	}
	o.times.complete()
	var random [8]byte
	rand.Read(random[:]) // never fails
	q := &asked
	q.options, q.host, q.transaction = o, e.host, quote(hex.EncodeToString(random[:]))
	q.states, q.answers = make(chan string, 1), make(chan Response, 1)
	request, err := q.request(payload)
	if err != nil {
		return Response{}, err
	}
	link, err := q.connect(ctx, e, o.ClientID+"-ask-"+hex.EncodeToString(random[:4]))
	if err != nil {
		return Response{}, err
	}
	defer link.close()
	if err := q.present(ctx, link); err != nil {
		return Response{}, err
	}
	if err := q.send(ctx, link, request); err != nil {
		return Response{}, err
	}
	return q.await(ctx, link, request)
}

// question is one request of Ask, and what comes back.
type question struct {
	command string
	patient bool // the request is sent once, and its answer waited for until the context ends

	options     Options
	host        string // of the broker
	transaction json.RawMessage
	states      chan string   // what came on StateTopic; the first that isn't taken yet
	answers     chan Response // with the transaction
}

// request is payload with the transaction.
func (q *question) request(payload []byte) ([]byte, error) {
	fields, err := object(payload)
	if err != nil {
		return nil, fmt.Errorf("make a request of %s: %w", q.command, err)
	}
	if fields == nil {
		fields = make(map[string]json.RawMessage)
	}
	fields["transaction"] = q.transaction
	request, err := encode(fields, q.options.MaxPayload)
	if err != nil {
		return nil, fmt.Errorf("make a request of %s: %w", q.command, err)
	}
	return request, nil
}

func (q *question) connect(ctx context.Context, e endpoint, id string) (*link, error) {
	line, err := e.dial(ctx)
	if err == nil {
		var up *link
		if up, err = newLink(ctx, line, q.options, e.host, session{clientID: id, arrived: q.arrived, ping: pingTimeout}); err == nil {
			return up, nil
		}
	}
	if hint := advice(err, q.options.times.now()); hint != "" && ctx.Err() == nil {
		return nil, fmt.Errorf("%w: %s", err, hint)
	}
	return nil, err
}

// arrived notes what is of this question. It must not wait: acknowledgements come over the same connection.
func (q *question) arrived(_ *link, m mqtt.Message) {
	switch m.Topic() {
	case StateTopic(q.options.Base):
		select {
		case q.states <- string(m.Payload()):
		default: // the daemon comes and goes faster than that is looked at
		}
	case ResponseTopic(q.options.Base, q.command):
		if r, ok := parseResponse(m.Payload()); ok && string(r.Transaction) == string(q.transaction) {
			select {
			case q.answers <- r:
			default: // a repeat
			}
		}
	}
}

// parseResponse reads what ResponsePayload makes. What is something else is none's answer.
func parseResponse(payload []byte) (Response, bool) {
	var v responseJSON
	if json.Unmarshal(payload, &v) != nil || (v.Status != "ok") != (v.Error != nil) {
		return Response{}, false
	}
	if v.Error != nil {
		return Response{Error: *v.Error, Transaction: v.Transaction}, true
	}
	return Response{Data: v.Data, Transaction: v.Transaction}, true
}

// present subscribes, and waits until the daemon is known to be there.
func (q *question) present(ctx context.Context, link *link) error {
	state, response := StateTopic(q.options.Base), ResponseTopic(q.options.Base, q.command)
	refused, err := link.subscribe(ctx, state, response)
	if err != nil {
		return q.broke(link, "subscribe to "+response, err)
	}
	if len(refused) > 0 {
		return fmt.Errorf("subscribe on %s: the broker refuses %s: let %s read that in the broker's ACL", q.host, refused[0], q.who())
	}
	wait := time.NewTimer(q.options.times.state)
	defer wait.Stop()
	select {
	case s := <-q.states:
		return q.absent(s)
	case <-wait.C:
		return fmt.Errorf("look for sightd on %s: nothing is retained on %s: is mqtt.base (or name) that of the daemon, does it use this broker, "+
			"may %s read that topic?",
			q.host, state, q.who())
	case <-link.down:
		return q.broke(link, "read "+state, errLinkDown)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ErrAway is what the errors of Ask and AskReload wrap when the broker knows the daemon, and says that it isn't connected.
var ErrAway = errors.New("sightd isn't running, or doesn't reach this broker")

// absent is the error of what StateTopic says, if it says that the daemon is away.
func (q *question) absent(state string) error {
	if state == Online {
		return nil
	}
	return fmt.Errorf("look for sightd on %s: %s says %q: %w", q.host, StateTopic(q.options.Base), text(state, cuts[len(cuts)-1]), ErrAway)
}

func (q *question) send(ctx context.Context, link *link, request []byte) error {
	topic := RequestTopic(q.options.Base, q.command)
	if err := link.publish(ctx, message{topic: topic, payload: request, qos: 1}); err != nil {
		return q.broke(link, "publish the request to "+topic, err)
	}
	return nil
}

// await waits for the answer, and sends the request once more on the way.
func (q *question) await(ctx context.Context, link *link, request []byte) (Response, error) {
	late, again := time.NewTimer(q.options.times.answer), time.NewTimer(q.options.times.again)
	defer late.Stop()
	defer again.Stop()
	if q.patient {
		late.Stop()
		again.Stop()
	}
	for {
		select {
		case r := <-q.answers:
			return r, nil
		case s := <-q.states:
			if err := q.absent(s); err != nil {
				return Response{}, err
			}
		case <-again.C:
			if err := q.send(ctx, link, request); err != nil {
				return Response{}, err
			}
		case <-late.C:
			return Response{}, fmt.Errorf("wait for the answer to %s: no answer within %v: is sightd running on this broker under base %s, and may %s write %s?",
				q.command, q.options.times.answer, q.options.Base, q.who(), RequestTopic(q.options.Base, q.command))
		case <-link.down:
			return Response{}, q.broke(link, "wait for the answer to "+q.command, errLinkDown)
		case <-ctx.Done():
			return Response{}, ctx.Err()
		}
	}
}

// who is the user that Ask logs in as.
func (q *question) who() string {
	if q.options.User == "" {
		return "a client without a user"
	}
	return fmt.Sprintf("user %q", q.options.User)
}

// broke is err, with why the connection ended if that is what it says.
func (q *question) broke(link *link, doing string, err error) error {
	if errors.Is(err, errLinkDown) {
		err = fmt.Errorf("the connection ended: %w: the broker's own log may tell why", link.why)
	}
	return fmt.Errorf("%s on %s: %w", doing, q.host, err)
}
