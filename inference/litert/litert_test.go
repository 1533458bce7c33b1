package litert_test

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"sightd/inference"
	"sightd/inference/contract"
	"sightd/inference/litert"
	"sightd/inference/litert/gputest"
	"sightd/models"
	"sightd/preprocess"
)

// childVariable names, in the environment of a child process, the folder of the libraries that it opens a network with.
const childVariable = "TEST_LITERT_CHILD"

// TestMain has the test's binary be the child process that tries what can be tried once in a process.
func TestMain(m *testing.M) {
	if dir, child := os.LookupEnv(childVariable); child {
		os.Exit(tryOpen(dir))
	}
	os.Exit(m.Run())
}

// tryOpen opens the embedded model twice, a failure must be one the second time too, and prints the error.
func tryOpen(dir string) int {
	data, _, err := models.Default()
	if err != nil {
		fmt.Println(err)
		return 1
	}
	for range 2 {
		c, err := litert.OpenBytes(data, inference.Options{Delegate: inference.GPU}, dir)
		if err != nil {
			fmt.Printf("error: %v\n", err)
			continue
		}
		fmt.Printf("opened: %s\n", c.Delegation())
		if err := c.Close(); err != nil {
			fmt.Println(err)
		}
	}
	return 0
}

// open opens a model on the GPU and closes it when the test ends.
func open(t *testing.T, dir string, data []byte) *litert.Classifier {
	t.Helper()
	c, err := litert.OpenBytes(data, inference.Options{Delegate: inference.GPU}, dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func TestContract(t *testing.T) {
	dir := gputest.Need(t)
	contract.Run(t, contract.Implementation{
		Name: "litert",
		Open: func(data []byte, opts inference.Options) (inference.Classifier, error) {
			c, err := litert.OpenBytes(data, opts, dir)
			if err != nil {
				return nil, err
			}
			return c, nil
		},
		Delegates: []inference.Delegate{inference.GPU},
		// One run of the embedded model takes a second on a software device: TestGoldens has it.
		Takes: func(_ inference.Delegate, floats bool) bool { return floats },
		NoNaN: []inference.Delegate{inference.GPU},
	})
}

// TestGoldens shows that the GPU runs the embedded model, which is int8, whole and as its card says.
func TestGoldens(t *testing.T) {
	dir := gputest.Need(t)
	data, card, err := models.Default()
	if err != nil {
		t.Fatal(err)
	}
	goldens, err := card.Goldens()
	if err != nil {
		t.Fatal(err)
	}
	c := open(t, dir, data)
	spec := c.Spec()
	if in := spec.Input; in.Type != inference.Int8 || !slices.Equal(in.Shape, []int{1, 160, 160, 3}) || in.ZeroPoint != -1 {
		t.Errorf("input: have %s, want INT8 [1,160,160,3] zero point -1", in)
	}
	if len(spec.Outputs) != 2 || spec.NumClasses() != 10 || spec.Outputs[1].NumElements() != 1024 {
		t.Errorf("outputs: have %v, want 10 scores and 1024 features", spec.Outputs)
	}
	if d := c.Delegation(); d.Delegate != inference.GPU || d.Total != 88 || d.Taken != 88 || d.Partial() || d.Reason != "" {
		t.Errorf("delegation: have %+v, want gpu with 88 of 88 nodes", d)
	}
	in := preprocess.Input{Height: 160, Width: 160, Type: inference.Int8}
	worst, err := inference.Prove(goldens, card.Golden.Tolerance, func(scores []float32, pixels []byte) error {
		if err := in.Fill(c.Input(), pixels); err != nil {
			return err
		}
		if err := c.Invoke(); err != nil {
			return err
		}
		return c.Output(0, scores)
	})
	if err != nil {
		t.Error(err)
	}
	t.Logf("%d golden pictures, scores differ by %.4f at most, tolerance %.4f", len(goldens), worst, card.Golden.Tolerance)
	features := make([]float32, 1024)
	if err := c.Output(1, features); err != nil {
		t.Error(err)
	}
	if slices.Max(features) == slices.Min(features) {
		t.Error("all features are the same")
	}
}
