package decide

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

var nan = float32(math.NaN())

func TestTop(t *testing.T) {
	tests := []struct {
		name   string
		scores []float32
		k      int
		want   []int // indices
	}{
		{"best first", []float32{0.1, 0.6, 0.3}, 3, []int{1, 2, 0}},
		{"ties by index", []float32{0.2, 0.3, 0.2, 0.3, 0.2}, 4, []int{1, 3, 0, 2}},
		{"a tie does not push out the lower index", []float32{0.5, 0.5, 0.5}, 1, []int{0}},
		{"the zeros are a tie", []float32{float32(math.Copysign(0, -1)), 0}, 2, []int{0, 1}},
		{"fewer scores than dst", []float32{0.4, 0.6}, 5, []int{1, 0}},
		{"no scores", nil, 5, nil},
		{"dst of length 0", []float32{0.4, 0.6}, 0, nil},
		{"NaN first", []float32{nan, 0.1, 0.9}, 3, []int{2, 1, 0}},
		{"NaN between", []float32{0.1, nan, 0.9}, 2, []int{2, 0}},
		{"NaN alone", []float32{nan, nan}, 2, []int{0, 1}},
		{"NaN below -Inf", []float32{nan, float32(math.Inf(-1))}, 1, []int{1}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			// One more than asked for, to see that Top writes no further than dst.
			memory := make([]Score, test.k+1)
			memory[test.k] = Score{Label: "beyond", Index: -1}
			n := Top(memory[:test.k], test.scores, nil)
			if have := indices(memory[:n]); !slices.Equal(have, test.want) {
				t.Errorf("have %v, want %v", have, test.want)
			}
			for _, s := range memory[:n] {
				if math.Float32bits(s.Score) != math.Float32bits(test.scores[s.Index]) {
					t.Errorf("index %d has score %g, want %g", s.Index, s.Score, test.scores[s.Index])
				}
			}
			if memory[test.k].Label != "beyond" {
				t.Error("wrote beyond dst")
			}
		})
	}
}

// TestTopLabels gives labels for some classes, and a dst that still holds an earlier picture's.
func TestTopLabels(t *testing.T) {
	stale := Score{Label: "stale", Index: 7, Score: 9}
	dst := []Score{stale, stale, stale}
	n := Top(dst, []float32{0.1, 0.6, 0.3}, []string{"tench", "church"})
	want := []Score{{"church", 1, 0.6}, {"", 2, 0.3}, {"tench", 0, 0.1}}
	if n != 3 || !slices.Equal(dst, want) {
		t.Errorf("have %d of %v, want %v", n, dst, want)
	}
}

// TestTopSorts compares Top with a stable sort of all scores, on scores with many ties.
func TestTopSorts(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		scores := make([]float32, r.IntN(40))
		levels := 1 + r.IntN(40)
		for i := range scores {
			scores[i] = float32(r.IntN(levels)) / float32(levels)
		}
		want := make([]int, len(scores))
		for i := range want {
			want[i] = i
		}
		slices.SortStableFunc(want, func(a, b int) int {
			switch {
			case scores[a] > scores[b]:
				return -1
			case scores[a] < scores[b]:
				return 1
			}
			return 0
		})
		dst := make([]Score, r.IntN(12))
		want = want[:min(len(dst), len(want))]
		if have := indices(dst[:Top(dst, scores, nil)]); !slices.Equal(have, want) {
			t.Fatalf("best %d of %v: have %v, want %v", len(dst), scores, have, want)
		}
	}
}

func indices(top []Score) []int {
	var out []int
	for _, s := range top {
		out = append(out, s.Index)
	}
	return out
}

func TestTopAllocatesNothing(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates on its own account")
	}
	scores, labels := thousand()
	dst := make([]Score, 5)
	if n := testing.AllocsPerRun(100, func() { Top(dst, scores, labels) }); n != 0 {
		t.Errorf("%g allocations a call, want 0", n)
	}
}

func TestCheckLabels(t *testing.T) {
	for _, test := range []struct {
		labels  []string
		classes int
		want    string // "" for no error
	}{
		{[]string{"crane", "tench", "crane"}, 3, ""},
		{nil, 0, ""},
		{[]string{"crane", "tench"}, 3, "match labels to the model: have 2 labels, the model has 3 classes"},
		{[]string{"crane", "tench"}, 1, "match labels to the model: have 2 labels, the model has 1 classes"},
		{[]string{"crane", "", ""}, 3, "match labels to the model: label 1 is empty"},
	} {
		have := ""
		if err := CheckLabels(test.labels, test.classes); err != nil {
			have = err.Error()
		}
		if have != test.want {
			t.Errorf("%q for %d classes: have error %q, want %q", test.labels, test.classes, have, test.want)
		}
	}
}

// thousand gives scores and labels of as many classes as ImageNet has.
func thousand() (scores []float32, labels []string) {
	r := rand.New(rand.NewPCG(3, 4))
	for i := range 1000 {
		scores = append(scores, r.Float32())
		labels = append(labels, fmt.Sprint("class ", i))
	}
	return scores, labels
}

func BenchmarkTop(b *testing.B) {
	scores, labels := thousand()
	dst := make([]Score, 5)
	b.ReportAllocs()
	for b.Loop() {
		Top(dst, scores, labels)
	}
}
