package doctor

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sightd/inference/litert"
)

// libraryVersions says where the native libraries were loaded from, and whether all come from one place.
func (e *examiner) libraryVersions(ctx context.Context) []Finding {
	f := Finding{Name: "libraries", Status: OK, Detail: e.libraries}
	if out, _, err := e.run(ctx, "getconf", "GNU_LIBC_VERSION"); err == nil && strings.TrimSpace(out) != "" {
		f.Detail += ", " + strings.TrimSpace(out)
	}
	folders := e.loaded()
	if len(folders) == 0 {
		return []Finding{f}
	}
	f.Detail += ", from " + strings.Join(folders, " and ")
	asked := e.getenv("LD_LIBRARY_PATH")
	from := slices.IndexFunc(filepath.SplitList(asked), func(folder string) bool { return folder != "" && slices.Contains(folders, real(folder)) })
	own := e.ownLibraries()
	switch {
	case own != "" && !slices.Equal(folders, []string{own}) && from >= 0:
		f.Status, f.Hint = Warn, "unset LD_LIBRARY_PATH (it is "+asked+"): sightd's own libraries are in "+own
		f.Detail += ", as LD_LIBRARY_PATH says, in the place of its own"
	case own != "" && !slices.Equal(folders, []string{own}):
		f.Status, f.Hint = Warn, "sightd's own libraries are in "+own+": install the package again, and look for others in /etc/ld.so.conf.d and LD_PRELOAD"
		f.Detail += ", which aren't sightd's own"
	case len(folders) > 1:
		f.Status, f.Hint = Warn, "install the package, which has all of them, or build sightd with make; another OpenCV may decode pictures a little differently"
		f.Detail += ": of different origin"
	}
	findings := []Finding{f}
	lite := Finding{Name: "libraries gpu", Status: OK, Detail: "LiteRT and its GPU accelerator are there"}
	if err := litert.Find(folders[0]); err != nil {
		lite.Detail = "LiteRT isn't there, which model.delegate gpu alone needs: the package sightd-gpu has it"
		if e.config != nil && e.config.Model.Delegate == "gpu" {
			lite.Status, lite.Detail, lite.Hint = Warn, err.Error(), "install the package sightd-gpu (docs/delegates.md), or set model.delegate to auto"
		}
	}
	return append(findings, lite)
}

// loaded are the folders of the libraries that this program was loaded with, that of TensorFlow Lite first; nil where /proc doesn't tell.
func (s *system) loaded() []string {
	text, err := read(filepath.Join(s.proc, "self/maps"))
	if err != nil {
		return nil
	}
	var folders []string
	for _, library := range []string{"libtensorflowlite_c.", "libopencv_"} {
		for line := range strings.Lines(text) {
			fields := strings.Fields(line)
			if len(fields) < 6 || !strings.HasPrefix(filepath.Base(fields[5]), library) {
				continue
			}
			if folder := real(filepath.Dir(fields[5])); !slices.Contains(folders, folder) {
				folders = append(folders, folder)
			}
		}
	}
	return folders
}

// ownLibraries is the package's folder of libraries, if this is the package's program; else "".
func (e *examiner) ownLibraries() string {
	self, err := os.Readlink(filepath.Join(e.proc, "self/exe"))
	if err != nil || self != "/usr/bin/sightd" {
		return ""
	}
	return "/usr/lib/sightd"
}

// distribution is what the system is, for the names of packages.
type distribution struct {
	codename string // bookworm
	pi       bool   // Raspberry Pi OS
	jetson   bool
}

func (s *system) distribution() distribution {
	var d distribution
	release, err := read(s.root + "/etc/os-release")
	if err == nil {
		for line := range strings.Lines(release) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			if name == "VERSION_CODENAME" {
				d.codename = strings.Trim(value, `"`)
			}
		}
	}
	_, errPi := os.Stat(s.root + "/etc/rpi-issue")
	_, errJetson := os.Stat(s.root + "/etc/nv_tegra_release")
	d.pi, d.jetson = errPi == nil, errJetson == nil
	return d
}

// install says how to get a program here. name is the package that has it as a rule.
func (d distribution) install(program, name string) string {
	switch {
	case program != "rpicam-vid":
		return "sudo apt install " + cmp.Or(name, program)
	case d.jetson:
		return "type rpicam is for a Raspberry Pi's cameras: for a Jetson's use type gstreamer, with nvarguscamerasrc (docs/cameras.md)"
	case d.codename == "bullseye" || d.codename == "buster":
		return "sudo apt install libcamera-apps-lite, or libcamera-apps on a system with a desktop"
	case d.pi:
		return "sudo apt install rpicam-apps-lite, or rpicam-apps on a system with a desktop"
	}
	return "Raspberry Pi OS has it (sudo apt install rpicam-apps-lite); on another system a USB camera with type v4l2 needs no program"
}

// container reports whether this is one.
func (s *system) container() bool {
	for _, name := range []string{"/.dockerenv", "/run/.containerenv"} {
		if _, err := os.Stat(s.root + name); err == nil {
			return true
		}
	}
	return s.getenv("container") != ""
}
