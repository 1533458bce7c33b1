package daemon

import (
	_ "embed"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"time"

	"sightd/camera/picture"
	"sightd/decide"
	"sightd/publish"
)

// configVersion is the format that Parse reads. A key that is added, with a default that changes nothing for who doesn't give it, leaves
// it as it is. Whoever takes a key away, gives it another name or another meaning raises it, and has Parse read the
// format before, too, as what it meant: what is on the boards must go on working.
const configVersion = 1

// Config is the whole configuration. Default fills it, Load lays a file and the environment over that. Relative paths
// in it are relative to the working directory, not to the file's folder.
type Config struct {
	Version   int             `yaml:"version"`   // of the configuration's format: configVersion; it may be left out
	Name      string          `yaml:"name"`      // of this board, 1 to 64 of a-z 0-9 _ -; "": from the host's name
	StateDir  string          `yaml:"state_dir"` // folder for what must survive a restart
	Model     ModelConfig     `yaml:"model"`
	MQTT      MQTTConfig      `yaml:"mqtt"`
	Sources   []SourceConfig  `yaml:"sources"` // 1 to 64, with different names; a file's list replaces the default
	Decide    DecideConfig    `yaml:"decide"`
	Snapshots SnapshotsConfig `yaml:"snapshots"`
	Privacy   string          `yaml:"privacy"` // full, or labels_only: then no picture is kept or published
	Limits    LimitsConfig    `yaml:"limits"`
	HTTP      HTTPConfig      `yaml:"http"`
	Log       LogConfig       `yaml:"log"`
}

// ModelConfig says which network to run, and how.
type ModelConfig struct {
	Path     string `yaml:"path"`     // of a .tflite file; "": the embedded model
	Labels   string `yaml:"labels"`   // file with one label a line; "": those inside the model
	Delegate string `yaml:"delegate"` // auto, cpu, xnnpack, xnnpack-fp16, gpu or external:/path.so?option=value
	Threads  int    `yaml:"threads"`  // 1 to 64; 0: sightd chooses
}

// MQTTConfig says where the messages go.
type MQTTConfig struct {
	Broker string `yaml:"broker"` // URL with the scheme mqtt, mqtts, ws or wss; "": the embedded broker
	Listen string `yaml:"listen"` // host:port of the embedded broker; port 0: any free one
	Base   string `yaml:"base"`   // topic that all others start with; "": sightd/<name>
	User   string `yaml:"user"`   // for the broker; the embedded one, too, then asks for it
	// Password and PasswordFile exclude each other, and need User (MQTT 3.1.1, section 3.1.2.9). Password is never
	// printed: see String. Without both, systemd's credential "mqtt" counts, where User is named.
	Password     string `yaml:"password"`
	PasswordFile string `yaml:"password_file"` // holds it on one line
	CA           string `yaml:"ca"`            // PEM file with the authorities to trust; "": the system's
	Cert         string `yaml:"cert"`          // PEM file with the client's certificate; with Key or not at all
	Key          string `yaml:"key"`           // PEM file with the client's private key
	QoS          int    `yaml:"qos"`           // of events: 0 or 1
	// Discovery is the topic that Home Assistant's MQTT discovery listens below; "": sightd doesn't announce itself.
	Discovery    string       `yaml:"discovery"`
	Outbox       OutboxConfig `yaml:"outbox"`
	MaxPayloadKB int          `yaml:"max_payload_kb"` // KiB of a message that sightd publishes: 4 to 16384
	Fleet        string       `yaml:"fleet"`          // group that shares classify requests, a name as Config.Name; "": none
}

// OutboxConfig bounds what waits on disk for the broker.
type OutboxConfig struct {
	MaxMB  int           `yaml:"max_mb"`  // MiB: 1 to 4096
	MaxAge time.Duration `yaml:"max_age"` // 1m to 8760h
}

// SnapshotsConfig says what becomes of the pictures themselves. With the privacy labels_only neither is true.
type SnapshotsConfig struct {
	Enabled bool `yaml:"enabled"` // keep the pictures of live sources' events in the state folder
	MaxMB   int  `yaml:"max_mb"`  // MiB of those that are kept: 1 to 1048576; the oldest make room
	MQTT    bool `yaml:"mqtt"`    // publish a small JPEG of each live source's last event
}

// LimitsConfig bounds what a single picture may cost.
type LimitsConfig struct {
	MaxPixels int `yaml:"max_pixels"`  // width x height: 1 to 200,000,000
	MaxFileMB int `yaml:"max_file_mb"` // MiB (1,048,576 bytes): 1 to 1024
}

