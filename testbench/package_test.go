package testbench

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

const packagesEnv = "TEST_SIGHTD_PACKAGES"

// maxPackage is what a package may have, in bytes.
const maxPackage = 25_000_000

// packages are those that make deb builds.
var packages = []string{"sightd", "sightd-gpu"}

// architectures are those that make deb builds packages for, by Debian's names.
func architectures() []string {
	if runtime.GOARCH == "arm64" {
		return []string{"arm64"}
	}
	return []string{"amd64", "arm64"}
}

// packageFile is the package of a name for an architecture. Without packages the test is skipped.
func packageFile(t *testing.T, name, arch string) string {
	t.Helper()
	dir := os.Getenv(packagesEnv)
	if dir == "" {
		t.Skip(packagesEnv + " doesn't name the folder of the packages: make test-deb")
	}
	files, err := filepath.Glob(filepath.Join(dir, name+"_*_"+arch+".deb"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 1 {
		t.Fatalf("want one %s_*_%s.deb in %s, have %q", name, arch, dir, files)
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

// contents is a golden list of files, with their modes and owners, for an architecture: what another one alone has is marked with its name.
func contents(t *testing.T, file, arch string) (list []string) {
	t.Helper()
	golden, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(golden)) {
		name, only := strings.CutSuffix(strings.TrimSpace(line), " amd64")
		if !only || arch == "amd64" {
			list = append(list, name)
		}
	}
	return list
}

// TestPackageContents compares what is in the packages, its modes and owners, with lists: nothing comes in by accident. Of the repository's
// documentation and licences sightd has all, and each package has every licence's text that its notices name.
func TestPackageContents(t *testing.T) {
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
	for _, arch := range architectures() {
		for _, name := range packages {
			want := contents(t, "testdata/"+name+".contents", arch)
			if name == "sightd" {
				want = append(want, texts...)
			}
			file := packageFile(t, name, arch)
			checkContents(t, file, want)
			notices := output(t, "sh", "-c", `dpkg-deb --fsys-tarfile "$1" | tar -xO "./usr/share/doc/$2/copyright"`, "sh", file, name)
			links := regexp.MustCompile(`\(licenses/([^)]+)\)`).FindAllStringSubmatch(notices, -1)
			if len(links) == 0 {
				t.Errorf("%s: want licences named in copyright, have\n%s", filepath.Base(file), notices)
			}
			for _, link := range links {
				if text := "-rw-r--r-- root/root /usr/share/doc/" + name + "/licenses/" + link[1]; !slices.Contains(want, text) {
					t.Errorf("%s: copyright names %s, which isn't in the package", filepath.Base(file), link[1])
				}
			}
		}
	}
}

// checkContents compares what is in a package with a list, and its size with what it may have.
func checkContents(t *testing.T, file string, want []string) {
	t.Helper()
	var have []string
	for line := range strings.Lines(output(t, "dpkg-deb", "-c", file)) {
		// drwxr-xr-x root/root 0 2026-01-01 00:00 ./usr/
		if f := strings.Fields(line); !strings.HasSuffix(line, "/\n") {
			have = append(have, f[0]+" "+f[1]+" "+strings.TrimPrefix(f[5], "."))
		}
	}
	for _, line := range want {
		if !slices.Contains(have, line) {
			t.Errorf("%s: want %s", filepath.Base(file), line)
		}
	}
	for _, line := range have {
		if !slices.Contains(want, line) {
			t.Errorf("%s has %s, which is neither in its list in testdata nor in docs or licenses", filepath.Base(file), line)
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

// TestPackageLintian: Debian's own check finds no error.
func TestPackageLintian(t *testing.T) {
	for _, arch := range architectures() {
		args := []string{"--profile", "debian", "--allow-root", "--fail-on", "error,warning"}
		for _, name := range packages {
			args = append(args, packageFile(t, name, arch))
		}
		cmd := exec.CommandContext(t.Context(), "lintian", args...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
		}
	}
}

// TestPackageConfig: the configuration is a conffile, and what the program prints.
func TestPackageConfig(t *testing.T) {
	want := output(t, sightd(t), "config", "init", "--service")
	for _, arch := range architectures() {
		dir := unpack(t, packageFile(t, "sightd", arch))
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
