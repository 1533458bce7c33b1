package testbench

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// root is a folder with a whole system.
type root string

// newRoot makes a minimal system of a release of Debian's, with packages added. It takes root's rights: without them the test is
// skipped, in CI it fails.
func newRoot(t *testing.T, release string, options ...string) root {
	t.Helper()
	if os.Getuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("want to be root, to make a system")
		}
		t.Skip("only root can make a system in a folder")
	}
	dir := filepath.Join(t.TempDir(), "root")
	output(t, "mmdebstrap", append(options, "--quiet", release, dir)...)
	return root(dir)
}

// try runs a shell script in the root and gives all that it writes. What it starts ends with it.
func (r root) try(t *testing.T, script string) (string, error) {
	t.Helper()
	// A cleanup's script is run when the test's own context is over.
	cmd := exec.CommandContext(context.Background(), "unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec",
		`mount -t proc proc "$0/proc"; mount --bind /dev "$0/dev"; exec chroot "$0" sh -ec "$1"`, string(r), script)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", "HOME=/root"}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// run is try of what must succeed.
func (r root) run(t *testing.T, script string) string {
	t.Helper()
	out, err := r.try(t, script)
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return out
}

// says runs a script, whose output must have text in it.
func (r root) says(t *testing.T, script, text string) {
	t.Helper()
	if out := r.run(t, script); !strings.Contains(out, text) {
		t.Errorf("%s: want %q, have\n%s", script, text, out)
	}
}

// write writes a file.
func (r root) write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(string(r), name), data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// packages puts a package into the root as /old.deb, and as /new.deb one of a later version whose configuration has one more line.
func (r root) packages(t *testing.T, file string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r.write(t, "old.deb", data)
	dir := unpack(t, file)
	replace := func(name, old, with string) {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		changed := strings.Replace(string(text), old, with, 1)
		if changed == string(text) {
			t.Fatalf("want %q in %s, have\n%s", old, name, text)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(changed), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	replace("DEBIAN/control", "\nVersion: ", "\nVersion: 9:")
	replace("etc/sightd/sightd.yaml", "\nversion: 1", "\n# A later default.\nversion: 1")
	output(t, "dpkg-deb", "--root-owner-group", "-Znone", "-b", dir, filepath.Join(string(r), "new.deb"))
}

// TestPackageRoot installs, upgrades, removes and purges the package in systems that have nothing but what it depends on.
func TestPackageRoot(t *testing.T) {
	file, gpu := packageFile(t, "sightd", runtime.GOARCH), packageFile(t, "sightd-gpu", runtime.GOARCH)
	for _, release := range []string{"bookworm", "trixie"} {
		t.Run(release, func(t *testing.T) {
			r := newRoot(t, release, "--variant=minbase", "--include=libvulkan1") // which sightd-gpu alone depends on
			r.packages(t, file)
			r.write(t, "ball.jpg", drawnJPEG(t, "golf_ball", 240))

			r.run(t, "dpkg -i /old.deb </dev/null")
			r.says(t, "sightd version", "TensorFlow Lite 2.20")
			r.says(t, "sightd classify /ball.jpg", "golf ball")
			r.says(t, "sightd config check /etc/sightd/sightd.yaml", "is right")
			r.says(t, "stat -c '%a %U %G' /var/lib/sightd /var/lib/sightd/inbox | tr '\\n' ' '", "2750 sightd sightd 2770 sightd sightd")
			r.says(t, "id -Gn sightd", "video")
			r.checkGPU(t, gpu)

			// A configuration that nobody edited follows the package's.
			r.run(t, "dpkg -i /new.deb </dev/null")
			r.says(t, "cat /etc/sightd/sightd.yaml", "# A later default.")
			r.run(t, "dpkg --purge sightd </dev/null")
			r.says(t, "ls /etc/sightd /var/lib/sightd 2>&1 || true", "cannot access '/var/lib/sightd'")

			r.run(t, "dpkg -i /old.deb </dev/null; echo '# mine' >>/etc/sightd/sightd.yaml; echo kept >/var/lib/sightd/state")
			r.run(t, "cp /ball.jpg /var/lib/sightd/inbox/; mkdir /var/lib/sightd-two; echo kept >/var/lib/sightd-two/state")
			// Without an answer dpkg doesn't touch it; apt in scripts gives this one.
			if out, err := r.try(t, "dpkg -i /new.deb </dev/null"); err == nil {
				t.Errorf("want dpkg to ask about the edited configuration, have\n%s", out)
			}
			r.says(t, "cat /etc/sightd/sightd.yaml", "# mine")
			r.run(t, "dpkg --force-confold --configure sightd </dev/null")
			edited := "tail -n 1 /etc/sightd/sightd.yaml; grep -c 'A later default' /etc/sightd/sightd.yaml || true"
			r.says(t, edited, "# mine\n0\n")
			r.says(t, "cat /etc/sightd/sightd.yaml.dpkg-dist", "# A later default.")
			r.says(t, "cat /var/lib/sightd/state /var/lib/sightd-two/state", "kept\nkept")

			r.run(t, "dpkg --remove sightd </dev/null")
			r.says(t, edited, "# mine\n0\n")
			r.says(t, "cat /var/lib/sightd/state; ls /var/lib/sightd/inbox", "kept\nball.jpg")
			r.says(t, "ls /usr/bin/sightd /usr/lib/sightd 2>&1 || true", "cannot access '/usr/lib/sightd'")
			r.run(t, "dpkg -i /new.deb </dev/null")
			r.says(t, edited, "# mine\n0\n")

			r.says(t, "dpkg --purge sightd </dev/null", "pictures are left in /var/lib/sightd/inbox")
			r.says(t, "find /etc/sightd* /var/lib/sightd* /var/cache/sightd* 2>/dev/null || true",
				"/var/lib/sightd\n/var/lib/sightd/inbox\n/var/lib/sightd/inbox/ball.jpg\n")
			r.says(t, "find / -xdev -name '*sightd*' -not -path '/proc/*' -not -path '/var/lib/sightd*' | wc -l", "0\n")
		})
	}
}

// checkGPU adds the package for the GPU to an installed sightd, and takes it away again. sightd tells the difference, and neither fails it.
func (r root) checkGPU(t *testing.T, file string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r.write(t, "gpu.deb", data)
	// doctor's status also tells of what else is wrong here, as that no service runs.
	const doctor = "sightd doctor -c /etc/sightd/sightd.yaml || true"
	const verify = "sightd model verify --delegate gpu 2>&1 || true"
	r.says(t, doctor, "LiteRT isn't there")
	r.says(t, verify, "install the package sightd-gpu")

	r.run(t, "dpkg -i /gpu.deb </dev/null")
	r.says(t, doctor, "LiteRT and its GPU accelerator are there")
	r.says(t, verify, "Vulkan finds no driver") // LiteRT, its accelerator and Vulkan's loader were loaded
	r.says(t, "sightd classify /ball.jpg", "golf ball")
	r.run(t, "dpkg --purge sightd-gpu </dev/null")
	r.says(t, doctor, "LiteRT isn't there")
}

// TestPackageArm64 runs the program of the package for arm64 in a root for arm64 that has nothing but what it depends on, on the processor
// of a Raspberry Pi 4: it classifies, looks for what is wrong, and publishes to a broker.
func TestPackageArm64(t *testing.T) {
	file := packageFile(t, "sightd", "arm64")
	if _, err := exec.LookPath("qemu-aarch64-static"); err != nil {
		t.Fatal("qemu-aarch64-static isn't installed")
	}
	r := newRoot(t, "bookworm", "--architectures=arm64", "--variant=extract", "--include=libc6,libgcc-s1,libstdc++6")
	output(t, "dpkg-deb", "-x", file, string(r))
	output(t, "dpkg-deb", "-x", packageFile(t, "sightd-gpu", "arm64"), string(r))
	e := raspberryPi4.emulator(t)
	cpuinfo, err := os.ReadFile(filepath.Join(e.qemu[len(e.qemu)-1], "proc", "cpuinfo"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(string(r), "proc"), 0o755); err != nil {
		t.Fatal(err)
	}
	r.write(t, "proc/cpuinfo", cpuinfo)
	e.qemu[len(e.qemu)-1] = string(r)
	program := filepath.Join(string(r), "usr/bin/sightd")

	files := drawnFiles(t)
	checkVerdicts(t, classify(t, files), e.succeed(t, program, append([]string{"classify", "--json", "--threads", "1"}, files...)...))
	out, status := e.run(t, program, "doctor", "--json")
	for _, text := range []string{"xnnpack", "LiteRT and its GPU accelerator are there"} {
		if status > 1 || !bytes.Contains(out, []byte(text)) {
			t.Errorf("doctor: want %q in what it finds, have status %d\n%s", text, status, out)
		}
	}

	m := startMosquitto(t)
	s := subscribe(t, m.url)
	b := newBoard(t, "broker: "+m.url)
	p := &process{cmd: e.command(t, program, "run", "-c", "sightd.yaml")}
	p.cmd.Dir = b.dir
	p.begin(t)
	p.line(t, `"msg":"ready`)
	b.drop(t, 0, "ball.jpg", drawnJPEG(t, "golf_ball", 240))
	s.files(t, 1)
	if got := s.first(t, "ball.jpg"); got.Label != "golf ball" {
		t.Errorf("want the event of a golf ball, have %+v", got)
	}
}
