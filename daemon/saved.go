package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"sightd/publish"
)

// saved is what the daemon remembers across restarts, in state_dir/sources.json. It is written when a source is switched or
// announced, and on a clean stop: never while only states change.
type saved struct {
	Sources   map[string]savedSource `json:"sources"`
	Announced []string               `json:"announced"`          // topics that are retained for Home Assistant
	Pictured  []string               `json:"pictured,omitempty"` // sources whose pictures are retained
}

type savedSource struct {
	Disabled bool           `json:"disabled,omitempty"`
	Last     *publish.State `json:"last,omitempty"` // of the last clean stop; it is forgotten at the start
}

func (d *Daemon) savedFile() string { return filepath.Join(d.config.StateDir, "sources.json") }

// restore reads what was saved. What can't be read is forgotten: sources are then switched on, as they were configured.
func (d *Daemon) restore() saved {
	var s saved
	text, err := readAtMost(d.savedFile(), maxSavedBytes)
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		d.log.Warn("what was switched off and announced before is forgotten", "err", err)
		return saved{}
	}
	return s
}

// save writes what is to be remembered, with the sources' last states if last is set. The file is replaced as a whole.
func (d *Daemon) save(last bool) error {
	d.saving.Lock()
	defer d.saving.Unlock()
	s := saved{Sources: map[string]savedSource{}, Announced: d.announced}
	for _, source := range d.sources {
		if d.config.Snapshots.MQTT {
			s.Pictured = append(s.Pictured, source.config.Name)
		}
		source.mu.Lock()
		state := source.state
		source.mu.Unlock()
		entry := savedSource{Disabled: !state.Enabled}
		if last && state.Best != nil {
			entry.Last = &state
		}
		if entry != (savedSource{}) {
			s.Sources[source.config.Name] = entry
		}
	}
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("save sources: %w", err)
	}
	if string(text) == d.savedText {
		return nil
	}
	if err := replaceFile(d.savedFile(), text); err != nil {
		return fmt.Errorf("save sources: %w", err)
	}
	d.savedText = string(text)
	return nil
}

// replaceFile writes a file under another name first, so that a power cut leaves the old one or the new one.
func replaceFile(path string, text []byte) error {
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
