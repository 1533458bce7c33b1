package main

import (
	"math"
	"os"
	"runtime/debug"
	"testing"
	"testing/fstest"
)

// TestLimitMemory isn't parallel: the limit is the process's.
func TestLimitMemory(t *testing.T) {
	const meminfo = "MemTotal:         948212 kB\nMemFree:          107436 kB\n" // a board of 1 GB
	none := int64(math.MaxInt64)
	tests := []struct {
		name  string
		files map[string]string
		env   string
		want  int64
	}{
		{"a board of 1 GB", map[string]string{"proc/meminfo": meminfo}, "", 948212 << 10 / 4},
		{"no service", map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/user.slice\n", "sys/fs/cgroup/user.slice/memory.max": "max\n"},
			"", 948212 << 10 / 4},
		{"a service with a limit", map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/system.slice/sightd.service\n",
			"sys/fs/cgroup/system.slice/sightd.service/memory.high": "300000000\n", "sys/fs/cgroup/system.slice/sightd.service/memory.max": "400000000\n"},
			"", 150000000},
		{"a limit around it", map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/system.slice/sightd.service\n",
			"sys/fs/cgroup/system.slice/memory.max": "100000000\n"}, "", 50000000},
		{"a container's own", map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "80000000\n"}, "", 40000000},
		{"control groups of version 1", map[string]string{"proc/self/cgroup": "4:memory:/a\n", "sys/fs/cgroup/a/memory.max": "80000000\n"}, "", none},
		{"nothing to be told", nil, "", none},
		{"nonsense", map[string]string{"proc/meminfo": "MemTotal: much kB\n", "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "-1\n"}, "", none},
		{"the user's own", map[string]string{"proc/meminfo": meminfo}, "1GiB", none},
	}
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			debug.SetMemoryLimit(none)
			root := fstest.MapFS{}
			for name, text := range tt.files {
				root[name] = &fstest.MapFile{Data: []byte(text)}
			}
			limitMemory(root, func(string) string { return tt.env })
			if have := debug.SetMemoryLimit(-1); have != tt.want {
				t.Errorf("want %d, have %d", tt.want, have)
			}
		})
	}
}

// TestLimitMemoryHere reads this machine's files.
func TestLimitMemoryHere(t *testing.T) {
	if n := machineMemory(os.DirFS("/")); n < 64<<20 || n == math.MaxInt64 {
		t.Errorf("want this machine's memory, have %d bytes", n)
	}
}
