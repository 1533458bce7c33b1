package daemon

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"sightd/inference"
	"sightd/inference/auction"
	"sightd/inference/litert"
	"sightd/inference/tflite"
)

// trialTimeout is what a delegate has to come up, prove itself and be measured. A GPU's driver translates a program for each operator.
const trialTimeout = time.Minute

// Chooser finds out which delegate runs a model best, by trying each in a process of its own, and remembers it.
type Chooser struct {
	Argv   []string        // program and arguments of a process that runs Try; nil: nothing is tried
	Ledger *auction.Ledger // nil: nothing is remembered
	Caches string          // folder of XNNPACK's weight caches; "": there are none
	Log    *slog.Logger

	trying  func(d inference.Delegate) // called before each trial; nil: nobody asks
	timeout time.Duration              // of a trial; 0: trialTimeout
}

// Choice says what may run a model.
type Choice struct {
	Requested inference.Delegate
	Key       auction.Key
	Ranked    []auction.Receipt // of all that were tried, best first; nil: nothing was
	Order     []auction.Receipt // what may run the model, best first; one that wasn't tried has no figures
	Reason    string            // of the first
	Trouble   string            // why the first isn't what it should be; "": it is
}

// Choose says what may run the model of o: what was found out before, or else is now. Without an error there is something in the Order.
func (c *Chooser) Choose(ctx context.Context, o EngineOptions, m *loadedModel) (Choice, error) {
	requested := o.Options.Delegate
	if requested == "" {
		requested = inference.Auto
	}
	choice := Choice{Requested: requested}
	fixed := requested != inference.Auto && !requested.HasDriver() && o.Options.Threads > 0
	if fixed || c.Argv == nil {
		choice.Key.Model = m.sum
		choice.Order = untried(requested, o.Options.Threads)
		choice.Reason = "as configured"
		if !fixed {
			choice.Reason = "nothing was measured"
		}
		return choice, nil
	}
	key, err := c.key(o, requested, m)
	if err != nil {
		return choice, err
	}
	choice.Key = key
	ranked := c.remembered(key)
	if ranked == nil || c.Ledger.Stale(key) {
		if ranked == nil {
			ranked, err = c.hold(ctx, o, requested, m)
		} else {
			ranked, err = c.retry(ctx, o, requested, m, ranked)
		}
		if err != nil {
			return choice, err
		}
		c.remember(key, ranked)
	}
	choice.take(ranked, c.marked)
	return choice, nil
}

// take sorts out who may run the model. A delegate that is marked may not, and if nobody may, the plain ones are tried by their use.
func (c *Choice) take(ranked []auction.Receipt, marked func(auction.Key, inference.Delegate) string) {
	c.Ranked = slices.Clone(ranked)
	for i := range c.Ranked {
		r := &c.Ranked[i]
		if mark := marked(c.Key, r.Delegate); mark != "" {
			r.Passed, r.Reason = false, mark
			if c.Trouble == "" {
				c.Trouble = fmt.Sprintf("%s is passed over: %s", r.Delegate, mark)
			}
		}
		if !r.Passed && r.Delegate == c.Requested && c.Trouble == "" {
			c.Trouble = fmt.Sprintf("%s can't be used: %s", r.Delegate, r.Reason)
		}
	}
	c.Ranked = auction.Rank(c.Requested, c.Ranked)
	for _, r := range c.Ranked {
		if r.Passed {
			c.Order = append(c.Order, r)
		}
	}
	c.Reason = auction.Reason(c.Requested, c.Ranked)
	if len(c.Order) == 0 {
		c.Order = untried(inference.XNNPACK, c.Key.Threads)
		c.Trouble = cmp.Or(c.Trouble, c.Reason)
	}
}

// untried are the candidates where nothing was measured.
func untried(requested inference.Delegate, threads int) []auction.Receipt {
	var order []auction.Receipt
	for _, d := range []inference.Delegate{requested, inference.XNNPACK, inference.CPU} {
		r := auction.Receipt{Candidate: auction.Candidate{Delegate: d, Threads: threads}}
		if d != inference.Auto && !slices.ContainsFunc(order, func(o auction.Receipt) bool { return o.Delegate == d }) {
			order = append(order, r)
		}
	}
	return order
}

// key is what the measurement depends on.
func (c *Chooser) key(o EngineOptions, requested inference.Delegate, m *loadedModel) (auction.Key, error) {
	library, err := tflite.Library()
	if err != nil {
		return auction.Key{}, err
	}
	files := []string{library}
	for _, name := range litert.Files() {
		files = append(files, filepath.Join(filepath.Dir(library), name))
	}
	if self, err := os.Executable(); err == nil {
		files = append(files, self)
	}
	if requested.IsExternal() {
		path, _, err := requested.Library()
		if err != nil {
			return auction.Key{}, err
		}
		files = append(files, path)
	}
	golden, err := m.golden()
	if err != nil {
		return auction.Key{}, err
	}
	return auction.Key{
		Model: m.sum, Libraries: strings.Join([]string{tflite.Version(), auction.Libraries(files...), devices("/dev"), golden}, " "),
		Board: board(), Kernel: auction.Kernel(), Requested: string(requested), Threads: o.Options.Threads, Cores: runtime.NumCPU(),
	}, nil
}

