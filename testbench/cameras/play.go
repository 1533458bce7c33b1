package cameras

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// player is the program that plays rpicam-vid.
type player struct {
	dir      string
	orders   Orders
	pictures [][]byte
}

func (p *player) read() error {
	text, err := os.ReadFile(filepath.Join(p.dir, ordersFile))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &p.orders); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(p.dir, picsFolder, "*.jpg"))
	if err != nil {
		return err
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		p.pictures = append(p.pictures, data)
	}
	if len(p.pictures) == 0 || p.orders.FPS <= 0 || p.orders.Each < 1 {
		return fmt.Errorf("want pictures, have %d, %v a second, each %d times", len(p.pictures), p.orders.FPS, p.orders.Each)
	}
	return nil
}

func (p *player) play() error {
	if err := p.read(); err != nil {
		return fmt.Errorf("no cameras available: %w", err)
	}
	if p.orders.Deaf {
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE)
	}
	if err := os.WriteFile(filepath.Join(p.dir, pidsFolder, strconv.Itoa(os.Getpid())), nil, 0o600); err != nil {
		return err
	}
	p.babble()
	tick := time.NewTicker(time.Duration(float64(time.Second) / p.orders.FPS))
	defer tick.Stop()
	var buf []byte
	for n := uint64(0); p.orders.Last == 0 || n < uint64(p.orders.Last); n++ {
		buf = numbered(buf, p.pictures[int(n)/p.orders.Each%len(p.pictures)], n)
		if _, err := os.Stdout.Write(buf); err != nil && !p.orders.Deaf {
			return err
		}
		<-tick.C
	}
	p.babble()
	return errors.New(p.orders.Words)
}

// babble says much on standard error.
func (p *player) babble() {
	line := "[0:00:00.000000] INFO Camera " + strings.Repeat("frame dropped ", 8) + "\n"
	for said := 0; said < p.orders.Babble; said += len(line) {
		if _, err := os.Stderr.WriteString(line); err != nil {
			return
		}
	}
}
