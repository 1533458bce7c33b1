package publish

import (
	"errors"
	"fmt"
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
	Requested string `json:"requested"` // as configured
	Active    string `json:"active"`    // what runs
	Reason    string `json:"reason"`    // why this one
}

// model is the part of the description that every event carries.
func (i Info) model() Model {
	return Model{Name: i.Model.Name, SHA256: i.Model.SHA256, Delegate: i.Delegate.Active}
}

type infoJSON struct {
	Version  string       `json:"version"`
	Model    ModelInfo    `json:"model"`
	Delegate DelegateInfo `json:"delegate"`
	Board    string       `json:"board"`
	Started  string       `json:"started"`
}

// InfoPayload is the JSON of i, in at most limit bytes. Labels that would make it larger, as those of tens of thousands of
// classes do, are left out: labels is then null. What is larger without them is an error.
func InfoPayload(i Info, limit int) ([]byte, error) {
	v := infoJSON{
		Version: text(i.Version, maxText),
		Model: ModelInfo{
			Name:   text(i.Model.Name, maxText),
			SHA256: printable(i.Model.SHA256),
			Labels: make([]string, len(i.Model.Labels)),
		},
		Delegate: DelegateInfo{
			Requested: text(i.Delegate.Requested, maxText),
			Active:    text(i.Delegate.Active, maxText),
			Reason:    text(i.Delegate.Reason, maxText),
		},
		Board:   text(i.Board, maxText),
		Started: timestamp(i.Started),
	}
	for k, label := range i.Model.Labels {
		v.Model.Labels[k] = text(label, maxText)
	}
	payload, err := encode(v, limit)
	if errors.As(err, new(tooLarge)) {
		v.Model.Labels = nil
		payload, err = encode(v, limit)
	}
	if err != nil {
		return nil, fmt.Errorf("encode the description of the bridge: %w", err)
	}
	return payload, nil
}
