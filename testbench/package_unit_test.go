package testbench

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestPackageUnits has systemd look at the units: it must find nothing to say, and rate their exposure (of 10, in tenths) no higher than
// as packaged, and with the drop-in for boards without cameras.
func TestPackageUnits(t *testing.T) {
	file := packageFile(t, "sightd", runtime.GOARCH)
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Fatal("systemd-analyze isn't installed")
	}
	dir := unpack(t, file)
	for _, unit := range []string{"sightd.service", "sightd@two.service"} {
		text, err := os.ReadFile(filepath.Join(dir, "usr/lib/systemd/system", strings.Replace(unit, "two", "", 1)))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "ProcSubset") {
			t.Errorf("%s: want no ProcSubset: it hides /proc/cpuinfo, which XNNPACK needs", unit)
		}
		for _, drop := range []struct {
			name, threshold string
		}{{"", "15"}, {"no-cameras.conf", "12"}, {"folders.conf", "15"}} {
			units := t.TempDir()
			// verify wants a program that is there.
			here := strings.ReplaceAll(string(text), "/usr/bin/sightd", filepath.Join(dir, "usr/bin/sightd"))
			path := filepath.Join(units, unit)
			if err := os.WriteFile(path, []byte(here), 0o600); err != nil {
				t.Fatal(err)
			}
			if drop.name != "" {
				conf, err := os.ReadFile(filepath.Join(dir, "usr/share/doc/sightd/examples", drop.name))
				if err != nil {
					t.Fatal(err)
				}
				if err := os.Mkdir(path+".d", 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(path+".d", drop.name), conf, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			for _, args := range [][]string{
				{"verify", "--man=no", path},
				{"security", "--offline=yes", "--threshold=" + drop.threshold, path},
			} {
				out, err := exec.CommandContext(t.Context(), "systemd-analyze", args...).CombinedOutput()
				lines := strings.Split(strings.TrimSpace(string(out)), "\n")
				if err != nil || args[0] == "verify" && len(out) > 0 {
					t.Errorf("%s with %q: systemd-analyze %s: %v\n%s", unit, drop.name, args[0], err, out)
				} else if args[0] == "security" {
					t.Logf("%s with %q: %s", unit, drop.name, lines[len(lines)-1])
				}
			}
		}
	}
}

// TestPackageInstance: the unit of a second instance is that of the first, but for its configuration, folders and password.
func TestPackageInstance(t *testing.T) {
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(repository(t), "systemd", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	want := strings.NewReplacer(
		"labels over MQTT\n", "labels over MQTT (%i)\n",
		"/etc/sightd/sightd.yaml", "/etc/sightd/%i.yaml",
		"StateDirectory=sightd\n", "StateDirectory=sightd-%i\n",
		"CacheDirectory=sightd\n", "CacheDirectory=sightd-%i\n",
		"/var/cache/sightd\n", "/var/cache/sightd-%i\n",
		"/etc/sightd/mqtt-password", "/etc/sightd/%i.mqtt-password",
	).Replace(read("sightd.service"))
	if have := read("sightd@.service"); have != want {
		t.Errorf("sightd@.service: want\n%s\nhave\n%s", want, have)
	}
}
