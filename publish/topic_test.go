package publish

import (
	"regexp"
	"strings"
	"testing"
)

func TestName(t *testing.T) {
	for in, want := range map[string]string{
		"pi4":                             "pi4",
		"Pi4.Local":                       "pi4-local",
		"  Front Door ":                   "front-door",
		"Wohnzimmer/Tür":                  "wohnzimmer-t-r",
		"cam_1":                           "cam_1",
		"a+b#c/d":                         "a-b-c-d",
		"":                                "unnamed",
		"---":                             "unnamed",
		"門":                               "unnamed",
		"\xff\xfe":                        "unnamed",
		"\u212a":                          "k", // the Kelvin sign, whose lower case is k
		strings.Repeat("x", 100):          strings.Repeat("x", 64),
		strings.Repeat("x", 60) + "-----": strings.Repeat("x", 60),
		strings.Repeat("x", 60) + "    y": strings.Repeat("x", 60),
	} {
		if have := Name(in); have != want {
			t.Errorf("Name(%q): want %q, have %q", in, want, have)
		}
	}
}

func TestValidName(t *testing.T) {
	for in, want := range map[string]bool{
		"pi4": true, "a_b-c": true, "-": true, "bridge": true, strings.Repeat("x", 64): true,
		"": false, "Pi4": false, "a b": false, "a/b": false, "+": false, "ü": false, "\xff": false, strings.Repeat("x", 65): false,
	} {
		if have := ValidName(in); have != want {
			t.Errorf("ValidName(%q): want %v, have %v", in, want, have)
		}
		if have := ValidSource(in); have != (want && in != "bridge") {
			t.Errorf("ValidSource(%q): have %v", in, have)
		}
	}
}

func FuzzName(f *testing.F) {
	for _, s := range []string{"", "Pi 4", "ǅ\xff", strings.Repeat("é-", 40), "İ"} {
		f.Add(s)
	}
	allowed := regexp.MustCompile(`^[a-z0-9_-]{1,64}$`)
	f.Fuzz(func(t *testing.T, s string) {
		name := Name(s)
		if !allowed.MatchString(name) || !ValidName(name) || Name(name) != name {
			t.Errorf("Name(%q) = %q, Name of that %q", s, name, Name(name))
		}
	})
}

func TestTopics(t *testing.T) {
	for have, want := range map[string]string{
		StateTopic("sightd/pi4"):                "sightd/pi4/bridge/state",
		InfoTopic("sightd/pi4"):                 "sightd/pi4/bridge/info",
		EventTopic("sightd/pi4", "door"):        "sightd/pi4/door/event",
		AvailabilityTopic("sightd/pi4", "door"): "sightd/pi4/door/availability",
	} {
		if have != want {
			t.Errorf("want %s, have %s", want, have)
		}
	}
}

func TestCheckBase(t *testing.T) {
	for base, want := range map[string]string{
		"sightd/pi4":             "",
		"a":                      "",
		"Küche/1":                "",
		"":                       "want at least one level",
		"/a":                     "want no empty level",
		"a/":                     "want no empty level",
		"a//b":                   "want no empty level",
		"a/+/b":                  "want no wildcard",
		"a/#":                    "want no wildcard",
		"$SYS/a":                 "want no $ in front",
		"a\x00b":                 "want printable UTF-8",
		"a\xff":                  "want printable UTF-8",
		strings.Repeat("a", 513): "want at most 512 bytes",
	} {
		err := CheckBase(base)
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("CheckBase(%q): want %q, have %v", base, want, err)
		}
	}
}

func TestClientID(t *testing.T) {
	id := func(name, machine, dir string) string {
		t.Helper()
		s, err := ClientID(name, machine, dir)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	const machine = "0123456789abcdef0123456789abcdef\n"
	one := id("pi4", machine, "/var/lib/sightd")
	// printf '0123456789abcdef0123456789abcdef\0/var/lib/sightd' | sha256sum
	if want := "sightd-pi4-d66289"; one != want {
		t.Errorf("want %s, have %s", want, one)
	}
	if same := id("pi4", strings.TrimSpace(machine), "/var/lib/../lib/sightd/"); same != one {
		t.Errorf("the same folder: want %s, have %s", one, same)
	}
	for what, other := range map[string]string{
		"another machine": id("pi4", "other", "/var/lib/sightd"),
		"another folder":  id("pi4", machine, "/var/lib/sightd2"),
		"a relative one":  id("pi4", machine, "state"),
	} {
		if other == one {
			t.Errorf("%s: want another id than %s", what, one)
		}
	}
}
