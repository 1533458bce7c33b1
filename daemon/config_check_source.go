package daemon

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"sightd/decide"
)

// checkPaths keeps two folders, or a folder and the daemon's own state, from claiming the same files. A replay only reads.
func (r *configReader) checkPaths() {
	folders := map[int]string{} // absolute paths by the sources' indices
	for i, s := range r.config.Sources {
		if s.Live() {
			continue
		}
		key := fmt.Sprintf("sources[%d].path", i)
		path, err := filepath.Abs(s.Path)
		if err != nil {
			r.fault(key, fmt.Errorf("find the working directory: %w", err))
			return
		}
		for j := range i {
			other, ok := folders[j]
			switch {
			case !ok:
			case path == other:
				r.fault(key, fmt.Errorf("want a folder of its own, have that of sources[%d]", j))
			case within(path, other):
				r.fault(key, fmt.Errorf("want a folder outside of the other sources', have one inside that of sources[%d]", j))
			case within(other, path):
				r.fault(key, fmt.Errorf("want a folder outside of the other sources', have one around that of sources[%d]", j))
			}
		}
		folders[i] = path
	}
	state, err := filepath.Abs(r.config.StateDir)
	if err != nil {
		r.fault("state_dir", fmt.Errorf("find the working directory: %w", err))
		return
	}
	for i, s := range r.config.Sources {
		path, ok := folders[i]
		if !ok || state != path && !(s.Recursive && within(state, path)) {
			continue
		}
		if key := fmt.Sprintf("sources[%d].path", i); r.places[key] != (configPlace{}) {
			r.fault(key, errors.New("want a folder without state_dir in it"))
		} else {
			r.fault("state_dir", fmt.Errorf("want a folder that no source watches, have one that sources[%d] does", i))
		}
	}
}

// within says whether path lies below folder; both are absolute and clean.
func within(path, folder string) bool {
	return strings.HasPrefix(path, strings.TrimSuffix(folder, "/")+"/")
}

// checkLive looks at the sources that aren't folders.
func (r *configReader) checkLive() {
	devices := map[string]int{} // sources by their type and device
	for i, s := range r.config.Sources {
		key := func(name string) string { return fmt.Sprintf("sources[%d].%s", i, name) }
		if s.Type == TypeV4L2 || s.Type == TypeRPiCam {
			device := s.Type + " " + strings.TrimPrefix(filepath.Clean(cmp.Or(s.Device, "0")), "/dev/video") // "": rpicam's first
			if j, taken := devices[device]; !taken {
				devices[device] = i
			} else if r.places[key("device")] == (configPlace{}) {
				r.fault(fmt.Sprintf("sources[%d]", i), fmt.Errorf("want a device of its own, have that of sources[%d]: a camera has one reader", j))
			} else {
				r.fault(key("device"), fmt.Errorf("want a device of its own, have that of sources[%d]: a camera has one reader", j))
			}
		}
		if pixels := s.Size.Width * s.Size.Height; pixels > r.config.Limits.MaxPixels {
			r.fault(key("size"), fmt.Errorf("want at most limits.max_pixels, which is %d, have %d", r.config.Limits.MaxPixels, pixels))
		}
		if s.FPS > 0 && s.Stall.Seconds() <= 2/s.FPS {
			name := "fps"
			if _, given := r.places[key("stall")]; given {
				name = "stall"
			}
			r.fault(key(name), fmt.Errorf("want stall longer than two pictures take, have a stall of %v and %v for two pictures",
				s.Stall, time.Duration(2/s.FPS*float64(time.Second)).Round(time.Millisecond)))
		}
	}
}

// checkDecide has package decide look at its rules, as far as it can where labels is nil, and not the model's.
func (r *configReader) checkDecide(labels []string) {
	err := r.config.Decide.rules().Check(labels)
	if err == nil {
		return
	}
	var faults decide.Faults
	if !errors.As(err, &faults) {
		r.fault("decide", err)
		return
	}
	for _, f := range faults {
		key := decideKey(f.Path)
		if _, given := r.places[key]; !given && len(f.Path) > 1 {
			section := decideKey(f.Path[:len(f.Path)-1])
			if f.Path[0] == "groups" { // a group's members have its place
				r.faults = append(r.faults, configFault{place: r.places[section], key: key, text: f.Problem})
				continue
			}
			key = section // the short form of a label's rule
		}
		if key == "decide.stay" && r.places[key] == (configPlace{}) { // it has its default
			r.fault("decide.enter", fmt.Errorf("want at least decide.stay, which is %v unless it is given, have %v", r.config.Decide.Stay, r.config.Decide.Enter))
			continue
		}
		r.fault(key, errors.New(f.Problem))
	}
}

// decideKey is the key that a path below decide stands for.
func decideKey(path []string) string {
	key := "decide"
	for i, step := range path {
		section := path[0]
		switch {
		case i == 1 && section == "schedule":
			key += "[" + step + "]"
		case i > 0 && section == "groups", i == 1 && section == "labels", i == 3 && section == "schedule":
			key = entryKey(key, step)
		default:
			key += "." + step
		}
	}
	return key
}

// checkPrivacy refuses what keeps or shows pictures where there are to be labels only.
func (r *configReader) checkPrivacy() {
	if r.config.Privacy != PrivacyLabelsOnly {
		return
	}
	for _, k := range []struct {
		key string
		on  bool
	}{{"snapshots.enabled", r.config.Snapshots.Enabled}, {"snapshots.mqtt", r.config.Snapshots.MQTT}} {
		if k.on {
			r.fault(k.key, errors.New("want false with privacy: labels_only, which keeps and publishes no pictures, have true"))
		}
	}
}
