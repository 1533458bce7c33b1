package testbench

import (
	"bytes"
	"slices"
	"testing"
)

func TestTable(t *testing.T) {
	tests := []struct {
		f    figure
		want string // the row
	}{
		{figure{what: "a", value: "1", n: 2, command: "c"}, "| a | 1 |  | 2 |  | `c` |\n"},
		{figure{what: "a", value: "1", target: "2 or less", met: true, spread: "0 to 1", command: "c"}, "| a | 1 | 2 or less: met | 0 | 0 to 1 | `c` |\n"},
		{figure{what: "a", value: "3", target: "2 or less", command: "c"}, "| a | 3 | 2 or less: **missed** | 0 |  | `c` |\n"},
		{figure{what: "a", value: notMeasured, target: "2 or less", command: "c"}, "| a | not measured: make peers-speed | 2 or less | 0 |  | `c` |\n"},
	}
	for _, tt := range tests {
		var b bytes.Buffer
		table(&b, []figure{tt.f})
		if have := b.String(); !bytes.HasSuffix(b.Bytes(), []byte("|\n"+tt.want)) {
			t.Errorf("want the last row to be %q, have %q", tt.want, have)
		}
	}
}

// TestPeerRows writes rows and reads them again without their figures.
func TestPeerRows(t *testing.T) {
	var b bytes.Buffer
	table(&b, []figure{
		{what: "BVLC, one", value: "1", target: "2 or less", met: true, n: 3, command: speedCommand},
		{what: "BVLC, measured here", value: "1", n: 3, command: "TestResults/x"},
		{what: "another", value: "1", n: 3, command: speedCommand},
		{what: "BVLC, two", value: notMeasured, target: "3 or less", command: speedCommand},
		{what: "BVLC, three", value: "1", n: 3, spread: "0 to 1", command: speedCommand},
	})
	want := []figure{
		{what: "BVLC, one", value: notMeasured, target: "2 or less", command: speedCommand},
		{what: "BVLC, two", value: notMeasured, target: "3 or less", command: speedCommand},
		{what: "BVLC, three", value: notMeasured, command: speedCommand},
	}
	if have := peerRows(b.Bytes(), "BVLC", "nothing"); !slices.Equal(have, want) {
		t.Errorf("want %+v, have %+v", want, have)
	}
}

func TestPeerSpeed(t *testing.T) {
	row := peerSpeed{Name: "a", Version: "1.2", Network: "int8", Set: "500px", Cores: 2, Pictures: 500, Rounds: 5, Rate: 100, Spread: [2]float64{90, 110},
		CPU: 20, Peak: 80, Same: 0.994, Ratio: 1.5, RatioSpread: [2]float64{1.4, 1.6}, Target: 1.2}
	missed, unable := row, peerSpeed{Name: "b", Network: "int8", Set: "500px", Cores: 1, NotMeasured: "no such file"}
	missed.Ratio = 1.1
	if f := row.figure(); !f.met || f.target != "1.2 times or more" || f.what != "folder of photos, 500px, 2 cores: a 1.2, int8" || f.n != 2500 {
		t.Errorf("want a target of 1.2 that is met, have %+v", f)
	}
	if f := missed.figure(); f.met {
		t.Errorf("want a target of 1.2 that isn't met by 1.1, have %+v", f)
	}
	if f := unable.figure(); f.value != "not measured: no such file" || f.what != "folder of photos, 500px, 1 core: b, int8" {
		t.Errorf("want the reason, have %+v", f)
	}
}

func TestBound(t *testing.T) {
	if have := (stages{prepare: 1.5, invoke: 3.5}).bound(2); have != 400 {
		t.Errorf("bound of 2 cores with 5 ms a picture: want 400 a second, have %v", have)
	}
	single := []stages{{1, 4}, {1.5, 3.5}, {2, 3}}
	cost := []used{{wall: 2.6}, {wall: 2.5}, {wall: 5}} // of a bound of 400 a second: 96, 100 and 50 %
	figures := boundFigures(2, 500, single, single, way{name: "a", n: 500, costs: cost}, way{name: "b", n: 500, costs: cost})
	shares := slices.DeleteFunc(figures, func(f figure) bool { return f.target == "" })
	if len(shares) != 4 {
		t.Fatalf("want the shares of two ways beside two bounds, have %+v", shares)
	}
	for _, f := range shares {
		if f.value != "96.2 %" || !f.met || f.spread != "50.0 to 100.0 % over 3 rounds" {
			t.Errorf("want 96.2 %%, which is enough, of 50 to 100 %%, have %+v", f)
		}
	}
}
