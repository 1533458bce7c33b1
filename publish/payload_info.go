package publish

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Info is what the bridge says about itself on InfoTopic.
type Info struct {
	Version  string
	Model    ModelInfo
	Delegate DelegateInfo
	Board    string    // such as "Raspberry Pi 5 Model B Rev 1.0"
	Started  time.Time // of the daemon
}

// ModelInfo describes the network in use.
type ModelInfo struct {
	Name   string   `json:"name"`
	SHA256 string   `json:"sha256"` // of the file, 64 hex digits
	Labels []string `json:"labels"` // one a class, in the order of the model's output; may repeat
}

// DelegateInfo says what runs the network, and why.
type DelegateInfo struct {
	Requested string          // as configured
	Active    string          // what runs
	Reason    string          // why this one
	Threads   int             // that it was given, 0 or more
	Nodes     NodeCount       // of the network
	Tried     []DelegateTrial // what was tried, the best first; only the first MaxTried are told of
}

// NodeCount says how much of a network its delegate runs.
type NodeCount struct {
	Taken int // by the delegate; negative: some, it isn't known how many
	Total int // of the network, 0 or more
}

// MaxTried bounds DelegateInfo.Tried on its way.
const MaxTried = 32

// DelegateTrial says how a delegate with a number of threads did when it was tried.
type DelegateTrial struct {
	Delegate string
	Threads  int     // 0 or more
	Passed   bool    // it ran, and reproduced the golden scores
	MS       float64 // milliseconds of Invoke, the median; 0: it wasn't timed
	Reason   string  // why it isn't used; "": nothing to say
}

// model is the part of the description that every event carries.
func (i Info) model() Model {
	return Model{Name: i.Model.Name, SHA256: i.Model.SHA256, Delegate: i.Delegate.Active}
}

type infoJSON struct {
	Version  string       `json:"version"`
	Model    ModelInfo    `json:"model"`
	Delegate delegateJSON `json:"delegate"`
	Board    string       `json:"board"`
	Started  string       `json:"started"`
}

type delegateJSON struct {
	Requested string      `json:"requested"`
	Active    string      `json:"active"`
	Reason    string      `json:"reason"`
	Threads   int         `json:"threads"`
	Nodes     nodesJSON   `json:"nodes"`
	Tried     []trialJSON `json:"tried"`
}

type nodesJSON struct {
	Taken *int `json:"taken"`
	Total int  `json:"total"`
}

type trialJSON struct {
	Delegate string   `json:"delegate"`
	Threads  int      `json:"threads"`
	Passed   bool     `json:"passed"`
	MS       *float64 `json:"ms"`
	Reason   string   `json:"reason"`
}

// InfoPayload is the JSON of i, in at most limit bytes. Texts have at most 1024 bytes, milliseconds three decimals. What would make it
// larger goes: first the ends of the texts, down to 32 bytes each; then the labels, as of tens of thousands of classes: labels is then
// null; then what was tried, the last first. What is larger without all that is an error.
func InfoPayload(i Info, limit int) ([]byte, error) {
	labels := make([]string, len(i.Model.Labels))
	for k, label := range i.Model.Labels {
		labels[k] = text(label, maxText)
	}
	i.Delegate.Tried = i.Delegate.Tried[:min(len(i.Delegate.Tried), MaxTried)]
	build := func(cut int) any { return newInfo(&i, labels, cut) }
	payload, err := fit(limit, build)
	if errors.As(err, new(tooLarge)) {
		labels = nil
		payload, err = fit(limit, build)
	}
	for n := len(i.Delegate.Tried); n > 0 && errors.As(err, new(tooLarge)); n-- {
		i.Delegate.Tried = i.Delegate.Tried[:n-1]
		payload, err = encode(build(cuts[len(cuts)-1]), limit)
	}
	if err != nil {
		return nil, fmt.Errorf("encode the description of the bridge: %w", err)
	}
	return payload, nil
}

func newInfo(i *Info, labels []string, cut int) *infoJSON {
	d := &i.Delegate
	v := &infoJSON{
		Version: text(i.Version, cut),
		Model:   ModelInfo{Name: text(i.Model.Name, cut), SHA256: printable(i.Model.SHA256), Labels: labels},
		Delegate: delegateJSON{
			Requested: text(d.Requested, cut),
			Active:    text(d.Active, cut),
			Reason:    text(d.Reason, cut),
			Threads:   max(0, d.Threads),
			Nodes:     nodesJSON{Total: max(0, d.Nodes.Total)},
			Tried:     make([]trialJSON, len(d.Tried)),
		},
		Board:   text(i.Board, cut),
		Started: timestamp(i.Started),
	}
	if d.Nodes.Taken >= 0 {
		v.Delegate.Nodes.Taken = &d.Nodes.Taken
	}
	for k, t := range d.Tried {
		v.Delegate.Tried[k] = trialJSON{Delegate: text(t.Delegate, cut), Threads: max(0, t.Threads), Passed: t.Passed, Reason: text(t.Reason, cut)}
		if ms := round(t.MS, 3); ms > 0 && !math.IsInf(ms, 0) {
			v.Delegate.Tried[k].MS = &ms
		}
	}
	return v
}
