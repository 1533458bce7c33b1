package doctor

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/cpu"
	"golang.org/x/sys/unix"
)

// procHint is advice where the kernel's own files are hidden.
const procHint = "see that /proc and /sys are mounted and shown here: in a container, or with a unit's ProcSubset= and ProtectProc=, they may not be"

// user tells who looks: what may be read and written depends on that.
func (e *examiner) user(context.Context) []Finding {
	name := "uid " + strconv.Itoa(os.Geteuid())
	if u, err := user.LookupId(strconv.Itoa(os.Geteuid())); err == nil {
		name = u.Username + " (" + name + ")"
	}
	f := Finding{Name: "user", Status: OK, Detail: name}
	if os.Geteuid() == 0 {
		f.Hint = "root may read and write everything; " + asUser
	}
	return []Finding{f}
}

// cpu tells what makes int8 networks fast, and whether the libraries can find it out, too.
func (e *examiner) cpu(context.Context) []Finding {
	f := Finding{Name: "cpu", Status: OK, Detail: fmt.Sprintf("%s, %s, %s", runtime.GOARCH, count(runtime.NumCPU(), "core"), int8Features())}
	if _, err := read(filepath.Join(e.proc, "cpuinfo")); err != nil {
		f.Status = Warn
		f.Detail += "; " + err.Error()
		f.Hint = "XNNPACK looks there for what the processor can, and may be slow or unusable without: a unit must not have ProcSubset=pid"
	}
	return []Finding{f}
}

// int8Features names the processor's instructions for products of bytes.
func int8Features() string {
	var have []string
	for _, f := range []struct {
		name string
		has  bool
	}{
		{"asimddp (dot product)", cpu.ARM64.HasASIMDDP}, {"i8mm", cpu.ARM64.HasI8MM},
		{"avx2", cpu.X86.HasAVX2}, {"avx_vnni", cpu.X86.HasAVXVNNI}, {"avx512_vnni", cpu.X86.HasAVX512VNNI},
	} {
		if f.has {
			have = append(have, f.name)
		}
	}
	return cmp.Or(strings.Join(have, ", "), "no instructions for products of bytes: int8 gains less here")
}

// littleMemory is what must be available: what sightd takes with the built-in model and a large picture.
const littleMemory = 128 << 20

func (e *examiner) memory(context.Context) []Finding {
	text, err := read(filepath.Join(e.proc, "meminfo"))
	for line := range strings.Lines(text) {
		fields := strings.Fields(line) // MemAvailable:    1234 kB
		if len(fields) != 3 || fields[0] != "MemAvailable:" {
			continue
		}
		kib, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil {
			break
		}
		f := Finding{Name: "memory", Status: OK, Detail: mebibytes(kib<<10) + " available"}
		if kib<<10 < littleMemory {
			f.Status, f.Hint = Warn, "end other programs, or add swap (zram): the kernel ends programs when no memory is left"
		}
		return []Finding{f}
	}
	detail := "the kernel doesn't tell what is available"
	if err != nil {
		detail = err.Error()
	}
	return []Finding{{"memory", Warn, detail, procHint}}
}

// descriptorsNeeded is what sightd may open at a time: libraries and files, each folder's watcher and files, the broker's clients.
func (e *examiner) descriptorsNeeded() int64 {
	if e.config == nil {
		return 64
	}
	n := 64 + 8*int64(len(e.config.Sources))
	if e.config.MQTT.Broker == "" {
		n += 128
	}
	return n
}

// descriptors looks at the hard limit: a Go program raises its own up to that.
func (e *examiner) descriptors(context.Context) []Finding {
	text, err := read(filepath.Join(e.proc, "self/limits"))
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, "Max open files")
		fields := strings.Fields(rest) // soft, hard, "files"
		if !ok || len(fields) < 2 {
			continue
		}
		hard, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil && fields[1] != "unlimited" {
			break
		}
		f := Finding{Name: "descriptors", Status: OK, Detail: "up to " + fields[1] + " open files"}
		if err == nil && hard < e.descriptorsNeeded() {
			f.Status = Warn
			f.Detail += fmt.Sprintf(", sightd may need %d", e.descriptorsNeeded())
			f.Hint = "raise the limit: ulimit -Hn, LimitNOFILE= in a unit"
		}
		return []Finding{f}
	}
	detail := "the kernel doesn't tell the limit of open files"
	if err != nil {
		detail = err.Error()
	}
	return []Finding{{"descriptors", Warn, detail, procHint}}
}

