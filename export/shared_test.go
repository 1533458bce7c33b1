package export

import (
	"os"
	"path/filepath"
	"testing"
)

// shared gives the path of something beside the checkout: weights, photos. Without it the test is skipped; in CI it must be there.
func shared(t *testing.T, path string) string {
	t.Helper()
	full := filepath.Join("..", "..", "shared", path)
	if _, err := os.Stat(full); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("skipped: this test needs %s: %v", full, err)
	}
	return full
}
