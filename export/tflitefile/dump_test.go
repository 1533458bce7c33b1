package tflitefile

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden dumps anew")

func TestDump(t *testing.T) {
	operators := &Model{} // all on one sheet; not a model that could run
	for _, c := range operatorCases() {
		m := c.model()
		op := m.Operators[0]
		op.Inputs, op.Outputs = nil, nil
		operators.Operators = append(operators.Operators, op)
	}
	operators.Operators = append(operators.Operators,
		Operator{Code: OpCustom, CustomCode: "Two\nLines", Version: 3, Inputs: []int{-1}, Outputs: []int{99}},
		Operator{Code: 117, Version: 1}, Operator{Code: 5000, Version: 1})
	for name, m := range map[string]*Model{
		"float.txt":     newFloatNet().model,
		"int8.txt":      newInt8Net().model,
		"operators.txt": operators,
	} {
		t.Run(name, func(t *testing.T) {
			var text bytes.Buffer
			if err := Dump(&text, m); err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", name)
			if *update {
				if err := os.WriteFile(golden, text.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(text.Bytes(), want) {
				t.Errorf("have:\n%s\nwant, in %s:\n%s", &text, golden, want)
			}
		})
	}
}

func TestDumpReportsWriteErrors(t *testing.T) {
	err := Dump(&failAfter{10}, newFloatNet().model)
	if err == nil || !strings.Contains(err.Error(), errFull.Error()) {
		t.Errorf("dump to a full disk: %v: want %v", err, errFull)
	}
}
