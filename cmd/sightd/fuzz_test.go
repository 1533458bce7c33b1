package main

import (
	"testing"
	"testing/fstest"
)

// FuzzMemory reads how much memory there is and may be taken: whatever the kernel's files say, it is more than nothing.
func FuzzMemory(f *testing.F) {
	f.Add("MemTotal:         948212 kB\n", "0::/system.slice/sightd.service\n", "300000000\n")
	f.Add("MemTotal: 9223372036854775807 kB", "0::/../..\n0::/a/../../b", "max")
	f.Add("MemTotal:-1 kB", "0:://\n0::/\n4:memory:/a", "0")
	f.Add("", "0::/"+"a/a/a/a/a/a/a/a", "99999999999999999999")
	f.Fuzz(func(t *testing.T, meminfo, group, limit string) {
		root := fstest.MapFS{
			"proc/meminfo": {Data: []byte(meminfo)}, "proc/self/cgroup": {Data: []byte(group)},
			"sys/fs/cgroup/memory.max": {Data: []byte(limit)}, "sys/fs/cgroup/system.slice/memory.high": {Data: []byte(limit)},
		}
		if n := machineMemory(root); n <= 0 {
			t.Errorf("%q: have %d bytes", meminfo, n)
		}
		if n := serviceMemory(root); n <= 0 {
			t.Errorf("%q, %q: have %d bytes", group, limit, n)
		}
	})
}
