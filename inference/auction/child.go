package auction

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"sightd/inference"
)

const (
	timeout  = 30 * time.Second // of a trial where Child.Timeout is 0
	answerFD = 3                // drivers print to the standard output

	specBytes   = 64 << 10
	answerBytes = 64 << 10 // of a Receipt as JSON
	wordsBytes  = 300      // of a Receipt's reason that a process gives
	nameBytes   = 60       // of an operator's name
	mostRest    = 200      // operators' names: those behind are left out
)

// Child starts a process for each trial.
type Child struct {
	Argv    []string      // program and arguments; the process calls Inside
	Env     []string      // environment; nil: that of this process
	Timeout time.Duration // for one trial; 0: 30 seconds
	Log     *slog.Logger  // gets what the processes print, at level debug; nil: nowhere
}

// Try has a process try the candidate, and waits for its end. spec is what the process is to know, to be written as JSON. The process
// and its descendants, but for those that have left its process group, have ended when Try comes back, unless they hang in a driver,
// which the Receipt then says. They are killed when this process ends, too.
func (c Child) Try(ctx context.Context, candidate Candidate, spec any) Receipt {
	limit := c.Timeout
	if limit <= 0 {
		limit = timeout
	}
	text, err := json.Marshal(spec)
	if err == nil && len(text) > specBytes {
		err = fmt.Errorf("want at most %d bytes to tell the process, have %d", specBytes, len(text))
	}
	if err != nil {
		return Lost(candidate, fmt.Sprintf("start a trial: %v", err))
	}
	log := c.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	p, err := start(c.Argv, c.Env, text, log.With("trial", candidate.String()))
	if err != nil {
		return Lost(candidate, fmt.Sprintf("start a trial: %v", err))
	}
	var answer Receipt
	var answerErr error
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		answer, answerErr = readReceipt(p.answer)
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()

	cut := ""
	select {
	case <-answered:
		if errors.Is(answerErr, io.EOF) { // it has closed its answer, and is about to tell how it ends
			cut = p.await(ctx, timer.C, limit)
		}
	case <-ctx.Done():
		cut = stopped(ctx)
	case <-timer.C:
		cut = hung(limit)
	}
	stuck := p.kill()
	<-answered // the pipe is closed by now
	switch {
	case stuck != nil:
		return Lost(candidate, stuck.Error())
	case answerErr == nil: // whatever came of the process behind that
		answer.Candidate = candidate
		return answer
	case cut != "":
		return Lost(candidate, cut)
	case !errors.Is(answerErr, io.EOF):
		return Lost(candidate, "answered nonsense: "+clean(answerErr.Error(), wordsBytes))
	}
	return Lost(candidate, p.ending())
}

func hung(limit time.Duration) string { return fmt.Sprintf("hung: no answer within %v, killed", limit) }

func stopped(ctx context.Context) string { return fmt.Sprintf("stopped: %v", context.Cause(ctx)) }

// await waits for the end of the process. It gives a reason where that doesn't come in time.
func (p *process) await(ctx context.Context, late <-chan time.Time, limit time.Duration) string {
	select {
	case <-p.done:
		return ""
	case <-ctx.Done():
		return stopped(ctx)
	case <-late:
		return hung(limit)
	}
}

// readReceipt reads a Receipt, and nothing behind it. The error is io.EOF where there is none, or only the beginning of one.
func readReceipt(r io.Reader) (Receipt, error) {
	var receipt Receipt
	limited := &io.LimitedReader{R: r, N: answerBytes}
	err := json.NewDecoder(limited).Decode(&receipt)
	switch {
	case err != nil && limited.N <= 0:
		err = fmt.Errorf("more than %d bytes", answerBytes)
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, os.ErrClosed):
		err = io.EOF
	case err == nil:
		err = receipt.check()
	}
	if err != nil {
		return Receipt{}, err
	}
	receipt.Reason = clean(receipt.Reason, wordsBytes)
	receipt.Rest = receipt.Rest[:min(len(receipt.Rest), mostRest)]
	for i, name := range receipt.Rest {
		receipt.Rest[i] = clean(name, nameBytes)
	}
	return receipt, nil
}

// check says what is wrong with a Receipt of a single trial.
func (r Receipt) check() error {
	switch {
	case r.Passed && (r.Reason != "" || !(r.MS > 0) || r.Runs < 1):
		return fmt.Errorf("passed with reason %q, %v ms, %d runs", r.Reason, r.MS, r.Runs)
	case r.Passed && r.Worst != r.Worst:
		return errors.New("passed with scores that are no numbers")
	case r.Absent:
		return errors.New("was tried, and says that it wasn't")
	case !r.Passed && r.Reason == "":
		return errors.New("neither passed nor a reason")
	case r.MS < 0 || r.InitMS < 0 || r.FirstMS < 0 || r.Runs < 0 || r.Proven < 0 || r.Total < 0 || r.Taken < inference.Unknown:
		return errors.New("impossible numbers")
	}
	return nil
}

// clean makes words of another program fit for a message of one line: printable, of at most max bytes.
func clean(words string, max int) string {
	words = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case !unicode.IsPrint(r) || r == utf8.RuneError:
			return '?'
		}
		return r
	}, words)
	if len(words) <= max {
		return words
	}
	end := max - len("…")
	for !utf8.RuneStart(words[end]) {
		end--
	}
	return words[:end] + "…"
}

// Inside is the other end of Try, in the process that it has started: it reads the spec, and hands on the Receipt that trial gives.
func Inside[S any](trial func(spec S) Receipt) error {
	unix.CloseOnExec(answerFD) // no program that a driver starts holds it
	out := os.NewFile(answerFD, "answer")
	var spec S
	if err := json.NewDecoder(io.LimitReader(os.Stdin, specBytes)).Decode(&spec); err != nil {
		return errors.Join(fmt.Errorf("read what to try: %w", err), out.Close())
	}
	text, err := json.Marshal(trial(spec))
	if err == nil {
		_, err = out.Write(text)
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	return nil
}
