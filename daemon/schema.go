package daemon

import _ "embed"

//go:embed config.schema.json
var configSchema []byte

// ConfigSchema is the JSON Schema (draft 2020-12) of the configuration, for editors. Parse is stricter: it knows what belongs
// together, and which addresses and paths make sense.
func ConfigSchema() []byte { return configSchema }
