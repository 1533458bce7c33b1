package testbench

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestArm64Control: the processors of old boards, as qemu has them, end a program with SIGILL at its first instruction above ARMv8.0. Without
// that, the runs on them would prove nothing.
func TestArm64Control(t *testing.T) {
	arm64Program(t)
	instructions := map[string]string{
		"atomic":      ".arch armv8.1-a\n ldaddal w0, w0, [sp]",
		"dot product": ".arch armv8.2-a+dotprod\n sdot v0.4s, v0.16b, v0.16b",
		"16 bits":     ".arch armv8.2-a+fp16\n fadd v0.8h, v0.8h, v0.8h",
	}
	for name, text := range instructions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			program := filepath.Join(t.TempDir(), "control")
			compile := exec.CommandContext(t.Context(), "aarch64-linux-gnu-gcc", "-nostdlib", "-static", "-x", "assembler", "-o", program, "-")
			compile.Stdin = strings.NewReader(".globl _start\n_start:\n" + text + "\n mov x0, 0\n mov x8, 93\n svc 0\n") // exit(0)
			if said, err := compile.CombinedOutput(); err != nil {
				t.Fatalf("compile: %v\n%s", err, said)
			}
			for _, p := range []armProcessor{bestProcessor, raspberryPi5} {
				p.emulator(t).succeed(t, program)
			}
			for _, p := range []armProcessor{raspberryPi4, raspberryPi3, jetsonNano} {
				said, err := p.emulator(t).command(t, program).CombinedOutput()
				if err == nil || !strings.Contains(string(said), "Illegal instruction") {
					t.Errorf("%s: want an illegal instruction, have %v\n%s", p.qemu, err, said)
				}
			}
		})
	}
}
