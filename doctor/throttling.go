package doctor

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
)

// throttling tells what the kernel does against heat and current by slowing the processor or the graphics unit down, and in which power
// mode a Jetson runs. No finding where there is neither.
func (e *examiner) throttling(ctx context.Context) []Finding {
	var findings []Finding
	if slowed := e.cooling(); len(slowed) > 0 {
		findings = append(findings, Finding{"throttling", Warn, "slowed down by heat now: " + strings.Join(slowed, ", "),
			"give the board a heat sink, a fan, or air; a source's fps or interval lessens the load"})
	}
	if events := e.overCurrent(); len(events) > 0 {
		findings = append(findings, Finding{"throttling", Warn, "slowed down by its power supply since the start: " + strings.Join(events, ", "),
			"use a stronger power supply, or a lower power mode (sudo nvpmodel -m)"})
	}
	if !e.distribution().jetson {
		return findings
	}
	out, _, err := e.run(ctx, "nvpmodel", "-q")
	for line := range strings.Lines(out) {
		if mode, ok := strings.CutPrefix(strings.TrimSpace(line), "NV Power Mode: "); ok && err == nil {
			findings = append(findings, Finding{"power mode", OK, mode + "; other modes are faster or cooler (sudo nvpmodel -m), jetson_clocks holds the clocks up", ""})
		}
	}
	return findings
}

// cooling are the devices that are slowed down: fans don't count.
func (e *examiner) cooling() []string {
	dirs, err := filepath.Glob(filepath.Join(e.sys, "class/thermal/cooling_device*"))
	if err != nil {
		return nil // only a bad pattern
	}
	var slowed []string
	for _, dir := range dirs {
		kind, err := read(filepath.Join(dir, "type"))
		if err != nil || !slows(kind) {
			continue
		}
		now, err := number(filepath.Join(dir, "cur_state"))
		if err != nil || now <= 0 {
			continue
		}
		text := fmt.Sprintf("%s at %d", kind, now)
		if most, err := number(filepath.Join(dir, "max_state")); err == nil {
			text += fmt.Sprintf(" of %d", most)
		}
		slowed = append(slowed, text)
	}
	return slowed
}

// slows reports whether a kind of cooling is to slow a processor or a graphics unit down.
func slows(kind string) bool {
	for _, part := range []string{"cpufreq", "devfreq", "Processor", "cpu-throttle", "cpu-balanced", "gpu-balanced"} {
		if strings.Contains(kind, part) {
			return true
		}
	}
	return false
}

// overCurrent are a Jetson's counters of too high a current, those that have counted.
func (e *examiner) overCurrent() []string {
	files, err := filepath.Glob(filepath.Join(e.sys, "class/hwmon/hwmon*/oc*_event_cnt"))
	if err != nil {
		return nil // only a bad pattern
	}
	var events []string
	for _, file := range files {
		if n, err := number(file); err == nil && n > 0 {
			events = append(events, fmt.Sprintf("%s %s", strings.TrimSuffix(filepath.Base(file), "_event_cnt"), count(int(n), "time")))
		}
	}
	return events
}
