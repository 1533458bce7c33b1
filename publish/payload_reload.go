package publish

import (
	"encoding/json"
	"fmt"
	"time"
)

// ReloadResult is what came of a request of Reload.
type ReloadResult struct {
	Model          string        // name of the model in use now
	SHA256         string        // of its file, 64 hex digits
	PreviousSHA256 string        // of the model's file before
	Delegate       string        // what runs it
	Threads        int           // that the delegate was given, 0 or more
	Proven         int           // golden inputs that it has reproduced; 0: the model has no card
	Changed        bool          // it is another model than before
	Keys           []string      // of the configuration that have changed
	Took           time.Duration // whole milliseconds on its way
}

type reloadJSON struct {
	Model          string   `json:"model"`
	SHA256         string   `json:"sha256"`
	PreviousSHA256 string   `json:"previous_sha256"`
	Delegate       string   `json:"delegate"`
	Threads        int      `json:"threads"`
	Proven         int      `json:"proven"`
	Changed        bool     `json:"changed"`
	Keys           []string `json:"keys"`
	TookMS         int64    `json:"took_ms"`
}

// ReloadResponse answers a request of Reload, in at most limit bytes. A reload that failed is answered with ErrorResponse.
func ReloadResponse(transaction json.RawMessage, r ReloadResult, limit int) ([]byte, error) {
	data, err := fit(limit-around, func(cut int) any {
		return reloadJSON{
			Model: text(r.Model, cut), SHA256: printable(r.SHA256), PreviousSHA256: printable(r.PreviousSHA256), Delegate: text(r.Delegate, cut),
			Threads: max(0, r.Threads), Proven: max(0, r.Proven), Changed: r.Changed, Keys: keys(r.Keys, cut), TookMS: max(0, r.Took.Milliseconds()),
		}
	})
	if err != nil {
		return nil, wrapResponse(err)
	}
	return ResponsePayload(Response{Data: data, Transaction: transaction}, limit)
}

// maxKeys is how many keys an answer has at most.
const maxKeys = 32

// keys are the names of keys for an answer, each cut where it is long.
func keys(all []string, cut int) []string {
	shown := []string{}
	for _, k := range all[:min(len(all), maxKeys)] {
		shown = append(shown, text(k, cut))
	}
	if len(all) > maxKeys {
		shown = append(shown, fmt.Sprintf("and %d more", len(all)-maxKeys))
	}
	return shown
}

// ParseReload reads the data of an answer that ReloadResponse made.
func ParseReload(data []byte) (ReloadResult, error) {
	var v *reloadJSON
	if err := json.Unmarshal(data, &v); err != nil {
		return ReloadResult{}, fmt.Errorf("read the answer to %s: %w", Reload, err)
	}
	if v == nil || v.SHA256 == "" {
		return ReloadResult{}, fmt.Errorf("read the answer to %s: want the sha256 of a model, have %s", Reload, excerpt(data))
	}
	return ReloadResult{
		Model: v.Model, SHA256: v.SHA256, PreviousSHA256: v.PreviousSHA256, Delegate: v.Delegate, Threads: v.Threads, Proven: v.Proven,
		Changed: v.Changed, Keys: v.Keys, Took: time.Duration(v.TookMS) * time.Millisecond,
	}, nil
}
