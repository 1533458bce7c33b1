package doctor

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sightd/daemon"
)

func TestBoard(t *testing.T) {
	const throttledFile = "sys/devices/platform/soc/soc:firmware/get_throttled"
	files := func(pairs ...string) map[string]string {
		m := map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = pairs[i+1]
		}
		return m
	}
	cpu, memory, descriptors := (*examiner).cpu, (*examiner).memory, (*examiner).descriptors
	temperature, power := (*examiner).temperature, (*examiner).power
	for _, test := range []struct {
		name  string
		look  func(*examiner, context.Context) []Finding
		files map[string]string
		want  []string
	}{
		{"processor", cpu, nil, []string{"ok cpu: core"}},
		{"no cpuinfo", cpu, files("proc/cpuinfo", "absent"), []string{"warn cpu: cpuinfo -> ProcSubset"}},

		{"memory", memory, nil, []string{"ok memory: 3165 MiB available"}},
		{"little memory", memory, files("proc/meminfo", "MemTotal: 440000 kB\nMemAvailable: 90112 kB\n"), []string{"warn memory: 88 MiB -> zram"}},
		{"no meminfo", memory, files("proc/meminfo", "absent"), []string{"warn memory: no such file -> /proc"}},
		{"old meminfo", memory, files("proc/meminfo", "MemTotal: 440000 kB\n"), []string{"warn memory: doesn't tell -> /proc"}},
		{"odd meminfo", memory, files("proc/meminfo", "MemAvailable: much kB\n"), []string{"warn memory: doesn't tell -> /proc"}},

		{"descriptors", descriptors, nil, []string{"ok descriptors: 1048576"}},
		{"endless descriptors", descriptors, files("proc/self/limits", "Max open files            1024                 unlimited            files     \n"), []string{"ok descriptors: unlimited"}},
		{"few descriptors", descriptors, files("proc/self/limits", "Max open files            100                 199            files     \n"), []string{"warn descriptors: may need 200 -> LimitNOFILE"}},
		{"no limits", descriptors, files("proc/self/limits", "absent"), []string{"warn descriptors: no such file -> /proc"}},
		{"odd limits", descriptors, files("proc/self/limits", "Max open files\n"), []string{"warn descriptors: doesn't tell -> /proc"}},
		{"limits that are no number", descriptors, files("proc/self/limits", "Max open files 1024 \x1b[2J files\n"), []string{"warn descriptors: doesn't tell -> /proc"}},

		{"temperature", temperature, nil, []string{"ok temperature: 49 °C"}},
		{"hottest zone", temperature, files("sys/class/thermal/thermal_zone1/temp", "81000\n", "sys/class/thermal/thermal_zone2/temp", "900000\n"), []string{"warn temperature: 81 °C -> fan"}},
		{"odd zone", temperature, files("sys/class/thermal/thermal_zone0/temp", "?\n"), nil},
		{"a zone with a limit of its own", temperature, files("sys/class/thermal/thermal_zone0/temp", "90000\n", "sys/class/thermal/thermal_zone0/trip_point_0_type", "critical\n",
			"sys/class/thermal/thermal_zone0/trip_point_0_temp", "89000\n", "sys/class/thermal/thermal_zone0/trip_point_1_type", "passive\n", "sys/class/thermal/thermal_zone0/trip_point_1_temp", "95000\n"),
			[]string{"ok temperature: 90 °C"}},
		{"above the limit of its own", temperature, files("sys/class/thermal/thermal_zone0/temp", "71000\n", "sys/class/thermal/thermal_zone0/trip_point_0_type", "passive\n",
			"sys/class/thermal/thermal_zone0/trip_point_0_temp", "70000\n"), []string{"warn temperature: 71 °C -> from about 70 °C"}},
		{"no zone", temperature, files("sys/class/thermal/thermal_zone0/temp", "absent"), nil},

		{"power", power, nil, []string{"ok power: enough"}},
		{"under-voltage", power, files(throttledFile, "50005\n"), []string{"warn power: under-voltage now, throttled now -> power supply"}},
		{"under-voltage before", power, files(throttledFile, "0x10000\n"), []string{"warn power: under-voltage since the start -> power supply"}},
		{"too hot", power, files(throttledFile, "80008\n"), []string{"warn power: soft temperature limit now -> fan"}},
		{"capped before", power, files(throttledFile, "20000\n"), []string{"warn power: frequency capped since the start -> fan"}},
		{"another Pi", power, files(throttledFile, "absent", "sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled", "1\n"), []string{"warn power: under-voltage now -> power supply"}},
		{"odd answer", power, files(throttledFile, "throttled=0x0\n"), []string{"warn power: want a hexadecimal number -> vcgencmd"}},
		{"no Pi", power, files(throttledFile, "absent"), nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := &examiner{system: recorded(t, test.files), config: config(t)}
			want(t, test.look(e, context.Background()), test.want...)
		})
	}
}

func TestUser(t *testing.T) {
	hint := ""
	if os.Geteuid() == 0 {
		hint = " -> sudo -u"
	}
	want(t, new(examiner).user(context.Background()), "ok user: uid "+hint)
}

func TestClock(t *testing.T) {
	for _, test := range []struct {
		name   string
		now    time.Time
		broker string
		state  int
		status int32
		err    error
		want   string
	}{
		{"right", time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), "", unix.TIME_OK, 0, nil, "ok clock: 2026-01-01T00:00:00Z, synchronized"},
		{"not synchronized", time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), "", unix.TIME_ERROR, unix.STA_UNSYNC, nil, "warn clock: synchronized by nothing -> timedatectl"},
		{"not to be asked", time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), "", 0, 0, unix.EPERM, "ok clock: can't be asked here"},
		{"no battery", time.Unix(30, 0), "mqtt://broker", unix.TIME_OK, 0, nil, "warn clock: 1970-01-01T00:00:30Z, which is past -> battery"},
		{"no battery, with TLS", time.Unix(30, 0), "mqtts://broker", unix.TIME_OK, 0, nil, "fail clock: no certificate is valid -> battery"},
		{"no battery, with TLS in a web server", time.Unix(30, 0), "wss://broker/mqtt", unix.TIME_OK, 0, nil, "fail clock: no certificate is valid -> battery"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := recorded(t, nil)
			s.now = func() time.Time { return test.now }
			s.adjtimex = func(tx *unix.Timex) (int, error) {
				if tx.Modes != 0 {
					t.Errorf("modes %#x would set the clock", tx.Modes)
				}
				tx.Status = test.status
				return test.state, test.err
			}
			c := daemon.Default()
			c.MQTT.Broker = test.broker
			want(t, (&examiner{system: s, config: &c}).clock(context.Background()), test.want)
		})
	}
	s := recorded(t, nil)
	s.now = func() time.Time { return time.Unix(30, 0) }
	want(t, (&examiner{system: s}).clock(context.Background()), "warn clock: which is past -> battery")
}

// TestThisBoard asks the machine that the tests run on: whatever it says, each finding has its name and a sentence.
func TestThisBoard(t *testing.T) {
	e := &examiner{system: thisSystem(), libraries: "some"}
	for _, c := range e.board() {
		for _, f := range c.look(context.Background()) {
			if !strings.HasPrefix(f.Name, c.name) || f.Detail == "" || strings.ContainsAny(f.Detail, "\n") || f.Status == "" {
				t.Errorf("%s: got %+v", c.name, f)
			}
			if f.Status == Fail {
				t.Errorf("%s fails here: %s", f.Name, f.Detail)
			}
		}
	}
}
