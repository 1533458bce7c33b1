package auction

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func write(t *testing.T, path, text string) string {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o700))
	must(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestFingerprint(t *testing.T) {
	folder := t.TempDir()
	a, b := write(t, filepath.Join(folder, "a.so"), "a"), filepath.Join(folder, "b.so")
	seen := map[string]string{}
	take := func(what string, paths ...string) string {
		t.Helper()
		print := fingerprint(paths)
		if before, ok := seen[print]; ok {
			t.Errorf("%s: the same as %s", what, before)
		}
		if len(print) != 16 {
			t.Errorf("%s: got %q, want 16 digits", what, print)
		}
		seen[print] = what
		return print
	}
	take("nothing")
	take("one that is there", a)
	take("one that isn't", b)
	first := take("both", a, b)
	if again := fingerprint([]string{a, b}); again != first {
		t.Errorf("got %s, then %s of the same files", first, again)
	}
	write(t, b, "b")
	take("both there", a, b)
	must(t, os.Chtimes(b, time.Time{}, time.Unix(1e9, 0)))
	take("older", a, b)
	write(t, b, "bb")
	must(t, os.Chtimes(b, time.Time{}, time.Unix(1e9, 0)))
	take("longer", a, b)
	if a, b := Libraries(a), Libraries(b); a == b {
		t.Errorf("two libraries have the fingerprint %s", a)
	}
}

func TestVulkanDrivers(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"usr/share/vulkan/icd.d/b.json", "usr/share/vulkan/icd.d/a.json", "usr/share/vulkan/icd.d/README",
		"etc/vulkan/icd.d/own.json", "opt/drivers/x.json", "opt/y.json"} {
		write(t, filepath.Join(root, name), "{}")
	}
	environment := map[string]string{
		"VK_DRIVER_FILES":  filepath.Join(root, "opt/y.json") + ":" + filepath.Join(root, "opt/none.json"),
		"VK_ICD_FILENAMES": filepath.Join(root, "opt/drivers"),
	}
	got := vulkanDrivers(root, func(name string) string { return environment[name] })
	for i := range got {
		got[i] = strings.TrimPrefix(got[i], root+"/")
	}
	want := []string{"etc/vulkan/icd.d/own.json", "usr/share/vulkan/icd.d/a.json", "usr/share/vulkan/icd.d/b.json", "opt/y.json",
		"opt/none.json", "opt/drivers", "opt/drivers/x.json"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if got := vulkanDrivers(filepath.Join(root, "none"), func(string) string { return "" }); got != nil {
		t.Errorf("without any: got %q", got)
	}
}

func TestMachine(t *testing.T) {
	for _, test := range []struct {
		what, got, file string
	}{
		{"kernel", Kernel(), "/proc/sys/kernel/osrelease"},
		{"boot", BootID(), "/proc/sys/kernel/random/boot_id"},
	} {
		text, err := os.ReadFile(test.file)
		if err != nil {
			t.Errorf("%s: %v", test.what, err)
		}
		if want := strings.TrimSpace(string(text)); test.got != want || want == "" {
			t.Errorf("%s: got %q, want %q", test.what, test.got, want)
		}
	}
}
