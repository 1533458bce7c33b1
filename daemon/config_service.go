package daemon

import (
	"errors"
	"fmt"
	"hash/fnv"
	"regexp"
	"strings"

	"sightd/publish"
)

// instanceName is what a second service is called: sightd@NAME.
var instanceName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,31}$`)

// checkInstance wants a name whose configuration, /etc/sightd/NAME.yaml, isn't that of the service without one.
func checkInstance(s string) error {
	if s == "sightd" {
		return errors.New(`want another name than "sightd": its configuration is that of the service without a name`)
	}
	if !instanceName.MatchString(s) {
		return fmt.Errorf("want 1 to 32 of a-z, 0-9, _ and -, and no _ or - in front, have %s", quoted(s))
	}
	return nil
}

// ServiceExample is Example as the package installs it for its systemd service sightd, or, with an instance, for sightd@INSTANCE: with
// a state folder, a watched folder, a name and a port that no other instance has. host is this machine's name, which
// only an instance's configuration has in it. Two instances may come to the same port, one of ten thousand: the broker then says so.
func ServiceExample(instance, host string) (string, error) {
	unit, file, state := "sightd", "sightd", "/var/lib/sightd"
	if instance != "" {
		if err := checkInstance(instance); err != nil {
			return "", fmt.Errorf("name an instance: %w", err)
		}
		unit, file, state = "sightd@"+instance, instance, state+"-"+instance
	}
	replace := []string{
		"# sightd's configuration. Every key is here with its default: keep what you change, delete the rest.\n",
		"# The configuration of the service " + unit + ". Every key is here: keep state_dir, the inbox's path and what you change; the\n" +
			"# rest has its default, delete what you like of it.\n",

		"#   sightd run -c sightd.yaml\n",
		"#   sightd config check /etc/sightd/" + file + ".yaml\n#   sudo systemctl reload " + unit + "\n",

		"# Paths are relative to the folder that sightd is started in, not to this file's.\n",
		"# Write paths from the root. The service may write below state_dir alone: docs/install.md says how to let it into other folders.\n",

		"state_dir: ./state\n", "state_dir: " + state + "\n",
		"    path: ./inbox               #", fmt.Sprintf("    path: %-21s #", state+"/inbox"),
		"  #   path: ./film.mp4\n", "  #   path: " + state + "/film.mp4\n",

		"# goes with user; write it here,\n", "# goes with user; rather give it as the credential \"mqtt\" (docs/install.md),\n",
		"# or better into a file that only sightd may read\n", "# or in a file that only the user sightd may read\n",
	}
	if instance != "" {
		replace = append(replace,
			"\"\" takes the host's name.\nname: \"\"\n", "No other board and no\n# other sightd on this one may have it.\nname: "+instanceBoard(instance, host)+"\n",
			"127.0.0.1:1883        # where the broker inside sightd listens, for programs",
			fmt.Sprintf("127.0.0.1:%d       # where the broker inside sightd listens, each sightd here with a port of its own, for\n%32s# programs",
				instancePort(instance), ""))
	}
	text := Example()
	for i := 0; i < len(replace); i += 2 {
		if n := strings.Count(text, replace[i]); n != 1 {
			return "", fmt.Errorf("write the service's configuration: want %q once in the example, have it %d times", replace[i], n)
		}
		text = strings.Replace(text, replace[i], replace[i+1], 1)
	}
	return text, nil
}

// instanceBoard is HOST-INSTANCE, of a host's name as much as a board's name has room for.
func instanceBoard(instance, host string) string {
	const most = 64
	host = publish.Name(host)
	return publish.Name(host[:min(len(host), most-1-len(instance))]) + "-" + instance
}

// instancePort is 20000 to 29999: beyond those of well-known services, and below those that systems give away.
func instancePort(instance string) int {
	hash := fnv.New32a()
	hash.Write([]byte(instance)) // never fails
	return 20000 + int(hash.Sum32()%10000)
}
