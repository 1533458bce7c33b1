package v4l2

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// explain says in words what a device's error means and what to do about it.
func (m machine) explain(path string, err error) (problem, hint string) {
	switch {
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return "permission denied", m.access(path)
	case errors.Is(err, unix.EBUSY):
		return m.busy(path)
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENOENT):
		return "it is gone: unplugged, or its driver was unloaded", "plug it in again"
	case errors.Is(err, unix.ENOTTY), errors.Is(err, unix.EINVAL):
		return "it is no video device", "another program's file lies there: remove it, or name another device"
	case errors.Is(err, unix.EIO), errors.Is(err, unix.EPROTO), errors.Is(err, unix.ETIMEDOUT), errors.Is(err, unix.EPIPE):
		return fmt.Sprintf("the camera doesn't answer its driver (%v)", err),
			"try another cable, another port without a hub, or a stronger power supply; \"sudo dmesg | tail\" may say more"
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		return err.Error(), "raise LimitNOFILE of the service, or ulimit -n"
	}
	return fmt.Sprintf("the driver refuses: %v", err), "\"sudo dmesg | tail\" may say more"
}

// busy says who has the device.
func (m machine) busy(path string) (problem, hint string) {
	if users := m.users()[path]; len(users) > 0 {
		return "in use by " + strings.Join(users, ", "), "stop that program, or name another device"
	}
	return "another program has it", "\"sudo fuser -v " + path + "\" names the program: stop it"
}

// access says how to be let in: device nodes belong to a group, by custom video.
func (m machine) access(path string) string {
	const fallback = "run sightd as a user of the group video"
	var stat unix.Stat_t
	if err := unix.Stat(m.root+path, &stat); err != nil {
		return fallback
	}
	group := "video"
	if g, err := user.LookupGroupId(strconv.Itoa(int(stat.Gid))); err == nil {
		group = g.Name
	}
	name, inGroup := strconv.Itoa(os.Geteuid()), false
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
		ids, err := u.GroupIds()
		inGroup = err == nil && slices.Contains(ids, strconv.Itoa(int(stat.Gid)))
	}
	return accessHint(path, group, name, stat.Mode&0o060 == 0o060, inGroup)
}

// accessHint is for a group that may read and write or may not, and for a user that is in it or isn't.
func accessHint(path, group, name string, groupMay, inGroup bool) string {
	switch {
	case !groupMay:
		return fmt.Sprintf("its owner alone may read it: sudo chgrp video %s && sudo chmod 660 %s, and a udev rule to have that stay", path, path)
	case inGroup:
		return fmt.Sprintf("user %s has joined group %s since this program's login: log in again, or restart the service", name, group)
	}
	return fmt.Sprintf("user %s must be in group %s: sudo usermod -aG %s %s, then log in again or restart the service", name, group, group, name)
}
