package publish

import (
	_ "embed"
	"encoding/json"
)

// The JSON Schemas of the payloads. They refer to each other by their $id.
var (
	//go:embed schema/event.json
	eventSchema string
	//go:embed schema/health.json
	healthSchema string
	//go:embed schema/info.json
	infoSchema string
	//go:embed schema/request.json
	requestSchema string
	//go:embed schema/response.json
	responseSchema string
	//go:embed schema/set.json
	setSchema string
	//go:embed schema/state.json
	stateSchema string
)

// Schemas are the JSON Schemas (draft 2020-12) of the payloads, by name: event, health, info, request, response, set and
// state. Those of what sightd publishes allow no other keys than the ones it has; those of what it takes say what it
// understands. StateTopic and AvailabilityTopic have plain text.
func Schemas() map[string]json.RawMessage {
	return map[string]json.RawMessage{
		"event":    json.RawMessage(eventSchema),
		"health":   json.RawMessage(healthSchema),
		"info":     json.RawMessage(infoSchema),
		"request":  json.RawMessage(requestSchema),
		"response": json.RawMessage(responseSchema),
		"set":      json.RawMessage(setSchema),
		"state":    json.RawMessage(stateSchema),
	}
}
