package view_test

import (
	"testing"
	"time"

	"sightd/camera/view"
)

func TestChangedUntilClassified(t *testing.T) {
	eye := view.New(view.Options{Motion: view.Auto})
	empty, full := scene(), box(scene(), 20, 20, 10, 10, 250)
	for i, step := range []struct {
		at       time.Duration
		picture  *view.Picture
		classify bool
		changed  bool
		motion   float64
	}{
		{0, empty, false, true, 1}, // nothing to compare with
		{1 * time.Second, empty, true, true, 1},
		{2 * time.Second, empty, false, false, 0},
		{3 * time.Second, full, false, true, 100. / 3072},
		{4 * time.Second, full, false, true, 100. / 3072}, // it isn't classified yet
		{5 * time.Second, empty, false, false, 0},         // gone, as if nothing had been
		{6 * time.Second, full, true, true, 100. / 3072},
		{7 * time.Second, full, false, false, 0},
		{8 * time.Second, empty, true, true, 100. / 3072},
		{17999 * time.Millisecond, empty, false, false, 0},
		{18 * time.Second, empty, true, true, 0}, // Refresh
		{19 * time.Second, empty, false, false, 0},
	} {
		look := eye.Look(step.picture, start.Add(step.at))
		if look.Changed != step.changed || look.Motion < 0.9*step.motion || look.Motion > 1.1*step.motion {
			t.Errorf("step %d: changed %v, motion %.4f, want %v, %.4f", i, look.Changed, look.Motion, step.changed, step.motion)
		}
		if step.classify {
			eye.Classified()
		}
	}
}

// TestSlowChangesAddUp fades something in, a level a picture.
func TestSlowChangesAddUp(t *testing.T) {
	eye, random := view.New(still()), source(8)
	eye.Look(scene(), start)
	eye.Classified()
	for n := range 60 {
		fading := each(scene(), func(i int, level float64) float64 {
			if x, y := i%view.Width, i/view.Width; x >= 30 && x < 42 && y >= 10 && y < 22 {
				return level - float64(n)
			}
			return level
		})
		if eye.Look(noisy(fading, random, 1), start.Add(time.Duration(n)*time.Second)).Changed {
			if n < 5 {
				t.Errorf("changed after %d levels: that was noise", n)
			}
			return
		}
	}
	t.Error("a change of 60 levels in steps of one wasn't seen")
}

func TestMotionOptions(t *testing.T) {
	const part = 10. * 10 / 3072
	for _, test := range []struct {
		motion  float64
		changed bool
		still   bool // whether a picture without change counts
	}{
		{0, true, true},
		{view.Auto, true, false},
		{-0.5, true, false},
		{0.9 * part, true, false},
		{1.1 * part, false, false},
		{1e-9, true, false},
		{1, false, false},
		{7, false, false},
	} {
		eye := view.New(view.Options{Motion: test.motion})
		eye.Look(scene(), start)
		eye.Classified()
		if look := eye.Look(scene(), start); look.Changed != test.still {
			t.Errorf("motion %v: a still picture: changed %v, want %v", test.motion, look.Changed, test.still)
		}
		if look := eye.Look(box(scene(), 20, 20, 10, 10, 250), start); look.Changed != test.changed {
			t.Errorf("motion %v: changed %v, want %v", test.motion, look.Changed, test.changed)
		}
	}
	eye := view.New(view.Options{Motion: 1, Refresh: -1})
	eye.Look(plain(20), start)
	eye.Classified()
	if look := eye.Look(plain(200), start); !look.Changed || look.Motion != 1 {
		t.Errorf("all is new: changed %v, motion %v, want true, 1", look.Changed, look.Motion)
	}
}

// TestLightSwitch changes the light by more than exposure would: that is worth a look.
func TestLightSwitch(t *testing.T) {
	for _, gain := range []float64{0.33, 0.5, 1.8, 2.5} {
		eye := view.New(still())
		dim := each(scene(), func(_ int, level float64) float64 { return level / 3 })
		eye.Look(dim, start)
		eye.Classified()
		if look := eye.Look(each(dim, func(_ int, level float64) float64 { return level * gain }), start); !look.Changed || look.Motion < 0.1 {
			t.Errorf("%v of the light: changed %v, motion %.3f, want true and much of the picture", gain, look.Changed, look.Motion)
		}
	}
}

