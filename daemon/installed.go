package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sightd/decide"
	"sightd/inference"
	"sightd/models"
)

// Installed is the model that UseModel has put in the place of the configured one. It is kept in state_dir/model.json, its files in
// state_dir/models. That of the configured one has no File, and is kept nowhere.
type Installed struct {
	Name      string `json:"name"`
	File      string `json:"file"` // under state_dir
	SHA256    string `json:"sha256"`
	InsteadOf string `json:"instead_of"` // model.path of the configuration at that time: when that changes, it is what counts
}

// installedName is where it is kept under state_dir.
const installedName = "model.json"

func installedFile(stateDir string) string { return filepath.Join(stateDir, installedName) }

// InstalledModel gives the model that is used in the place of the configured one, nil if there is none.
func InstalledModel(c Config) (*Installed, error) {
	text, err := readAtMost(installedFile(c.StateDir), maxInstalledBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read which model is used: %w", err)
	}
	var i Installed
	if err := json.Unmarshal(text, &i); err != nil {
		return nil, fmt.Errorf("read which model is used: %s: %w", installedFile(c.StateDir), err)
	}
	if i.SHA256 == "" || !filepath.IsLocal(i.File) {
		return nil, fmt.Errorf("read which model is used: %s: want a sha256 and a file under %s, have %q and %q",
			installedFile(c.StateDir), c.StateDir, i.SHA256, i.File)
	}
	if i.InsteadOf != c.Model.Path {
		return nil, nil
	}
	return &i, nil
}

// Engine says what the configuration wants to be run: the model that was installed in the place of the configured one, or that.
func (c Config) Engine() (EngineOptions, error) {
	o := c.configured()
	i, err := InstalledModel(c)
	if i != nil {
		o.Model, o.Labels, o.SHA256 = filepath.Join(c.StateDir, i.File), "", i.SHA256
	}
	return o, err
}

// configured is what the configuration names, whatever was installed.
func (c Config) configured() EngineOptions {
	return EngineOptions{
		Model: c.Model.Path, Labels: c.Model.Labels, Top: c.Decide.Top,
		Options: inference.Options{Delegate: inference.Delegate(c.Model.Delegate), Threads: c.Model.Threads},
	}
}

// checkDecisions says what keeps the live sources from deciding on what a model says; without one nothing does.
func (c Config) checkDecisions(e *Engine) error {
	if !slices.ContainsFunc(c.Sources, SourceConfig.Live) {
		return nil
	}
	if err := c.Decide.CheckLabels(e.Labels); err != nil {
		return err
	}
	_, err := decide.New(c.Decide.rules(), e.Labels, e.Temperature)
	return err
}

// UseModel has the daemon run the model at path, with the card beside it, in the place of the configured one; "" has it run the configured
// one again. It proves the model first and holds its labels against the rules: a bad one changes nothing. used is what is run then; with
// an error beside it only what isn't used any more couldn't be removed. undo has what was used before used again.
func UseModel(c Config, path string) (used *Installed, undo func() error, err error) {
	if err := os.MkdirAll(c.StateDir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("write which model is used: %w", err)
	}
	err = inFolder(c.StateDir, func(state *os.Root) error {
		before, err := state.ReadFile(installedName)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("read which model is used: %w", err)
		}
		undo = func() error {
			return inFolder(c.StateDir, func(state *os.Root) error { return putInstalled(state, before) })
		}
		if path == "" {
			if used, err = c.uninstalled(); err == nil {
				err = putInstalled(state, nil)
			}
		} else if used, err = c.install(state, path); err == nil {
			err = used.put(state)
		}
		if err != nil {
			used = nil
			return err
		}
		if path == "" {
			return nil
		}
		return prune(state, used, before)
	})
	if used == nil {
		return nil, nil, err
	}
	return used, undo, err
}

// inFolder does something in a folder. Links in it can't lead outside: who installs a model may have more rights than who writes there.
func inFolder(path string, do func(*os.Root) error) (err error) {
	folder, err := os.OpenRoot(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, folder.Close()) }()
	return do(folder)
}

// uninstalled is the configured model. It isn't proven: the daemon does that.
func (c Config) uninstalled() (*Installed, error) {
	m, err := load(c.Model.Path)
	if err != nil {
		return nil, err
	}
	i := &Installed{Name: strings.TrimSuffix(filepath.Base(c.Model.Path), ".tflite"), SHA256: m.sum}
	if m.card != nil {
		i.Name = m.card.Name
	}
	return i, nil
}

