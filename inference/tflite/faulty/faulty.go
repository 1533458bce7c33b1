// Package faulty builds an external delegate for TensorFlow Lite that misbehaves on request, for tests of what must survive it.
//
// The delegate takes one node, the last SOFTMAX that is computed in float, and computes it as it should be, unless its options say
// otherwise. They are written behind its path as those of every external delegate: external:/path.so?do=crash&after=3
//
//	do=crash          a segmentation fault in Invoke
//	do=hang           Invoke never returns, and takes no time of the processor
//	do=fail           Invoke returns an error
//	do=nan            every score is NaN
//	do=wrong          each score is that of the class before it
//	do=refuse         there is no delegate, and the library reports why
//	do=crash_create   a segmentation fault while the delegate is made
//	do=hang_create    making the delegate never returns
//	do=partial        nothing: it does what it should
//	after=N           do it from Invoke N+1 on; not for what happens when the delegate is made
//	file=PATH         do it only while that file exists
//	slow=MS           each Invoke takes that many milliseconds longer
//	one_thread=1      Invoke on another thread than the one that made it is an error, as with some GPUs
//	hang_destroy=1    freeing it never returns; after and file hold for it, too
//
// Options that it doesn't know are refused.
package faulty

import (
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

//go:embed testdata/faulty.c
var source []byte

// Build compiles the delegate with $CC, else gcc, and gives the path of its shared library, which lasts as long as the test. Without
// a compiler the test is skipped.
func Build(t testing.TB) string {
	t.Helper()
	compiler := os.Getenv("CC")
	if compiler == "" {
		compiler = "gcc"
	}
	if _, err := exec.LookPath(compiler); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("build the faulty delegate: %v", err)
		}
		t.Skipf("no C compiler to build the faulty delegate: %v", err)
	}
	folder := t.TempDir()
	c, library := filepath.Join(folder, "faulty.c"), filepath.Join(folder, "libfaulty.so")
	if err := os.WriteFile(c, source, 0o600); err != nil {
		t.Fatal(err)
	}
	gcc := exec.Command(compiler, "-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-o", library, c, "-lm", "-lpthread")
	if output, err := gcc.CombinedOutput(); err != nil {
		t.Fatalf("build the faulty delegate with %s: %v\n%s", compiler, err, output)
	}
	return library
}