// firstDay is before every day on which this version can run.
var firstDay = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// clock looks at the time, and whether anything keeps it right.
func (e *examiner) clock(context.Context) []Finding {
	now := e.now().UTC()
	f := Finding{Name: "clock", Status: OK, Detail: now.Format(time.RFC3339)}
	if now.Before(firstDay) {
		f.Status = Warn
		f.Detail += ", which is past: events would carry that time"
		f.Hint = "a board without a battery for its clock starts in the past: wait for the time server (timedatectl), or set the clock"
		if e.config != nil && usesTLS(e.config.MQTT.Broker) {
			f.Status = Fail
			f.Detail += ", and no certificate is valid then"
		}
		return []Finding{f}
	}
	var t unix.Timex // no modes: nothing is set
	state, err := e.adjtimex(&t)
	switch {
	case err != nil:
		f.Detail += "; whether it is synchronized can't be asked here: " + err.Error()
	case state == unix.TIME_ERROR || t.Status&unix.STA_UNSYNC != 0:
		f.Status = Warn
		f.Detail += ", synchronized by nothing"
		f.Hint = "switch on a time service, such as systemd-timesyncd or chrony (timedatectl set-ntp true)"
	default:
		f.Detail += ", synchronized"
	}
	clocks, err := filepath.Glob(filepath.Join(e.sys, "class/rtc/rtc*"))
	if _, board := os.Stat(filepath.Join(e.sys, "firmware/devicetree/base")); err == nil && len(clocks) == 0 && board == nil {
		f.Detail += "; the board has no clock of its own: after a start the time is wrong until a time server has told it"
	}
	return []Finding{f}
}

func usesTLS(broker string) bool {
	return strings.HasPrefix(broker, "mqtts:") || strings.HasPrefix(broker, "wss:")
}

// hot is the temperature in °C from which a board slows itself down that doesn't tell the kernel, as a Raspberry Pi.
const hot = 80

// temperature is that of the zone that is nearest to where it slows the board down; no finding where the kernel knows none.
func (e *examiner) temperature(context.Context) []Finding {
	zones, err := filepath.Glob(filepath.Join(e.sys, "class/thermal/thermal_zone*"))
	if err != nil {
		return nil // only a bad pattern
	}
	var celsius, limit float64
	known := false
	for _, zone := range zones {
		milli, err := number(filepath.Join(zone, "temp")) // a zone that is switched off can't be read
		now, top := float64(milli)/1000, slowsAt(zone)
		if err == nil && now > -50 && now < 200 && (!known || now-top > celsius-limit) {
			celsius, limit, known = now, top, true
		}
	}
	if !known {
		return nil
	}
	f := Finding{Name: "temperature", Status: OK, Detail: fmt.Sprintf("%.0f °C", celsius)}
	if celsius >= limit {
		f.Status, f.Hint = Warn, fmt.Sprintf("from about %.0f °C on the board slows itself down: give it a heat sink, a fan, or air", limit)
	}
	return []Finding{f}
}

// slowsAt is the lowest temperature at which a zone slows the board down.
func slowsAt(zone string) float64 {
	limit := float64(hot)
	kinds, err := filepath.Glob(filepath.Join(zone, "trip_point_*_type"))
	if err != nil {
		return limit // only a bad pattern
	}
	found := false
	for _, file := range kinds {
		kind, err := read(file)
		milli, errTemp := number(strings.TrimSuffix(file, "_type") + "_temp")
		celsius := float64(milli) / 1000
		if err != nil || errTemp != nil || kind != "passive" || celsius < 40 || celsius > 120 {
			continue
		}
		if !found || celsius < limit {
			limit, found = celsius, true
		}
	}
	return limit
}

// The bits of the Raspberry Pi's firmware: what is so now. 16 bits higher: what was so since the start.
const (
	underVoltage = 1 << iota
	frequencyCapped
	throttled
	softLimit
)

// power asks the firmware of a Raspberry Pi; no finding on another board.
func (e *examiner) power(context.Context) []Finding {
	files, err := filepath.Glob(filepath.Join(e.sys, "devices/platform/soc*/soc*firmware/get_throttled"))
	if err != nil || len(files) == 0 {
		return nil
	}
	text, err := read(files[0])
	if err != nil {
		return []Finding{{"power", Warn, err.Error(), asUser}}
	}
	bits, err := strconv.ParseUint(strings.TrimPrefix(text, "0x"), 16, 32)
	if err != nil {
		return []Finding{{"power", Warn, fmt.Sprintf("the firmware's answer: want a hexadecimal number, have %q", text),
			"\"vcgencmd get_throttled\" tells the same"}}
	}
	now, before := bits&0xf, bits>>16&0xf
	f := Finding{Name: "power", Status: OK, Detail: "enough power, not slowed down since the start"}
	var said []string
	for _, bit := range []struct {
		mask uint64
		name string
	}{{underVoltage, "under-voltage"}, {frequencyCapped, "frequency capped"}, {throttled, "throttled"}, {softLimit, "soft temperature limit"}} {
		switch {
		case now&bit.mask != 0:
			said = append(said, bit.name+" now")
		case before&bit.mask != 0:
			said = append(said, bit.name+" since the start")
		}
	}
	if len(said) > 0 {
		f.Status, f.Detail = Warn, strings.Join(said, ", ")
		f.Hint = "the board got too hot and slowed itself down: give it a heat sink, a fan, or air"
		if (now|before)&underVoltage != 0 {
			f.Hint = "use a stronger power supply or a shorter, thicker cable: under-voltage slows the board down and damages what is on its SD card"
		}
	}
	return []Finding{f}
}

// mebibytes is a size for people.
func mebibytes(n int64) string { return strconv.FormatInt(n>>20, 10) + " MiB" }
