package decide

import "time"

// Rules say what a Decider makes of the looks at a live source. See the package for how they work together.
type Rules struct {
	Top int // labels of an event, best first: 1 to 100

	Enter     float64       // score to enter, above 0 to 1
	Stay      float64       // score to stay, 0 to Enter
	Confirm   [2]int        // k, n: so many of the last n looks have to vote for a label; 1 <= k <= n <= 100
	Hold      time.Duration // what is missing for so long leaves: 0 to 24h
	Cooldown  time.Duration // what left doesn't come back within: 0 to 24h
	Smoothing float64       // weight of the past in the exponential average of scores, 0 to 0.99: see Decider.Observe
	Unknown   UnknownRule

	// Labels are exceptions, by label, index ("281") or group. A label's name goes before an index. Once any is allowed,
	// all that aren't are denied.
	Labels map[string]LabelRule
	// Groups are decided upon as one, by the sum of their labels' scores; a label in a group isn't decided upon by itself.
	// They are named by what events are to say, and list labels or indices. A label is in one group at most.
	Groups map[string][]string
	// Schedule changes the rules by time of day; the first period that is on counts. At most 48.
	Schedule []Period
}

// UnknownRule says when a look votes for nobody because the network is not sure. Scores are calibrated here: divided by the
// model's temperature before the softmax, so that of all looks at 0.7 about 70 % are right.
type UnknownRule struct {
	// Mode is UnknownAuto, UnknownOff, or "" to use Score and Margin. With UnknownOff no look is unknown, and a source that
	// shows no label shows None instead of Unknown.
	Mode   string
	Score  float64 // the best label's least score, 0 to 1
	Margin float64 // its least distance from the second of what may be decided upon, 0 to 1
}

// Modes of an UnknownRule. UnknownAuto wants a score of 0.5, below which the network is wrong more often than right, but
// never more than the label's enter, so that an enter below 0.5 can be reached; and a margin of 0.1, within which two
// labels are a toss.
const (
	UnknownAuto = "auto"
	UnknownOff  = "off"

	autoScore  = 0.5
	autoMargin = 0.1
)

// LabelRule is the exception for a label or a group; nil leaves the general rule. A label with Enter alone has the
// general stay, but at most its own Enter.
type LabelRule struct {
	Enter *float64
	Stay  *float64
	Allow *bool // false: never decided upon. true: see Rules.Labels
}

// Period changes rules at a time of day, as the clock shows it in the location of the times that the Decider is given.
type Period struct {
	From, To string   // "22:00" and "06:00": To is the first minute after it, may be past midnight, or "24:00"
	Days     []string // mon, tue, wed, thu, fri, sat, sun: those on which it begins; empty: all

	Enter  *float64             // instead of the general ones
	Stay   *float64             // nil with an Enter: the general stay, but at most Enter
	Labels map[string]LabelRule // laid over Rules.Labels, field by field
	Off    bool                 // nothing enters, and nothing is changed into; what is shown may leave
}

// DefaultRules are those that suit most cameras.
func DefaultRules() Rules {
	return Rules{
		Top: 5, Enter: 0.6, Stay: 0.4, Confirm: [2]int{3, 5}, Hold: 10 * time.Second, Cooldown: 15 * time.Second,
		Smoothing: 0.5, Unknown: UnknownRule{Mode: UnknownAuto},
	}
}
