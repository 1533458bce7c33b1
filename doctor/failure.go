package doctor

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// failure says how a unit has ended, and what to do.
func (u unit) failure() (detail, hint string) {
	status := u.number("ExecMainStatus")
	look := u.log() + " says more: "
	edit := "sudo systemctl edit " + u.name()
	switch result := u["Result"]; result {
	case "watchdog":
		return "it made no progress any more, and the watchdog ended it",
			look + "a camera's driver, a delegate or a disk hangs; the other findings may tell which"
	case "oom-kill":
		return "the kernel ended it, since no memory was left",
			look + "have fewer sources or smaller pictures (limits.max_pixels), add swap (zram), or raise MemoryMax= (" + edit + ")"
	case "exit-code":
		return exited(status), look + exitHint(status, edit)
	case "signal", "core-dump":
		return fmt.Sprintf("it was ended by signal %d (%s)", status, unix.SignalName(unix.Signal(status))), look + signalHint(unix.Signal(status), edit)
	case "timeout":
		return "it didn't start or stop in time", look + "the model's trial takes long on a slow board, or a camera or a disk hangs"
	case "start-limit-hit":
		return "it failed too often in a short time, and systemd gave it up", look + "correct what it names; sudo systemctl reset-failed " + u.name()
	case "resources":
		return "systemd couldn't give it what its unit asks for", look + "such as a credential's file, a folder or memory"
	case "protocol":
		return "it ended, or spoke otherwise than its unit expects, before it was ready", look + "a unit and a program of different versions do that"
	case "exec-condition":
		return "its ExecCondition wasn't met", look + edit + " shows the drop-ins"
	case "success", "":
		return "it ended without a failure", look + "who ended it"
	default:
		return result, look + "see systemd.service(5) for " + result
	}
}

// Exit statuses that systemd gives a process that it couldn't start: see systemd.exec(5).
const (
	exitChdir       = 200
	exitExec        = 203
	exitUser        = 217
	exitNamespace   = 226
	exitState       = 238
	exitCredentials = 243
	exitLoader      = 127 // of the dynamic loader
	exitUsage       = 2
)

func exited(status int) string {
	switch status {
	case exitLoader:
		return "its program couldn't be loaded (exit status 127)"
	case exitChdir, exitExec, exitUser, exitNamespace, exitState, exitCredentials:
		return fmt.Sprintf("systemd couldn't start its program (exit status %d)", status)
	}
	return fmt.Sprintf("it ended with exit status %d", status)
}

func exitHint(status int, edit string) string {
	switch status {
	case exitUsage:
		return "its command line is wrong (" + edit + " --full shows it)"
	case exitLoader:
		return "a library is missing or of another system (ldd /usr/bin/sightd): install the package again"
	case exitChdir:
		return "its WorkingDirectory= is missing (" + edit + ")"
	case exitExec:
		return "its program is missing, or for another processor: install the package again"
	case exitUser:
		return "its user is missing: install the package again, or sudo systemd-sysusers"
	case exitNamespace:
		return "a folder that ReadWritePaths= or BindPaths= names is missing: make it, or write - in front of it (" + edit + ")"
	case exitState:
		return "its folder below /var/lib can't be made: look at the disk, and whose it is"
	case exitCredentials:
		return "the file that LoadCredential= names can't be read: make it, or see " + edit
	}
	return "correct what its last lines name; doctor's other findings may tell the same"
}

func signalHint(signal unix.Signal, edit string) string {
	switch signal {
	case unix.SIGILL:
		return "this processor hasn't the instructions of a library: install the package for it"
	case unix.SIGSEGV, unix.SIGABRT, unix.SIGBUS, unix.SIGFPE:
		return "a driver's or a library's fault: set model.delegate to xnnpack if it was another, and look at memory, card and power supply"
	case unix.SIGSYS:
		return "the unit's SystemCallFilter= forbids what a driver or a program needs (" + edit + ")"
	case unix.SIGKILL:
		return "somebody killed it, or the kernel for memory (sudo journalctl -k -n 50)"
	}
	return "who sent it"
}
