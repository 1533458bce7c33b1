package doctor

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"sightd/daemon"
	"sightd/inference"
	"sightd/inference/auction"
)

// ledgerName is where sightd keeps what it knows of delegates, under state_dir.
const ledgerName = "delegates.json"

// ledgerKeys are the keys of what a ledger's file holds. What they stand for auction.Ledger knows.
type ledgerKeys struct {
	Entries []struct {
		Key auction.Key `json:"key"`
		At  time.Time   `json:"at"`
	} `json:"entries"`
	Marks []struct {
		Key      auction.Key        `json:"key"`
		Delegate inference.Delegate `json:"delegate"`
	} `json:"marks"`
}

// remembered tells what sightd found out of delegates for the model with the sum, and which it passes over: marked has those. The user
// that runs sightd may see other devices than who looks, so that what counts is what the last start has kept; an update of sightd, its
// libraries or drivers since then isn't noticed here.
func (e *examiner) remembered(o daemon.EngineOptions, sum string) (findings []Finding, marked map[inference.Delegate]bool) {
	path := filepath.Join(e.config.StateDir, ledgerName)
	keys, err := readKeys(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return []Finding{{"delegates", OK, "nothing is remembered yet: the first start tries what runs the model best", ""}}, nil
	case errors.Is(err, fs.ErrPermission):
		return []Finding{{"delegates", Warn, "what is remembered can't be told: " + err.Error(), asUser}}, nil
	}
	ledger, warning := auction.OpenLedger(path, e.now)
	if warning == "" && err != nil {
		warning = err.Error()
	}
	if warning != "" {
		return []Finding{{"delegates", Warn, warning, "the next start measures anew; the file may be removed: " + path}}, nil
	}
	ours := func(k auction.Key) bool { return k.Model == sum && k.Kernel == auction.Kernel() }
	requested := cmp.Or(o.Options.Delegate, inference.Auto)
	var last *auction.Key
	var measured time.Time
	for _, entry := range keys.Entries { // the oldest first
		if k := entry.Key; ours(k) && k.Requested == string(requested) && k.Threads == o.Options.Threads {
			last, measured = &k, entry.At
		}
	}
	marked = map[inference.Delegate]bool{}
	for _, m := range keys.Marks {
		reason, since := ledger.Marked(m.Key, m.Delegate)
		if reason == "" || !ours(m.Key) || last != nil && m.Key.Libraries != last.Libraries && since.Before(measured) {
			continue // it has ended, or is of another model, kernel or library
		}
		marked[m.Delegate] = true
		findings = append(findings, Finding{"delegates", Warn,
			fmt.Sprintf("%s is marked as bad and passed over until %s, unless model, sightd, libraries, drivers or kernel change before: %s",
				m.Delegate, since.Add(auction.MarkTime).UTC().Format(time.RFC3339), reason), liftMark(path)})
	}
	if last == nil {
		return append(findings, Finding{"delegates", OK, fmt.Sprintf("nothing is remembered of this model with model.delegate %s: the next start tries what runs it best", requested), ""}), marked
	}
	return append(findings, chosen(ledger.Receipts(*last), marked, measured)), marked
}

// liftMark is how to have a delegate tried again that is marked.
func liftMark(ledger string) string {
	return "to have it tried again: stop sightd, remove " + ledger + ", start it"
}

// readKeys reads the keys of a ledger's file.
func readKeys(path string) (ledgerKeys, error) {
	var keys ledgerKeys
	text, err := read(path)
	if err == nil {
		err = json.Unmarshal([]byte(text), &keys)
	}
	return keys, err
}

// chosen is the first of the receipts that may run the model.
func chosen(receipts []auction.Receipt, marked map[inference.Delegate]bool, measured time.Time) Finding {
	f := Finding{"delegates", Warn, "none of those that were tried may run the model", "\"sightd bench --all\" tries them and tells why"}
	var others []string
	for _, r := range receipts {
		switch {
		case marked[r.Delegate]:
		case r.Passed && f.Status != OK:
			f.Status, f.Hint = OK, ""
			f.Detail = fmt.Sprintf("%s, %.2f ms, %d of %d nodes, is the best, as found out at %s", r.Candidate, r.MS, r.Taken, r.Total, measured.UTC().Format(time.RFC3339))
		case !r.Passed && !r.Absent:
			others = append(others, fmt.Sprintf("%s: %s", r.Candidate, r.Reason))
		}
	}
	if len(others) > 0 {
		f.Detail += "; passed over: " + strings.Join(others, ", ")
	}
	return f
}

// instead says that the model is not the configured one, "" if it is.
func instead(c *daemon.Config) string {
	if i, err := daemon.InstalledModel(*c); err == nil && i != nil {
		configured := c.Model.Path
		if configured == "" {
			configured = "the built-in model"
		}
		return fmt.Sprintf(" (put in the place of %s by sightd model use)", configured)
	}
	return ""
}
