package daemon

import (
	"fmt"
	"io"
	"os"
)

// Limits of the files that stand beside a model or in state_dir. Each is many times what such a file needs.
const (
	maxLabelBytes     = 16 << 20
	maxCardBytes      = 16 << 20
	maxSavedBytes     = 16 << 20
	maxInstalledBytes = 64 << 10
)

// readAtMost reads a file of at most so many bytes: a longer one, or one that never ends, takes no more memory than that.
func readAtMost(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // it was only read
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > most {
		return nil, fmt.Errorf("%s: want at most %d bytes, have more", path, most)
	}
	return data, nil
}
