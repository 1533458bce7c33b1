package doctor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sightd/daemon"
)

// others looks for another sightd on this machine that would be in the way of this configuration's: with its state_dir, one of its
// folders or, at the same broker, its name or topics. What another user's runs with can be told by root alone.
func (e *examiner) others(context.Context) []Finding {
	_, holder := e.running()
	var findings []Finding
	seen, unknown := 0, 0
	for _, p := range e.processes() {
		arguments := e.arguments(p)
		if p.pid == os.Getpid() || len(arguments) < 2 || filepath.Base(arguments[0]) != "sightd" || arguments[1] != "run" {
			continue
		}
		file, ok := e.configOf(p, arguments)
		if ok && e.yaml != "" && real(file) == real(e.yaml) {
			continue // the one that is looked at runs
		}
		seen++
		theirs, err := daemon.Load(file, e.environment(p))
		if !ok || err != nil {
			unknown++
			continue
		}
		clash := e.clash(p, theirs)
		switch {
		case clash == "":
		case p.pid == holder:
			findings = append(findings, Finding{"other sightd", Warn, fmt.Sprintf("the sightd that runs with this state_dir%s has another configuration, %s", p, named(file)),
				"give doctor the configuration that it runs with (-c), or stop it before one starts with this"})
		default:
			findings = append(findings, Finding{"other sightd", Fail, fmt.Sprintf("another sightd%s, with %s, has %s", p, named(file), clash),
				"stop one of them, or give each a name, state_dir, folders and mqtt.listen of its own (sightd config init --service NAME prints such a configuration)"})
		}
	}
	if len(findings) > 0 || seen == 0 {
		return findings
	}
	f := Finding{"other sightd", OK, count(seen, "other sightd") + " on this machine, in nobody's way", ""}
	if unknown > 0 {
		f.Detail = fmt.Sprintf("another sightd is on this machine (%d in all); with which configuration %d of them runs can't be told", seen, unknown)
		f.Hint = "as root, doctor can tell: sudo sightd doctor"
	}
	return []Finding{f}
}

func named(file string) string {
	if file == "" {
		return "the defaults"
	}
	return file
}

// clash says what a process's configuration has in common with this one that it must not have, "" if nothing.
func (e *examiner) clash(p process, theirs daemon.Config) string {
	at := func(path string) string {
		if filepath.IsAbs(path) {
			return real(path)
		}
		cwd, err := os.Readlink(e.path(p, "cwd"))
		if err != nil {
			return "?"
		}
		return real(filepath.Join(cwd, path))
	}
	if at(theirs.StateDir) == real(e.config.StateDir) {
		return "the same state_dir, " + e.config.StateDir
	}
	for _, mine := range e.config.Sources {
		for _, other := range theirs.Sources {
			if !mine.Live() && !other.Live() && at(other.Path) == real(mine.Path) {
				return "the same folder, " + mine.Path
			}
		}
	}
	mine, other := e.config.MQTT, theirs.MQTT
	switch {
	case mine.Broker != other.Broker, mine.Broker == "" && mine.Listen != other.Listen: // the same port is the broker's own finding
	case mine.Broker != "" && e.config.Name == theirs.Name && mine.Base == other.Base:
		return "the same name and topics at the same broker"
	case mine.Broker != "" && mine.Base != "" && mine.Base == other.Base:
		return "the same topics (mqtt.base) at the same broker"
	}
	return ""
}

// arguments are those of a process, its program first.
func (s *system) arguments(p process) []string {
	text, err := read(s.path(p, "cmdline"))
	if err != nil {
		return nil
	}
	return strings.Split(strings.TrimRight(text, "\x00"), "\x00")
}

// environment is a process's, nil where it isn't shown.
func (s *system) environment(p process) []string {
	text, err := read(s.path(p, "environ"))
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(strings.Split(text, "\x00"), func(v string) bool { return !strings.HasPrefix(v, "SIGHTD_") })
}

// configOf is the path of the configuration of a process of sightd run, "" for the defaults; ok says that it could be told.
func (s *system) configOf(p process, arguments []string) (file string, ok bool) {
	file = configArgument(arguments)
	if file == "" || filepath.IsAbs(file) {
		return file, true
	}
	cwd, err := os.Readlink(s.path(p, "cwd"))
	return filepath.Join(cwd, file), err == nil
}