// install proves a model and copies it, with its card, to where the daemon finds it.
func (c Config) install(state *os.Root, path string) (*Installed, error) {
	m, err := load(path)
	if err != nil {
		return nil, err
	}
	engine, err := OpenEngine(EngineOptions{
		Model: path, loaded: m, Reference: true, Options: inference.Options{Delegate: inference.Auto, Threads: c.Model.Threads},
	})
	if err != nil {
		return nil, err
	}
	if err := errors.Join(c.checkDecisions(engine), engine.Close()); err != nil {
		return nil, fmt.Errorf("use model %s: %w", path, err)
	}
	i := &Installed{Name: engine.Name, SHA256: m.sum, InsteadOf: c.Model.Path}
	if err := i.copy(state, path, m); err != nil {
		return nil, fmt.Errorf("use model %s: %w", path, err)
	}
	return i, nil
}

// installedModels is the folder under state_dir that has a folder for each model.
const installedModels = "models"

// copy writes the model's file and its card into a folder that no other model and no other card has, so that what is used now stays.
func (i *Installed) copy(state *os.Root, path string, m *loadedModel) error {
	var card []byte
	if m.card != nil {
		var err error
		if card, err = m.card.JSON(); err != nil {
			return err
		}
	}
	folder := filepath.Join(installedModels, models.Sum(slices.Concat(m.data, card))[:16])
	name := strings.ToValidUTF8(strings.TrimSuffix(filepath.Base(path), ".tflite"), "_") // it is written as JSON
	i.File = filepath.Join(folder, name+".tflite")
	for _, f := range []string{installedModels, folder} {
		if err := makeShared(state, f); err != nil {
			return err
		}
	}
	if card != nil {
		if err := replaceShared(state, filepath.Join(folder, name+".json"), card); err != nil {
			return err
		}
	}
	return replaceShared(state, i.File, m.data)
}

// put writes state_dir/model.json.
func (i *Installed) put(state *os.Root) error {
	text, err := json.MarshalIndent(i, "", "  ")
	if err != nil {
		return fmt.Errorf("write which model is used: %w", err)
	}
	return putInstalled(state, append(text, '\n'))
}

// prune removes the models that are used no more, but for the one before.
func prune(state *os.Root, used *Installed, before []byte) error {
	keep := []string{filepath.Base(filepath.Dir(used.File))}
	var last Installed
	if json.Unmarshal(before, &last) == nil && last.File != "" {
		keep = append(keep, filepath.Base(filepath.Dir(last.File)))
	}
	folders, err := fs.ReadDir(state.FS(), installedModels)
	for _, f := range folders {
		if !slices.Contains(keep, f.Name()) {
			err = errors.Join(err, state.RemoveAll(filepath.Join(installedModels, f.Name())))
		}
	}
	if err != nil {
		return fmt.Errorf("remove models that aren't used any more: %w", err)
	}
	return nil
}

// putInstalled writes state_dir/model.json, or removes it where there is no text.
func putInstalled(state *os.Root, text []byte) error {
	var err error
	if text != nil {
		err = replaceShared(state, installedName, text)
	} else if err = state.Remove(installedName); errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("write which model is used: %w", err)
	}
	return nil
}

// makeShared makes a folder that all may read, where there is none: the daemon may run as another user than who installs a model.
func makeShared(root *os.Root, name string) error {
	err := root.Mkdir(name, 0o755)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err == nil {
		err = root.Chmod(name, 0o755) // whatever umask says
	}
	return errors.Join(err, syncFolder(root, filepath.Dir(name)))
}

// replaceShared writes a file that all may read under another name first, so that a power cut leaves the old one or the new one.
func replaceShared(root *os.Root, name string, text []byte) error {
	part := filepath.Join(filepath.Dir(name), ".new")
	if err := root.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := root.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	if _, err = f.Write(text); err == nil {
		err = errors.Join(f.Chmod(0o644), f.Sync())
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = root.Rename(part, name)
	}
	if err != nil {
		return errors.Join(err, root.Remove(part)) // a full disk needs the room
	}
	return syncFolder(root, filepath.Dir(name))
}

// syncFolder has a folder's entries outlast a power cut.
func syncFolder(root *os.Root, name string) error {
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
