package cameras

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Orders tell the program that plays rpicam-vid what to do. They lie beside it, in a folder with the number of the camera, with the
// pictures to show.
type Orders struct {
	FPS    float64 // pictures a second
	Each   int     // how many pictures in a row show the same
	Deaf   bool    // SIGTERM and SIGINT are ignored, and a closed pipe, too
	Babble int     // bytes to write on standard error, before the first picture and before the last words
	Last   int     // pictures before it ends by itself; 0: it doesn't
	Words  string  // its last ones on standard error, when it ends by itself
}

const (
	ordersFile = "orders.json"
	picsFolder = "pictures"
	pidsFolder = "started"
)

// Rpicam is a camera as rpicam-vid sees it, in a folder that the test and the program share.
type Rpicam struct{ dir string }

// NewRpicam sets a camera up for the program rpicam-vid in a folder, that shows pictures.
func NewRpicam(folder string, number int, o Orders, pictures ...Picture) (Rpicam, error) {
	r := Rpicam{filepath.Join(folder, strconv.Itoa(number))}
	for _, sub := range []string{picsFolder, pidsFolder} {
		if err := os.MkdirAll(filepath.Join(r.dir, sub), 0o700); err != nil {
			return r, fmt.Errorf("set camera up: %w", err)
		}
	}
	for i, p := range pictures {
		if err := os.WriteFile(filepath.Join(r.dir, picsFolder, fmt.Sprintf("%04d.jpg", i)), p.Data, 0o600); err != nil {
			return r, fmt.Errorf("set camera up: %w", err)
		}
	}
	return r, r.Order(o)
}

// Order gives other orders, for the program's next start.
func (r Rpicam) Order(o Orders) error {
	data, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("order camera: %w", err)
	}
	file := filepath.Join(r.dir, ordersFile)
	if err = os.WriteFile(file+".new", data, 0o600); err == nil {
		err = os.Rename(file+".new", file)
	}
	if err != nil {
		return fmt.Errorf("order camera: %w", err)
	}
	return nil
}

// Started are the processes that were started for the camera so far, running or not, in no order.
func (r Rpicam) Started() ([]int, error) {
	entries, err := os.ReadDir(filepath.Join(r.dir, pidsFolder))
	if err != nil {
		return nil, fmt.Errorf("look for the camera's processes: %w", err)
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			return nil, fmt.Errorf("look for the camera's processes: %w", err)
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// Running are those of the camera's processes that still are there, and zombies those of which nobody has taken notice that they
// have ended.
func (r Rpicam) Running() (running, zombies []int, err error) {
	started, err := r.Started()
	if err != nil {
		return nil, nil, err
	}
	for _, pid := range started {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		_, state, ours := strings.Cut(string(stat), "(rpicam-vid) ")
		switch {
		case err != nil || !ours:
		case strings.HasPrefix(state, "Z"):
			zombies = append(zombies, pid)
		default:
			running = append(running, pid)
		}
	}
	return running, zombies, nil
}

// Play is the program: it plays rpicam-vid with its arguments, for the camera among those beside the program.
func Play(program string, args []string) error {
	number := "0"
	for i, arg := range args {
		if value, ok := strings.CutPrefix(arg, "--camera="); ok {
			number = value
		} else if arg == "--camera" && i+1 < len(args) {
			number = args[i+1]
		}
	}
	p := player{dir: filepath.Join(filepath.Dir(program), number)}
	return p.play()
}