// TestIdentical goes through what a caller may do about equal pictures.
func TestIdentical(t *testing.T) {
	eye := view.New(view.Options{Motion: view.Auto, Frozen: 10 * time.Second})
	one, two := []byte("one picture"), []byte("two pictures")
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }

	if eye.Identical(one, at(0)) || eye.Identical(one, at(1)) {
		t.Fatal("a picture that wasn't looked at can't be passed over")
	}
	if look := eye.Look(scene(), at(1)); !look.Repeated || !look.Changed {
		t.Errorf("%+v, want repeated and changed", look)
	}
	if !eye.Identical(one, at(2)) {
		t.Fatal("an equal picture isn't identical")
	}
	if look := eye.Again(at(2)); !look.Repeated || !look.Changed || look.Problem != "" {
		t.Errorf("%+v, want repeated, and changed as nobody has classified it", look)
	}
	eye.Classified()
	if eye.Identical(one, at(3)); eye.Again(at(3)).Changed {
		t.Error("changed after it was classified")
	}
	if eye.Identical(two, at(4)) {
		t.Fatal("another picture is identical")
	}
	if look := eye.Look(box(scene(), 3, 3, 9, 9, 255), at(4)); look.Repeated || !look.Changed {
		t.Errorf("%+v, want changed", look)
	}
	eye.Classified()
	if !eye.Identical(two, at(4)) {
		t.Error("an equal picture isn't identical")
	}
	if look := eye.Again(at(4)); look.Changed || look.Motion != 0 {
		t.Errorf("%+v, want no change from what was just classified", look)
	}
	if eye.Identical(one, at(5)) {
		t.Error("the last picture but one is identical")
	}
	if eye.Identical(nil, at(6)) || eye.Identical([]byte{}, at(7)) {
		t.Error("no bytes are identical before they were looked at")
	}
}

// TestFrozen shows one picture over and over, decoded again each time or not.
func TestFrozen(t *testing.T) {
	for name, again := range map[string]bool{"decoded": false, "not decoded": true} {
		t.Run(name, func(t *testing.T) {
			eye, data := view.New(view.Options{Motion: view.Auto, Frozen: 12 * time.Second}), []byte{1, 2, 3}
			look := func(at time.Duration) view.Look {
				if eye.Identical(data, start.Add(at)) && again {
					return eye.Again(start.Add(at))
				}
				return eye.Look(scene(), start.Add(at))
			}
			for at := time.Duration(0); at < 12*time.Second; at += time.Second / 4 {
				if l := look(at); l.Problem != "" || l.Frozen {
					t.Fatalf("at %v: %q, frozen %v", at, l.Problem, l.Frozen)
				}
			}
			const want = "picture is frozen: the same for 12s and longer"
			for at := 12 * time.Second; at < 60*time.Second; at += time.Second {
				if l := look(at); l.Problem != want || !l.Frozen || !l.Repeated {
					t.Fatalf("at %v: %+v, want %q", at, l, want)
				}
			}
			data = []byte{1, 2, 4}
			if l := look(60 * time.Second); l.Problem != "" || l.Frozen || l.Repeated {
				t.Errorf("a new picture: %+v, want no problem", l)
			}
		})
	}
}

func TestFrozenNot(t *testing.T) {
	same := []byte("same")
	for _, test := range []struct {
		name   string
		frozen time.Duration
		each   time.Duration
		frames int
	}{
		{"never", 0, time.Second, 1000},
		{"never, said otherwise", -1, time.Second, 1000},
		{"not long enough", 10 * time.Second, time.Second / 4, 40},
		{"rare pictures: two that are equal", 10 * time.Second, time.Minute, 3},
	} {
		eye := view.New(view.Options{Frozen: test.frozen})
		for n := range test.frames {
			now := start.Add(time.Duration(n) * test.each)
			eye.Identical(same, now)
			if look := eye.Look(scene(), now); look.Frozen || look.Problem != "" {
				t.Errorf("%s: picture %d: %+v", test.name, n, look)
				break
			}
		}
	}
}

