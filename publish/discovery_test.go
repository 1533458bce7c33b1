package publish

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var testDiscovery = Discovery{
	Prefix: DefaultDiscovery, Base: "sightd/pi-4", Name: "pi-4", Images: true,
	Info: Info{
		Version: "0.1.0", Model: ModelInfo{Name: "googlenet-int8"}, Delegate: DelegateInfo{Active: "xnnpack"},
		Board: "Raspberry Pi 5 Model B Rev 1.0\x00", Started: when,
	},
}

// discoveries are messages of all kinds: name -> one.
func discoveries(t testing.TB) map[string][]byte {
	t.Helper()
	bare := Discovery{Prefix: "ha", Base: "a/b", Name: "_-"}
	all := make(map[string][]byte)
	for name, build := range map[string]func(int) (string, []byte, error){
		"source": func(limit int) (string, []byte, error) { return testDiscovery.Source("front-door_", true, limit) },
		"folder": func(limit int) (string, []byte, error) { return testDiscovery.Source("inbox", false, limit) },
		"bridge": testDiscovery.Bridge,
		"bare":   func(limit int) (string, []byte, error) { return bare.Source("--", false, limit) },
	} {
		_, payload, err := build(MaxPayload)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = payload
	}
	return all
}

func TestDiscovery(t *testing.T) {
	for name, payload := range discoveries(t) {
		golden(t, "discovery-"+name+".json", payload)
		conforms(t, homeAssistant, payload)
	}
}

func TestDiscoveryTopics(t *testing.T) {
	topic, _, err := testDiscovery.Source("door", true, MaxPayload)
	if want := "homeassistant/device/sightd_pi-4_door/config"; err != nil || topic != want {
		t.Errorf("want %s, have %s, %v", want, topic, err)
	}
	topic, _, err = testDiscovery.Bridge(MaxPayload)
	if want := "homeassistant/device/sightd_pi-4_bridge/config"; err != nil || topic != want {
		t.Errorf("want %s, have %s, %v", want, topic, err)
	}
	if _, _, err := testDiscovery.Source("door", true, 1000); !errors.As(err, new(tooLarge)) {
		t.Errorf("want an error of the limit, have %v", err)
	}
}

// ids are what Home Assistant keeps settings by.
func ids(t *testing.T, payload []byte) []string {
	t.Helper()
	var m deviceMessage
	if err := json.Unmarshal(payload, &m); err != nil {
		t.Fatal(err)
	}
	all := append([]string{}, m.Device.Identifiers...)
	for key, c := range m.Components {
		if c.UniqueID != "" {
			all = append(all, key+" "+c.Platform+" "+c.UniqueID)
		}
	}
	return all
}

// TestDiscoveryStable wants the same ids from another version with another model, and different ones for everything else.
func TestDiscoveryStable(t *testing.T) {
	later := testDiscovery
	later.Info = Info{Version: "2.0.0", Model: ModelInfo{Name: "other"}, Board: "other", Started: when}
	seen := make(map[string]int)
	messages := 0
	for _, d := range []Discovery{testDiscovery, later} {
		for _, build := range []func(int) (string, []byte, error){
			func(limit int) (string, []byte, error) { return d.Source("door", true, limit) },
			func(limit int) (string, []byte, error) { return d.Source("inbox", false, limit) },
			d.Bridge,
		} {
			_, payload, err := build(MaxPayload)
			if err != nil {
				t.Fatal(err)
			}
			messages++
			for _, id := range ids(t, payload) {
				seen[id]++
			}
		}
	}
	for id, n := range seen {
		if n != 2 {
			t.Errorf("want id %q from both versions and once in each, have it %d times", id, n)
		}
	}
	if messages != 6 || len(seen) != 3+6+6+8 {
		t.Errorf("want the ids of 3 devices with 6, 6 and 8 components, have %d", len(seen))
	}
}

// TestDiscoveryTemplates looks up the keys that the templates take from payloads in the schema of their topic.
func TestDiscoveryTemplates(t *testing.T) {
	const base, source = "sightd/pi-4", "front-door_"
	schemas := map[string]string{
		SourceStateTopic(base, source): "state", EventTopic(base, source): "event", HealthTopic(base): "health",
	}
	key := regexp.MustCompile(`value_json((?:\.[a-z_0-9]+)+)`)
	found := 0
	for name, payload := range discoveries(t) {
		if name == "bare" || name == "folder" {
			continue
		}
		var m deviceMessage
		if err := json.Unmarshal(payload, &m); err != nil {
			t.Fatal(err)
		}
		for id, c := range m.Components {
			for template, topic := range map[string]string{c.ValueTemplate: c.StateTopic, c.AttributesTemplate: c.AttributesTopic} {
				for _, match := range key.FindAllStringSubmatch(template, -1) {
					found++
					if err := findKey(Schemas()[schemas[topic]], strings.Split(match[1][1:], ".")); err != nil {
						t.Errorf("%s: %s: %s: %v", name, id, match[0], err)
					}
				}
			}
		}
	}
	if found < 20 {
		t.Errorf("want the keys of all templates, have %d", found)
	}
}

