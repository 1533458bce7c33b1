package publish

import (
	"fmt"
	"strings"
)

// Discovery tells Home Assistant, from 2024.12 on, what there is: one retained message for each source and one for the
// bridge, each a device with its components ("device discovery" in the documentation of its MQTT integration). Home
// Assistant keeps what it was told until the topic gets an empty payload, so who uses Discovery has to remember the ids.
type Discovery struct {
	Prefix string // Home Assistant's own: DefaultDiscovery
	Base   string // of the topics
	Name   string // of the board: see ValidName
	Info   Info   // shown with the devices
	Images bool   // there is something on ImageTopic
}

// DiscoveryID is the id of a source's device: sightd_<name>_<source>. It depends on nothing else, so it stays through new
// versions and models, and with it what people set in Home Assistant. Boards and sources whose names run together
// to the same text, as a_b with c and a with b_c, have the same id.
func DiscoveryID(name, source string) string { return "sightd_" + name + "_" + source }

// BridgeDiscoveryID is the id of the bridge's device. No source has it.
func BridgeDiscoveryID(name string) string { return DiscoveryID(name, bridge) }

// deviceMessage is the payload of a DiscoveryTopic. Home Assistant refuses a message with a key here that it doesn't know.
type deviceMessage struct {
	Device           device               `json:"device"`
	Origin           origin               `json:"origin"`
	Availability     []availability       `json:"availability,omitempty"` // of components without their own
	AvailabilityMode string               `json:"availability_mode,omitempty"`
	QoS              int                  `json:"qos"`
	Components       map[string]component `json:"components"`
}

type device struct {
	Identifiers  []string `json:"identifiers"`
	Name         string   `json:"name"`
	Manufacturer string   `json:"manufacturer"`
	Model        string   `json:"model,omitempty"`
	SWVersion    string   `json:"sw_version,omitempty"`
	HWVersion    string   `json:"hw_version,omitempty"`
	ViaDevice    string   `json:"via_device,omitempty"`
}

type origin struct {
	Name      string `json:"name"`
	SWVersion string `json:"sw_version,omitempty"`
}

// availability has Home Assistant's defaults, which are Online and Offline, for the payloads.
type availability struct {
	Topic         string `json:"topic"`
	ValueTemplate string `json:"value_template,omitempty"`
}

// component is one entity. One with a platform alone removes what Home Assistant may still have under that key.
type component struct {
	Platform           string         `json:"platform"`
	UniqueID           string         `json:"unique_id,omitempty"`
	DefaultEntityID    string         `json:"default_entity_id,omitempty"`
	Name               string         `json:"name,omitempty"`
	EntityCategory     string         `json:"entity_category,omitempty"`
	DeviceClass        string         `json:"device_class,omitempty"`
	StateClass         string         `json:"state_class,omitempty"`
	Unit               string         `json:"unit_of_measurement,omitempty"`
	Precision          *int           `json:"suggested_display_precision,omitempty"`
	Options            []string       `json:"options,omitempty"`
	EventTypes         []string       `json:"event_types,omitempty"`
	Availability       []availability `json:"availability,omitempty"`
	StateTopic         string         `json:"state_topic,omitempty"`
	ValueTemplate      string         `json:"value_template,omitempty"`
	AttributesTopic    string         `json:"json_attributes_topic,omitempty"`
	AttributesTemplate string         `json:"json_attributes_template,omitempty"`
	CommandTopic       string         `json:"command_topic,omitempty"`
	PayloadOn          string         `json:"payload_on,omitempty"`
	PayloadOff         string         `json:"payload_off,omitempty"`
	StateOn            string         `json:"state_on,omitempty"`
	StateOff           string         `json:"state_off,omitempty"`
	ImageTopic         string         `json:"image_topic,omitempty"`
	ContentType        string         `json:"content_type,omitempty"`
}

// Source is the topic and the payload, of at most limit bytes, for one source: a live one, such as a camera, or a folder, as
// their events differ in type. Its error is that of a payload that is too large.
func (d Discovery) Source(source string, live bool, limit int) (topic string, payload []byte, err error) {
	id := DiscoveryID(d.Name, source)
	m := deviceMessage{
		Device: d.device(id, d.Name+" "+source),
		// Home Assistant ignores payloads of availability that are neither Online nor Offline, so it has to be told what
		// Disabled means.
		Availability: []availability{
			{Topic: StateTopic(d.Base)},
			{Topic: AvailabilityTopic(d.Base, source), ValueTemplate: "{{ 'online' if value == 'online' else 'offline' }}"},
		},
		AvailabilityMode: "all",
		Components:       d.identify(sourceComponents(d.Base, source, live, d.Images), id, d.Name+"_"+source),
	}
	m.Device.ViaDevice = BridgeDiscoveryID(d.Name)
	return d.message(id, m, limit)
}

// Bridge is the topic and the payload, of at most limit bytes, for the bridge. It is to be published before the sources'
// messages, which refer to its device.
func (d Discovery) Bridge(limit int) (topic string, payload []byte, err error) {
	id := BridgeDiscoveryID(d.Name)
	return d.message(id, deviceMessage{
		Device:     d.device(id, d.Name),
		Components: d.identify(bridgeComponents(d.Base), id, d.Name),
	}, limit)
}

func (d Discovery) message(id string, m deviceMessage, limit int) (string, []byte, error) {
	m.Origin = origin{Name: "sightd", SWVersion: text(d.Info.Version, maxText)}
	m.QoS = 1
	payload, err := encode(m, limit)
	if err != nil {
		return "", nil, fmt.Errorf("encode discovery of %s: %w", id, err)
	}
	return DiscoveryTopic(d.Prefix, id), payload, nil
}

func (d Discovery) device(id, name string) device {
	model := d.Info.Model.Name
	if d.Info.Delegate.Active != "" {
		model += " (" + d.Info.Delegate.Active + ")"
	}
	return device{
		Identifiers:  []string{id},
		Name:         name,
		Manufacturer: "sightd",
		Model:        text(model, maxText),
		SWVersion:    text(d.Info.Version, maxText),
		HWVersion:    text(d.Info.Board, maxText),
	}
}

// identify gives the components their ids: unique_id for Home Assistant's registry, and a proposal for the entity's id,
// which people see, such as sensor.door_label. Home Assistant appends a number to one that is taken.
func (d Discovery) identify(components map[string]component, id, subject string) map[string]component {
	for key, c := range components {
		if c.Name == "" { // one to remove
			continue
		}
		c.UniqueID = id + "_" + key
		c.DefaultEntityID = c.Platform + "." + slug(subject+"_"+key)
		components[key] = c
	}
	return components
}

// slug is name as the second part of an entity's id, in which Home Assistant wants a-z, 0-9 and single underscores that
// are not at an end.
func slug(name string) string {
	parts := strings.FieldsFunc(name, func(r rune) bool { return r == '-' || r == '_' })
	return strings.Join(parts, "_")
}
