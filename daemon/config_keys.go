package daemon

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// configKey is a key of the configuration: where it stands and what takes its value.
type configKey struct {
	path string // from its table's root, with dots
	set  configSetter
}

// configSetter stores a value, or says what is wrong with it, without naming the key.
type configSetter func(configValue) error

// configKeys is every key but those of a source, each bound to its place in c.
func configKeys(c *Config) []configKey {
	return append(decideKeys(&c.Decide), []configKey{
		{"version", setVersion(&c.Version)},
		{"name", setText(&c.Name, orEmpty(checkBoardName))},
		{"state_dir", setText(&c.StateDir, checkNotEmpty)},

		{"model.path", setText(&c.Model.Path, nil)},
		{"model.labels", setText(&c.Model.Labels, nil)},
		{"model.delegate", setText(&c.Model.Delegate, checkDelegate)},
		{"model.threads", setWhole(&c.Model.Threads, 0, 64)},

		{"mqtt.broker", setText(&c.MQTT.Broker, orEmpty(checkBroker))},
		{"mqtt.listen", setText(&c.MQTT.Listen, checkListen("127.0.0.1:1883"))},
		{"mqtt.base", setText(&c.MQTT.Base, orEmpty(checkTopic))},
		{"mqtt.user", setText(&c.MQTT.User, nil)},
		{"mqtt.password", setText(&c.MQTT.Password, nil)},
		{"mqtt.password_file", setText(&c.MQTT.PasswordFile, nil)},
		{"mqtt.ca", setText(&c.MQTT.CA, nil)},
		{"mqtt.cert", setText(&c.MQTT.Cert, nil)},
		{"mqtt.key", setText(&c.MQTT.Key, nil)},
		{"mqtt.qos", later(setWhole(&c.MQTT.QoS, 0, 1), "use 0 or 1", "2")},
		{"mqtt.discovery", setText(&c.MQTT.Discovery, orEmpty(checkTopic))},
		{"mqtt.outbox.max_mb", setWhole(&c.MQTT.Outbox.MaxMB, 1, 4096)},
		{"mqtt.outbox.max_age", setDuration(&c.MQTT.Outbox.MaxAge, time.Minute, 8760*time.Hour)},
		{"mqtt.max_payload_kb", setWhole(&c.MQTT.MaxPayloadKB, 4, 16384)},
		{"mqtt.fleet", setText(&c.MQTT.Fleet, orEmpty(checkName))},

		{"snapshots.enabled", setBool(&c.Snapshots.Enabled)},
		{"snapshots.max_mb", setWhole(&c.Snapshots.MaxMB, 1, 1<<20)},
		{"snapshots.mqtt", setBool(&c.Snapshots.MQTT)},
		{"privacy", setOneOf(&c.Privacy, PrivacyFull, PrivacyLabelsOnly)},
		{"limits.max_pixels", setWhole(&c.Limits.MaxPixels, 1, 200_000_000)},
		{"limits.max_file_mb", setWhole(&c.Limits.MaxFileMB, 1, 1024)},
		{"http.listen", setText(&c.HTTP.Listen, orEmpty(checkListen("127.0.0.1:8080")))},
		{"log.level", setOneOf(&c.Log.Level, "debug", "info", "warn", "error")},
		{"log.format", setOneOf(&c.Log.Format, "text", "json")},
	}...)
}

// maxConfigText is the most bytes that a text may have: Linux's PATH_MAX, and more than any name or password needs.
const maxConfigText = 4096

// setText takes any scalar as it is written, so that a password of digits needs no quotes. Its errors don't repeat the
// value; check, which may be nil, decides that for itself.
func setText(dst *string, check func(string) error) configSetter {
	return func(v configValue) error {
		if v.kind != plainValue && v.kind != quotedValue {
			return fmt.Errorf("want text, have %s", v.kind)
		}
		if len(v.text) > maxConfigText {
			return fmt.Errorf("want at most %d bytes, have %d", maxConfigText, len(v.text))
		}
		if strings.ContainsFunc(v.text, isControl) {
			return errors.New("want one line of text, have a line end or another control character in it")
		}
		if check != nil {
			if err := check(v.text); err != nil {
				return err
			}
		}
		*dst = v.text
		return nil
	}
}

