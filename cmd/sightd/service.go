package main

import (
	"flag"
	"fmt"
	"os"

	"sightd/doctor"
)

// daemonFlag says what -c means to such a command.
const daemonFlag = "configuration `FILE` (YAML) of the daemon; without it that of the service, " + doctor.ServiceFile + ", where there is one"

// daemonFile is the configuration of the daemon that a command is about: what -c names, be it "", else the service's, where there is
// one, which is said then. The password that systemd gives that service counts, too.
func daemonFile(c *call, fs *flag.FlagSet) (string, error) {
	file := fs.Lookup("c").Value.String()
	if unnamed(fs) {
		if _, err := os.Stat(doctor.ServiceFile); err == nil {
			file = doctor.ServiceFile
			fmt.Fprintf(c.stderr, "sightd: no -c FILE: taking the service's configuration, %s\n", file)
		}
	}
	return file, borrowCredentials(file)
}

// unnamed reports whether -c wasn't given.
func unnamed(fs *flag.FlagSet) bool {
	given := false
	fs.Visit(func(f *flag.Flag) { given = given || f.Name == "c" })
	return !given
}

// borrowCredentials has the broker be asked with the password that systemd has given the running service, where this user may read it.
func borrowCredentials(file string) error {
	const variable = "CREDENTIALS_DIRECTORY" // systemd.exec(5)
	folder := doctor.Credentials(file)
	if folder == "" || os.Getenv(variable) != "" {
		return nil
	}
	return os.Setenv(variable, folder)
}
