package testbench

import (
	"bufio"
	"bytes"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// instruction is one that a disassembler has read: "ldaddal", "x4, x6, [x5]".
type instruction struct{ mnemonic, operands string }

// form is what is left of an instruction without its numbers, for the assembler takes all of a form or none. The arrangement of a
// vector (4s, 8h) belongs to the form.
func (i instruction) form() string {
	b := make([]byte, 0, 64)
	b = append(append(b, i.mnemonic...), ' ')
	for k := 0; k < len(i.operands); k++ {
		c := i.operands[k]
		switch {
		case c == '#': // an immediate: up to what ends it
			b = append(b, '#')
			for k+1 < len(i.operands) && !strings.ContainsRune(" ,]}", rune(i.operands[k+1])) {
				k++
			}
		case c >= '0' && c <= '9' && b[len(b)-1] != '.': // of a register or a lane
		case c >= '0' && c <= '9':
			for ; k < len(i.operands) && i.operands[k] >= '0' && i.operands[k] <= '9'; k++ {
				b = append(b, i.operands[k])
			}
			k--
		default:
			b = append(b, c)
		}
	}
	return string(b)
}

// relative matches instructions whose last operand is an address, as the disassembler has computed it.
var relative = regexp.MustCompile(`^(b|bl|b\.[a-z]+|adr|adrp|cbn?z|tbn?z)$`)

// parse reads a line of objdump -d: address, mnemonic, operands and a comment, with tabs between them.
func parse(line string) (i instruction, ok bool) {
	fields := strings.SplitN(line, "\t", 4)
	if len(fields) < 2 || !strings.HasSuffix(fields[0], ":") {
		return i, false
	}
	i.mnemonic = strings.TrimSpace(fields[1])
	if len(fields) < 3 || strings.HasPrefix(fields[2], "//") {
		return i, true
	}
	i.operands, _, _ = strings.Cut(fields[2], " <")
	i.operands, _, _ = strings.Cut(i.operands, "  //")
	i.operands = strings.TrimSpace(i.operands)
	last := strings.LastIndexAny(i.operands, " ") + 1
	literal := (strings.HasPrefix(i.mnemonic, "ldr") || i.mnemonic == "prfm") && !strings.ContainsAny(i.operands, "[]")
	if literal || relative.MatchString(i.mnemonic) {
		i.operands = i.operands[:last] + "."
	}
	return i, true
}

// guardDistance is how far in front of an atomic instruction the branch stands that goes around it where the processor hasn't it.
const guardDistance = 8

// listing is what there is in a file.
type listing struct {
	forms     map[string]instruction // an example of each
	unguarded []string               // atomic instructions of ARMv8.1 without a branch in front of them
}

var (
	atomic = regexp.MustCompile(`^(cas|ld(add|clr|eor|set|smax|smin|umax|umin)|swp)[alb]*h?p?$`)
	branch = regexp.MustCompile(`^(cbn?z|tbn?z)$`)
)

// holdsConstants matches the functions of Go's runtime that call with so many bytes of arguments that the number stands behind them.
var holdsConstants = regexp.MustCompile(`<runtime\.call[0-9]{8,}`)

// disassemble lists a file. Words that are no instruction, as constants between functions, aren't listed.
func disassemble(t *testing.T, file string) listing {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "aarch64-linux-gnu-objdump", "-d", "--no-show-raw-insn", file)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	l := listing{forms: map[string]instruction{}}
	since, constants := guardDistance, false
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.HasSuffix(lines.Text(), ">:") { // a function begins
			constants = holdsConstants.MatchString(lines.Text())
		}
		i, ok := parse(lines.Text())
		if !ok || constants || i.mnemonic == ".inst" || i.mnemonic == "udf" {
			continue
		}
		since++
		if branch.MatchString(i.mnemonic) {
			since = 0
		}
		if atomic.MatchString(i.mnemonic) && since > guardDistance {
			l.unguarded = append(l.unguarded, lines.Text())
		}
		if form := i.form(); l.forms[form] == (instruction{}) {
			l.forms[form] = i
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("disassemble %s: %v\n%s", file, err, stderr.Bytes())
	}
	return l
}

// refusal matches what the assembler says of a line of its input.
var refusal = regexp.MustCompile(`(?m)^[^:\n]*:(\d+): Error: (.*)$`)

// assemble asks the assembler whether processors of a setting have instructions. It gives those that it refuses.
func assemble(t *testing.T, setting string, forms map[string]instruction) map[string]instruction {
	t.Helper()
	var text strings.Builder
	order := slices.Sorted(maps.Keys(forms))
	for _, form := range order {
		fmt.Fprintf(&text, "%s %s\n", forms[form].mnemonic, forms[form].operands)
	}
	cmd := exec.CommandContext(t.Context(), "aarch64-linux-gnu-as", "-march="+setting, "-o", filepath.Join(t.TempDir(), "a.o"), "-")
	cmd.Stdin = strings.NewReader(text.String())
	said, err := cmd.CombinedOutput()
	refused := map[string]instruction{}
	for _, m := range refusal.FindAllSubmatch(said, -1) {
		line, err := strconv.Atoi(string(m[1]))
		if err != nil || line < 1 || line > len(order) {
			t.Fatalf("assemble %d instructions: %s", len(order), m[0])
		}
		refused[order[line-1]] = forms[order[line-1]]
	}
	if err != nil && len(refused) == 0 {
		t.Fatalf("assemble: %v\n%s", err, said)
	}
	return refused
}

// aboveBase gives the mnemonics of instructions that ARMv8.0 hasn't, sorted, by the extension that has them.
func aboveBase(t *testing.T, forms map[string]instruction) map[string][]string {
	t.Helper()
	left := assemble(t, "armv8-a", forms)
	found := map[string][]string{}
	for _, e := range extensions {
		if len(left) == 0 {
			break
		}
		still := assemble(t, e.setting, left)
		for form, i := range left {
			if _, refused := still[form]; !refused && !slices.Contains(found[e.name], i.mnemonic) {
				found[e.name] = append(found[e.name], i.mnemonic)
			}
		}
		slices.Sort(found[e.name])
		left = still
	}
	for _, i := range left {
		t.Errorf("want an instruction that the assembler knows, have %s %s", i.mnemonic, i.operands)
	}
	return found
}
