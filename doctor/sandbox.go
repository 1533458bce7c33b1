package doctor

import (
	"fmt"
	"os/user"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// forbids says why the service can't write to a folder that its user may write to: its unit hides it, or has it read-only. Who looks has
// another view of the file systems than it. "" where it can, or no service has this configuration.
func (e *examiner) forbids(folder string) (why, setting string) {
	u := e.unit
	if u == nil {
		return "", ""
	}
	folder = real(folder)
	below := func(list ...string) bool {
		return slices.ContainsFunc(list, func(top string) bool { return folder == top || within(folder, top) })
	}
	if below(targets(u["BindPaths"])...) {
		return "", ""
	}
	home := u["ProtectHome"]
	if (home == "yes" || home == "tmpfs") && below("/home", "/root", "/run/user") {
		return "ProtectHome=" + home, "ProtectHome=tmpfs and BindPaths=" + folder
	}
	if private := u["PrivateTmp"]; private != "" && private != "no" && below("/tmp", "/var/tmp") {
		return "PrivateTmp=" + private + ", with which it has a /tmp of its own", "BindPaths=" + folder
	}
	allowed := targets(u["ReadWritePaths"])
	for _, name := range strings.Fields(u["StateDirectory"]) {
		allowed = append(allowed, real(path.Join("/var/lib", name)))
	}
	protect := u["ProtectSystem"]
	switch {
	case below(allowed...):
		return "", ""
	case home == "read-only" && below("/home", "/root", "/run/user"):
		return "ProtectHome=read-only", "ReadWritePaths=" + folder
	case protect == "strict" && !below("/dev", "/proc", "/sys"),
		protect == "full" && below("/usr", "/boot", "/efi", "/etc"),
		protect == "yes" && below("/usr", "/boot", "/efi"):
		return "ProtectSystem=" + protect, "ReadWritePaths=" + folder
	}
	return "", ""
}

// targets are the folders of a property such as ReadWritePaths or BindPaths, as the service sees them.
func targets(property string) []string {
	var folders []string
	for _, field := range strings.Fields(property) {
		folder := strings.TrimLeft(field, "-+")
		if parts := strings.SplitN(folder, ":", 3); len(parts) > 1 { // source:target:options
			folder = parts[1]
		}
		folders = append(folders, real(folder))
	}
	return folders
}

// sandbox has a finding where the service can't write to a folder for what its unit says.
func (e *examiner) sandbox(name, folder string) []Finding {
	why, setting := e.forbids(folder)
	if why == "" {
		return nil
	}
	return []Finding{{name, Fail, fmt.Sprintf("%s can't write to %s: it has %s", e.unit["Id"], folder, why),
		fmt.Sprintf("sudo systemctl edit %s, below [Service] %s; then sudo systemctl restart %s", e.unit.name(), setting, e.unit.name())}}
}

// deviceTrouble says why the service's user can't open a device that whoever looks can. Without a service, or looked at by its user,
// there is nothing to say.
func (e *examiner) deviceTrouble(device string) (why, hint string) {
	if e.unit == nil {
		return "", ""
	}
	name := e.unit.name()
	if e.unit["PrivateDevices"] == "yes" {
		return e.unit["Id"] + " has PrivateDevices=yes, which hides it", "sudo systemctl edit " + name + ", below [Service] PrivateDevices=no; then restart it"
	}
	var st unix.Stat_t
	u, err := user.Lookup(e.unit.user())
	if err != nil || u.Uid == "0" || unix.Stat(e.root+device, &st) != nil {
		return "", ""
	}
	groups, err := u.GroupIds()
	if err != nil {
		return "", ""
	}
	for _, extra := range strings.Fields(e.unit["SupplementaryGroups"]) {
		if g, err := user.LookupGroup(extra); err == nil {
			groups = append(groups, g.Gid)
		}
	}
	if mayOpen(st, u.Uid, groups) {
		return "", ""
	}
	group := strconv.Itoa(int(st.Gid))
	if g, err := user.LookupGroupId(group); err == nil {
		group = g.Name
	}
	why = fmt.Sprintf("user %s of %s may not open it", u.Username, e.unit["Id"])
	if st.Mode&0o060 != 0o060 || st.Gid == 0 {
		return why, fmt.Sprintf("sudo chgrp video %s && sudo chmod 660 %s, and a udev rule to have that stay", device, device)
	}
	return why, fmt.Sprintf("sudo usermod -aG %s %s && sudo systemctl restart %s", group, u.Username, name)
}

// mayOpen reports whether a user with these groups may read and write a file, as far as its mode says.
func mayOpen(st unix.Stat_t, uid string, groups []string) bool {
	switch {
	case strconv.Itoa(int(st.Uid)) == uid:
		return st.Mode&0o600 == 0o600
	case slices.Contains(groups, strconv.Itoa(int(st.Gid))):
		return st.Mode&0o060 == 0o060
	}
	return st.Mode&0o006 == 0o006
}
