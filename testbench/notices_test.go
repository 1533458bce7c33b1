package testbench

import (
	"debug/buildinfo"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// notices is the text of THIRD_PARTY.md.
func notices(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository(t), "THIRD_PARTY.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestNoticesModules compares the table of Go modules with what the program says it is linked of.
func TestNoticesModules(t *testing.T) {
	named := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([^` ]+)` \\| (v[^ ]+) \\|").FindAllStringSubmatch(notices(t), -1) {
		named[row[1]] = row[2]
	}
	info, err := buildinfo.ReadFile(sightd(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(info.Deps) == 0 {
		t.Fatal("want modules in the program's build information, have none")
	}
	for _, module := range info.Deps {
		if module.Replace != nil {
			module = module.Replace
		}
		if named[module.Path] != module.Version {
			t.Errorf("THIRD_PARTY.md on %s: want version %s, have %q", module.Path, module.Version, named[module.Path])
		}
		delete(named, module.Path)
	}
	for path, version := range named {
		t.Errorf("THIRD_PARTY.md names %s %s, which the program doesn't link", path, version)
	}
}

// TestNoticesNative looks for the artifacts of native/SHA256SUMS and for the libraries that were taken out of them.
func TestNoticesNative(t *testing.T) {
	text, native := notices(t), filepath.Join(repository(t), "native")
	sums, err := os.ReadFile(filepath.Join(native, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	artifact := regexp.MustCompile(`^[0-9a-f]{64}  ([a-z-]+)-([0-9][0-9.-]*[0-9])(?:-linux-(?:x86_64|arm64))?\.(?:jar|aar)$`)
	for line := range strings.Lines(string(sums)) {
		parts := artifact.FindStringSubmatch(strings.TrimSpace(line))
		if parts == nil {
			t.Errorf("SHA256SUMS: want a hash and NAME-VERSION[-linux-ARCH].jar or .aar, have %q", line)
			continue
		}
		if want := ":" + parts[1] + ":" + parts[2] + "`"; !strings.Contains(text, want) {
			t.Errorf("THIRD_PARTY.md: want artifact %s, which native/SHA256SUMS pins", want)
		}
	}
	libraries, err := filepath.Glob(filepath.Join(native, "*", "lib", "*.so*"))
	if err != nil {
		t.Fatal(err)
	}
	if len(libraries) == 0 {
		t.Fatal("want libraries in native/*/lib, have none: make native")
	}
	for _, library := range libraries {
		info, err := os.Lstat(library)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().IsRegular() && !strings.Contains(text, "`"+info.Name()+"`") {
			t.Errorf("THIRD_PARTY.md: want %s, which lies in native", info.Name())
		}
	}
}

// TestNoticesTexts compares the licence texts that are linked with those that are there.
func TestNoticesTexts(t *testing.T) {
	linked := map[string]bool{}
	for _, link := range regexp.MustCompile(`\(licenses/([^)]+)\)`).FindAllStringSubmatch(notices(t), -1) {
		linked[link[1]] = true
	}
	files, err := os.ReadDir(filepath.Join(repository(t), "licenses"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !linked[file.Name()] {
			t.Errorf("THIRD_PARTY.md: want a link to licenses/%s", file.Name())
		}
		delete(linked, file.Name())
		info, err := file.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() == 0 {
			t.Errorf("licenses/%s is empty", file.Name())
		}
	}
	for name := range linked {
		t.Errorf("THIRD_PARTY.md links to licenses/%s, which isn't there", name)
	}
}
