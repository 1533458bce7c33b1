package daemon

import (
	"reflect"
	"strings"
	"testing"
)

// serviceExample is ServiceExample for a host called pi, and what it says.
func serviceExample(t *testing.T, instance string) (string, Config) {
	t.Helper()
	text, err := ServiceExample(instance, "Pi.local")
	if err != nil {
		t.Fatal(err)
	}
	c, err := Parse(instance, []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return text, c
}

// TestServiceExample wants the defaults, but for what an installed service must have otherwise; in its commented sources, too.
func TestServiceExample(t *testing.T) {
	for instance, change := range map[string]func(*Config){
		"": func(c *Config) { c.StateDir, c.Sources[0].Path = "/var/lib/sightd", "/var/lib/sightd/inbox" },
		"back_2": func(c *Config) {
			c.StateDir, c.Sources[0].Path = "/var/lib/sightd-back_2", "/var/lib/sightd-back_2/inbox"
			c.Name, c.MQTT.Listen = "pi-local-back_2", "127.0.0.1:23791"
		},
	} {
		text, got := serviceExample(t, instance)
		want := Default()
		change(&want)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q: the differences are %q", instance, want.changes(got))
		}
		for _, word := range []string{"./", "sightd run", "1883        #"} {
			if strings.Contains(text, word) && (word != "1883        #" || instance != "") {
				t.Errorf("%q: want no %q in it", instance, word)
			}
		}
		if !strings.Contains(text, "systemctl reload sightd") {
			t.Errorf("%q: want to read how to reload it", instance)
		}
		for i, line := range strings.Split(text, "\n") {
			if len(line) > 140 {
				t.Errorf("%q: line %d is %d bytes long", instance, i+1, len(line))
			}
		}
	}
}

// TestServiceExamplesApart holds the services of one machine against each other: none has what another has.
func TestServiceExamplesApart(t *testing.T) {
	owner := map[string]string{}
	for _, instance := range []string{"", "a", "b", "door", "yard", "back", "front", "street", "cam-1", "cam-2", "garage", "inbox"} {
		_, c := serviceExample(t, instance)
		if c.Name == "" {
			c.Name = "pi-local" // as the daemon does it
		}
		for key, value := range map[string]string{"name": c.Name, "state_dir": c.StateDir, "mqtt.listen": c.MQTT.Listen, "path": c.Sources[0].Path} {
			if other, taken := owner[key+value]; taken {
				t.Errorf("%q and %q share %s: %s", other, instance, key, value)
			}
			owner[key+value] = instance
		}
	}
}

func TestServiceInstanceNames(t *testing.T) {
	for name, want := range map[string]string{
		"sightd": "want another name", "A": "want 1 to 32", "a/b": "want 1 to 32", "../a": "want 1 to 32", "-a": "want 1 to 32", "a b": "want 1 to 32",
		"a\n": "want 1 to 32", strings.Repeat("a", 33): "want 1 to 32",
	} {
		if _, err := ServiceExample(name, "pi"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got error %v, want %q", name, err, want)
		}
	}
	for _, test := range []struct{ instance, host, want string }{
		{"a", "pi", "pi-a"}, {"a", "", "unnamed-a"}, {"a", "Ürgel", "rgel-a"},
		{strings.Repeat("a", 32), strings.Repeat("h", 64), strings.Repeat("h", 31) + "-" + strings.Repeat("a", 32)},
		{strings.Repeat("a", 32), strings.Repeat("h", 30) + "-x", strings.Repeat("h", 30) + "-" + strings.Repeat("a", 32)},
	} {
		if got := instanceBoard(test.instance, test.host); got != test.want || checkBoardName(got) != nil {
			t.Errorf("%s on %s: got %s, want %s", test.instance, test.host, got, test.want)
		}
	}
}
