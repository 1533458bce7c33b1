package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"sightd/inference"
	"sightd/inference/auction"
	"sightd/inference/tflite"
)

// remembered is what was found out before, nil if it wasn't.
func (c *Chooser) remembered(key auction.Key) []auction.Receipt {
	if c.Ledger == nil {
		return nil
	}
	return c.Ledger.Receipts(key)
}

// remember keeps what was found out, if anything passed: what kept all of them from passing may be over at the next start.
func (c *Chooser) remember(key auction.Key, ranked []auction.Receipt) {
	if c.Ledger == nil || !slices.ContainsFunc(ranked, func(r auction.Receipt) bool { return r.Passed }) {
		return
	}
	if err := c.Ledger.Keep(key, ranked); err != nil {
		c.Log.Warn("the next start has to try the delegates again", "err", err)
	}
}

// marked says why a delegate must not be used, "" if it may.
func (c *Chooser) marked(key auction.Key, d inference.Delegate) string {
	if c.Ledger == nil {
		return ""
	}
	reason, since := c.Ledger.Marked(key, d)
	if reason == "" {
		return ""
	}
	return fmt.Sprintf("%s (at %s)", reason, since.UTC().Format(time.RFC3339))
}

// mark has later starts pass a delegate over, until the model, the libraries, the board or the kernel are others.
func (c *Chooser) mark(key auction.Key, d inference.Delegate, why error) {
	if c.Ledger == nil || key.Board == "" {
		return
	}
	if err := c.Ledger.Mark(key, d, why.Error()); err != nil {
		c.Log.Error("the next start won't know that the delegate failed", "delegate", d, "err", err)
	}
}

// enter notes that a delegate with a driver is about to run the model, so that a process that dies of it is known for that.
func (c *Chooser) enter(key auction.Key, d inference.Delegate) {
	if c.Ledger == nil || !d.HasDriver() {
		return
	}
	if err := c.Ledger.Enter(key, d, auction.BootID()); err != nil {
		c.Log.Warn("should the delegate end this process, the next start won't know", "delegate", d, "err", err)
	}
}

// leave notes that the delegate isn't used any more.
func (c *Chooser) leave() {
	if c.Ledger == nil {
		return
	}
	if err := c.Ledger.Leave(); err != nil {
		c.Log.Warn("the next start may think that the delegate has ended this process", "err", err)
	}
}

// cache is the path of the model's weight cache, "" where there is none.
func (c *Chooser) cache(sum string) string {
	if c.Caches == "" {
		return ""
	}
	return filepath.Join(c.Caches, cacheName(sum)+tflite.Version()+".xnnpack")
}

// cacheName is what the name of a model's weight cache begins with.
func cacheName(sum string) string { return sum[:min(16, len(sum))] + "-" }

// cacheFile is what weight caches are called, and what lies beside them.
var cacheFile = regexp.MustCompile(`^[0-9a-f]{16}-.*\.xnnpack`)

// tidy removes the weight caches of models but those with the sums.
func (c *Chooser) tidy(sums ...string) {
	if c.Caches == "" {
		return
	}
	entries, err := os.ReadDir(c.Caches)
	if err != nil {
		c.Log.Warn("weight caches that aren't used any more stay", "err", err)
		return
	}
	for _, e := range entries {
		if !cacheFile.MatchString(e.Name()) || slices.ContainsFunc(sums, func(sum string) bool { return strings.HasPrefix(e.Name(), cacheName(sum)) }) {
			continue
		}
		if err := os.Remove(filepath.Join(c.Caches, e.Name())); err != nil {
			c.Log.Warn("a weight cache that isn't used any more stays", "err", err)
		}
	}
}
