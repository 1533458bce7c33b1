package v4l2

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Identity tells a camera from others, as far as it can be: what /sys says of its node. It is meant to be kept between two openings,
// and means nothing after a restart of the machine.
type Identity struct {
	Name            string // of the node
	Vendor, Product string // of a USB device, 4 hexadecimal digits
	Serial          string // of a USB device that has one
	Interface       string // of the USB device, 1.0
	Index           string // counts the nodes of one device: 0 has the pictures
	Port            string // where it is plugged in, a path in /sys/devices

	lookalikes []string // ports at which there were others of the same make, and without a serial number that differs
}

// zero reports whether nothing is known of a camera, as without /sys.
func (id *Identity) zero() bool { return id.Name == "" && id.Port == "" }

// like reports whether two cameras may be one, plugged in elsewhere.
func (id *Identity) like(other *Identity) bool {
	return id.Name == other.Name && id.Vendor == other.Vendor && id.Product == other.Product && id.Serial == other.Serial &&
		id.Interface == other.Interface && id.Index == other.Index
}

// Resolve finds the node of a configuration's device: a number N or /dev/videoN, or a link as in /dev/v4l/by-id. It opens nothing.
//
// A number says nothing of which camera is meant, and cameras get other ones when they are plugged in again. was, if not nil, is
// what Resolve returned for this device before: a camera that is called by number is then found again under whichever it has now,
// and another that has come under the old number isn't taken for it. It is told by USB vendor, product and serial number. Of several
// that are the same in these, as cheap cameras are, the one at the same port is it, or else the only one that wasn't there before.
// A link is followed as it is: whoever names one has said what makes the identity.
func Resolve(device string, was *Identity) (path string, id Identity, err error) {
	return thisMachine().resolve(device, was)
}

func (m machine) resolve(device string, was *Identity) (string, Identity, error) {
	path := device
	if n, err := strconv.Atoi(device); err == nil && n >= 0 {
		path = "/dev/video" + strconv.Itoa(n)
	}
	if !filepath.IsAbs(path) {
		return "", Identity{}, fmt.Errorf("find camera: want /dev/videoN, N or a link in /dev/v4l, have %q", device)
	}
	target, err := m.follow(filepath.Clean(path))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", Identity{}, fmt.Errorf("find camera %s: %w", device, err)
	}
	there := err == nil
	_, numbered := nodeNumber(strings.TrimPrefix(path, "/dev/"))
	if !numbered || was == nil || was.zero() {
		if !there {
			return "", Identity{}, m.missing(path)
		}
		return target, m.known(target), nil
	}
	return m.again(path, was)
}

// known is a node's identity, with the ports of its lookalikes.
func (m machine) known(path string) Identity {
	id := m.identity(path)
	for _, other := range m.identities() {
		if other.id.like(&id) && other.id.Port != id.Port {
			id.lookalikes = append(id.lookalikes, other.id.Port)
		}
	}
	return id
}

// again finds a camera that was at path.
func (m machine) again(path string, was *Identity) (string, Identity, error) {
	var found []node
	for _, n := range m.identities() {
		if n.id.like(was) {
			found = append(found, n)
		}
	}
	if i := slices.IndexFunc(found, func(n node) bool { return n.id.Port == was.Port }); i >= 0 {
		found = found[i : i+1]
	} else {
		found = slices.DeleteFunc(found, func(n node) bool { return slices.Contains(was.lookalikes, n.id.Port) })
	}
	switch len(found) {
	case 1:
		return found[0].path, m.known(found[0].path), nil
	case 0:
		now := m.identity(path)
		if now.zero() || now.like(was) {
			return "", Identity{}, fmt.Errorf("find camera %s: %s is unplugged", path, was.Name)
		}
		return "", Identity{}, fmt.Errorf("find camera %s: that is %s now, and %s, which it was, is unplugged: plug it in, or restart sightd to take the other one",
			path, now.Name, was.Name)
	}
	return "", Identity{}, fmt.Errorf("find camera %s: %s was unplugged, and there are %d like it: name one by its link in /dev/v4l/by-path",
		path, was.Name, len(found))
}

// missing says what there is in place of a device.
func (m machine) missing(path string) error {
	nodes := m.identities()
	var have []string
	for _, n := range nodes {
		if n.id.Index == "0" && processor(n.id.Name) == "" {
			have = append(have, fmt.Sprintf("%s (%s)", n.path, n.id.Name))
		}
	}
	const most = 4
	switch {
	case len(have) > most:
		have = append(have[:most], "more")
	case len(have) == 0 && len(nodes) == 0:
		return fmt.Errorf("find camera: no device %s, and no other /dev/video*: is the camera plugged in?", path)
	case len(have) == 0:
		return fmt.Errorf("find camera: no device %s: is the camera plugged in?", path)
	}
	return fmt.Errorf("find camera: no device %s, there is %s", path, strings.Join(have, ", "))
}

// node is a device node and what it is.
type node struct {
	path string
	id   Identity
}

// identities are those of all nodes, by number.
func (m machine) identities() []node {
	paths, err := m.paths()
	if err != nil {
		return nil
	}
	var nodes []node
	for _, path := range paths {
		nodes = append(nodes, node{path, m.identity(path)})
	}
	return nodes
}

// identity reads what /sys tells of a node; nothing, if it tells nothing.
func (m machine) identity(path string) Identity {
	dir := m.root + "/sys/class/video4linux/" + filepath.Base(path)
	id := Identity{Name: attribute(dir + "/name"), Index: attribute(dir + "/index")}
	port, err := filepath.EvalSymlinks(dir + "/device")
	if err != nil {
		return id
	}
	if _, below, ok := strings.Cut(port, "/sys/devices/"); ok {
		id.Port = below
	}
	usb := filepath.Dir(port)
	id.Vendor, id.Product, id.Serial = attribute(usb+"/idVendor"), attribute(usb+"/idProduct"), attribute(usb+"/serial")
	if _, number, ok := strings.Cut(filepath.Base(port), ":"); ok && id.Vendor != "" {
		id.Interface = number
	}
	return id
}

// attribute reads a file of /sys; "" if there is none.
func attribute(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	var b [256]byte
	n, err := f.Read(b[:])
	if err != nil {
		return ""
	}
	return text(b[:n])
}
