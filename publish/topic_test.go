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
	const base = "sightd/pi4"
	for have, want := range map[string]string{
		StateTopic(base):                          "sightd/pi4/bridge/state",
		InfoTopic(base):                           "sightd/pi4/bridge/info",
		HealthTopic(base):                         "sightd/pi4/bridge/health",
		RequestTopic(base, HealthCheck):           "sightd/pi4/bridge/request/health_check",
		RequestImageTopic(base, "7"):              "sightd/pi4/bridge/request/classify/7",
		ResponseTopic(base, Classify):             "sightd/pi4/bridge/response/classify",
		RequestFilter(base):                       "sightd/pi4/bridge/request/#",
		AvailabilityTopic(base, "door"):           "sightd/pi4/door/availability",
		SourceStateTopic(base, "door"):            "sightd/pi4/door/state",
		EventTopic(base, "door"):                  "sightd/pi4/door/event",
		ImageTopic(base, "door"):                  "sightd/pi4/door/image",
		SetTopic(base, "door"):                    "sightd/pi4/door/set",
		SetFilter(base):                           "sightd/pi4/+/set",
		FleetRequestTopic("yard", "7"):            "sightd/fleet/yard/classify/7",
		FleetResultTopic("yard", "7"):             "sightd/fleet/yard/result/7",
		FleetRequestFilter("yard"):                "$share/yard/sightd/fleet/yard/classify/+",
		DiscoveryTopic("homeassistant", "x"):      "homeassistant/device/x/config",
		HomeAssistantStatusTopic("homeassistant"): "homeassistant/status",
		DiscoveryID("pi4", "door"):                "sightd_pi4_door",
		BridgeDiscoveryID("pi4"):                  "sightd_pi4_bridge",
	} {
		if have != want {
			t.Errorf("want %s, have %s", want, have)
		}
	}
}

func TestParseTopic(t *testing.T) {
	const base, fleet, prefix = "sightd/pi4", "yard", "homeassistant"
	long := strings.Repeat("é", 64)
	for topic, want := range map[string]Topic{
		RequestTopic(base, HealthCheck):           {Kind: RequestMessage, Command: HealthCheck},
		RequestTopic(base, Classify):              {Kind: RequestMessage, Command: Classify},
		RequestTopic(base, "later"):               {Kind: RequestMessage, Command: "later"},
		RequestImageTopic(base, "a b-門"):          {Kind: RequestMessage, Command: Classify, Transaction: "a b-門"},
		RequestImageTopic(base, long):             {Kind: RequestMessage, Command: Classify, Transaction: long},
		SetTopic(base, "door"):                    {Kind: SetMessage, Source: "door"},
		FleetRequestTopic(fleet, "$7"):            {Kind: FleetMessage, Transaction: "$7"},
		StateTopic(base):                          {Kind: StateMessage},
		HomeAssistantStatusTopic("homeassistant"): {Kind: HomeAssistantState},
	} {
		if have, err := ParseTopic(base, fleet, prefix, topic); err != nil || have != want {
			t.Errorf("%s: want %+v, have %+v, %v", topic, want, have, err)
		}
	}
	for topic, want := range map[string]Topic{ // what comes with the error
		"":                                   {},
		"sightd/pi4":                         {},
		"sightd/pi4/":                        {},
		StateTopic("sightd/pi5"):             {},
		"sightd/pi4/bridge/request":          {},
		RequestTopic(base, ""):               {},
		RequestTopic(base, "Classify"):       {},
		RequestTopic(base, "health_check/7"): {},
		SetTopic(base, "bridge"):             {},
		SetTopic(base, "a/b"):                {},
		SetTopic(base, ""):                   {},
		EventTopic(base, "door"):             {},
		SetTopic("sightd/pi5", "door"):       {},
		FleetRequestTopic("other", "7"):      {},
		FleetResultTopic(fleet, "7"):         {},
		HomeAssistantStatusTopic("other"):    {},
		RequestImageTopic(base, ""):          {Kind: RequestMessage, Command: Classify},
		RequestImageTopic(base, "a/b"):       {Kind: RequestMessage, Command: Classify},
		RequestImageTopic(base, long+"x"):    {Kind: RequestMessage, Command: Classify},
		FleetRequestTopic(fleet, ""):         {Kind: FleetMessage},
		FleetRequestTopic(fleet, "a\xff"):    {Kind: FleetMessage},
	} {
		if have, err := ParseTopic(base, fleet, prefix, topic); err == nil || have != want {
			t.Errorf("%s: want an error and %+v, have %+v, %v", topic, want, have, err)
		}
	}
	for _, topic := range []string{FleetRequestTopic("", "7"), HomeAssistantStatusTopic("")} {
		if have, err := ParseTopic(base, "", "", topic); err == nil {
			t.Errorf("%s without fleet and prefix: want an error, have %+v", topic, have)
		}
	}
}

func TestCheckTransaction(t *testing.T) {
	for s, want := range map[string]string{
		"7": "", "$x": "", "a b": "", "門🐈": "", "\u200d": "", strings.Repeat("x", 128): "",
		"":                       "want one, have none",
		strings.Repeat("x", 129): "want at most 128 bytes, have 129",
		"a\x00":                  "want printable UTF-8",
		"a\n":                    "want printable UTF-8",
		"\xff":                   "want printable UTF-8",
		"\u2028":                 "want printable UTF-8",
		"\ufffe":                 "want printable UTF-8",
		"\ufdd0":                 "want printable UTF-8",
		"a/b":                    "want none of / + #",
		"+":                      "want none of / + #",
		"a#":                     "want none of / + #",
	} {
		err := CheckTransaction(s)
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), "check the transaction: "+want)) {
			t.Errorf("CheckTransaction(%q): want %q, have %v", s, want, err)
		}
	}
}

// FuzzParseTopic builds the topic anew from what ParseTopic found in it.
func FuzzParseTopic(f *testing.F) {
	const base, fleet, prefix = "sightd/pi4", "yard", "homeassistant"
	for _, s := range []string{
		"", RequestTopic(base, HealthCheck), RequestImageTopic(base, "7"), RequestImageTopic(base, "+"), SetTopic(base, "door"),
		FleetRequestTopic(fleet, "7"), HomeAssistantStatusTopic(prefix), base + "/bridge/set",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, topic string) {
		have, err := ParseTopic(base, fleet, prefix, topic)
		if err != nil {
			if have.Source != "" || have.Transaction != "" {
				t.Fatalf("%q: have %+v with %v", topic, have, err)
			}
			return
		}
		var back string
		switch {
		case have.Kind == RequestMessage && have.Transaction != "":
			back = RequestImageTopic(base, have.Transaction)
		case have.Kind == RequestMessage:
			back = RequestTopic(base, have.Command)
		case have.Kind == SetMessage:
			back = SetTopic(base, have.Source)
		case have.Kind == StateMessage:
			back = StateTopic(base)
		case have.Kind == FleetMessage:
			back = FleetRequestTopic(fleet, have.Transaction)
		case have.Kind == HomeAssistantState:
			back = HomeAssistantStatusTopic(prefix)
		}
		if back != topic || CheckBase(ResponseTopic(base, have.Command)) != nil && have.Command != "" {
			t.Fatalf("want %q again, have %q of %+v", topic, back, have)
		}
		if have.Transaction != "" && CheckBase(FleetResultTopic(fleet, have.Transaction)) != nil {
			t.Fatalf("want a transaction for topics, have %q", have.Transaction)
		}
	})
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
		"a\uffff":                "want printable UTF-8",
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
