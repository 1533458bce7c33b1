package daemon

import _ "embed"

//go:embed config.schema.json
var configSchema []byte

// ConfigSchema is the JSON Schema (draft 2020-12) of a configuration's file, for editors and their completion: each key with
// what it is for, its default and the values that this version takes. The keys of later versions are in it, as constants.
//
// What it refuses, Parse refuses too, but for some other ways to write the same, such as 60m for the default of 1h in a key of a
// later version. Parse is stricter: it knows which keys belong together, how long durations may be, and which addresses and paths
// make sense.
//
// The caller must not change it.
func ConfigSchema() []byte { return configSchema }
