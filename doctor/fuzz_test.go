package doctor

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"golang.org/x/sys/unix"
)

// FuzzKernelFiles has the board's checks read files of the kernel's and of the system's that hold anything at all.
func FuzzKernelFiles(f *testing.F) {
	f.Add("MemTotal: 9 kB\nMemAvailable:    1234567 kB\n", "Max open files            1024                 524288               files     \n", "48000", "passive", "0x50000",
		"VERSION_CODENAME=bookworm\n", tcpHead+tcpListen+locks)
	f.Add("MemAvailable: 99999999999999999999 kB", "Max open files 1 x\x1by", "", "", "zz\n\x00", "VERSION_CODENAME=\"\x1b[2J\"", "1: FLOCK A W 1 :")
	f.Add("", "Max open files", "-9223372036854775808", "passive", "0xfffff", "=", ":")
	root := f.TempDir()
	s := &system{proc: root + "/proc", sys: root + "/sys", root: root, now: func() time.Time { return time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC) },
		adjtimex: func(*unix.Timex) (int, error) { return unix.TIME_OK, nil }, getenv: func(string) string { return "" }}
	zone, firmware := "sys/class/thermal/thermal_zone0/", "sys/devices/platform/soc/soc:firmware/get_throttled"
	f.Fuzz(func(t *testing.T, meminfo, limits, temp, kind, word, release, tables string) {
		for name, text := range map[string]string{
			"proc/meminfo": meminfo, "proc/self/limits": limits, zone + "temp": temp, zone + "trip_point_0_type": kind, zone + "trip_point_0_temp": temp,
			firmware: word, "etc/os-release": release, "proc/net/tcp": tables, "proc/net/tcp6": tables, "proc/locks": tables,
			"proc/812/comm": release, "proc/812/maps": tables,
		} {
			path := filepath.Join(root, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		e := &examiner{system: s}
		var findings []Finding
		for _, check := range []func(context.Context) []Finding{e.memory, e.descriptors, e.temperature, e.power} {
			findings = append(findings, check(t.Context())...)
		}
		for _, found := range findings {
			if found.Name == "" || found.Detail == "" || found.Status != OK && found.Hint == "" {
				t.Errorf("have finding %+v", found)
			}
			if strings.ContainsAny(found.Detail+found.Hint, "\n\r\x1b") {
				t.Errorf("have finding %q of more than a line", found)
			}
		}
		if hint := s.distribution().install("rpicam-vid", ""); hint == "" || strings.ContainsFunc(hint, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("have hint %q", hint)
		}
		if pid := s.listener(1883); pid < 0 {
			t.Errorf("have process %d", pid)
		}
		if pid := s.lockHolder(7714); pid < 0 {
			t.Errorf("have process %d", pid)
		}
	})
}

// FuzzUnit reads what systemd says of a unit: folders and files that it names, and numbers.
func FuzzUnit(f *testing.F) {
	f.Add("{ path=/usr/bin/sightd ; argv[]=/usr/bin/sightd run -c /etc/sightd/a.yaml ; ignore_errors=no }", "/var/lib/sightd:a /b rw", "-1")
	f.Add("argv[]=-c", ":", "x")
	f.Add("argv[]=--c=", "  - +", "")
	f.Fuzz(func(t *testing.T, command, folders, number string) {
		u := unit{"Id": "sightd.service", "ExecStart": command, "ReadWritePaths": folders, "NRestarts": number}
		if file := u.config(); !strings.Contains(command, file) {
			t.Errorf("%q: have file %q", command, file)
		}
		if unitOf([]unit{u}, "") != nil {
			t.Error("have a unit without a configuration")
		}
		for _, target := range targets(folders) {
			if !filepath.IsAbs(target) {
				t.Errorf("%q: have %q", folders, target)
			}
		}
		if n := u.number("NRestarts"); n != 0 && !strings.ContainsAny(number, "0123456789") {
			t.Errorf("%q: have %d", number, n)
		}
	})
}
