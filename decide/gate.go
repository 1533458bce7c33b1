package decide

import (
	"fmt"
	"slices"
)

// Gate is what became of a picture, or what stopped it from being decided upon.
type Gate uint8

// The gates of looks.
const (
	Decided       Gate = iota // nothing stopped it
	Entered                   // made an Enter
	Changed                   // made a Change
	Left                      // made a Leave
	Shown                     // is what is shown already
	BelowStay                 // is what is shown, but its score is too low to stay
	BelowEnter                // its score is too low
	UnknownScore              // its calibrated score is too low
	UnknownMargin             // the second is too near
	Denied                    // it is never decided upon
	ScheduleOff               // nothing enters at this time of day
	CoolingDown               // it left a short while ago
	Confirming                // too few of the last looks voted for it
	SmoothedBelow             // its smoothed score is too low
	Holding                   // what is shown is not missing for long enough
)

// The gates of pictures that weren't classified, for Idle and Lost.
const (
	Unchanged   Gate = iota + Holding + 1 // like the last one: nothing moved
	Waiting                               // no picture was due: makes no Record in a Ring
	Stale                                 // too old when its turn came
	Frozen                                // the same to the last bit for too long
	Black                                 // nothing but dark
	Overexposed                           // nothing but bright
	Covered                               // no detail, as with a hand in front
	CameraLost                            // there are no pictures
	Disabled                              // the source is switched off

	gates
)

var gateNames = [gates][2]string{ // for machines, for people
	Decided: {"decided", "decided"}, Entered: {"entered", "entered"}, Changed: {"changed", "changed"}, Left: {"left", "left"},
	Shown: {"shown", "shown"}, BelowStay: {"below_stay", "below stay"}, BelowEnter: {"below_enter", "below enter"},
	UnknownScore: {"unknown_score", "unknown: calibrated score below"}, UnknownMargin: {"unknown_margin", "unknown: margin below"},
	Denied: {"denied", "denied"}, ScheduleOff: {"schedule_off", "off by schedule"}, CoolingDown: {"cooling_down", "cooling down"},
	Confirming: {"confirming", "confirming"}, SmoothedBelow: {"smoothed_below", "smoothed below enter"}, Holding: {"holding", "held back"},
	Unchanged: {"unchanged", "unchanged"}, Waiting: {"waiting", "waiting"}, Stale: {"stale", "too old"}, Frozen: {"frozen", "frozen"},
	Black: {"black", "black"}, Overexposed: {"overexposed", "overexposed"}, Covered: {"covered", "covered"},
	CameraLost: {"camera_lost", "camera lost"}, Disabled: {"disabled", "disabled"},
}

// String is for people.
func (g Gate) String() string {
	if g >= gates {
		return fmt.Sprintf("gate %d", uint8(g))
	}
	return gateNames[g][1]
}

// MarshalText is the name in snake_case.
func (g Gate) MarshalText() ([]byte, error) {
	if g >= gates {
		return nil, fmt.Errorf("name gate: want 0 to %d, have %d", gates-1, uint8(g))
	}
	return []byte(gateNames[g][0]), nil
}

// UnmarshalText reads what MarshalText wrote.
func (g *Gate) UnmarshalText(text []byte) error {
	i := slices.IndexFunc(gateNames[:], func(names [2]string) bool { return names[0] == string(text) })
	if i < 0 {
		return fmt.Errorf("read gate: have no gate named %q", printable(string(text[:min(len(text), 64)])))
	}
	*g = Gate(i)
	return nil
}

// NoPicture reports whether the gate is one of a time without pictures: how often it was told is no count of any.
func (g Gate) NoPicture() bool { return g == Waiting || g == CameraLost || g == Disabled }

// skip reports whether the picture wasn't classified.
func (g Gate) skip() bool { return g >= Unchanged && g < gates }
