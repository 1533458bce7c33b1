package publish

import "sightd/decide"

// The templates below are Jinja, as Home Assistant runs it: value_json is the payload, and a result of "None" makes the
// state unknown. Its states have at most 255 characters.

// eventTypes are all that an event_type of a source can be. Home Assistant refuses events of other types.
func eventTypes(live bool) []string {
	if live {
		return []string{string(decide.Enter), string(decide.Leave), string(decide.Change), string(decide.Refused)}
	}
	return []string{string(decide.Classified), string(decide.Refused)}
}

// sourceComponents are the entities of a source. Home Assistant's database gets a row for each change of a state or an
// attribute, so the attributes are picked: none changes with a heartbeat, and an event leaves out the runners-up, which
// remain on its topic.
func sourceComponents(base, source string, live, images bool) map[string]component {
	state := SourceStateTopic(base, source)
	reachable := []availability{{Topic: StateTopic(base)}} // also while the source is disabled or offline
	image := component{Platform: "image"}
	if images {
		image = component{Platform: "image", Name: "Image", ImageTopic: ImageTopic(base, source), ContentType: "image/jpeg"}
	}
	return map[string]component{
		"label": {
			Platform: "sensor", Name: "Label", StateTopic: state,
			ValueTemplate:      "{{ value_json.label[:255] if value_json.label is string else none }}",
			AttributesTopic:    state,
			AttributesTemplate: "{{ {'index': value_json.index, 'since': value_json.since} | tojson }}",
		},
		"confidence": {
			Platform: "sensor", Name: "Confidence", StateTopic: state,
			ValueTemplate: "{{ (value_json.smoothed * 100) | round(1) if value_json.smoothed is number else none }}",
			Unit:          "%", StateClass: "measurement", Precision: new(int),
		},
		"event": {
			Platform: "event", Name: "Event", StateTopic: EventTopic(base, source), EventTypes: eventTypes(live),
			ValueTemplate: "{{ {'event_type': value_json.event_type, 'id': value_json.id, 'ts': value_json.ts, " +
				"'label': value_json.label, 'index': value_json.index, 'score': value_json.score, 'previous': value_json.previous, " +
				"'duration_s': value_json.duration_s, 'file': value_json.file, 'error': value_json.error, " +
				"'replayed': value_json.replayed} | tojson }}",
		},
		"image": image,
		"problem": {
			Platform: "binary_sensor", Name: "Problem", StateTopic: state, Availability: reachable,
			DeviceClass: "problem", EntityCategory: "diagnostic",
			ValueTemplate:      "{{ 'ON' if value_json.problem else 'OFF' }}",
			AttributesTopic:    state,
			AttributesTemplate: "{{ {'reason': value_json.problem} | tojson }}",
		},
		"enabled": {
			Platform: "switch", Name: "Enabled", StateTopic: state, Availability: reachable, EntityCategory: "config",
			ValueTemplate: "{{ 'ON' if value_json.enabled else 'OFF' }}", StateOn: "ON", StateOff: "OFF",
			CommandTopic: SetTopic(base, source), PayloadOn: `{"enabled":true}`, PayloadOff: `{"enabled":false}`,
		},
	}
}

// bridgeComponents are the entities of the bridge.
func bridgeComponents(base string) map[string]component {
	health := HealthTopic(base)
	reachable := []availability{{Topic: StateTopic(base)}}
	// measured is a number of the health, which has so many decimals.
	measured := func(name, class, unit, template string, decimals int) component {
		return component{
			Platform: "sensor", Name: name, DeviceClass: class, Unit: unit, StateClass: "measurement", Precision: &decimals,
			EntityCategory: "diagnostic", Availability: reachable, StateTopic: health, ValueTemplate: template,
		}
	}
	return map[string]component{
		"connection": { // without availability, to be able to say that the board is away
			Platform: "binary_sensor", Name: "Connection", StateTopic: StateTopic(base), PayloadOn: Online, PayloadOff: Offline,
			DeviceClass: "connectivity", EntityCategory: "diagnostic",
		},
		"status": {
			Platform: "sensor", Name: "Status", StateTopic: health, Availability: reachable,
			DeviceClass: "enum", Options: []string{string(StatusOK), string(StatusDegraded), string(StatusFailing)},
			EntityCategory: "diagnostic", ValueTemplate: "{{ value_json.status }}",
		},
		"problem": {
			Platform: "binary_sensor", Name: "Problem", StateTopic: health, Availability: reachable,
			DeviceClass: "problem", EntityCategory: "diagnostic",
			ValueTemplate:   "{{ 'OFF' if value_json.status == 'ok' else 'ON' }}",
			AttributesTopic: health,
			AttributesTemplate: "{{ {'checks': value_json.checks | rejectattr('status', 'eq', 'ok') " +
				"| map(attribute='name') | list} | tojson }}",
		},
		"temperature": measured("Temperature", "temperature", "°C", "{{ value_json.temperature }}", 1),
		"infer_ms": measured("Inference time", "duration", "ms",
			"{{ value_json.infer_ms.p50 | round(1) if value_json.infer_ms else none }}", 1),
		"fps":    measured("Pictures a second", "", "fps", "{{ value_json.fps }}", 2),
		"outbox": measured("Outbox", "", "events", "{{ value_json.outbox.pending }}", 0),
		"rss":    measured("Memory", "data_size", "MiB", "{{ (value_json.rss / 1048576) | round(1) }}", 1),
	}
}
