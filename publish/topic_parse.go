package publish

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxTransaction bounds a transaction in bytes.
const maxTransaction = 128

// CheckTransaction says what keeps s from being a transaction in a topic: it wants 1 to 128 bytes of printable UTF-8
// without / + and #.
func CheckTransaction(s string) error {
	switch {
	case s == "":
		return fmt.Errorf("check the transaction: want one, have none")
	case len(s) > maxTransaction:
		return fmt.Errorf("check the transaction: want at most %d bytes, have %d", maxTransaction, len(s))
	case !utf8.ValidString(s) || strings.ContainsFunc(s, unfit):
		return fmt.Errorf("check the transaction: want printable UTF-8, have %q", s)
	case strings.ContainsAny(s, "/+#"):
		return fmt.Errorf("check the transaction: want none of / + #, have %q", s)
	}
	return nil
}

// unfit reports whether r can't be in a topic: brokers close the connection of who sends control characters and
// noncharacters (MQTT 3.1.1, section 1.5.3).
func unfit(r rune) bool { return unprintable(r) || unicode.Is(unicode.Noncharacter_Code_Point, r) }

// TopicKind says what a message to the daemon is.
type TopicKind int

// The kinds of messages to the daemon.
const (
	OtherTopic         TopicKind = iota // none of these
	RequestMessage                      // RequestTopic, and RequestImageTopic with a transaction
	SetMessage                          // SetTopic
	FleetMessage                        // FleetRequestTopic
	StateMessage                        // StateTopic: what is said of the daemon, by itself too
	HomeAssistantState                  // HomeAssistantStatusTopic: "online" when Home Assistant has started
)

// Topic is what the topic of a message to the daemon says.
type Topic struct {
	Kind        TopicKind
	Command     string // of a RequestMessage: 1 to 64 of a-z, 0-9, _ and -, but maybe none that the daemon knows
	Source      string // of a SetMessage: as ValidSource wants it, but maybe none that there is
	Transaction string // of a FleetMessage, and of a RequestMessage with raw bytes; "": it is in the payload, if anywhere
}

// ParseTopic tells what a message to topic is, for the daemon with the topics below base, in fleet ("": in none), with
// Home Assistant's topics below prefix ("": without them). Where only the transaction is wrong (see CheckTransaction), the
// kind and command come with the error: a RequestMessage can be answered all the same.
func ParseTopic(base, fleet, prefix, topic string) (Topic, error) {
	if prefix != "" && topic == HomeAssistantStatusTopic(prefix) {
		return Topic{Kind: HomeAssistantState}, nil
	}
	if fleet != "" {
		if transaction, ok := strings.CutPrefix(topic, FleetRequestTopic(fleet, "")); ok {
			if err := CheckTransaction(transaction); err != nil {
				return Topic{Kind: FleetMessage}, err
			}
			return Topic{Kind: FleetMessage, Transaction: transaction}, nil
		}
	}
	if request, ok := strings.CutPrefix(topic, RequestTopic(base, "")); ok {
		command, transaction, raw := strings.Cut(request, "/")
		if !ValidName(command) || raw && command != Classify {
			return Topic{}, fmt.Errorf("parse topic: want %s, or %s, have %q",
				RequestTopic(base, "<command>"), RequestImageTopic(base, "<transaction>"), topic)
		}
		if !raw {
			return Topic{Kind: RequestMessage, Command: command}, nil
		}
		if err := CheckTransaction(transaction); err != nil {
			return Topic{Kind: RequestMessage, Command: command}, err
		}
		return Topic{Kind: RequestMessage, Command: command, Transaction: transaction}, nil
	}
	if topic == StateTopic(base) {
		return Topic{Kind: StateMessage}, nil
	}
	if rest, ok := strings.CutPrefix(topic, base+"/"); ok {
		if source, ok := strings.CutSuffix(rest, "/set"); ok && ValidSource(source) {
			return Topic{Kind: SetMessage, Source: source}, nil
		}
	}
	return Topic{}, fmt.Errorf("parse topic: want one that is subscribed to, have %q", topic)
}
