package testbench

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
)

// bootScript makes the root in $1 the system of its namespaces, and systemd its first process.
const bootScript = `
mount --make-rprivate /
mount --bind "$1" "$1"
cd "$1"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mount --rbind /dev dev
pivot_root . mnt
umount -l /mnt
mount --make-rshared /
ip link set lo up
export container=testbench
exec /lib/systemd/systemd --system --show-status=no
`

// booted is a root in which systemd runs.
type booted struct {
	root
	pid string // of systemd, here
}

// boot starts systemd in a root. Where the kernel doesn't let it, as where control groups can't be mounted, the test is skipped.
func boot(t *testing.T, r root) booted {
	t.Helper()
	p := &process{cmd: exec.Command("unshare", "--mount", "--pid", "--fork", "--cgroup", "--uts", "--ipc", "--net", "--kill-child",
		"sh", "-ec", bootScript, "sh", string(r))}
	p.cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	p.begin(t)
	b := booted{root: r}
	up := func() bool {
		if !p.running() {
			return true
		}
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", p.cmd.Process.Pid))
		if err != nil {
			return false
		}
		b.pid = strings.TrimSpace(string(children))
		out, _ := b.try(t, "systemctl is-system-running") // also "degraded" counts, which is a failure
		return strings.Contains(out, "running") || strings.Contains(out, "degraded")
	}
	eventually(t, up, func() string { return "systemd doesn't come up" })
	if !p.running() {
		t.Skipf("systemd doesn't run in namespaces here:\n%s", p)
	}
	return b
}

// try runs a shell script in the booted system.
func (b booted) try(t *testing.T, script string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "nsenter", "--target", b.pid, "--all", "sh", "-ec", script)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", "HOME=/root"}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// run is try of what must succeed.
func (b booted) run(t *testing.T, script string) string {
	t.Helper()
	out, err := b.try(t, script)
	if err != nil {
		journal, _ := b.try(t, "journalctl --no-pager -n 50") // what there is
		t.Fatalf("%s: %v\n%s\n%s", script, err, out, journal)
	}
	return strings.TrimSpace(out)
}

// until waits for a script to write text.
func (b booted) until(t *testing.T, script, text string) {
	t.Helper()
	var out string
	eventually(t, func() bool {
		out, _ = b.try(t, script) // it may fail at first
		return strings.Contains(out, text)
	}, func() string { return fmt.Sprintf("%s: want %q, have\n%s", script, text, out) })
}

// show is a property of a unit.
func (b booted) show(t *testing.T, unit, property string) string {
	t.Helper()
	return b.run(t, "systemctl show --value -p "+property+" "+unit)
}

