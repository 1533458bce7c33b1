package publish

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Topics below base, which is sightd/<name> unless configured otherwise. Those of the bridge and of the sources' state,
// availability and image are retained; events, requests, responses and settings are not. Names of sources are those that
// ValidSource takes, commands are those of Request.

// StateTopic is where the bridge says Online or Offline. It is the topic of the Last Will, too.
func StateTopic(base string) string { return base + "/" + bridge + "/state" }

// InfoTopic is where the bridge describes itself: see Info.
func InfoTopic(base string) string { return base + "/" + bridge + "/info" }

// HealthTopic is where the bridge says how it fares: see Health.
func HealthTopic(base string) string { return base + "/" + bridge + "/health" }

// RequestTopic is where the bridge takes requests: see ParseRequest.
func RequestTopic(base, command string) string { return base + "/" + bridge + "/request/" + command }

// RequestImageTopic is where the bridge takes the bytes of pictures to classify: see ParseImageRequest. The transaction
// is one that CheckTransaction takes.
func RequestImageTopic(base, transaction string) string {
	return RequestTopic(base, Classify) + "/" + transaction
}

// ResponseTopic is where the bridge answers what came to RequestTopic or RequestImageTopic: see Response.
func ResponseTopic(base, command string) string { return base + "/" + bridge + "/response/" + command }

// RequestFilter matches RequestTopic and RequestImageTopic, and more, which ParseTopic refuses.
func RequestFilter(base string) string { return RequestTopic(base, "#") }

// AvailabilityTopic is where a source is said to be Online, Offline or Disabled.
func AvailabilityTopic(base, source string) string { return base + "/" + source + "/availability" }

// SourceStateTopic is where a source says what it shows: see State.
func SourceStateTopic(base, source string) string { return base + "/" + source + "/state" }

// EventTopic is where a source's events go, not retained: see EventPayload.
func EventTopic(base, source string) string { return base + "/" + source + "/event" }

// ImageTopic is where the JPEG of a source's last event is.
func ImageTopic(base, source string) string { return base + "/" + source + "/image" }

// SetTopic is where a source is switched on and off: see ParseSet.
func SetTopic(base, source string) string { return base + "/" + source + "/set" }

// SetFilter matches SetTopic of all sources, and more, which ParseTopic refuses.
func SetFilter(base string) string { return base + "/+/set" }

// FleetRequestTopic is where one board of a fleet takes the bytes of a picture to classify: see ParseImageRequest. The
// fleet is one that ValidName takes, the transaction one that CheckTransaction takes.
func FleetRequestTopic(fleet, transaction string) string {
	return "sightd/fleet/" + fleet + "/" + Classify + "/" + transaction
}

// FleetResultTopic is where that board answers: see Response.
func FleetResultTopic(fleet, transaction string) string {
	return "sightd/fleet/" + fleet + "/result/" + transaction
}

// FleetRequestFilter is the shared subscription by which a broker gives each request to one board of the fleet.
func FleetRequestFilter(fleet string) string {
	return "$share/" + fleet + "/" + FleetRequestTopic(fleet, "+")
}

// DiscoveryTopic is where Home Assistant looks for the device with this id: see Discovery. prefix is Home Assistant's own,
// DefaultDiscovery unless configured otherwise there. An empty payload, retained, removes the device.
func DiscoveryTopic(prefix, id string) string { return prefix + "/device/" + id + "/config" }

// HomeAssistantStatusTopic is where Home Assistant says Online when it has started, and wants discovery again.
func HomeAssistantStatusTopic(prefix string) string { return prefix + "/status" }

// DefaultDiscovery is the start of Home Assistant's topics.
const DefaultDiscovery = "homeassistant"

// The payloads of StateTopic and AvailabilityTopic, plain text. Offline on StateTopic covers all sources: their own
// topics are not changed when the daemon ends, because a Last Will has only one topic.
const (
	Online   = "online"
	Offline  = "offline"
	Disabled = "disabled" // switched off by the user; sources only
)

// bridge is the level of the daemon's own topics, beside the sources' names.
const bridge = "bridge"

// maxName bounds a name in bytes, and maxTopic a base: brokers take up to 65,535 bytes, people and tools far fewer.
const (
	maxName  = 64
	maxTopic = 512
)

// Name makes a name for topics and client ids of any string, such as a host name: at most 64 of a-z, 0-9, _ and -.
// Letters become lower case, every other character a dash, and dashes at the ends go. What is left empty is "unnamed".
// Name(Name(s)) is Name(s).
func Name(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r = unicode.ToLower(r); isNameRune(r) {
			b.WriteRune(r)
		} else {
			b.WriteByte('-')
		}
	}
	name := strings.TrimLeft(b.String(), "-")
	name = strings.TrimRight(name[:min(len(name), maxName)], "-") // cut first: the cut may end in dashes
	if name == "" {
		return "unnamed"
	}
	return name
}

// ValidName reports whether s can be a board's name as it is: 1 to 64 of a-z, 0-9, _ and -.
func ValidName(s string) bool {
	return s != "" && len(s) <= maxName && strings.IndexFunc(s, func(r rune) bool { return !isNameRune(r) }) < 0
}

// ValidSource reports whether s can be a source's name: as ValidName, but not "bridge", whose topics are the daemon's.
func ValidSource(s string) bool { return ValidName(s) && s != bridge }

func isNameRune(r rune) bool {
	return 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '_' || r == '-'
}

// CheckBase says what keeps base from being the start of topics: it wants non-empty levels of printable UTF-8 without
// wildcards, 512 bytes at most, and no $ in front, which brokers keep for themselves (MQTT 3.1.1, section 4.7).
func CheckBase(base string) error {
	switch {
	case base == "":
		return errors.New("want at least one level, have an empty topic")
	case len(base) > maxTopic:
		return fmt.Errorf("want at most %d bytes, have %d", maxTopic, len(base))
	case !utf8.ValidString(base) || strings.ContainsFunc(base, unfit):
		return fmt.Errorf("want printable UTF-8, have %q", base)
	case strings.ContainsAny(base, "+#"):
		return fmt.Errorf("want no wildcard + or #, have %q", base)
	case base[0] == '$':
		return fmt.Errorf("want no $ in front, have %q", base)
	case strings.Contains("/"+base+"/", "//"):
		return fmt.Errorf("want no empty level, have %q", base)
	}
	return nil
}

// ClientID is the MQTT client id of the daemon called name that keeps its state in stateDir on this machine:
// sightd-<name>-<6 hex digits>. The digits are of a SHA-256 over machineID (the text of /etc/machine-id) and the
// absolute stateDir, so two boards of one name, and two daemons on one board, don't throw each other off the broker.
func ClientID(name, machineID, stateDir string) (string, error) {
	dir, err := filepath.Abs(stateDir)
	if err != nil {
		return "", fmt.Errorf("make the client id: make %q absolute: %w", stateDir, err)
	}
	sum := sha256.Sum256([]byte(strings.TrimSpace(machineID) + "\x00" + dir))
	return fmt.Sprintf("sightd-%s-%x", name, sum[:3]), nil
}
