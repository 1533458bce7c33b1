package doctor

import (
	"context"
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// disks tells which file systems have had errors. The kernel counts those of ext4.
func (e *examiner) disks(context.Context) []Finding {
	files, err := filepath.Glob(filepath.Join(e.sys, "fs/ext4/*/errors_count"))
	if err != nil {
		return nil // only a bad pattern
	}
	var findings []Finding
	for _, file := range files {
		errors, err := number(file)
		if err != nil || errors == 0 {
			continue
		}
		device := filepath.Base(filepath.Dir(file))
		findings = append(findings, Finding{"disks", Warn, fmt.Sprintf("/dev/%s: ext4 has had %s", device, count(int(errors), "error")),
			"save what matters, have it checked at a start (fsck.mode=force in cmdline.txt, or e2fsck when it isn't mounted), and replace an old SD card; \"sudo dmesg\" tells more"})
	}
	if findings == nil && len(files) > 0 {
		return []Finding{{"disks", OK, count(len(files), "file system") + " of ext4 without errors", ""}}
	}
	return findings
}

// stateSystem warns of a file system on which what sightd keeps is lost or at risk.
func (e *examiner) stateSystem(dir, existing string) []Finding {
	var st unix.Statfs_t
	if e.statfs(existing, &st) != nil {
		return nil // the room there says so
	}
	warn := func(detail, hint string) []Finding { return []Finding{{"state_dir", Warn, dir + detail, hint}} }
	const elsewhere = "set state_dir to a folder on a disk or card"
	switch st.Type {
	case unix.TMPFS_MAGIC, unix.RAMFS_MAGIC:
		return warn(" is kept in memory alone: what it holds is lost when the board restarts", elsewhere)
	case unix.OVERLAYFS_SUPER_MAGIC:
		if e.container() {
			return warn(" lies in the container: what it holds is lost with it", "mount a folder of the host or a volume there (docker run -v sightd:"+dir+")")
		}
		return warn(" lies on an overlay, such as that of a card that is kept read-only: what it holds is lost when the board restarts",
			elsewhere+" that is mounted for writing, or switch the overlay off (sudo raspi-config, Performance Options)")
	case unix.NFS_SUPER_MAGIC, unix.SMB_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC:
		return warn(" lies on a network file system: when its server is away, sightd stands still, and its lock may not hold between machines", elsewhere+" of the board's own")
	case unix.MSDOS_SUPER_MAGIC, unix.EXFAT_SUPER_MAGIC:
		return warn(" lies on FAT, which a power cut damages easily, and which knows no users", "use a disk or card with ext4")
	}
	return nil
}