// TestFrozenBlack has a camera that shows nothing but one black picture.
func TestFrozenBlack(t *testing.T) {
	eye := view.New(view.Options{Frozen: 10 * time.Second})
	var look view.Look
	for n := range 20 {
		now := start.Add(time.Duration(n) * time.Second)
		if eye.Identical([]byte{0}, now) {
			look = eye.Again(now)
		} else {
			look = eye.Look(plain(0), now)
		}
	}
	if !look.Frozen || look.Sight == view.Clear || look.Problem != isBlack {
		t.Errorf("%+v, want frozen and black", look)
	}
}

// TestClockGoesBack has a recording begin again: its pictures carry the times at which they were taken.
func TestClockGoesBack(t *testing.T) {
	eye := view.New(view.Options{Motion: view.Auto, Frozen: 12 * time.Second})
	same := []byte("same")
	eye.Identical(same, start)
	eye.Look(plain(0), start)
	eye.Classified()
	earlier := start.Add(-time.Hour)
	if !eye.Identical(same, earlier) {
		t.Error("an equal picture isn't identical")
	}
	if look := eye.Again(earlier); !look.Changed || look.Frozen || look.Problem != "" {
		t.Errorf("%+v, want a refresh, and no problem yet", look)
	}
	eye.Classified()
	for s := range 13 {
		now := earlier.Add(time.Duration(s) * time.Second)
		eye.Identical(same, now)
		look := eye.Again(now)
		if want := s >= 2; (look.Problem != "") != want {
			t.Errorf("after %d s: problem %q, want one: %v", s, look.Problem, want)
		}
		if want := s >= 12; look.Frozen != want {
			t.Errorf("after %d s: frozen %v, want %v", s, look.Frozen, want)
		}
	}
	for n := range 50 { // and again and again
		if look := eye.Look(noisy(scene(), source(1), 3), earlier.Add(time.Duration(-n)*time.Hour)); look.Motion < 0 || look.Motion > 1 {
			t.Fatalf("picture %d: %+v", n, look)
		}
	}
}

func TestNothingIsAllocated(t *testing.T) {
	eye := view.New(view.Options{Motion: view.Auto, Frozen: time.Second})
	pictures := []*view.Picture{scene(), noisy(scene(), source(1), 3), plain(0), plain(255), plain(90), box(scene(), 4, 4, 30, 30, 9)}
	data, now, n := make([]byte, 64*1024), start, 0
	allocations := testing.AllocsPerRun(200, func() {
		n++
		now = now.Add(time.Second)
		data[0] = byte(n / 9)
		if eye.Identical(data, now) {
			eye.Again(now)
		}
		if eye.Look(pictures[n%len(pictures)], now).Changed {
			eye.Classified()
		}
	})
	if allocations != 0 {
		t.Errorf("%v allocations, want none", allocations)
	}
}

// FuzzLook has pictures and times made of anything: the answers keep their ranges.
func FuzzLook(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3}, 0.01)
	f.Add([]byte{255, 0, 255, 0, 7}, -1.)
	f.Fuzz(func(t *testing.T, data []byte, motion float64) {
		eye, now := view.New(view.Options{Motion: motion, Frozen: time.Second}), start
		var p view.Picture
		for i, b := range data[:min(len(data), 64)] {
			now = now.Add(time.Duration(int8(b)) * time.Second)
			for j := range p {
				p[j] = data[(i+j*int(b))%len(data)]
			}
			eye.Identical(data[i:], now)
			look := eye.Look(&p, now)
			if look.Motion < 0 || look.Motion > 1 || (i == 0 && !look.Changed) {
				t.Fatalf("picture %d: %+v", i, look)
			}
			if b&1 != 0 {
				eye.Classified()
			}
		}
	})
}

func BenchmarkIdentical(b *testing.B) {
	for name, size := range map[string]int{"JPEG of 60 KB": 60_000, "raw 640x480": 640 * 480 * 3} {
		b.Run(name, func(b *testing.B) {
			eye, data, n := view.New(view.Options{}), make([]byte, size), 0
			b.SetBytes(int64(size))
			for b.Loop() {
				n++
				data[0] = byte(n)
				eye.Identical(data, start)
			}
		})
	}
}
