package auction

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sightd/inference"
)

const npu = inference.Delegate("external:/npu.so")

// times makes receipts of delegate/threads=milliseconds; without a time it failed.
func times(t *testing.T, text string) []Receipt {
	t.Helper()
	var receipts []Receipt
	for _, field := range strings.Fields(text) {
		name, value, passed := strings.Cut(field, "=")
		var r Receipt
		slash := strings.LastIndexByte(name, '/')
		r.Delegate, r.Passed = inference.Delegate(name[:slash]), passed
		_, err := fmt.Sscan(name[slash+1:], &r.Threads)
		if passed && err == nil {
			_, err = fmt.Sscan(value, &r.MS)
		}
		if err != nil {
			t.Fatal(err)
		}
		if !passed {
			r.Reason = "no device"
		}
		receipts = append(receipts, r)
	}
	return receipts
}

func names(receipts []Receipt) []string {
	var names []string
	for _, r := range receipts {
		names = append(names, fmt.Sprintf("%s/%d", r.Delegate, r.Threads))
	}
	return names
}

func TestRank(t *testing.T) {
	for _, test := range []struct {
		requested inference.Delegate
		receipts  string
		want      string
	}{
		{"", "xnnpack/1=10 xnnpack/2=6 xnnpack/4=4 gpu/4=2 cpu/4=30", "gpu/4 xnnpack/4 xnnpack/2 xnnpack/1 cpu/4"},
		{"auto", "xnnpack/1=10 xnnpack/2=6 xnnpack/4=4 gpu/4 cpu/4=30", "xnnpack/4 xnnpack/2 xnnpack/1 cpu/4 gpu/4"},
		// About as fast: the one in front.
		{"auto", "xnnpack/1=4.1 xnnpack/2=4.05 xnnpack/4=4 gpu/4=3.95 cpu/4=30", "xnnpack/1 xnnpack/2 xnnpack/4 gpu/4 cpu/4"},
		{"auto", "xnnpack/1=4.2 xnnpack/2=4.19 xnnpack/4=4 cpu/4=30", "xnnpack/1 xnnpack/2 xnnpack/4 cpu/4"},
		{"auto", "xnnpack/1=4.21 xnnpack/2=4.1 xnnpack/4=4 cpu/4=30", "xnnpack/2 xnnpack/4 xnnpack/1 cpu/4"},
		// It isn't about as fast as one that is about as fast.
		{"auto", "xnnpack/1=4.4 xnnpack/2=4.2 xnnpack/4=4", "xnnpack/2 xnnpack/4 xnnpack/1"},
		// The built-in kernels are the last resort, unless they are the best.
		{"auto", "xnnpack/1=10 gpu/4=2 cpu/4=5", "gpu/4 xnnpack/1 cpu/4"},
		{"auto", "xnnpack/1=10 gpu/4=20 cpu/4=5", "cpu/4 xnnpack/1 gpu/4"},
		{"auto", "xnnpack/1 gpu/4 cpu/4=5", "cpu/4 xnnpack/1 gpu/4"},
		{"auto", "xnnpack/1 gpu/4 cpu/4", "xnnpack/1 gpu/4 cpu/4"},
		// What is asked for, however slow.
		{"gpu", "gpu/4=50 xnnpack/1=10 xnnpack/2=6 cpu/4=30", "gpu/4 xnnpack/2 xnnpack/1 cpu/4"},
		{"gpu", "gpu/4 xnnpack/1=10 xnnpack/2=6 cpu/4=30", "xnnpack/2 xnnpack/1 cpu/4 gpu/4"},
		{npu, "external:/npu.so/1=50 xnnpack/1=10 cpu/4=5", "external:/npu.so/1 xnnpack/1 cpu/4"},
		{npu, "external:/npu.so/1 xnnpack/1=10 cpu/4=5", "cpu/4 xnnpack/1 external:/npu.so/1"},
		{"xnnpack", "xnnpack/1=10 xnnpack/2=6 cpu/4=5", "xnnpack/2 xnnpack/1 cpu/4"},
		{"cpu", "cpu/4=5", "cpu/4"},
		{"auto", "", ""},
	} {
		receipts := times(t, test.receipts)
		before := slices.Clone(receipts)
		ranked := Rank(test.requested, receipts)
		if !slices.Equal(names(ranked), strings.Fields(test.want)) {
			t.Errorf("%q of %s:\ngot  %v\nwant %s", test.requested, test.receipts, names(ranked), test.want)
			continue
		}
		if !reflect.DeepEqual(receipts, before) {
			t.Errorf("%s: the receipts were changed", test.receipts)
		}
		for i, r := range ranked {
			if (r.Reason == "") != (i == 0 && r.Passed) {
				t.Errorf("%s: %s has reason %q, want one for all but a winner", test.receipts, r.Candidate, r.Reason)
			}
		}
		if again := Rank(test.requested, ranked); !reflect.DeepEqual(again, ranked) {
			t.Errorf("%s: ranked again it is\n%v, not\n%v", test.receipts, names(again), names(ranked))
		}
	}
}

