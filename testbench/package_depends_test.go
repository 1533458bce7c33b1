package testbench

import (
	"debug/elf"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// needs are the versions of symbols that the packages named in Depends must have, by the prefix of their names: of glibc as its own version,
// of GCC's libraries by the release that brought them.
var needs = []struct {
	library, prefix, depends string
	release                  map[string]string
}{
	{"libc6", "GLIBC_", "2.35", nil},
	{"libstdc++6", "GLIBCXX_", "12", map[string]string{"3.4.22": "6", "3.4.30": "12", "3.4.31": "13", "3.4.32": "13", "3.4.33": "14"}},
	{"libgcc-s1", "GCC_", "4.7.0", nil},
}

// TestPackageDepends: programs and libraries are asked which versions of the system's libraries they want, and nothing else is needed: every
// library is the system's C and C++, or lies beside the others. The program looks for them there only. What is for the GPU belongs to the
// same version of sightd, and looks for Vulkan's loader when it is used.
func TestPackageDepends(t *testing.T) {
	for _, arch := range architectures() {
		file := packageFile(t, "sightd", arch)
		dir := unpack(t, file)
		program := filepath.Join(dir, "usr/bin/sightd")
		checkDepends(t, file, append(libraries(t, dir), program))
		checkProgram(t, program)

		version := strings.TrimSpace(output(t, "dpkg-deb", "-f", file, "Version"))
		file = packageFile(t, "sightd-gpu", arch)
		checkDepends(t, file, libraries(t, unpack(t, file)), "sightd (= "+version+")", "libvulkan1")
	}
}

// libraries are the files of the libraries in an unpacked package.
func libraries(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "usr/lib/sightd/*"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatalf("want libraries in %s, have none", dir)
	}
	return files
}

// checkProgram: the program is stripped, and looks for its libraries where the packages put them.
func checkProgram(t *testing.T, program string) {
	t.Helper()
	f, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() // it was read only
	if runpath, err := f.DynString(elf.DT_RUNPATH); err != nil || len(runpath) != 1 || runpath[0] != "/usr/lib/sightd" {
		t.Errorf("%s: want RUNPATH /usr/lib/sightd, have %q, %v", program, runpath, err)
	}
	if f.Section(".symtab") != nil || f.Section(".debug_info") != nil {
		t.Errorf("%s: want the program stripped", program)
	}
}

// system are the C and C++ libraries of a system.
var system = []string{
	"libc", "libm", "libdl", "librt", "libpthread", "libstdc++", "libgcc_s", "ld-linux-x86-64", "ld-linux-aarch64",
}

// checkDepends compares what a package depends on with what its files want and others.
func checkDepends(t *testing.T, file string, files []string, others ...string) {
	t.Helper()
	name := filepath.Base(file)
	own := map[string]bool{}
	for _, f := range files {
		own[filepath.Base(f)] = true
	}
	wanted := map[string]string{} // the latest version by prefix
	for _, path := range files {
		f, err := elf.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close() // it was read only
		imported, err := f.ImportedLibraries()
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range imported {
			if stem, _, _ := strings.Cut(l, ".so"); !own[l] && !slices.Contains(system, stem) {
				t.Errorf("%s: %s wants %s, which is neither in the package nor in what it depends on", name, filepath.Base(path), l)
			}
		}
		symbols, err := f.ImportedSymbols()
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range symbols {
			prefix, version, _ := strings.Cut(s.Version, "_")
			if later(version, wanted[prefix+"_"]) {
				wanted[prefix+"_"] = version
			}
		}
	}
	depends := strings.Split(strings.TrimSpace(output(t, "dpkg-deb", "-f", file, "Depends")), ", ")
	want := slices.Clone(others)
	for _, n := range needs {
		version := wanted[n.prefix]
		if n.release != nil {
			r, ok := n.release[version]
			if !ok {
				t.Errorf("%s: want to know which release brought %s%s", name, n.prefix, version)
			}
			version = r
		}
		if later(version, n.depends) {
			t.Errorf("%s: the symbols want %s %s, Depends says %s", name, n.library, version, n.depends)
		}
		want = append(want, n.library+" (>= "+n.depends+")")
	}
	slices.Sort(depends)
	slices.Sort(want)
	if !slices.Equal(depends, want) {
		t.Errorf("%s: want Depends %q, have %q", name, want, depends)
	}
}

// later says whether version a, of numbers and dots, is later than b.
func later(a, b string) bool {
	numbers := func(version string) (all []int) {
		for part := range strings.SplitSeq(version, ".") {
			n, err := strconv.Atoi(part)
			if err != nil {
				return nil // GLIBC_PRIVATE, no version
			}
			all = append(all, n)
		}
		return all
	}
	return slices.Compare(numbers(a), numbers(b)) > 0
}
