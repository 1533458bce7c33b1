package tflite

import (
	"bytes"
	"testing"

	"sightd/inference"
	"sightd/models"
)

// TestOpenConstant runs a file where it lies, and one that lies askew, as a copy does.
func TestOpenConstant(t *testing.T) {
	data, _, err := models.Default()
	if err != nil {
		t.Fatal(err)
	}
	if !models.Embedded(data) || models.Embedded(bytes.Clone(data)) {
		t.Error("want the embedded file told from a copy")
	}
	askew := append(make([]byte, 1, len(data)+1), data...)[1:]
	var want []float32
	for name, open := range map[string]func() (*Classifier, error){
		"copied":   func() (*Classifier, error) { return OpenBytes(data, inference.Options{}) },
		"constant": func() (*Classifier, error) { return OpenConstant(data, inference.Options{}) },
		"askew":    func() (*Classifier, error) { return OpenConstant(askew, inference.Options{}) },
	} {
		c, err := open()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for i := range c.Input() {
			c.Input()[i] = byte(i * 31)
		}
		have := make([]float32, c.Spec().NumClasses())
		if err := c.Invoke(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := c.Output(0, have); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if want == nil {
			want = have
		}
		for i := range want {
			if have[i] != want[i] {
				t.Errorf("%s: want scores %v as otherwise, have %v", name, want, have)
				break
			}
		}
		if err := c.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := OpenConstant([]byte("12345TFL3678"), inference.Options{}); err == nil {
		t.Error("want no model made of no model")
	}
}
