package daemon

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	heatEach     = 5 * time.Second  // between two readings
	heatTripEach = time.Minute      // between two readings of a zone's trip points, which hardly ever change
	heatHold     = 30 * time.Second // that the firmware's word holds: what cools the board down mustn't heat it at once

	heatLimit = 80. // °C, where no zone has a passive trip point
	heatFrom  = 8.  // K below the limit: from here on it goes slower, by 1 for each K …
	heatMost  = 8.  // … up to this, at 1 K below
	heatBack  = 2.  // K that the board must cool down by before it goes faster again
	heatMild  = 2.  // factor where the firmware has slowed the board down a little, or for want of power

	heatTrips     = 32              // trip points that are read of a zone, at most
	heatLeastTrip = 45              // °C; some zones state 0 for none
	heatMostTrip  = 130             // °C
	heatLeast     = -50             // °C; what tells less, or more than heatTop, is no thermometer
	heatTop       = 200             // °C
	heatFileSize  = 64              // bytes that are read of a file: each has a word or a number
	heatThermal   = "class/thermal" // below sysfs
	heatFirmware  = "devices/platform/soc*/soc*firmware/get_throttled"
)

// What a Raspberry Pi's firmware says is so now.
const (
	heatUnderVoltage = 1 << iota
	heatCapped
	heatThrottled
	heatSoftLimit
)

// heat slows the live sources down before the board throttles itself: it stretches the time between two classifications. The zero
// value reads /sys by the system's clock. It is safe for concurrent use.
type heat struct {
	sys string           // where sysfs is; "": /sys
	now func() time.Time // nil: time.Now

	mu    sync.Mutex
	felt  bool // there was a reading
	last  time.Time
	trips map[string]heatTrip // by the zones' folders

	warm    bool    // a zone could be read
	over    float64 // K over the limit that count: the zone's that is nearest to its own, or some less than it was before
	celsius float64 // of that zone
	limit   float64 // its limit, °C

	word    string // of the firmware, for people; "": none
	wordFor float64
	wordAt  time.Time
}

// heatTrip is the lowest passive trip point of a zone.
type heatTrip struct {
	celsius float64 // 0: it has none
	read    time.Time
}

// slow says by what the time between two classifications is to be stretched, from 1 to 8, and why: "" if by nothing. The sensors
// are read where the last reading is 5 s old.
func (h *heat) slow() (factor float64, why string) {
	h.feel()
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.judge()
}

// factor is slow's, by the last reading: 1 before the first.
func (h *heat) factor() float64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	factor, _ := h.judge() // why is another caller's
	return factor
}

// feel reads the sensors, where the last reading is 5 s old.
func (h *heat) feel() {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	if h.now != nil {
		now = h.now()
	}
	if passed := now.Sub(h.last); h.felt && passed >= 0 && passed < heatEach {
		return
	}
	h.felt, h.last = true, now
	root := h.sys
	if root == "" {
		root = "/sys"
	}
	h.feelZones(root, now)
	h.hear(root, now)
}

// judge makes the factor. The caller holds mu.
func (h *heat) judge() (factor float64, why string) {
	factor = 1
	if h.warm {
		factor = min(max(1+heatFrom+h.over, 1), heatMost)
	}
	switch {
	case h.wordFor > factor:
		return h.wordFor, h.word
	case factor > 1:
		return factor, fmt.Sprintf("the board has %.0f °C and slows itself down at %.0f °C", h.celsius, h.limit)
	}
	return 1, ""
}

// feelZones finds the zone that is nearest to its limit, or farthest over it. Some zones are no measure of heat, such as one for a power
// chip that always tells 100 °C: where any zone has a passive trip point, those without one don't count. The caller holds mu.
func (h *heat) feelZones(root string, now time.Time) {
	dirs, err := filepath.Glob(filepath.Join(root, heatThermal, "thermal_zone*"))
	if err != nil {
		return // only a bad pattern
	}
	trips, passive := make(map[string]heatTrip, len(dirs)), false
	for _, dir := range dirs {
		trip, known := h.trips[dir]
		if passed := now.Sub(trip.read); !known || passed < 0 || passed >= heatTripEach {
			trip = heatTrip{heatPassive(dir), now}
		}
		trips[dir] = trip
		passive = passive || trip.celsius > 0
	}
	h.trips = trips
	over, warm := math.Inf(-1), false
	for _, dir := range dirs {
		limit := trips[dir].celsius
		if passive && limit == 0 {
			continue
		}
		if limit == 0 {
			limit = heatLimit
		}
		celsius, err := heatCelsius(filepath.Join(dir, "temp"))
		if err != nil || celsius < heatLeast || celsius > heatTop {
			continue // a zone that is switched off can't be read
		}
		if celsius-limit > over {
			over, warm = celsius-limit, true
			h.celsius, h.limit = celsius, limit
		}
	}
	if h.warm && warm { // what rises counts at once, what falls after heatBack
		over = max(over, min(h.over, over+heatBack))
	}
	h.over, h.warm = over, warm
}

// heatPassive is the lowest passive trip point of a zone in °C, 0 where it has none that makes sense.
func heatPassive(dir string) float64 {
	lowest := 0.
	for n := range heatTrips {
		point := filepath.Join(dir, fmt.Sprintf("trip_point_%d_", n))
		kind, err := heatRead(point + "type")
		if errors.Is(err, os.ErrNotExist) {
			break
		}
		if err != nil || kind != "passive" {
			continue
		}
		celsius, err := heatCelsius(point + "temp")
		if err == nil && celsius >= heatLeastTrip && celsius <= heatMostTrip && (lowest == 0 || celsius < lowest) {
			lowest = celsius
		}
	}
	return lowest
}

// hear hears what a Raspberry Pi's firmware says. What it said holds for a while, unless it says worse. The caller holds mu.
func (h *heat) hear(root string, now time.Time) {
	word, factor := heatWord(root)
	if passed := now.Sub(h.wordAt); factor < h.wordFor && passed >= 0 && passed < heatHold {
		return
	}
	h.word, h.wordFor, h.wordAt = word, factor, now
}

// heatWord is what the firmware says is so now, and by what to slow down; "" and 0 where all is well or there is no such firmware.
func heatWord(root string) (word string, factor float64) {
	files, err := filepath.Glob(filepath.Join(root, heatFirmware))
	if err != nil || len(files) == 0 {
		return "", 0
	}
	text, err := heatRead(files[0])
	if err != nil {
		return "", 0
	}
	bits, err := strconv.ParseUint(strings.TrimPrefix(text, "0x"), 16, 32)
	if err != nil {
		return "", 0 // doctor speaks of it
	}
	switch {
	case bits&(heatCapped|heatThrottled) != 0 && bits&heatUnderVoltage != 0:
		return "the board has too little power and has slowed itself down", heatMild
	case bits&(heatCapped|heatThrottled) != 0:
		return "the board is too hot and has slowed itself down", heatMost
	case bits&heatSoftLimit != 0:
		return "the board has reached its soft temperature limit", heatMild
	}
	return "", 0
}

// heatCelsius reads a file of thousandths of a degree.
func heatCelsius(path string) (float64, error) {
	text, err := heatRead(path)
	if err != nil {
		return 0, err
	}
	milli, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read %s: have %q, want thousandths of a degree", path, text)
	}
	return float64(milli) / 1000, nil
}

// heatRead reads a small file of sysfs.
func heatRead(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close() // it was only read
	var text [heatFileSize]byte
	n, err := file.Read(text[:])
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return strings.TrimSpace(string(text[:n])), nil
}