// setTexts takes a list of at most so many texts, each of which check accepts.
func setTexts(dst *[]string, most int, check func(string) error) configSetter {
	return func(v configValue) error {
		if v.kind != listValue {
			return fmt.Errorf("want a list of texts, have %s", v.kind)
		}
		if len(v.items) > most {
			return fmt.Errorf("want at most %d texts, have %d", most, len(v.items))
		}
		var texts []string
		for _, item := range v.items {
			var text string
			if err := setText(&text, check)(item); err != nil {
				return err
			}
			texts = append(texts, text)
		}
		*dst = texts
		return nil
	}
}

// setWhole takes a decimal number from lo to hi.
func setWhole(dst *int, lo, hi int) configSetter {
	want := fmt.Sprintf("a whole number from %d to %d", lo, hi)
	if hi-lo < 2 {
		want = alternatives(slices.Compact([]string{strconv.Itoa(lo), strconv.Itoa(hi)}))
	}
	return func(v configValue) error {
		n, err := strconv.Atoi(v.text)
		if v.kind != plainValue || err != nil || n < lo || n > hi {
			return fmt.Errorf("want %s, have %s", want, v)
		}
		*dst = n
		return nil
	}
}

// setVersion takes the format that this sightd reads.
func setVersion(dst *int) configSetter {
	set := setWhole(dst, configVersion, configVersion)
	return func(v configValue) error {
		if n, err := strconv.Atoi(v.text); err == nil && v.kind == plainValue && n > configVersion {
			return fmt.Errorf("want %d, which this sightd reads, have %d: it is of a later one, which has to be installed", configVersion, n)
		}
		return set(v)
	}
}

// decimal is a number as people write it: no hexadecimal one, and neither infinity nor what is none.
var decimal = regexp.MustCompile(`^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$`)

// setNumber takes a decimal number from lo to hi.
func setNumber(dst *float64, lo, hi float64) configSetter {
	return func(v configValue) error {
		n, err := strconv.ParseFloat(v.text, 64)
		if v.kind != plainValue || !decimal.MatchString(v.text) || err != nil || n < lo || n > hi {
			return fmt.Errorf("want a number from %v to %v, have %s", lo, hi, v)
		}
		*dst = n + 0 // no negative zero
		return nil
	}
}

// setDuration takes what time.ParseDuration does, from lo to hi.
func setDuration(dst *time.Duration, lo, hi time.Duration) configSetter {
	return func(v configValue) error {
		d, err := time.ParseDuration(v.text)
		if err != nil {
			return fmt.Errorf("want a duration such as 500ms, 2s or 1m30s, have %s", v)
		}
		if d < lo || d > hi {
			return fmt.Errorf("want a duration from %v to %v, have %s", lo, hi, v)
		}
		*dst = d
		return nil
	}
}

// setBool takes true and false.
func setBool(dst *bool) configSetter {
	return func(v configValue) error {
		yes, known := v.boolean()
		if !known {
			return fmt.Errorf("want true or false, have %s", v)
		}
		*dst = yes
		return nil
	}
}

// setOneOf takes one of the choices.
func setOneOf(dst *string, choices ...string) configSetter {
	return func(v configValue) error {
		if !slices.Contains(choices, v.text) {
			return fmt.Errorf("want %s, have %s", alternatives(choices), v)
		}
		*dst = v.text
		return nil
	}
}

// later refuses the values that a later version honours, and hands all others on to set. A value that ends in a colon
// stands for all that begin with it.
func later(set configSetter, advice string, values ...string) configSetter {
	return func(v configValue) error {
		for _, value := range values {
			if v.text == value || strings.HasSuffix(value, ":") && strings.HasPrefix(v.text, value) {
				return fmt.Errorf("%s is not supported by this version; %s", v, advice)
			}
		}
		return set(v)
	}
}

// alternatives joins words as "a", "a or b", "a, b or c".
func alternatives(words []string) string {
	last := len(words) - 1
	if last == 0 {
		return words[0]
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
