package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sightd/inference"
)

// Check is Load, and looks at what the configuration names on this machine. What is wrong with the configuration itself is the error, a
// label that the model doesn't have among it. What is to be found at its paths may be right on another machine: that gives warnings, each
// as "FILE:LINE:COLUMN: KEY: warning: what is wrong".
//
// The rules of decisions are held against the labels of the model that would be run, where a rule names a label or a live source follows
// them.
func Check(path string, env []string) (warnings []string, err error) {
	data, err := readConfig(path)
	if err != nil {
		return nil, err
	}
	r := readerOf(path, data, env)
	if err := r.err(); err != nil {
		return nil, err
	}
	f := finder{reader: r}
	f.labels()
	f.files()
	f.secrets()
	f.relative()
	return f.warnings, r.err()
}

// finder looks for what a configuration names.
type finder struct {
	reader   *configReader
	warnings []string
}

func (f *finder) warn(key, text string) {
	r := f.reader
	f.warnings = append(f.warnings, r.told(configFault{place: r.places[key], key: key, text: text}, "warning: "))
}

// labels holds the rules against the labels of the model that would be run. Which one that is is told where it isn't the configured one.
func (f *finder) labels() {
	c := f.reader.config
	if !c.NeedsLabels() {
		return
	}
	o, err := c.Engine()
	if err == nil && o.Model != c.Model.Path {
		f.warn("model.path", `"sightd model use" has put another model in its place, whose labels count: `+o.Model)
	}
	var labels []string
	if err == nil {
		labels, err = ModelConfig{Path: o.Model, Labels: o.Labels}.ReadLabels()
	}
	if err != nil {
		f.warn("model.path", "decide wasn't held against the model's labels: "+err.Error())
		return
	}
	f.reader.checkDecide(labels)
}

// files looks for files and folders.
func (f *finder) files() {
	c := f.reader.config
	d := inference.Delegate(c.Model.Delegate)
	library, _, err := d.Library()
	if err != nil { // isn't external
		library = ""
	}
	for _, file := range []struct{ key, path string }{
		{"model.path", c.Model.Path}, {"model.labels", c.Model.Labels}, {"model.delegate", library},
		{"mqtt.ca", c.MQTT.CA}, {"mqtt.cert", c.MQTT.Cert}, {"mqtt.key", c.MQTT.Key},
	} {
		if file.path == "" || file.key == "model.path" && c.NeedsLabels() { // labels has told
			continue
		}
		if about, err := os.Stat(file.path); err != nil {
			f.warn(file.key, missing(err))
		} else if about.IsDir() {
			f.warn(file.key, "want a file, have a folder")
		}
	}
	f.folder("state_dir", c.StateDir)
	for i, s := range c.Sources {
		key := fmt.Sprintf("sources[%d].path", i)
		switch s.Type {
		case TypeFolder:
			f.folder(key, s.Path)
		case TypeReplay:
			if _, err := os.Stat(s.Path); err != nil {
				f.warn(key, missing(err))
			}
		}
	}
}

// folder wants a folder, or nothing: sightd makes it.
func (f *finder) folder(key, path string) {
	if about, err := os.Stat(path); err == nil && !about.IsDir() {
		f.warn(key, "want a folder, have a file")
	}
}

// missing says why a file can't be had.
func missing(err error) string { return "not found here: " + err.Error() }

// secrets looks at the password, and at who can read it.
func (f *finder) secrets() {
	c := f.reader.config.MQTT
	if c.PasswordFile != "" {
		if _, err := c.secret(""); err != nil {
			f.warn("mqtt.password_file", err.Error())
		}
		if othersRead(c.PasswordFile) {
			f.warn("mqtt.password_file", "every user of this machine can read it: chmod o= "+c.PasswordFile)
		}
	}
	if c.Password != "" && f.reader.places["mqtt.password"].variable == "" && othersRead(f.reader.file) {
		f.warn("mqtt.password", "every user of this machine can read this file: chmod o= "+f.reader.file)
	}
}

func othersRead(path string) bool {
	about, err := os.Stat(path)
	return err == nil && about.Mode().Perm()&0o004 != 0
}

// relative looks for paths that depend on where sightd is started, in a file for a service, which is started in no folder of its own.
func (f *finder) relative() {
	file, err := filepath.Abs(f.reader.file)
	if err != nil || f.reader.file == "" || !strings.HasPrefix(file, "/etc/") {
		return
	}
	c := f.reader.config
	paths := []struct{ key, path string }{
		{"state_dir", c.StateDir}, {"model.path", c.Model.Path}, {"model.labels", c.Model.Labels}, {"mqtt.password_file", c.MQTT.PasswordFile},
		{"mqtt.ca", c.MQTT.CA}, {"mqtt.cert", c.MQTT.Cert}, {"mqtt.key", c.MQTT.Key},
	}
	for i, s := range c.Sources {
		paths = append(paths, struct{ key, path string }{fmt.Sprintf("sources[%d].path", i), s.Path})
	}
	for _, p := range paths {
		if p.path != "" && !filepath.IsAbs(p.path) {
			f.warn(p.key, "want a path from the root, such as /var/lib/sightd, have one that depends on where sightd is started: "+p.path)
		}
	}
}
