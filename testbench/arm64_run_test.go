package testbench

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestArm64Run runs the daemon with the embedded broker on the processor of a Raspberry Pi 4: a client of this machine gets an event of
// each picture. The daemon is to find the best delegate, but where the kernel doesn't know programs for arm64 those that it starts of
// itself don't start: it must go on with XNNPACK.
func TestArm64Run(t *testing.T) {
	t.Parallel()
	program := arm64Program(t)
	b := newBoard(t, embedded)
	config := filepath.Join(b.dir, "sightd.yaml")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	chosen := strings.Replace(string(text), fixedModel, "", 1)
	if chosen == string(text) {
		t.Fatalf("want a configuration with %q, have\n%s", fixedModel, text)
	}
	if err := os.WriteFile(config, []byte(chosen), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: raspberryPi4.emulator(t).command(t, program, "run", "-c", "sightd.yaml")}
	p.cmd.Dir = b.dir
	p.begin(t)
	if err := exec.Command(program, "version").Run(); errors.Is(err, syscall.ENOEXEC) {
		p.line(t, `"msg":"tried"`, `"delegate":"xnnpack"`, "exec format error")
	}
	p.line(t, `"msg":"model is ready"`, `"delegate":"xnnpack, `)
	s := subscribe(t, p.field(t, "embedded broker is listening", "broker"))
	p.line(t, `"msg":"ready`)
	s.state(t, "online")

	want := map[string]string{}
	for i, file := range drawnFiles(t) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(file)
		want[name], _, _ = strings.Cut(name, ".")
		b.drop(t, i, name, data)
	}
	s.files(t, len(want))
	for name, label := range want {
		if e := s.first(t, name); e.Type != "classified" || e.Label != label {
			t.Errorf("%s: want the event of a %s, have %+v", name, label, e)
		}
	}
	if state := p.signal(t, syscall.SIGTERM); state.ExitCode() != 0 {
		t.Errorf("after SIGTERM: want exit status 0, have %v", state)
	}
}
