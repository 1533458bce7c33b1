package doctor

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// unit is what systemd tells of a service of sightd's: properties by their names.
type unit map[string]string

// unitProperties are those that are asked for. A systemd that doesn't know one leaves it out.
const unitProperties = "Id,LoadState,ActiveState,SubState,Result,ExecMainCode,ExecMainStatus,NRestarts,StatusText,WatchdogUSec," +
	"ActiveEnterTimestamp,UnitFileState,FragmentPath,NeedDaemonReload,MainPID,User,ProcSubset,ExecStart,SupplementaryGroups," +
	"PrivateDevices,PrivateTmp,ProtectSystem,ProtectHome,ReadWritePaths,BindPaths,StateDirectory"

// unitPatience is how long systemd may take for its answer.
const unitPatience = 5 * time.Second

// services asks systemd for the packaged service and its instances. finding says why there is no answer, nil where there is one.
func (s *system) services(ctx context.Context) (units []unit, finding *Finding) {
	ctx, cancel := context.WithTimeoutCause(ctx, unitPatience, fmt.Errorf("no answer from systemctl within %v", unitPatience))
	defer cancel()
	out, said, err := s.run(ctx, "systemctl", "show", "--no-pager", "--property="+unitProperties, "sightd.service", "sightd@*.service")
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return nil, &Finding{"service", OK, "systemctl isn't installed: there is no service of systemd's to look at", ""}
	case err != nil && strings.Contains(said, "not been booted with systemd"), err != nil && strings.Contains(said, "connect to bus"):
		return nil, &Finding{"service", OK, "systemd doesn't run here, as in most containers: what starts sightd again isn't looked at", ""}
	case err != nil:
		return nil, &Finding{"service", Warn, "ask systemd for the service: " + cmp.Or(said, err.Error()),
			"\"systemctl status sightd\" may say more"}
	}
	return parseUnits(out), nil
}

// parseUnits reads what systemctl show prints: lines NAME=VALUE, an empty one between two units. Of a name that comes more than once, as
// ExecStart may, the last counts.
func parseUnits(text string) []unit {
	var units []unit
	u := unit{}
	end := func() {
		if u["Id"] != "" {
			units = append(units, u)
		}
		u = unit{}
	}
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), "=")
		if !ok {
			end()
			continue
		}
		u[name] = value
	}
	end()
	return units
}

// name is what systemctl takes: sightd, or sightd@NAME.
func (u unit) name() string { return strings.TrimSuffix(u["Id"], ".service") }

func (u unit) user() string { return cmp.Or(u["User"], "root") }

// config is the file behind -c in the unit's command, "" where it has none.
func (u unit) config() string {
	_, command, _ := strings.Cut(u["ExecStart"], "argv[]=")
	command, _, _ = strings.Cut(command, " ;")
	return configArgument(strings.Fields(command))
}

// configArgument is the value of -c among the arguments of sightd, "" without one.
func configArgument(arguments []string) string {
	file := ""
	for i, a := range arguments {
		name, value, assigned := strings.Cut(a, "=")
		switch {
		case name != "-c" && name != "--c":
		case assigned:
			file = value
		case i+1 < len(arguments):
			file = arguments[i+1]
		}
	}
	return file
}

// unitOf is the service that runs with the configuration file, nil if there is none.
func unitOf(units []unit, file string) unit {
	for _, u := range units {
		if config := u.config(); config != "" && file != "" && real(config) == real(file) {
			return u
		}
	}
	return nil
}

// service has findings for each unit.
func (e *examiner) service(context.Context) []Finding {
	if e.serviceless != nil {
		return []Finding{*e.serviceless}
	}
	var findings []Finding
	for _, u := range e.units {
		if u["LoadState"] == "not-found" && len(e.units) > 1 {
			continue // there are instances alone
		}
		findings = append(findings, e.judge(u))
		if u["NeedDaemonReload"] == "yes" {
			findings = append(findings, Finding{"service", Warn, u["Id"] + " was changed on disk, and systemd hasn't read it yet",
				"sudo systemctl daemon-reload && sudo systemctl restart " + u.name()})
		}
		if u["ProcSubset"] == "pid" {
			findings = append(findings, Finding{"service", Warn, u["Id"] + " has ProcSubset=pid, which hides /proc/cpuinfo: XNNPACK may be slow or unusable",
				"sudo systemctl edit " + u.name() + ", below [Service] ProcSubset=all; then restart it"})
		}
	}
	if len(findings) == 0 {
		findings = []Finding{{"service", Warn, "systemd tells nothing of sightd.service", "\"systemctl status sightd\" may say more"}}
	}
	return findings
}