// TestPackageSystemd installs the package where systemd runs, and has it run the services: hardened, with a reload, a watchdog, a password,
// and a second instance that shares nothing with the first.
func TestPackageSystemd(t *testing.T) {
	file := packageFile(t, "sightd", runtime.GOARCH)
	r := newRoot(t, "bookworm", "--variant=minbase", "--include=systemd,systemd-sysv,dbus,iproute2")
	r.packages(t, file)
	for i, picture := range []string{"golf_ball", "parachute"} {
		r.write(t, fmt.Sprintf("%d.jpg", i), drawnJPEG(t, picture, 240))
	}
	b := boot(t, r)

	// Type=notify: dpkg returns when the service is ready.
	b.run(t, "dpkg -i /old.deb </dev/null")
	first := b.show(t, "sightd", "MainPID")
	if state := b.show(t, "sightd", "ActiveState"); state != "active" || first == "0" {
		t.Fatalf("after the installation: want the service active, have %s with process %s", state, first)
	}
	if enabled := b.run(t, "systemctl is-enabled sightd"); enabled != "enabled" {
		t.Errorf("want the service enabled, have %s", enabled)
	}
	b.until(t, "systemctl show -p StatusText sightd", "xnnpack")
	status := b.run(t, "cat /proc/"+first+"/status")
	for _, line := range []string{"\nSeccomp:\t2\n", "\nNoNewPrivs:\t1\n", "\nCapEff:\t0000000000000000\n"} {
		if !strings.Contains(status+"\n", line) {
			t.Errorf("process: want %q, have\n%s", line, status)
		}
	}

	// A user of the group drops a picture, and may take it out of done.
	b.run(t, "useradd -m -G sightd ann && su ann -c 'umask 022 && cp /0.jpg /var/lib/sightd/inbox/'")
	b.until(t, "ls /var/lib/sightd/inbox/done", "0.jpg")
	b.run(t, "su ann -c 'rm /var/lib/sightd/inbox/done/0.jpg'")

	b.run(t, "systemctl reload sightd")
	if pid := b.show(t, "sightd", "MainPID"); pid != first {
		t.Errorf("after a reload: want process %s still, have %s", first, pid)
	}

	b.run(t, "printf 'secret\\n' >/etc/sightd/two.mqtt-password && chmod 600 /etc/sightd/two.mqtt-password")
	b.run(t, "sightd config init --service two >/etc/sightd/two.yaml && systemctl start sightd@two")
	checkInstances(t, b)

	// The watchdog ends what hangs, and systemd starts it again.
	b.run(t, "mkdir -p /etc/systemd/system/sightd.service.d && printf '[Service]\\nWatchdogSec=2\\nRestartSec=1\\n' >/etc/systemd/system/sightd.service.d/fast.conf")
	b.run(t, "systemctl daemon-reload && systemctl restart sightd")
	stuck := b.show(t, "sightd", "MainPID")
	b.run(t, "kill -STOP "+stuck)
	b.until(t, "systemctl show -p NRestarts sightd", "NRestarts=1")
	b.until(t, "systemctl show -p ActiveState sightd", "=active")
	if pid := b.show(t, "sightd", "MainPID"); pid == stuck || pid == "0" {
		t.Errorf("after the watchdog: want another process than %s, have %s", stuck, pid)
	}
	b.until(t, "journalctl --no-pager -u sightd", "Watchdog timeout")

	// An upgrade restarts both, a removal stops them.
	before := b.show(t, "sightd@two", "MainPID")
	b.run(t, "dpkg -i /new.deb </dev/null")
	b.until(t, "systemctl show -p ActiveState sightd@two", "=active")
	if pid := b.show(t, "sightd@two", "MainPID"); pid == before {
		t.Errorf("after an upgrade: want another process of the instance than %s", before)
	}
	b.run(t, "cp /1.jpg /var/lib/sightd-two/inbox/")
	b.until(t, "ls /var/lib/sightd-two/inbox/done", "1.jpg")
	b.run(t, "dpkg --purge sightd </dev/null")
	if out, err := b.try(t, "pgrep -x sightd || ps ax | grep '[s]ightd run'"); err == nil {
		t.Errorf("after the removal: want no process, have %s", out)
	}
	if left := b.run(t, "find /var/lib/sightd* /var/cache/sightd* -type f 2>/dev/null || true"); left != "/var/lib/sightd-two/inbox/done/1.jpg" {
		t.Errorf("after a purge: want the picture left alone, have\n%s", left)
	}
}

// checkInstances compares what the services sightd and sightd@two use: process, state, name, topics, port and password are their own.
func checkInstances(t *testing.T, b booted) {
	t.Helper()
	type instance struct{ pid, state, name, port, password string }
	of := func(unit, config, state string) instance {
		pid := b.show(t, unit, "MainPID")
		shown := b.run(t, "sightd config show -c /etc/sightd/"+config+".yaml")
		value := func(key string) string {
			for line := range strings.Lines(shown) {
				if v, ok := strings.CutPrefix(strings.TrimSpace(line), key+": "); ok {
					v, _, _ = strings.Cut(v, " #") // where it is from
					return strings.TrimSpace(v)
				}
			}
			t.Fatalf("%s: want %s in what is in force, have\n%s", unit, key, shown)
			return ""
		}
		if have := value("state_dir"); have != state {
			t.Errorf("%s: want state in %s, have %s", unit, state, have)
		}
		b.run(t, "test -e "+state+"/delegates.json")
		return instance{pid, state, value("name"), value("listen"),
			b.run(t, "cat /proc/"+pid+"/root/run/credentials/"+unit+".service/mqtt")}
	}
	one, two := of("sightd", "sightd", "/var/lib/sightd"), of("sightd@two", "two", "/var/lib/sightd-two")
	if one.pid == two.pid || one.name == two.name || one.port == two.port {
		t.Errorf("want nothing shared, have %+v and %+v", one, two)
	}
	if one.password != "" || two.password != "secret" {
		t.Errorf("want the credential of the second only, have %+v and %+v", one, two)
	}
}
