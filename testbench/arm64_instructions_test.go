package testbench

import (
	"debug/buildinfo"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

// extensions are what may come on top of ARMv8.0, and with which setting the assembler takes their instructions; one counts for the first
// that does. Raspberry Pi 4 has crc of these and nothing else, Jetson Nano and TX2 have crc, aes and sha2.
var extensions = []struct{ name, setting string }{
	{"crc", "armv8-a+crc"}, {"aes", "armv8-a+aes"}, {"sha2", "armv8-a+sha2"}, {"lse", "armv8-a+lse"}, {"rdma", "armv8.1-a"},
	{"dotprod", "armv8.2-a+dotprod"}, {"fp16", "armv8.2-a+fp16"}, {"sha3", "armv8.2-a+sha3"}, {"i8mm", "armv8.2-a+i8mm"}, {"bf16", "armv8.2-a+bf16"},
	{"dit", "armv8.4-a"}, {"sve", "armv8.2-a+sve"}, {"later", "armv9-a+sve2+sme"},
}

// dispatched are the extensions that a file has instructions of, which it executes only where the processor says that it has them.
var dispatched = map[string][]string{
	// lse everywhere: GCC's outline atomics, which look for it at their start.
	// XNNPACK makes its choice of kernels by cpuinfo, which asks getauxval.
	"libtensorflowlite_c.so": {"lse", "dotprod", "fp16"},
	// OpenCV has products of bytes with dot products, behind checkHardwareSupport.
	"libopencv_core.so.413":      {"lse", "dotprod"},
	"libopencv_imgproc.so.413":   {"lse"},
	"libopencv_imgcodecs.so.413": {"lse"},
	"libopencv_videoio.so.413":   {"lse"},
	"libopenblas.so.0":           {"lse"},
	"libgfortran.so.5":           {"lse"},
	// Go's runtime, hashes and ciphers ask the kernel: internal/cpu. sve and dit are registers: golang.org/x/sys/cpu reads one where there
	// is sve, ciphers set the other.
	"sightd": {"aes", "crc", "dit", "lse", "sha2", "sha3", "sve"},
}

// TestArm64Instructions looks at every instruction of the program and its libraries. The assembler is the judge of what ARMv8.0 hasn't: that
// must be what dispatched says, no more and no less, and each atomic instruction of ARMv8.1 must have a branch in front of it. That the
// others are executed only where they may be is shown by the runs on old processors, where qemu raises SIGILL: TestArm64Control. It has
// no processor without aes and sha2, as that of a Raspberry Pi 4 is: only the program has such, and none of its libraries.
func TestArm64Instructions(t *testing.T) {
	program := arm64Program(t)
	libraries := filepath.Join(repository(t), "native", "arm64", "lib")
	entries, err := os.ReadDir(libraries)
	if err != nil {
		t.Fatal(err)
	}
	files := []string{program}
	for _, e := range entries {
		if e.Type().IsRegular() && !strings.Contains(e.Name(), "LiteRt") { // the GPU's libraries are no part of the program
			files = append(files, filepath.Join(libraries, e.Name()))
		}
	}
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want, known := dispatched[name]
			if !known {
				t.Fatalf("want to know which extensions %s may have: dispatched doesn't say", name)
			}
			code := disassemble(t, file)
			if len(code.forms) < 300 {
				t.Fatalf("want a library's instructions, have %d forms", len(code.forms))
			}
			for _, line := range code.unguarded {
				t.Errorf("want a branch around an atomic instruction of ARMv8.1, have none in front of %s", line)
			}
			found := aboveBase(t, code.forms)
			if have := slices.Sorted(maps.Keys(found)); !slices.Equal(have, slices.Sorted(slices.Values(want))) {
				t.Errorf("want instructions of %q on top of ARMv8.0, have %q", want, found)
			}
			for _, extension := range slices.Sorted(maps.Keys(found)) {
				t.Logf("%s: %s", extension, strings.Join(found[extension], " "))
			}
		})
	}
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(info.Settings, debug.BuildSetting{Key: "GOARM64", Value: "v8.0"}) {
		t.Errorf("want the program compiled with GOARM64=v8.0, have %v", info.Settings)
	}
}
