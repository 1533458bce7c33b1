package auction

import (
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/cpu"
	"golang.org/x/sys/unix"

	"sightd/inference"
)

const (
	mostThreads  = 8 // that are tried: networks of this size get no faster with more
	plainThreads = 4 // of a candidate whose number of threads isn't tried
	maxCPU       = 1024
)

// Hardware is what a machine has for networks.
type Hardware struct {
	Cores int  // logical processors that this process may use, at least 1
	Big   int  // of those, the ones that are about as fast as the fastest
	FP16  bool // the processor computes with floats of 16 bits
}

// ReadHardware looks at this machine. sys is /sys.
func ReadHardware(sys fs.FS) Hardware {
	h := Hardware{Cores: runtime.NumCPU()}
	h.Big = bigCores(sys, usable(), h.Cores)
	h.FP16 = cpu.ARM64.HasFPHP && cpu.ARM64.HasASIMDHP
	return h
}

// usable are the numbers of the processors that this process may use, none if they can't be told.
func usable() []int {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil // with more than 1024 processors
	}
	var numbers []int
	for i := range maxCPU {
		if set.IsSet(i) {
			numbers = append(numbers, i)
		}
	}
	return numbers
}

// bigCores counts the processors of at least three quarters of the largest capacity. Where the kernel doesn't tell each one's, as on
// machines whose processors are alike, it is all of them.
func bigCores(sys fs.FS, usable []int, all int) int {
	var capacities []int
	for _, number := range usable {
		text, err := fs.ReadFile(sys, fmt.Sprintf("devices/system/cpu/cpu%d/cpu_capacity", number))
		if err != nil {
			return all
		}
		capacity, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil || capacity < 1 {
			return all
		}
		capacities = append(capacities, capacity)
	}
	if len(capacities) == 0 {
		return all
	}
	least := (3*slices.Max(capacities) + 3) / 4
	big := 0
	for _, capacity := range capacities {
		if capacity >= least {
			big++
		}
	}
	return big
}

// Request is what is asked for.
type Request struct {
	Delegate inference.Delegate // Auto or "": whatever is best
	Threads  int                // 0: whatever is best
	Float    bool               // the network computes with floats, so that 16 bits would help
}

// Candidates are those to be tried, in the order in which they are preferred where they are about as fast. Behind those of a delegate
// that is asked for come the ones to fall back to. The built-in kernels are always the last: there is nothing plainer.
func Candidates(h Hardware, r Request) []Candidate {
	one := r.Threads
	if one <= 0 {
		one = min(max(h.Cores, 1), plainThreads)
	}
	counts := threadCounts(h, r.Threads)
	var all []Candidate
	add := func(d inference.Delegate, counts ...int) {
		for _, n := range counts {
			all = append(all, Candidate{d, n})
		}
	}
	switch d := r.Delegate; {
	case d == inference.CPU:
	case d == inference.XNNPACKFP16:
		add(d, counts...)
		add(inference.XNNPACK, counts...)
	case d.HasDriver():
		add(d, one)
		add(inference.XNNPACK, counts...)
	case d == inference.XNNPACK:
		add(d, counts...)
	default:
		add(inference.XNNPACK, counts...)
		if h.FP16 && r.Float {
			add(inference.XNNPACKFP16, counts...)
		}
		add(inference.GPU, one)
	}
	add(inference.CPU, one)
	return all
}

// threadCounts are the numbers of threads that are tried, ascending.
func threadCounts(h Hardware, asked int) []int {
	if asked > 0 {
		return []int{asked}
	}
	most := min(max(h.Cores, 1), mostThreads)
	counts := []int{1, 2, 4, h.Big, most}
	counts = slices.DeleteFunc(counts, func(n int) bool { return n < 1 || n > most })
	slices.Sort(counts)
	return slices.Compact(counts)
}
