package daemon

import (
	"context"
	"errors"
	"testing"
	"time"

	"sightd/camera"
	"sightd/decide"
	"sightd/publish"
)

var noon = time.Date(2026, 9, 23, 12, 0, 0, 0, time.UTC)

func classified(index int, label string, at time.Time) *decide.Event {
	return &decide.Event{Kind: decide.Classified, Time: at, Top: []decide.Score{{Label: label, Index: index, Score: 0.5}}}
}

// TestSourceState follows what a source says over several pictures.
func TestSourceState(t *testing.T) {
	s := newSource(SourceConfig{Name: "inbox", Type: TypeFolder}, savedSource{})
	for i, step := range []struct {
		event *decide.Event
		label string
		since time.Time
	}{
		{classified(1, "tench", noon), "tench", noon},
		{classified(1, "tench", noon.Add(time.Second)), "tench", noon},
		{&decide.Event{Kind: decide.Refused, Time: noon.Add(2 * time.Second)}, "tench", noon},
		{classified(2, "tench", noon.Add(3*time.Second)), "tench", noon.Add(3 * time.Second)}, // another class of the same name
		{classified(3, "church", noon.Add(4*time.Second)), "church", noon.Add(4 * time.Second)},
	} {
		s.judged(step.event)
		if want := uint64(i + 1); step.event.Seq != want || s.state.Seq != want {
			t.Errorf("step %d: want number %d, have %d and %d", i, want, step.event.Seq, s.state.Seq)
		}
		if s.state.Best.Label != step.label || !s.state.Since.Equal(step.since) {
			t.Errorf("step %d: want %s since %v, have %s since %v", i, step.label, step.since, s.state.Best.Label, s.state.Since)
		}
	}
}

func TestSourceStartsAsItWas(t *testing.T) {
	last := publish.State{Best: &decide.Score{Label: "tench"}, Enabled: true, Seq: 7}
	s := newSource(SourceConfig{Name: "inbox", Type: TypeFolder}, savedSource{Disabled: true, Last: &last})
	if s.state.Enabled || s.state.Best.Label != "tench" {
		t.Errorf("have %+v", s.state)
	}
	if s.enable(false) || !s.enable(true) || s.enable(true) {
		t.Error("want only a change to count as one")
	}
}

// TestSwitchedOffSourceWaits takes nothing from the folder until the source is switched on.
func TestSwitchedOffSourceWaits(t *testing.T) {
	folder, err := camera.OpenFolder(camera.FolderOptions{
		Name: "inbox", Path: t.TempDir(), Settle: time.Millisecond, Whole: camera.Whole((&Daemon{config: Default()}).limits()),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close() // the test's own
	s := newSource(SourceConfig{Name: "inbox", Type: TypeFolder}, savedSource{Disabled: true})
	s.folder = folder
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("switched off: want %v, have %v", context.Canceled, err)
	}
}

func TestPace(t *testing.T) {
	var p pace
	if fps, infer := p.figures(noon); fps != 0 || infer != nil {
		t.Errorf("before the first picture: have %v, %v", fps, infer)
	}
	for i := range 100 {
		e := *classified(1, "tench", noon.Add(time.Duration(i)*time.Second))
		e.InferMS = float64(100 - i)
		p.add(e)
	}
	p.add(decide.Event{Kind: decide.Refused, Time: noon.Add(100 * time.Second)}) // isn't classified
	fps, infer := p.figures(noon.Add(100 * time.Second))
	if fps != 1 || infer.P50 != 50 || infer.P95 != 95 {
		t.Errorf("want 1 picture a second, 50 and 95 ms, have %v, %+v", fps, infer)
	}
	if fps, _ := p.figures(noon.Add(time.Hour)); fps != 0 {
		t.Errorf("an hour later: want 0 pictures a second, have %v", fps)
	}
	for range 2 * maxMarks {
		p.add(*classified(1, "tench", noon.Add(2*time.Hour)))
	}
	if fps, _ := p.figures(noon.Add(2 * time.Hour)); len(p.marks) > maxMarks || fps != 2*maxMarks/60.0 {
		t.Errorf("want %v pictures a second in %d marks, have %v in %d", 2*maxMarks/60.0, maxMarks, fps, len(p.marks))
	}
}
