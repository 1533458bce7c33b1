package doctor

import (
	"context"
	"errors"
	"maps"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// The answers of systemd 252 as it gave them, but for what the packaged unit has and a user's manager hasn't.
const (
	answerRuns = `WatchdogUSec=30s
MainPID=812
StatusText=2.1 fps, inbox: lynx 0.97
Result=success
NRestarts=0
ExecMainCode=0
ExecMainStatus=0
ExecStart={ path=/usr/bin/sightd ; argv[]=/usr/bin/sightd run -c /etc/sightd/sightd.yaml ; ignore_errors=no ; start_time=[Sat 2026-11-28 08:50:25 UTC] ; stop_time=[n/a] ; pid=812 ; code=(null) ; status=0/0 }
User=sightd
SupplementaryGroups=video render
ReadWritePaths=
PrivateDevices=no
ProtectHome=yes
ProtectSystem=strict
StateDirectory=sightd
ProcSubset=all
Id=sightd.service
LoadState=loaded
ActiveState=active
SubState=running
FragmentPath=/usr/lib/systemd/system/sightd.service
DropInPaths=
UnitFileState=enabled
ActiveEnterTimestamp=Sat 2026-11-28 08:50:25 UTC
NeedDaemonReload=no
`
	answerAgain = `WatchdogUSec=0
MainPID=0
StatusText=
Result=exit-code
NRestarts=1
ExecMainCode=1
ExecMainStatus=1
ExecStart={ path=/usr/bin/sightd ; argv[]=/usr/bin/sightd run -c /etc/sightd/sightd.yaml ; ignore_errors=no ; start_time=[Sat 2026-11-28 08:50:26 UTC] ; stop_time=[Sat 2026-11-28 08:50:26 UTC] ; pid=11686 ; code=exited ; status=1 }
Id=sightd.service
LoadState=loaded
ActiveState=activating
SubState=auto-restart
FragmentPath=/usr/lib/systemd/system/sightd.service
UnitFileState=disabled
ActiveEnterTimestamp=Sat 2026-11-28 08:50:26 UTC
NeedDaemonReload=no
`
	answerNone = `WatchdogUSec=infinity
MainPID=0
Result=success
NRestarts=0
Id=sightd.service
LoadState=not-found
ActiveState=inactive
SubState=dead
FragmentPath=
UnitFileState=
ActiveEnterTimestamp=
NeedDaemonReload=no
`
	saidNoSystemd = "Failed to connect to bus: Host is down" // its last line
)

// with is an answer with other values of some properties.
func with(text string, values ...string) string {
	u := parseUnits(text)[0]
	for _, value := range values {
		name, value, _ := strings.Cut(value, "=")
		u[name] = value
	}
	var b strings.Builder
	for name, value := range maps.All(u) {
		b.WriteString(name + "=" + value + "\n")
	}
	return b.String()
}

func TestService(t *testing.T) {
	failed := func(values ...string) answer {
		return answer{out: with(answerRuns, append(values, "ActiveState=failed", "SubState=failed", "MainPID=0")...)}
	}
	instance := with(answerRuns, "Id=sightd@door.service", "ExecStart={ path=/usr/bin/sightd ; argv[]=/usr/bin/sightd run -c=/etc/sightd/door.yaml ; x }")
	const runs = "ok service: sightd.service runs since Sat 2026-11-28 08:50:25 UTC (pid 812), watchdog 30s: 2.1 fps, inbox: lynx 0.97"
	for _, test := range []struct {
		name   string
		answer answer
		want   []string
	}{
		{"runs", answer{out: answerRuns}, []string{runs}},
		{"no systemd", answer{said: saidNoSystemd, err: errors.New("exit status 1")}, []string{"ok service: systemd doesn't run here"}},
		{"no systemctl", answer{err: exec.ErrNotFound}, []string{"ok service: systemctl isn't installed"}},
		{"no answer", answer{err: errors.New("no answer from systemctl within 5s")}, []string{"warn service: no answer from systemctl within 5s -> systemctl status"}},
		{"nothing said", answer{}, []string{"warn service: tells nothing -> systemctl status"}},
		{"not installed", answer{out: answerNone}, []string{"ok service: isn't installed -> the package"}},
		{"an instance alone", answer{out: answerNone + "\n" + instance}, []string{"ok service: sightd@door.service runs since -> sightd doctor -c /etc/sightd/door.yaml"}},
		{"two", answer{out: answerRuns + "\n" + instance}, []string{runs, "ok service: sightd@door.service runs since -> sightd doctor -c /etc/sightd/door.yaml"}},
		{"masked", answer{out: with(answerNone, "LoadState=masked")}, []string{"warn service: masked -> sudo systemctl unmask sightd"}},
		{"a unit that can't be read", answer{out: with(answerRuns, "LoadState=bad-setting")}, []string{"fail service: bad-setting -> systemd-analyze verify /usr/lib/systemd/system/sightd.service"}},
		{"off", answer{out: with(answerRuns, "ActiveState=inactive", "SubState=dead")}, []string{"warn service: doesn't run -> sudo systemctl enable --now sightd"}},
		{"not enabled", answer{out: with(answerRuns, "UnitFileState=disabled")}, []string{"warn service: isn't enabled -> sudo systemctl enable sightd"}},
		{"starts", answer{out: with(answerRuns, "ActiveState=activating", "SubState=start")}, []string{"ok service: sightd.service is activating (start)"}},
		{"reloads", answer{out: with(answerRuns, "ActiveState=reloading")}, []string{runs}},
		{"started again", answer{out: with(answerRuns, "NRestarts=3")}, []string{"warn service: start it again 3 times before -> journalctl -u sightd -n 50"}},
		{"fails again and again", answer{out: answerAgain}, []string{"fail service: again and again (1 time so far): it ended with exit status 1 -> journalctl -u sightd -n 50"}},
		{"changed", answer{out: with(answerRuns, "NeedDaemonReload=yes")}, []string{runs, "warn service: changed on disk -> daemon-reload"}},
		{"hides cpuinfo", answer{out: with(answerRuns, "ProcSubset=pid")}, []string{runs, "warn service: ProcSubset=pid -> systemctl edit sightd"}},
		{"watchdog", failed("Result=watchdog"), []string{"fail service: no progress -> the other findings may tell which; then sudo systemctl restart sightd"}},
		{"memory", failed("Result=oom-kill"), []string{"fail service: no memory was left -> MemoryMax="}},
		{"no program", failed("Result=exit-code", "ExecMainStatus=203"), []string{"fail service: couldn't start its program (exit status 203) -> install the package again"}},
		{"no user", failed("Result=exit-code", "ExecMainStatus=217"), []string{"fail service: 217 -> systemd-sysusers"}},
		{"no folder", failed("Result=exit-code", "ExecMainStatus=226"), []string{"fail service: 226 -> ReadWritePaths="}},
		{"no working folder", failed("Result=exit-code", "ExecMainStatus=200"), []string{"fail service: 200 -> WorkingDirectory="}},
		{"no state", failed("Result=exit-code", "ExecMainStatus=238"), []string{"fail service: 238 -> /var/lib"}},
		{"no credential", failed("Result=exit-code", "ExecMainStatus=243"), []string{"fail service: 243 -> LoadCredential="}},
		{"no library", failed("Result=exit-code", "ExecMainStatus=127"), []string{"fail service: couldn't be loaded -> ldd"}},
		{"wrong command", failed("Result=exit-code", "ExecMainStatus=2"), []string{"fail service: exit status 2 -> command line"}},
		{"crash", failed("Result=core-dump", "ExecMainCode=3", "ExecMainStatus=11"), []string{"fail service: signal 11 (SIGSEGV) -> model.delegate"}},
		{"old processor", failed("Result=signal", "ExecMainCode=2", "ExecMainStatus=4"), []string{"fail service: signal 4 (SIGILL) -> instructions"}},
		{"forbidden call", failed("Result=signal", "ExecMainStatus=31"), []string{"fail service: SIGSYS -> SystemCallFilter="}},
		{"killed", failed("Result=signal", "ExecMainStatus=9"), []string{"fail service: SIGKILL -> journalctl -k"}},
		{"ended", failed("Result=signal", "ExecMainStatus=1"), []string{"fail service: SIGHUP -> who sent it"}},
		{"late", failed("Result=timeout"), []string{"fail service: in time -> trial"}},
		{"given up", failed("Result=start-limit-hit"), []string{"fail service: gave it up -> reset-failed sightd"}},
		{"resources", failed("Result=resources"), []string{"fail service: couldn't give it -> credential"}},
		{"protocol", failed("Result=protocol"), []string{"fail service: before it was ready -> versions"}},
		{"condition", failed("Result=exec-condition"), []string{"fail service: ExecCondition -> drop-ins"}},
		{"success", failed("Result=success"), []string{"fail service: without a failure -> who ended it"}},
		{"new", failed("Result=moonlight"), []string{"fail service: moonlight -> systemd.service(5)"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := recorded(t, nil)
			s.run = answers(map[string]answer{"systemctl": test.answer})
			e := &examiner{system: s, yaml: ServiceFile}
			e.units, e.serviceless = e.services(context.Background())
			want(t, e.service(context.Background()), test.want...)
		})
	}
}

// TestServiceHere asks this machine, whatever it has.
func TestServiceHere(t *testing.T) {
	e := &examiner{system: thisSystem()}
	e.units, e.serviceless = e.services(context.Background())
	for _, f := range e.service(context.Background()) {
		if f.Name != "service" || f.Detail == "" || f.Status != OK && f.Hint == "" {
			t.Errorf("got %+v", f)
		}
	}
}

func TestUnnamed(t *testing.T) {
	s, dir := recorded(t, nil), t.TempDir()
	s.run = answers(map[string]answer{"systemctl": {out: with(answerRuns, "User=nobody", "ExecStart={ argv[]=/usr/bin/sightd run -c "+s.root+ServiceFile+" ; }")}})
	named := file(t, dir, "")
	text, err := read(named)
	if err != nil {
		t.Fatal(err)
	}
	write(t, s.root+ServiceFile, text)
	for _, test := range []struct {
		options Options
		want    string
	}{
		{Options{Unnamed: true}, s.root + ServiceFile + " (the service's, since none was named): 1 source"},
		{Options{}, "no file (-c), the defaults and variables: 1 source"},
		{Options{File: named}, named + ": 1 source"},
	} {
		test.options.system = s
		r := Examine(context.Background(), test.options)
		if found := r.Findings[0]; !strings.HasPrefix(found.Detail, test.want) {
			t.Errorf("%+v: got %+v, want %s", test.options, found, test.want)
		}
	}
	if r := Examine(context.Background(), Options{Unnamed: true, system: recorded(t, nil)}); !strings.HasPrefix(r.Findings[0].Detail, "no file (-c)") {
		t.Errorf("without the package: got %+v, want the defaults", r.Findings[0])
	}
}

// TestAdvice names the service's user.
func TestAdvice(t *testing.T) {
	self, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	s := recorded(t, nil)
	for _, test := range []struct {
		yaml, user, want string
	}{
		{s.root + ServiceFile, "_none", "sudo -u _none sightd doctor\n"},
		{"/etc/sightd/door.yaml", "_none", "sudo -u _none sightd doctor -c /etc/sightd/door.yaml"},
		{s.root + ServiceFile, self.Username, "give user " + self.Username},
		{"/home/pi/x.yaml", "", asUser},
	} {
		e := &examiner{system: s, yaml: test.yaml}
		if test.user != "" {
			e.unit = unit{"Id": "sightd.service", "User": test.user, "ExecStart": "argv[]=/usr/bin/sightd run -c " + test.yaml + " ;"}
		}
		r := report([]Finding{{"model", Fail, "no", "or " + asUser}}, e.advice())
		if got := r.Findings[0].Hint; !strings.HasPrefix(got, "or ") || !strings.Contains(got+"\n", test.want) {
			t.Errorf("%s, user %s: got %q, want %q", test.yaml, test.user, got, test.want)
		}
	}
}

// TestRunnerAdvice has a sightd of another user run, without a service.
func TestRunnerAdvice(t *testing.T) {
	nobody, err := user.Lookup("nobody")
	if err != nil || os.Geteuid() != 0 {
		t.Skip("wants root, and a user nobody: ", err)
	}
	uid, err := strconv.Atoi(nobody.Uid)
	if err != nil {
		t.Fatal(err)
	}
	s, c := recorded(t, map[string]string{"proc/812/comm": "sightd\n"}), config(t)
	e := &examiner{system: s, config: c, yaml: "/home/pi/sightd.yaml"}
	if got := e.advice(); got != asUser {
		t.Errorf("nothing runs: got %q", got)
	}
	holder(t, s, 812, hold(t, c))
	if got := e.advice(); got != asUser {
		t.Errorf("this user's runs: got %q", got)
	}
	if err := os.Chown(filepath.Join(s.proc, "812"), uid, -1); err != nil {
		t.Fatal(err)
	}
	if got := e.advice(); got != "run doctor as the user of the sightd that runs (pid 812): sudo -u nobody sightd doctor -c /home/pi/sightd.yaml" {
		t.Errorf("nobody's runs: got %q", got)
	}
}

func TestCredentials(t *testing.T) {
	s := recorded(t, map[string]string{"run/credentials/sightd.service/mqtt": "x\n", "run/credentials/sightd@door.service/mqtt": "y\n"})
	for file, folder := range map[string]string{
		ServiceFile: "/run/credentials/sightd.service", "/etc/sightd/door.yaml": "/run/credentials/sightd@door.service",
		"/etc/sightd/none.yaml": "", "/home/pi/sightd.yaml": "", "": "", "/etc/sightd/mqtt-password": "",
	} {
		if folder != "" {
			folder = s.root + folder
		}
		if got := s.credentials(file); got != folder {
			t.Errorf("%q: got %q, want %q", file, got, folder)
		}
	}
}

func TestUnitConfig(t *testing.T) {
	for command, want := range map[string]string{
		"/usr/bin/sightd run -c /a.yaml": "/a.yaml", "/usr/bin/sightd run --c /a.yaml --sample": "/a.yaml", "/usr/bin/sightd run -c=/a.yaml": "/a.yaml",
		"/usr/bin/sightd run": "", "/usr/bin/sightd run -c": "", "": "",
	} {
		u := unit{"ExecStart": "{ path=/usr/bin/sightd ; argv[]=" + command + " ; ignore_errors=no ; }"}
		if got := u.config(); got != want {
			t.Errorf("%q: got %q, want %q", command, got, want)
		}
	}
}

func FuzzParseUnits(f *testing.F) {
	for _, text := range []string{answerRuns, answerAgain, answerNone + "\n" + answerRuns, "", "\n\n=\n=x\nId="} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, u := range parseUnits(text) {
			if u["Id"] == "" {
				t.Errorf("%q: got a unit without a name", text)
			}
			u.config()
			if detail, hint := u.failure(); detail == "" && u["Result"] != "" || hint == "" {
				t.Errorf("%q: got %q, %q", text, detail, hint)
			}
		}
	})
}
