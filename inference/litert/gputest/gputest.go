// Package gputest finds what tests need to run networks on a GPU: LiteRT's libraries and a Vulkan device, which may be all software.
package gputest

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"sightd/inference/litert"
)

var choose sync.Once

// Need gives the folder of LiteRT's libraries, and has this process and its children find the Vulkan device that TEST_VULKAN_ICD names.
// Without them the test is skipped; in CI they must be there.
func Need(t testing.TB) (dir string) {
	t.Helper()
	dir = filepath.Join(os.Getenv("NATIVE_PARTS"), "lib")
	icd := os.Getenv("TEST_VULKAN_ICD")
	_, err := os.Stat(icd)
	if missing := litert.Find(dir); missing != nil {
		err = missing
	}
	switch {
	case err == nil:
		choose.Do(func() { err = os.Setenv("VK_ICD_FILENAMES", icd) })
		if err != nil {
			t.Fatal(err)
		}
	case os.Getenv("CI") == "true":
		t.Fatalf("the GPU's tests need what native/gpu.sh fetches, and the environment of native/env.sh: %v", err)
	default:
		t.Skipf("skipped: this needs LiteRT, and a Vulkan driver's file that TEST_VULKAN_ICD names (make test fetches both): %v", err)
	}
	return dir
}