func TestRankReasons(t *testing.T) {
	for _, test := range []struct {
		requested inference.Delegate
		receipts  string
		want      string // the second one's
	}{
		{"auto", "xnnpack/1=38.1 xnnpack/2=4.2", "slower: 38.1 ms against 4.2 ms of xnnpack with 2 threads"},
		{"auto", "xnnpack/1=0.123 gpu/1=0.25", "slower: 0.25 ms against 0.12 ms of xnnpack with 1 thread"},
		{"auto", "xnnpack/1=4.1 gpu/1=4", "about as fast: 4.0 ms against 4.1 ms of xnnpack with 1 thread"},
		{"gpu", "gpu/4=120 xnnpack/1=4.2", "faster with 4.2 ms, but gpu was asked for"},
		{"auto", "xnnpack/1=4 gpu/4", "no device"},
	} {
		if got := Rank(test.requested, times(t, test.receipts))[1].Reason; got != test.want {
			t.Errorf("%s: got %q, want %q", test.receipts, got, test.want)
		}
	}
}

func TestReason(t *testing.T) {
	for _, test := range []struct {
		requested inference.Delegate
		receipts  string
		want      string
	}{
		{"auto", "xnnpack/1=10 xnnpack/2=4.2 xnnpack/4=4.1 gpu/4 cpu/4=30", "fastest of 4 that pass: 4.2 ms; gpu: no device"},
		{"", "xnnpack/1=10 cpu/4=30", "fastest of 2 that pass: 10.0 ms"},
		{"auto", "xnnpack/1 xnnpack/2 gpu/4 cpu/4=30", "the only one that passes: 30.0 ms; xnnpack: no device; gpu: no device"},
		{"auto", "xnnpack/1 xnnpack/2 cpu/4", "none of 3 passes; xnnpack: no device; cpu: no device"},
		{"gpu", "gpu/4=50 xnnpack/1=10 cpu/4=30", "as asked for: 50.0 ms"},
		{"gpu", "gpu/4 xnnpack/1=10 cpu/4=30", "fastest of 2 that pass: 10.0 ms; gpu: no device"},
		{"auto", "", "none of 0 passes"},
	} {
		if got := Reason(test.requested, Rank(test.requested, times(t, test.receipts))); got != test.want {
			t.Errorf("%s: got %q, want %q", test.receipts, got, test.want)
		}
	}
	var many []Receipt
	for i := range 50 {
		many = append(many, Lost(Candidate{npu, 1}, fmt.Sprintf("%d %s", i, strings.Repeat("words", 20))))
	}
	if got := Reason("auto", many); len(got) > reasonBytes || !strings.HasSuffix(got, "…") {
		t.Errorf("got %d bytes, want at most %d that end with …: %s", len(got), reasonBytes, got)
	}
}
