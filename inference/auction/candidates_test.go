package auction

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"sightd/inference"
)

// processors is a /sys with the capacities of processors; "-" is one without.
func processors(capacities ...string) fstest.MapFS {
	sys := fstest.MapFS{}
	for i, c := range capacities {
		folder := fmt.Sprintf("devices/system/cpu/cpu%d/", i)
		sys[folder+"online"] = &fstest.MapFile{Data: []byte("1\n")}
		if c != "-" {
			sys[folder+"cpu_capacity"] = &fstest.MapFile{Data: []byte(c + "\n")}
		}
	}
	return sys
}

func TestBigCores(t *testing.T) {
	for _, test := range []struct {
		name       string
		capacities []string
		usable     []int
		want       int
	}{
		{"4 small, 4 big", strings.Fields("414 414 414 414 1024 1024 1024 1024"), []int{0, 1, 2, 3, 4, 5, 6, 7}, 4},
		{"4 small, 2 big", strings.Fields("485 485 485 485 1024 1024"), []int{0, 1, 2, 3, 4, 5}, 2},
		{"three kinds", strings.Fields("250 250 250 250 830 830 830 1024"), []int{0, 1, 2, 3, 4, 5, 6, 7}, 4},
		{"just as big", strings.Fields("768 1024"), []int{0, 1}, 2},
		{"just not", strings.Fields("767 1024"), []int{0, 1}, 1},
		{"all alike", strings.Fields("1024 1024 1024 1024"), []int{0, 1, 2, 3}, 4},
		{"the small ones alone", strings.Fields("414 414 414 414 1024 1024 1024 1024"), []int{0, 1, 2, 3}, 4},
		{"one of each", strings.Fields("414 414 414 414 1024 1024 1024 1024"), []int{3, 4}, 1},
		{"not told", strings.Fields("- - - -"), []int{0, 1, 2, 3}, 4},
		{"not told of one", strings.Fields("414 1024 -"), []int{0, 1, 2}, 3},
		{"no number", strings.Fields("414 fast 1024"), []int{0, 1, 2}, 3},
		{"nothing", strings.Fields("0 1024"), []int{0, 1}, 2},
		{"no processors known", nil, nil, 0},
	} {
		if got := bigCores(processors(test.capacities...), test.usable, len(test.usable)); got != test.want {
			t.Errorf("%s: got %d, want %d", test.name, got, test.want)
		}
	}
}

func TestReadHardware(t *testing.T) {
	h := ReadHardware(fstest.MapFS{})
	if h.Cores != runtime.NumCPU() || h.Big != h.Cores {
		t.Errorf("without capacities: got %+v, want %d processors alike", h, runtime.NumCPU())
	}
	numbers := usable()
	if len(numbers) != runtime.NumCPU() {
		t.Skipf("%d processors, the numbers of %d are known: more than the set has room for", runtime.NumCPU(), len(numbers))
	}
	sys := fstest.MapFS{}
	for i, number := range numbers {
		sys[fmt.Sprintf("devices/system/cpu/cpu%d/cpu_capacity", number)] = &fstest.MapFile{Data: fmt.Append(nil, 100+1000*min(i, 1))}
	}
	if h := ReadHardware(sys); h.Big != max(1, h.Cores-1) {
		t.Errorf("with one small processor: got %+v, want all but that as big", h)
	}
}

func TestCandidates(t *testing.T) {
	const external = inference.Delegate("external:/x.so?device=usb")
	for _, test := range []struct {
		hardware Hardware
		request  Request
		want     string
	}{
		{Hardware{Cores: 4, Big: 4}, Request{}, "xnnpack/1 xnnpack/2 xnnpack/4 gpu/4 cpu/4"},
		{Hardware{Cores: 4, Big: 4}, Request{Delegate: inference.Auto, Float: true}, "xnnpack/1 xnnpack/2 xnnpack/4 gpu/4 cpu/4"},
		{Hardware{Cores: 8, Big: 4}, Request{}, "xnnpack/1 xnnpack/2 xnnpack/4 xnnpack/8 gpu/4 cpu/4"},
		{Hardware{Cores: 6, Big: 2}, Request{}, "xnnpack/1 xnnpack/2 xnnpack/4 xnnpack/6 gpu/4 cpu/4"},
		{Hardware{Cores: 8, Big: 3}, Request{}, "xnnpack/1 xnnpack/2 xnnpack/3 xnnpack/4 xnnpack/8 gpu/4 cpu/4"},
		{Hardware{Cores: 64, Big: 64}, Request{}, "xnnpack/1 xnnpack/2 xnnpack/4 xnnpack/8 gpu/4 cpu/4"},
		{Hardware{Cores: 3, Big: 3}, Request{}, "xnnpack/1 xnnpack/2 xnnpack/3 gpu/3 cpu/3"},
		{Hardware{Cores: 1, Big: 1}, Request{}, "xnnpack/1 gpu/1 cpu/1"},
		{Hardware{}, Request{}, "xnnpack/1 gpu/1 cpu/1"},
		{Hardware{Cores: 2, Big: 2, FP16: true}, Request{Float: true}, "xnnpack/1 xnnpack/2 xnnpack-fp16/1 xnnpack-fp16/2 gpu/2 cpu/2"},
		{Hardware{Cores: 2, Big: 2, FP16: true}, Request{}, "xnnpack/1 xnnpack/2 gpu/2 cpu/2"},
		{Hardware{Cores: 4, Big: 4}, Request{Threads: 3}, "xnnpack/3 gpu/3 cpu/3"},
		{Hardware{Cores: 2, Big: 2}, Request{Threads: 16}, "xnnpack/16 gpu/16 cpu/16"},
		{Hardware{Cores: 2, Big: 2}, Request{Delegate: inference.GPU}, "gpu/2 xnnpack/1 xnnpack/2 cpu/2"},
		{Hardware{Cores: 2, Big: 2}, Request{Delegate: external, Threads: 1}, string(external) + "/1 xnnpack/1 cpu/1"},
		{Hardware{Cores: 2, Big: 2}, Request{Delegate: inference.XNNPACK}, "xnnpack/1 xnnpack/2 cpu/2"},
		{Hardware{Cores: 2, Big: 2}, Request{Delegate: inference.XNNPACKFP16}, "xnnpack-fp16/1 xnnpack-fp16/2 xnnpack/1 xnnpack/2 cpu/2"},
		{Hardware{Cores: 8, Big: 8}, Request{Delegate: inference.CPU}, "cpu/4"},
	} {
		var got []string
		for _, c := range Candidates(test.hardware, test.request) {
			got = append(got, fmt.Sprintf("%s/%d", c.Delegate, c.Threads))
		}
		if !slices.Equal(got, strings.Fields(test.want)) {
			t.Errorf("%+v, %+v:\ngot  %v\nwant %s", test.hardware, test.request, got, test.want)
		}
	}
}
