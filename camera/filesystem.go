package camera

import (
	"fmt"
	"os"
)

// Polled says whether PollAuto has a directory read every second instead of waiting for notice, and the name of the file system
// that is the reason. The directory is only opened. An error: it can't be.
func Polled(dir string) (system string, polled bool, err error) {
	file, err := os.Open(dir)
	if err != nil {
		return "", false, fmt.Errorf("look at a folder's file system: %w", err)
	}
	defer file.Close() // nothing is written through it
	found := fileSystemOf(file)
	return found.name, found.polled, nil
}
