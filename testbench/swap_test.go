package testbench

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"sightd/export/tflitefile"
	"sightd/models"
)

// namedModel writes the default model under another name, with its card, and gives its sha256. Its labels begin with prefix.
func (b *board) namedModel(t testing.TB, name, prefix string) (file, sum string) {
	t.Helper()
	data, card, err := models.Default()
	if err != nil {
		t.Fatal(err)
	}
	m, err := tflitefile.Read(data)
	if err != nil {
		t.Fatal(err)
	}
	m.Description = name
	for i, label := range card.Labels {
		card.Labels[i] = prefix + label
	}
	for i := range m.Metadata.Files {
		m.Metadata.Files[i].Data = []byte(strings.Join(card.Labels, "\n") + "\n")
	}
	var made bytes.Buffer
	if _, err := m.WriteTo(&made); err != nil {
		t.Fatal(err)
	}
	card.Name, card.File.SHA256 = name, models.Sum(made.Bytes())
	text, err := card.JSON()
	if err != nil {
		t.Fatal(err)
	}
	for ending, data := range map[string][]byte{".tflite": made.Bytes(), ".json": text} {
		if err := os.WriteFile(filepath.Join(b.dir, name+ending), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return name + ".tflite", card.File.SHA256
}

// use runs sightd model use beside the daemon whose broker is at url.
func (b *board) use(t testing.TB, url string, args ...string) (code int, text string) {
	t.Helper()
	cmd := exec.Command(sightd(t), append([]string{"model", "use", "-c", "sightd.yaml"}, args...)...)
	cmd.Dir, cmd.Env = b.dir, append(append(os.Environ(), b.environment...), "SIGHTD_MQTT_LISTEN="+strings.TrimPrefix(url, "mqtt://"))
	output, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(output)
}

// TestModelUse has the daemon's model replaced by the command, also by bad ones, and by SIGHUP, and starts it again.
func TestModelUse(t *testing.T) {
	t.Parallel()
	b := newBoard(t, embedded)
	p, url := b.run(t)
	r := record(t, url)
	pictures := 0
	judged := func(sum string) {
		t.Helper()
		pictures++
		name := fmt.Sprintf("%d.jpg", pictures)
		b.drop(t, 0, name, drawnJPEG(t, "golf_ball", 200))
		r.says(t, "inbox/event", `"file":"`+name+`"`, `"label":"golf ball"`, `"model_sha":"`+sum+`"`)
	}
	_, card, err := models.Default()
	if err != nil {
		t.Fatal(err)
	}
	judged(card.File.SHA256)
	first, firstSum := b.namedModel(t, "first", "")
	second, secondSum := b.namedModel(t, "second", "")
	code, text := b.use(t, url, first)
	if code != 0 || !strings.Contains(text, "sightd runs first (sha256 "+firstSum+") now: xnnpack with 2 threads, right on 4 golden inputs") {
		t.Errorf("use the first model: have %d, %s", code, text)
	}
	judged(firstSum)
	r.says(t, "bridge/info", firstSum)
	if info := retainedMessage(t, url, "sightd/bench/bridge/info"); !strings.Contains(info, firstSum) {
		t.Errorf("bridge/info: want the first model, have %s", info)
	}

	cut, err := os.ReadFile(filepath.Join(b.dir, second))
	if err == nil {
		err = os.WriteFile(filepath.Join(b.dir, "cut.tflite"), cut[:len(cut)/2], 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if code, text = b.use(t, url, "cut.tflite"); code != 1 || !strings.Contains(text, "cut.tflite") {
		t.Errorf("use half a model: have %d, %s", code, text)
	}
	judged(firstSum)

	if code, text = b.use(t, "mqtt://127.0.0.1:1", second); code != 0 || !strings.Contains(text, "from the next start on") {
		t.Errorf("use the second model without its daemon: have %d, %s", code, text)
	}
	judged(firstSum)
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	r.says(t, "bridge/info", secondSum)
	judged(secondSum)
	p.stop(t)
	r.leave()

	p, url = b.run(t)
	record(t, url).says(t, "bridge/info", secondSum)
	if code, text = b.use(t, url); code != 0 || !strings.Contains(text, "sightd runs "+card.Name) {
		t.Errorf("use the configured model: have %d, %s", code, text)
	}
	p.stop(t)
}

// TestModelRefused uses a model that fits the command's configuration, but not the daemon's. With another configuration it is taken over.
func TestModelRefused(t *testing.T) {
	t.Parallel()
	b := newBoard(t, embedded)
	if err := os.Mkdir(filepath.Join(b.dir, "door"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.dir, "door", "a.jpg"), drawnJPEG(t, "golf_ball", 200), 0o600); err != nil {
		t.Fatal(err)
	}
	const rules = "decide: {labels: {golf ball: {enter: 0.7}}}\n"
	b.configure(t, "sources:\n", rules+"sources:\n  - {name: door, type: replay, path: ./door, loop: true}\n")
	p, url := b.run(t)
	r := record(t, url)
	first, firstSum := b.namedModel(t, "first", "")
	other, otherSum := b.namedModel(t, "other", "other ")
	if code, text := b.use(t, url, first); code != 0 {
		t.Errorf("use the first model: have %d, %s", code, text)
	}
	r.says(t, "bridge/info", firstSum)
	if code, text := b.use(t, url, other); code != 1 || !strings.Contains(text, `decide.labels["golf ball"]`) || strings.Contains(text, "sightd answers") {
		t.Errorf("use a model that the rules don't fit: have %d, %s", code, text)
	}
	b.environment = []string{"SIGHTD_DECIDE_LABELS={}"} // of the command alone
	if code, text := b.use(t, url, other); code != 1 || !strings.Contains(text, "the model before goes on: sightd answers: ") || !strings.Contains(text, `decide.labels["golf ball"]`) {
		t.Errorf("use a model that the daemon's rules don't fit: have %d, %s", code, text)
	}
	text, err := os.ReadFile(filepath.Join(b.dir, "state", "model.json"))
	if err != nil || !strings.Contains(string(text), firstSum) || strings.Contains(string(text), otherSum) {
		t.Errorf("want the first model kept, have %s, %v", text, err)
	}
	if info := retainedMessage(t, url, "sightd/bench/bridge/info"); !strings.Contains(info, firstSum) {
		t.Errorf("bridge/info: want the first model, have %s", info)
	}
	b.environment = nil
	b.configure(t, rules, "")
	if code, text := b.use(t, url, other); code != 0 {
		t.Errorf("use a model that fits the rules as they are now: have %d, %s", code, text)
	}
	r.says(t, "bridge/info", otherSum)
	p.stop(t)
}

// TestHangUp runs the daemon on a terminal: SIGHUP has it read its model again, and ends it when the terminal is gone.
func TestHangUp(t *testing.T) {
	t.Parallel()
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP) // else, where this test runs under nohup, the daemon would inherit that SIGHUP is ignored
	t.Cleanup(func() { signal.Stop(hangups) })
	master, slave := terminal(t)
	b := newBoard(t, embedded)
	p := &process{cmd: exec.Command(sightd(t), "run", "-c", "sightd.yaml")}
	p.cmd.Dir, p.cmd.Stdin = b.dir, slave
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	p.begin(t)
	if err := slave.Close(); err != nil {
		t.Error(err)
	}
	p.line(t, `"msg":"ready`)
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.line(t, `"msg":"model is run"`)
	if err := master.Close(); err != nil {
		t.Error(err)
	}
	p.until(t, func() bool { return p.over }, func() string { return "it still runs without its terminal" })
	if code := p.cmd.ProcessState.ExitCode(); code != 0 || !strings.Contains(p.String(), "sightd has stopped") {
		t.Errorf("its terminal is gone: want a clean stop, have %v", p.cmd.ProcessState)
	}
}

// terminal makes a pseudo-terminal.
func terminal(t testing.TB) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("skipped: this test needs a pseudo-terminal: %v", err)
	}
	t.Cleanup(func() { master.Close() }) // fails where the test has closed it
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		slave, err = os.OpenFile(fmt.Sprint("/dev/pts/", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	return master, slave
}