// HTTPConfig says where the status page and the metrics are.
type HTTPConfig struct {
	// Listen is host:port; port 0: any free one; "": there is no page. Who reaches the address reads the page: nobody logs in.
	Listen string `yaml:"listen"`
}

// LogConfig says what goes to standard error.
type LogConfig struct {
	Level  string `yaml:"level"`  // debug, info, warn or error
	Format string `yaml:"format"` // text or json
}

// Default is the configuration without a file: the embedded model, the folder ./inbox, the embedded broker on
// 127.0.0.1:1883.
func Default() Config {
	inbox := defaultSource(TypeFolder)
	inbox.Name, inbox.Path = "inbox", "./inbox"
	rules := decide.DefaultRules()
	return Config{
		Version:  configVersion,
		StateDir: "./state",
		Model:    ModelConfig{Delegate: "auto"},
		MQTT: MQTTConfig{
			Listen: "127.0.0.1:1883", QoS: 1, Discovery: "homeassistant",
			Outbox: OutboxConfig{MaxMB: 64, MaxAge: 168 * time.Hour}, MaxPayloadKB: publish.MaxPayload >> 10,
		},
		Sources: []SourceConfig{inbox},
		Decide: DecideConfig{
			Top: rules.Top, Enter: rules.Enter, Stay: rules.Stay, Confirm: rules.Confirm, Hold: rules.Hold, Cooldown: rules.Cooldown,
			Smoothing: rules.Smoothing, Unknown: UnknownConfig{Mode: rules.Unknown.Mode},
		},
		Snapshots: SnapshotsConfig{MaxMB: 200},
		Privacy:   PrivacyFull,
		Limits:    LimitsConfig{MaxPixels: picture.DefaultLimits.MaxPixels, MaxFileMB: int(picture.DefaultLimits.MaxBytes >> 20)},
		Log:       LogConfig{Level: "info", Format: "text"},
	}
}

// The values of Config.Privacy.
const (
	PrivacyFull       = "full"
	PrivacyLabelsOnly = "labels_only"
)

//go:embed example.yaml
var exampleConfig string

// Example is a commented configuration file in which every key has its default.
func Example() string { return exampleConfig }

// Load reads the configuration from the file at path and from env, which has the form of os.Environ. With an empty
// path there are only the defaults and env. See Parse for the rules and the errors.
func Load(path string, env []string) (Config, error) {
	data, err := readConfig(path)
	if err != nil {
		return Config{}, err
	}
	return Parse(path, data, env)
}

// readConfig is the text of the file at path, nil without one.
func readConfig(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxConfigBytes+1)) // readYAML refuses the byte too many
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return data, nil
}

// Parse lays data, a YAML document, and env over the defaults. name is the file's name in errors.
//
// A variable SIGHTD_MQTT_BROKER in env sets the key mqtt.broker, and so on for every key outside of sources; it wins
// over the file, an empty one too. Lists and keys are YAML there, too: SIGHTD_DECIDE_CONFIRM='[3, 5]'. Unknown keys and variables,
// keys given twice and values out of range are errors.
//
// The error has one line for each of the first ten faults, those of the file first and in its order, as
// "FILE:LINE:COLUMN: KEY: what is wrong" or "VARIABLE: KEY: what is wrong". It never holds a password, nor any other
// text that is likely to have one in it. Parse opens no file.
func Parse(name string, data []byte, env []string) (Config, error) {
	r := readerOf(name, data, env)
	if err := r.err(); err != nil {
		return Config{}, err
	}
	return r.config, nil
}

// readerOf has read data and env.
func readerOf(name string, data []byte, env []string) *configReader {
	r := newConfigReader(name)
	r.readYAML(data)
	r.readEnv(env)
	if len(r.faults) == 0 {
		r.checkTogether() // values that are wrong by themselves would only add false alarms
	}
	return r
}

// Redacted is a copy of c to be shown: with "***" for what is a password, or may be one, as in a URL.
func (c Config) Redacted() Config {
	if c.MQTT.Password != "" {
		c.MQTT.Password = mask
	}
	c.Sources = slices.Clone(c.Sources)
	for i, s := range c.Sources {
		c.Sources[i] = s.Redacted()
	}
	return c
}

// String is the configuration as YAML, its passwords masked, each source with the keys of its type.
func (c Config) String() string {
	var w configWriter
	w.section(reflect.ValueOf(c.Redacted()), "", "")
	return w.text.String()
}
