package daemon

import _ "embed"

//go:embed config.schema.json
var configSchema []byte

// ConfigSchema is the JSON Schema (draft 2020-12) of a configuration's file, for editors and their completion: each key with
// what it is for, its default and the values that this version takes.
//
// What it refuses, Parse refuses too. Parse is stricter: it knows which keys belong together, how long durations may be, and which addresses and paths
// make sense.
//
// The caller must not change it.
func ConfigSchema() []byte { return configSchema }
