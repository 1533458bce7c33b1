package v4l2

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Bounds of a walk through /proc.
const (
	maxProcesses   = 1 << 16
	maxDescriptors = 1 << 14 // a process
)

// users finds the programs that have video devices open, by the path of the device. Another user's processes show nothing
// without root's rights.
func (m machine) users() map[string][]string {
	table := map[string][]string{}
	entries, err := os.ReadDir(m.root + "/proc")
	if err != nil {
		return table
	}
	for _, e := range entries[:min(len(entries), maxProcesses)] {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || m.root == "" && pid == os.Getpid() {
			continue
		}
		dir := m.root + "/proc/" + e.Name()
		for _, path := range openVideo(dir + "/fd") {
			table[path] = append(table[path], fmt.Sprintf("%s (pid %d)", command(dir), pid))
		}
	}
	return table
}

// openVideo lists the video devices among a process's descriptors, each once.
func openVideo(dir string) []string {
	f, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer f.Close()
	names, _ := f.Readdirnames(maxDescriptors) // what was read before an error counts: the process may be ending
	var paths []string
	for _, name := range names {
		target, err := os.Readlink(filepath.Join(dir, name))
		if err != nil || slices.Contains(paths, target) {
			continue
		}
		if base, ok := strings.CutPrefix(target, "/dev/"); ok {
			if _, ok := nodeNumber(base); ok {
				paths = append(paths, target)
			}
		}
	}
	return paths
}

// command is a process's name.
func command(dir string) string {
	name, err := os.ReadFile(dir + "/comm")
	if err != nil || len(bytes.TrimSpace(name)) == 0 {
		return "a program"
	}
	return text(bytes.TrimSpace(name[:min(len(name), 64)]))
}
