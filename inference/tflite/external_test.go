package tflite

import (
	"bufio"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sightd/export/tflitefile"
	"sightd/inference"
	"sightd/inference/tflite/faulty"
	"sightd/models"
)

// openFaulty opens the embedded model with the faulty delegate.
func openFaulty(t testing.TB, library, options string) *Classifier {
	t.Helper()
	return openDefault(t, inference.Options{Delegate: inference.Delegate(inference.External + library + options), Threads: 2})
}

// TestExternal shows that an external delegate gets its nodes, and XNNPACK the rest, and that the model is run as exported.
func TestExternal(t *testing.T) {
	_, card, err := models.Default()
	if err != nil {
		t.Fatal(err)
	}
	goldens, err := card.Goldens()
	if err != nil {
		t.Fatal(err)
	}
	c := openFaulty(t, faulty.Build(t), "")
	d := c.Delegation()
	if d.Total != 88 || d.Taken != 1 || len(d.Rest) != 87 || slices.Contains(d.Rest, "SOFTMAX") || d.Rest[2] != "CONV_2D" || !d.Partial() {
		t.Errorf("have %+v, want 1 of 88 nodes, the SOFTMAX", d)
	}
	if _, err := inference.Prove(goldens, card.Golden.Tolerance, run(c)); err != nil {
		t.Error(err)
	}
	graph, _, err := c.inspect()
	if err != nil {
		t.Fatal(err)
	}
	var made []string
	for _, n := range graph {
		made = append(made, n.name())
	}
	if !slices.Equal(made, []string{"TfLiteXNNPackDelegate", "FaultyDelegate"}) {
		t.Errorf("the graph is %v, want XNNPACK for what the delegate left", made)
	}
}

// TestFaulty shows that the faulty delegate does what package faulty says, and that each is noticed.
func TestFaulty(t *testing.T) {
	library := faulty.Build(t)
	honest := answerOf(t, openDefault(t, inference.Options{Delegate: inference.XNNPACK, Threads: 2}))
	near := func(a, b []float32) bool {
		for i := range a {
			if !(math.Abs(float64(a[i]-b[i])) < 1e-5) {
				return false
			}
		}
		return true
	}
	for _, options := range []string{"", "?do=partial", "?do=nan&after=2", "?do=wrong&after=1&slow=1", "?do=crash&after=1"} {
		if have := answerOf(t, openFaulty(t, library, options)); !near(have, honest) {
			t.Errorf("%q: have %v, want %v", options, have, honest)
		}
	}
	if have, want := answerOf(t, openFaulty(t, library, "?do=wrong")), slices.Concat(honest[9:], honest[:9]); !near(have, want) {
		t.Errorf("do=wrong: have %v, want %v", have, want)
	}
	if err := openFaulty(t, library, "?do=fail").Invoke(); err == nil || !strings.Contains(err.Error(), "fails as it was told") {
		t.Errorf("do=fail: have error %v, want what the delegate reported", err)
	}
	c := openFaulty(t, library, "?slow=30")
	if begun := time.Now(); c.Invoke() != nil || time.Since(begun) < 30*time.Millisecond {
		t.Errorf("slow=30: took %s", time.Since(begun))
	}
	scores := make([]float32, 10)
	invoke := func(c *Classifier) error {
		if err := c.Invoke(); err != nil {
			t.Fatal(err)
		}
		return c.Output(0, scores)
	}
	c = openFaulty(t, library, "?do=nan&after=2")
	for i := range 3 {
		if err := invoke(c); (err != nil) != (i == 2) {
			t.Errorf("do=nan&after=2: Invoke %d: %v", i+1, err)
		}
	}
	file := filepath.Join(t.TempDir(), "now")
	c = openFaulty(t, library, "?do=nan&file="+file)
	if err := invoke(c); err != nil {
		t.Errorf("do=nan without its file: %v", err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if invoke(c) == nil {
		t.Error("do=nan with its file: want an error")
	}
}

// answerOf gives the scores of a picture.
func answerOf(t testing.TB, c *Classifier) []float32 {
	t.Helper()
	for i := range c.Input() {
		c.Input()[i] = byte(i*3 + i/7)
	}
	if err := c.Invoke(); err != nil {
		t.Fatal(err)
	}
	scores := make([]float32, c.Spec().NumClasses())
	if err := c.Output(0, scores); err != nil {
		t.Fatal(err)
	}
	return scores
}

func TestExternalErrors(t *testing.T) {
	library, folder := faulty.Build(t), t.TempDir()
	text := filepath.Join(folder, "text.so")
	if err := os.WriteFile(text, []byte("no library"), 0o600); err != nil {
		t.Fatal(err)
	}
	other, err := Library() // a shared library, but no delegate's
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ delegate, want string }{
		{folder + "/none.so", "open delegate: stat " + folder + "/none.so: no such file"},
		{folder, "open delegate " + folder + ": want a shared library, have d"},
		{text, "open delegate " + text + ": "},
		{other, "open delegate " + other + ": it lacks the function tflite_plugin_create_delegate"},
		{"none.so", "want external: and the absolute path"},
		{library + "?do=refuse", "create delegate " + library + ": its library gives none: no such device: the faulty delegate refuses as it was told"},
		{library + "?speed=max", "its library gives none: faulty delegate: option speed: have max"},
		{library + "?do=partial&after=-1", "its library gives none: faulty delegate: option after: have -1"},
	} {
		c, err := OpenBytes(defaultModel(t), inference.Options{Delegate: inference.Delegate(inference.External + test.delegate)})
		if err == nil {
			c.Close() // the test has failed anyway
			t.Errorf("%s: have a classifier, want an error", test.delegate)
		} else if !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: have error %q, want %q", test.delegate, err, test.want)
		}
	}
	if _, err := OpenBytes(meanModel(t), inference.Options{Delegate: inference.Delegate(inference.External + library)}); err == nil ||
		!strings.Contains(err.Error(), "took no node of the graph") {
		t.Errorf("a graph without SOFTMAX: have error %v", err)
	}
}

