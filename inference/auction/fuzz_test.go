package auction

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// FuzzReadReceipt reads what a trial's process answers, of which any part may be wrong: what is taken is possible, short and printable.
func FuzzReadReceipt(f *testing.F) {
	text, err := json.Marshal(Receipt{Passed: true, MS: 3, Runs: 5, Total: 9, Rest: []string{"CONV_2D"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"passed":false,"reason":"crashed\n\u0000` + strings.Repeat("é", wordsBytes) + `"}`))
	f.Add([]byte(`{"passed":true,"ms":1e999}`))
	f.Add([]byte(`{"reason":"x","rest":[` + strings.Repeat(`"a",`, 200) + `"b"]}`))
	f.Add([]byte(strings.Repeat("[", 20_000)))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := readReceipt(strings.NewReader(string(data)))
		if err != nil {
			if err.Error() == "" || r.Passed || r.Reason != "" {
				t.Fatalf("have %+v, %v", r, err)
			}
			return
		}
		if r.check() != nil || len(r.Rest) > mostRest || r.Passed == (r.Reason != "") {
			t.Fatalf("have %+v", r)
		}
		for _, words := range append(r.Rest, r.Reason) {
			if len(words) > max(wordsBytes, nameBytes) || strings.ContainsFunc(words, func(c rune) bool { return !unicode.IsPrint(c) }) {
				t.Fatalf("have words %q", words)
			}
		}
	})
}

// FuzzTrialPrints takes lines that a trial's process prints before it ends: of whatever they are, a line that can be shown is kept.
func FuzzTrialPrints(f *testing.F) {
	f.Add("INFO: Created TensorFlow Lite XNNPACK delegate\nSIGSEGV: segmentation violation\nPC=0x1\n")
	f.Add("fatal error: unexpected signal during runtime execution\n[signal SIGBUS: bus error code=0x2]\n")
	f.Add("panic: x\x1b[2J\xff\n\n\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		s := &stderr{log: slog.New(slog.DiscardHandler)}
		for line := range strings.Lines(text) {
			s.line(line)
		}
		signal, words := s.words()
		if signal < 0 || len(words) > lineBytes || !utf8.ValidString(words) || strings.ContainsFunc(words, func(c rune) bool { return !unicode.IsPrint(c) }) {
			t.Fatalf("have %d, %q", signal, words)
		}
	})
}