// devices says which devices of graphics units are under dev, and which of them this user may not use: a driver says no more than that
// there is none.
func devices(dev string) string {
	var found []string
	for _, pattern := range []string{"dri/renderD*", "nvidia[0-9]*", "nvhost-gpu", "nvmap"} {
		names, err := filepath.Glob(filepath.Join(dev, pattern))
		if err != nil {
			continue // only a bad pattern
		}
		for _, name := range names {
			may := "may"
			if unix.Access(name, unix.R_OK|unix.W_OK) != nil {
				may = "may not"
			}
			found = append(found, filepath.Base(name)+" "+may)
		}
	}
	return "devices: " + strings.Join(found, ", ")
}

// hold tries the candidates. The error is that of ctx.
func (c *Chooser) hold(ctx context.Context, o EngineOptions, requested inference.Delegate, m *loadedModel) ([]auction.Receipt, error) {
	begun := time.Now()
	candidates := auction.Candidates(auction.ReadHardware(os.DirFS("/sys")), auction.Request{
		Delegate: requested, Threads: o.Options.Threads, Float: m.float(),
	})
	c.Log.Info("trying what runs the model best: once for a model, a board and its libraries", "model", modelName(o.Model), "candidates", len(candidates))
	receipts, err := c.try(ctx, o, m, candidates)
	if err != nil {
		return nil, fmt.Errorf("choose what runs model %s: %w", modelName(o.Model), err)
	}
	ranked := auction.Rank(requested, receipts)
	c.report("tried", ranked)
	c.Log.Info("tried all", "took", time.Since(begun).Round(time.Millisecond))
	return ranked, nil
}

// retry tries those again that have failed before: what kept them away may be over.
func (c *Chooser) retry(
	ctx context.Context, o EngineOptions, requested inference.Delegate, m *loadedModel, ranked []auction.Receipt,
) ([]auction.Receipt, error) {
	var passed []auction.Receipt
	var again []auction.Candidate
	for _, r := range ranked {
		if r.Passed {
			passed = append(passed, r)
		} else {
			again = append(again, r.Candidate)
		}
	}
	receipts, err := c.try(ctx, o, m, again)
	if err != nil {
		return nil, fmt.Errorf("choose what runs model %s: %w", modelName(o.Model), err)
	}
	c.report("tried again", receipts)
	return auction.Rank(requested, append(passed, receipts...)), nil
}

// report logs how candidates did.
func (c *Chooser) report(message string, receipts []auction.Receipt) {
	for _, r := range receipts {
		c.Log.Info(message, "delegate", r.Delegate, "threads", r.Threads, "passed", r.Passed, "ms", r.MS, "why", r.Reason)
	}
}

// try tries the candidates. The error is that of ctx.
func (c *Chooser) try(ctx context.Context, o EngineOptions, m *loadedModel, candidates []auction.Candidate) ([]auction.Receipt, error) {
	child := auction.Child{Argv: c.Argv, Timeout: cmp.Or(c.timeout, trialTimeout), Log: c.Log}
	return auction.Hold(ctx, candidates, func(ctx context.Context, candidate auction.Candidate) auction.Receipt {
		if c.trying != nil {
			c.trying(candidate.Delegate)
		}
		if missing := absent(candidate.Delegate); missing != nil {
			return auction.Absent(candidate, missing.Error())
		}
		return child.Try(ctx, candidate, Trial{
			Candidate: candidate, Model: absolute(o.Model), Labels: absolute(o.Labels), SHA256: m.sum, WeightCache: c.cache(m.sum),
		})
	})
}

// Try tries the model of o on each of the delegates, each in a process of its own; with none on all that there may be here, several
// numbers of threads included. The receipts are in the order of the delegates, or ranked.
func (c *Chooser) Try(ctx context.Context, o EngineOptions, delegates ...inference.Delegate) ([]auction.Receipt, error) {
	m, err := load(o.Model)
	if err != nil {
		return nil, err
	}
	if len(delegates) == 0 {
		return c.hold(ctx, o, o.Options.Delegate, m)
	}
	var candidates []auction.Candidate
	for _, d := range delegates {
		candidates = append(candidates, auction.Candidate{Delegate: d, Threads: o.Options.Threads})
	}
	return c.try(ctx, o, m, candidates)
}

// absent says without starting anything why a delegate can't be had, nil if it may.
func absent(d inference.Delegate) error {
	if d != inference.GPU {
		return nil
	}
	dir, err := tflite.Dir()
	if err != nil {
		return err
	}
	return litert.Find(dir)
}

// absolute is a path that holds in other folders too.
func absolute(path string) string {
	if path == "" {
		return ""
	}
	if full, err := filepath.Abs(path); err == nil {
		return full
	}
	return path // the working directory is gone: the process says so
}

// Delegates are those that may be had on this machine, without XNNPACKFP16, which few have: see absent.
func Delegates() []inference.Delegate {
	delegates := []inference.Delegate{inference.CPU, inference.XNNPACK}
	if absent(inference.GPU) == nil {
		delegates = append(delegates, inference.GPU)
	}
	return delegates
}