// judge says how a unit is.
func (e *examiner) judge(u unit) Finding {
	f := Finding{Name: "service", Status: OK}
	name := u.name()
	switch load := u["LoadState"]; {
	case load == "not-found":
		f.Detail = u["Id"] + " isn't installed: nothing starts sightd when the board starts"
		f.Hint = "the package sightd has it"
		return f
	case load == "masked":
		f.Status, f.Detail, f.Hint = Warn, u["Id"]+" is masked: it can't be started", "sudo systemctl unmask "+name
		return f
	case load != "loaded":
		f.Status, f.Detail = Fail, fmt.Sprintf("systemd can't use %s (%s): %s", u["Id"], u["FragmentPath"], load)
		f.Hint = "systemd-analyze verify " + cmp.Or(u["FragmentPath"], u["Id"]) + " names the line"
		return f
	}
	switch state := u["ActiveState"]; {
	case state == "failed":
		f.Status = Fail
		f.Detail, f.Hint = u.failure()
		f.Detail = u["Id"] + " has failed: " + f.Detail
		f.Hint += "; then sudo systemctl restart " + name
	case state == "activating" && strings.HasPrefix(u["SubState"], "auto-restart"):
		f.Status = Fail
		f.Detail, f.Hint = u.failure()
		f.Detail = fmt.Sprintf("%s fails, and systemd starts it again and again (%s so far): %s", u["Id"], count(u.number("NRestarts"), "time"), f.Detail)
	case state == "inactive":
		f.Status, f.Detail, f.Hint = Warn, u["Id"]+" is installed, and doesn't run", "sudo systemctl enable --now "+name
	case state == "active" && u.number("NRestarts") > 0:
		f.Status = Warn
		f.Detail = fmt.Sprintf("%s, and systemd had to start it again %s before", u.runs(), count(u.number("NRestarts"), "time"))
		f.Hint = u.log() + " says why it ended; \"sudo systemctl restart " + name + "\" begins to count anew"
	case state == "active", state == "reloading":
		f.Detail = u.runs()
	default: // it starts or stops
		f.Detail = fmt.Sprintf("%s is %s (%s)", u["Id"], state, u["SubState"])
	}
	if f.Status == OK && u["UnitFileState"] == "disabled" {
		f.Status, f.Hint = Warn, "sudo systemctl enable "+name
		f.Detail += "; it isn't enabled: when the board restarts it stays off"
	}
	if config := u.config(); f.Status == OK && config != "" && real(config) != real(e.yaml) {
		f.Detail += "; it has " + config + ", which isn't what is looked at here"
		f.Hint = "\"sightd doctor -c " + config + "\" looks at that"
	}
	return f
}

// runs says since when a unit runs, and what its sightd says of itself.
func (u unit) runs() string {
	said := u["Id"] + " runs"
	if since := u["ActiveEnterTimestamp"]; since != "" {
		said += " since " + since
	}
	said += process{pid: u.number("MainPID")}.String()
	if watchdog := u["WatchdogUSec"]; watchdog != "" && watchdog != "0" && watchdog != "infinity" {
		said += ", watchdog " + watchdog
	}
	if text := u["StatusText"]; text != "" {
		said += ": " + text
	}
	return said
}

// log is the command that prints a unit's last lines.
func (u unit) log() string { return "\"sudo journalctl -u " + u.name() + " -n 50\"" }

// number is a property that is a number, 0 where it isn't one.
func (u unit) number(property string) int {
	n := 0
	if _, err := fmt.Sscan(u[property], &n); err != nil {
		return 0
	}
	return n
}

// ServiceFile is the packaged service's configuration.
const ServiceFile = "/etc/sightd/sightd.yaml"

// Credentials is the folder in which systemd has the secrets of the service that runs with the configuration file, if it runs and this
// user may read them; else "".
func Credentials(file string) string {
	return thisSystem().credentials(file)
}

func (s *system) credentials(file string) string {
	if filepath.Dir(file) != filepath.Dir(ServiceFile) || filepath.Ext(file) != ".yaml" {
		return ""
	}
	unit := "sightd"
	if instance := strings.TrimSuffix(filepath.Base(file), ".yaml"); instance != unit {
		unit += "@" + instance
	}
	dir := filepath.Join("/run/credentials", unit+".service")
	if _, err := read(filepath.Join(s.root+dir, "mqtt")); err != nil {
		return ""
	}
	return s.root + dir
}