// meanModel is a network that an external delegate has nothing to do with: the mean of each channel of a picture.
func meanModel(t testing.TB) []byte {
	t.Helper()
	m := tflitefile.Model{
		Tensors: []tflitefile.Tensor{
			{Name: "input", Type: tflitefile.Float32, Shape: []int{1, 8, 8, 3}},
			{Name: "axes", Type: tflitefile.Int32, Shape: []int{2}, Data: []byte{1, 0, 0, 0, 2, 0, 0, 0}},
			{Name: "mean", Type: tflitefile.Float32, Shape: []int{1, 3}},
		},
		Operators: []tflitefile.Operator{{Code: tflitefile.OpMean, Inputs: []int{0, 1}, Outputs: []int{2}, Options: tflitefile.ReducerOptions{}}},
		Inputs:    []int{0}, Outputs: []int{2},
	}
	data, err := m.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestFaultyProcess runs what no process survives in one of its own.
func TestFaultyProcess(t *testing.T) {
	const variable = "SIGHTD_TEST_FAULTY"
	if options := os.Getenv(variable); options != "" {
		library, options, _ := strings.Cut(options, "?")
		os.Stdout.WriteString("begun\n") // who doesn't read it fails
		c := openFaulty(t, library, "?"+options)
		if err := c.Invoke(); err != nil {
			t.Error(err)
		}
		return
	}
	library := faulty.Build(t)
	for _, test := range []struct {
		do    string
		hangs bool
	}{{"crash", false}, {"crash_create", false}, {"hang", true}, {"hang_create", true}} {
		t.Run(test.do, func(t *testing.T) {
			child := exec.Command(os.Args[0], "-test.run=^TestFaultyProcess$")
			child.Env = append(os.Environ(), variable+"="+library+"?do="+test.do)
			stdout, err := child.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			var stderr strings.Builder
			child.Stderr = &stderr
			if err := child.Start(); err != nil {
				t.Fatal(err)
			}
			if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || line != "begun\n" {
				t.Errorf("the child says %q, %v", line, err)
			}
			ended := make(chan error, 1)
			go func() { ended <- child.Wait() }()
			if test.hangs {
				select {
				case err := <-ended:
					t.Fatalf("it ended: %v\n%s", err, stderr.String())
				case <-time.After(time.Second): // a machine that is too busy for it to end sees nothing wrong
				}
				if err := child.Process.Kill(); err != nil {
					t.Error(err)
				}
				<-ended
				return
			}
			if err := <-ended; err == nil || !strings.Contains(stderr.String(), "SIGSEGV") {
				t.Errorf("have %v, want a segmentation fault\n%s", err, stderr.String())
			}
		})
	}
}