// findKey finds the property at path in a schema.
func findKey(schema json.RawMessage, path []string) error {
	for _, key := range path {
		var s struct {
			Properties map[string]json.RawMessage `json:"properties"`
		}
		if err := json.Unmarshal(schema, &s); err != nil {
			return err
		}
		if schema = s.Properties[key]; schema == nil {
			return fmt.Errorf("want a key of the schema, have %s", key)
		}
	}
	return nil
}

// TestDiscoveryEventTypes compares what Home Assistant is told with the schema of events: each type is of a camera, of a folder, or
// of both.
func TestDiscoveryEventTypes(t *testing.T) {
	var schema struct {
		Properties struct {
			EventType struct {
				Enum []string `json:"enum"`
			} `json:"event_type"`
		} `json:"properties"`
	}
	if err := json.Unmarshal(Schemas()["event"], &schema); err != nil {
		t.Fatal(err)
	}
	told := append(eventTypes(true), eventTypes(false)...)
	slices.Sort(told)
	want := slices.Sorted(slices.Values(schema.Properties.EventType.Enum))
	if have := slices.Compact(told); !slices.Equal(have, want) {
		t.Errorf("want %v, have %v", want, have)
	}
	for live, want := range map[bool]string{true: "enter leave change error", false: "classified error"} {
		if have := strings.Join(sourceComponents("sightd/pi4", "door", live, false)["event"].EventTypes, " "); have != want {
			t.Errorf("live %v: want %s, have %s", live, want, have)
		}
	}
}

// TestDiscoverySwitch sends what Home Assistant sends to where it sends it.
func TestDiscoverySwitch(t *testing.T) {
	c := sourceComponents("sightd/pi4", "door", true, false)["enabled"]
	for payload, want := range map[string]bool{c.PayloadOn: true, c.PayloadOff: false} {
		if have, err := ParseSet([]byte(payload)); err != nil || have != want {
			t.Errorf("%s: want %v, have %v, %v", payload, want, have, err)
		}
	}
	if topic, err := ParseTopic("sightd/pi4", "", "", c.CommandTopic); err != nil || topic != (Topic{Kind: SetMessage, Source: "door"}) {
		t.Errorf("%s: have %+v, %v", c.CommandTopic, topic, err)
	}
}

// TestHomeAssistantSchema makes sure that the schema is strict: what Home Assistant would refuse, or quietly ignore.
func TestHomeAssistantSchema(t *testing.T) {
	payload := string(discoveries(t)["source"])
	for what, change := range map[string][2]string{
		"unknown key":         {`"qos":1`, `"qos":1,"expire_after":60`},
		"unknown key of one":  {`"event_types"`, `"event_type":"enter","event_types"`},
		"object_id":           {`"unique_id"`, `"object_id":"x","unique_id"`},
		"other domain":        {`"default_entity_id":"sensor.`, `"default_entity_id":"switch.`},
		"wildcard":            {`"command_topic":"sightd/`, `"command_topic":"+/`},
		"no origin":           {`"origin"`, `"orogin"`},
		"no unique_id":        {`"unique_id":"sightd_pi-4_front-door__event",`, ``},
		"unknown platform":    {`"platform":"image"`, `"platform":"picture"`},
		"unknown class":       {`"device_class":"problem"`, `"device_class":"trouble"`},
		"two availabilities":  {`"qos":1`, `"qos":1,"availability_topic":"a"`},
		"no event_types":      {`"event_types":["enter","leave","change","error"],`, ``},
		"not diagnostic":      {`"entity_category":"diagnostic"`, `"entity_category":"config"`},
		"unknown state_class": {`"state_class":"measurement"`, `"state_class":"measured"`},
	} {
		changed := strings.Replace(payload, change[0], change[1], 1)
		if changed == payload {
			t.Errorf("%s: nothing to change", what)
		}
		if validate(t, homeAssistant, []byte(changed)) == nil {
			t.Errorf("%s: want an error, have none", what)
		}
	}
}
