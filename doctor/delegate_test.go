package doctor

import (
	"context"
	"testing"
	"time"

	"sightd/inference"
	"sightd/inference/tflite/faulty"
)

// TestDelegate configures delegates of which some would end this process, were they opened in it. Whatever they do, the model is right.
func TestDelegate(t *testing.T) {
	library := faulty.Build(t)
	const (
		right = "ok model: xnnpack, "
		idle  = "ok decide: there is no live source"

		nothing = "ok delegates: nothing is remembered yet"
	)
	for _, test := range []struct {
		options string
		want    string
	}{
		{"", "ok delegate: , 2 threads, "},
		{"?do=crash", "warn delegate: can't be used: crashed: segmentation fault -> falls back to xnnpack"},
		{"?do=crash_create", "warn delegate: can't be used: crashed: segmentation fault -> falls back to xnnpack"},
		{"?do=refuse", "warn delegate: refuses as it was told -> falls back to xnnpack"},
		{"?do=fly", "warn delegate: fly -> model.delegate"},
	} {
		t.Run(test.options, func(t *testing.T) {
			c := config(t)
			c.Model.Delegate, c.Model.Threads = inference.External+library+test.options, 2
			e := &examiner{system: recorded(t, nil), config: c, trials: trialProgram(t)}
			want(t, e.model(context.Background()), right, idle, test.want, nothing)
		})
	}
}

// TestDelegateHangs gives up before the time for everything is over.
func TestDelegateHangs(t *testing.T) {
	c := config(t)
	c.Model.Delegate = inference.External + faulty.Build(t) + "?do=hang_create"
	e := &examiner{system: recorded(t, nil), config: c, trials: trialProgram(t)}
	ctx, cancel := context.WithTimeout(context.Background(), trialMargin+time.Second)
	defer cancel()
	o, err := c.Engine()
	if err != nil {
		t.Fatal(err)
	}
	want(t, e.delegate(ctx, o, nil), "warn delegate: no answer in the time that doctor has; sightd waits longer -> falls back to xnnpack")
}

func TestDelegateWithoutModel(t *testing.T) {
	c := config(t)
	c.Model.Path, c.Model.Delegate = "/none.tflite", "gpu"
	e := &examiner{system: recorded(t, nil), config: c} // without a program: nothing is tried
	want(t, e.model(context.Background()), "fail model: no such file -> model verify")
	c.Model.Path = ""
	want(t, e.model(context.Background()), "ok model: xnnpack, ", "ok decide: there is no live source", "warn delegate: gpu -> falls back to xnnpack",
		"ok delegates: nothing is remembered yet")
}
