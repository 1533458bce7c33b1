package auction

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Libraries is a fingerprint of the files' sizes and times of change, and of those of the Vulkan drivers that are installed: another one
// after an update. A file that isn't there counts as such.
func Libraries(paths ...string) string {
	return fingerprint(append(slices.Clone(paths), vulkanDrivers("/", os.Getenv)...))
}

func fingerprint(paths []string) string {
	hash := sha256.New()
	for _, path := range paths {
		state := "none"
		if info, err := os.Stat(path); err == nil {
			state = fmt.Sprintf("%d %d", info.Size(), info.ModTime().UnixNano())
		}
		fmt.Fprintf(hash, "%q %s\n", path, state) // a hash takes all
	}
	return hex.EncodeToString(hash.Sum(nil)[:8])
}

// vulkanDrivers are the files that name drivers to Vulkan's loader, sorted by folder.
func vulkanDrivers(root string, getenv func(string) string) []string {
	var files []string
	for _, folder := range []string{"etc", "usr/local/share", "usr/share"} {
		files = append(files, driversIn(filepath.Join(root, folder, "vulkan/icd.d"))...)
	}
	for _, name := range []string{"VK_DRIVER_FILES", "VK_ICD_FILENAMES", "VK_ADD_DRIVER_FILES"} {
		for _, path := range filepath.SplitList(getenv(name)) {
			files = append(files, path)
			files = append(files, driversIn(path)...)
		}
	}
	return files
}

// driversIn lists a folder's .json files, sorted by name; none where it is no folder.
func driversIn(folder string) []string {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil // not there, or a file
	}
	var files []string
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), ".json") {
			files = append(files, filepath.Join(folder, entry.Name()))
		}
	}
	return files
}

// Kernel is the kernel's release, such as "6.12.25+rpt-rpi-v8", "" if it can't be told.
func Kernel() string {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return ""
	}
	return unix.ByteSliceToString(name.Release[:])
}

// BootID is another one after each boot, "" if it can't be told.
func BootID() string {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}
