package main

import (
	"io/fs"
	"math"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
)

// limitMemory has the garbage collector work harder when Go's memory comes near a quarter of the machine's, or half of what the service
// may have. What Go holds is a few megabytes, but for requests and pictures on their way; the model, OpenCV and TensorFlow Lite aren't in
// it. A GOMEMLIMIT of the user's is left as it is. root is /.
func limitMemory(root fs.FS, getenv func(string) string) {
	if getenv("GOMEMLIMIT") != "" {
		return
	}
	if limit := min(machineMemory(root)/4, serviceMemory(root)/2); limit > 0 && limit < math.MaxInt64/4 {
		debug.SetMemoryLimit(limit)
	}
}

// machineMemory is how many bytes of memory the machine has, MaxInt64 where it can't be told.
func machineMemory(root fs.FS) int64 {
	text, err := fs.ReadFile(root, "proc/meminfo")
	if err != nil {
		return math.MaxInt64
	}
	_, rest, _ := strings.Cut(string(text), "MemTotal:")
	number, _, found := strings.Cut(strings.TrimSpace(rest), " kB")
	kb, err := strconv.ParseInt(number, 10, 64)
	if !found || err != nil || kb <= 0 || kb > math.MaxInt64>>10 {
		return math.MaxInt64
	}
	return kb << 10
}

// serviceMemory is the least memory.high or memory.max of the control group (version 2) and of those around it, MaxInt64 where there is
// none.
func serviceMemory(root fs.FS) int64 {
	text, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return math.MaxInt64
	}
	least := int64(math.MaxInt64)
	for line := range strings.Lines(string(text)) {
		group, ok := strings.CutPrefix(strings.TrimSpace(line), "0::")
		if !ok {
			continue
		}
		for group = path.Clean("/" + group); ; group = path.Dir(group) { // outside of the namespace it begins with /..
			for _, name := range []string{"memory.high", "memory.max"} {
				least = min(least, groupLimit(root, path.Join("sys/fs/cgroup", group, name)))
			}
			if group == "/" {
				break
			}
		}
	}
	return least
}

// groupLimit is the number in a file, MaxInt64 where it says "max", or isn't there.
func groupLimit(root fs.FS, name string) int64 {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return math.MaxInt64
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || n <= 0 {
		return math.MaxInt64
	}
	return n
}
