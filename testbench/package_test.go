package testbench

import (
	"bytes"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const packagesEnv = "TEST_SIGHTD_PACKAGES"

// maxPackage is what a package may have, in bytes.
const maxPackage = 25_000_000

// packageFile is the package for an architecture of Debian's. Without packages the test is skipped.
func packageFile(t *testing.T, arch string) string {
	t.Helper()
	dir := os.Getenv(packagesEnv)
	if dir == "" {
		t.Skip(packagesEnv + " doesn't name the folder of the packages: make test-deb")
	}
	files, err := filepath.Glob(filepath.Join(dir, "sightd_*_"+arch+".deb"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 1 {
		t.Fatalf("want one sightd_*_%s.deb in %s, have %q", arch, dir, files)
	}
	return files[0]
}

// output is what a program writes to its standard output. It must succeed.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(cmd.Args, " "), err, out, stderr.Bytes())
	}
	return string(out)
}

// unpack unpacks a package.
func unpack(t *testing.T, file string) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "package")
	output(t, "dpkg-deb", "-R", file, dir)
	return dir
}

// TestPackageContents compares what is in the packages, its modes and owners, with a list: nothing comes in by accident. All of the
// repository's documentation and licences is there.
func TestPackageContents(t *testing.T) {
	golden, err := os.ReadFile("testdata/package.contents")
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, folder := range []string{"docs", "licenses"} {
		files, err := os.ReadDir(filepath.Join(repository(t), folder))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			texts = append(texts, "-rw-r--r-- root/root /usr/share/doc/sightd/"+folder+"/"+file.Name())
		}
	}
	for _, arch := range []string{"amd64", "arm64"} {
		file := packageFile(t, arch)
		var have []string
		for line := range strings.Lines(output(t, "dpkg-deb", "-c", file)) {
			// drwxr-xr-x root/root 0 2026-01-01 00:00 ./usr/
			if f := strings.Fields(line); !strings.HasSuffix(line, "/\n") {
				have = append(have, f[0]+" "+f[1]+" "+strings.TrimPrefix(f[5], "."))
			}
		}
		want := slices.Clone(texts)
		for line := range strings.Lines(string(golden)) {
			name, only := strings.CutSuffix(strings.TrimSpace(line), " amd64")
			if !only || arch == "amd64" {
				want = append(want, name)
			}
		}
		for _, line := range want {
			if !slices.Contains(have, line) {
				t.Errorf("%s: want %s", arch, line)
			}
		}
		for _, line := range have {
			if !slices.Contains(want, line) {
				t.Errorf("%s has %s, which is neither in testdata/package.contents nor in docs or licenses", arch, line)
			}
		}
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d bytes", filepath.Base(file), info.Size())
		if info.Size() > maxPackage {
			t.Errorf("%s: want at most %d bytes, have %d", filepath.Base(file), maxPackage, info.Size())
		}
	}
}

// TestPackageLintian: Debian's own check finds no error.
func TestPackageLintian(t *testing.T) {
	for _, arch := range []string{"amd64", "arm64"} {
		cmd := exec.CommandContext(t.Context(), "lintian", "--profile", "debian", "--allow-root", "--fail-on", "error,warning", packageFile(t, arch))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
		}
	}
}

// TestPackageConfig: the configuration is a conffile, and what the program prints.
func TestPackageConfig(t *testing.T) {
	want := output(t, sightd(t), "config", "init", "--service")
	for _, arch := range []string{"amd64", "arm64"} {
		dir := unpack(t, packageFile(t, arch))
		have, err := os.ReadFile(filepath.Join(dir, "etc/sightd/sightd.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		if string(have) != want {
			t.Errorf("%s: want /etc/sightd/sightd.yaml as config init --service prints it, have\n%s", arch, have)
		}
		conffiles, err := os.ReadFile(filepath.Join(dir, "DEBIAN/conffiles"))
		if err != nil {
			t.Fatal(err)
		}
		if strings.TrimSpace(string(conffiles)) != "/etc/sightd/sightd.yaml" {
			t.Errorf("%s: want the configuration as the only conffile, have %q", arch, conffiles)
		}
	}
}

// needs are the versions of symbols that the packages named in Depends must have, by the prefix of their names: of glibc as its own version,
// of GCC's libraries by the release that brought them.
var needs = []struct {
	library, prefix, depends string
	release                  map[string]string
}{
	{"libc6", "GLIBC_", "2.35", nil},
	{"libstdc++6", "GLIBCXX_", "12", map[string]string{"3.4.30": "12", "3.4.31": "13", "3.4.32": "13", "3.4.33": "14"}},
	{"libgcc-s1", "GCC_", "4.7.0", nil},
}

// TestPackageDepends: the program and its libraries are asked which versions of the system's libraries they want, and nothing else is
// needed: every library is the system's C and C++, or lies beside the others. The program looks for them there only.
func TestPackageDepends(t *testing.T) {
	for _, arch := range []string{"amd64", "arm64"} {
		file := packageFile(t, arch)
		depends := strings.Split(strings.TrimSpace(output(t, "dpkg-deb", "-f", file, "Depends")), ", ")
		dir := unpack(t, file)
		files, err := filepath.Glob(filepath.Join(dir, "usr/lib/sightd/*"))
		if err != nil {
			t.Fatal(err)
		}
		program := filepath.Join(dir, "usr/bin/sightd")
		own := map[string]bool{}
		for _, f := range files {
			own[filepath.Base(f)] = true
		}
		wanted := map[string]string{}
		for _, name := range append(files, program) {
			f, err := elf.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			libraries, err := f.ImportedLibraries()
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range libraries {
				system, _, _ := strings.Cut(l, ".so")
				if !own[l] && !slices.Contains([]string{"libc", "libm", "libstdc++", "libgcc_s", "ld-linux-x86-64", "ld-linux-aarch64"}, system) {
					t.Errorf("%s: %s wants %s, which is neither in the package nor in what it depends on", arch, filepath.Base(name), l)
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
			if name != program {
				continue
			}
			if runpath, err := f.DynString(elf.DT_RUNPATH); err != nil || len(runpath) != 1 || runpath[0] != "/usr/lib/sightd" {
				t.Errorf("%s: want RUNPATH /usr/lib/sightd, have %q, %v", arch, runpath, err)
			}
			if f.Section(".symtab") != nil || f.Section(".debug_info") != nil {
				t.Errorf("%s: want the program stripped", arch)
			}
		}
		for _, n := range needs {
			version := wanted[n.prefix]
			if r, ok := n.release[version]; ok {
				version = r
			} else if n.release != nil {
				t.Errorf("%s: want to know which release brought %s%s", arch, n.prefix, version)
			}
			if want := n.library + " (>= " + n.depends + ")"; later(version, n.depends) || !slices.Contains(depends, want) {
				t.Errorf("%s: the symbols want %s %s: want it among Depends as %q, have %q", arch, n.library, version, want, depends)
			}
		}
		if len(depends) != len(needs) {
			t.Errorf("%s: want %d packages in Depends, have %q", arch, len(needs), depends)
		}
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
