package testbench

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What the test knows of an outbox's file, see package outbox.
const (
	outboxHeader = 4096
	outboxFrame  = 8
)

// corruptOutbox harms the outbox while the daemon is stopped, with events in it that no broker has had: a bit of a record, the end, all. Those
// whose records are whole and before the damage are delivered, and where whole ones are behind it, that some are lost is told. Each round is a
// board of its own.
func corruptOutbox(t *testing.T, f *fault) {
	damaged, counted := 0, 0
	for round := range f.rounds {
		g := newRig(t, f, "", "")
		for range round { // other numbers than the rounds before
			g.rng.Uint64()
		}
		g.run(t)
		g.some(t, 1)
		g.wire.set(cut)
		g.tell(t, 6+g.rng.IntN(6))
		g.stop(t)
		harmed, behind := g.harmOutbox(t, round%4)
		g.spells[0].damaged = harmed
		g.wire.set(whole)
		g.run(t)
		g.recover(t, f)
		told := g.p.givenUp()
		if behind && told == 0 {
			t.Errorf("round %d: want the log to tell that of %d events some are lost, have\n%s", round, harmed, g.p)
		}
		damaged, counted = damaged+harmed, counted+told
		g.finish(t, f)
	}
	f.note("%d events were in damaged records or behind them, and aren't counted as lost; the log tells of %d. What is cut off at the end can't be told from what was never written", damaged, counted)
}

// harmOutbox harms the only file of the outbox. It says how many messages are in or behind the first record that is damaged, and whether a
// whole one is behind it.
func (g *rig) harmOutbox(t testing.TB, how int) (damaged int, behind bool) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(g.b.dir, "state", "outbox", "*.log"))
	if err != nil || len(files) != 1 {
		t.Fatalf("want one file of the outbox, have %q, %v", files, err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	ends, messages := outboxRecords(data)
	if len(messages) == 0 {
		t.Fatal("want messages in the outbox, have none")
	}
	used := data[:ends[len(ends)-1]]
	at := outboxHeader + g.rng.IntN(len(used)-outboxHeader) // the first byte that is another
	switch how {
	case 0, 1:
		used[at] ^= 1 << g.rng.IntN(8)
	case 2:
		used = used[:at]
	case 3:
		used, at = nil, 0
	}
	restore(t, files[0], used)
	for i, end := range messages {
		if at < end {
			damaged++
		}
		behind = behind || how < 2 && i > 0 && at < messages[i-1]
	}
	return damaged, behind
}

// outboxRecords finds where the records of an outbox's file end, and which of them hold messages.
func outboxRecords(data []byte) (ends, messages []int) {
	const message, packed, acks = 0xa1, 0xa2, 0xa3
	ends = []int{outboxHeader}
	for at := outboxHeader; at+outboxFrame <= len(data); {
		kind := data[at]
		if kind != message && kind != packed && kind != acks {
			break
		}
		at += outboxFrame + int(binary.LittleEndian.Uint32(data[at:])>>8)
		ends = append(ends, at)
		if kind != acks {
			messages = append(messages, at)
		}
	}
	return ends, messages
}

// givenUp is how many messages the log says were lost by damage.
func (p *process) givenUp() (n int) {
	for line := range strings.Lines(p.String()) {
		var said struct {
			Msg      string
			Messages int
		}
		if json.Unmarshal([]byte(line), &said) == nil && strings.HasPrefix(said.Msg, "outbox") && strings.Contains(said.Msg, "lost") {
			n += max(said.Messages, 1)
		}
	}
	return n
}
