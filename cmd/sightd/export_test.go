package main

import (
	"math"
	"testing"

	"sightd/export/graph"
)

func TestNormalization(t *testing.T) {
	imagenet := graph.Normalization{Mean: [3]float64{123.675, 116.28, 103.53}, Std: [3]float64{58.395, 57.12, 57.375}}
	for _, test := range []struct {
		name, mean, std, channels string
		want                      graph.Normalization
		bgr                       bool
	}{
		{"default", "127.5,127.5,127.5", "127.5,127.5,127.5", "rgb", graph.Symmetric, false},
		{"one number", "127.5", "127.5", "rgb", graph.Symmetric, false},
		{"torchvision's half", "0.5", "0.5", "rgb", graph.Symmetric, false},
		{"torchvision's ImageNet", "0.485, 0.456, 0.406", "0.229,0.224,0.225", "rgb", imagenet, false},
		{"the same for 0 to 255", "123.675,116.28,103.53", "58.395,57.12,57.375", "rgb", imagenet, false},
		{"pixels as they are", "0", "1", "rgb", graph.Normalization{Std: [3]float64{1, 1, 1}}, false},
		{"Caffe's", "104,117,123", "1", "bgr", graph.Normalization{Mean: [3]float64{123, 117, 104}, Std: [3]float64{1, 1, 1}}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, bgr, err := normalization(test.mean, test.std, test.channels)
			if err != nil || bgr != test.bgr {
				t.Fatalf("got bgr %v, error %v", bgr, err)
			}
			for i := range 3 {
				if math.Abs(got.Mean[i]-test.want.Mean[i]) > 1e-9 || math.Abs(got.Std[i]-test.want.Std[i]) > 1e-9 {
					t.Errorf("got %+v, want %+v", got, test.want)
				}
			}
		})
	}
	for _, wrong := range [][3]string{{"1,2", "1", "rgb"}, {"1", "x", "rgb"}, {"1", "1", "grb"}} {
		if _, _, err := normalization(wrong[0], wrong[1], wrong[2]); err == nil {
			t.Errorf("%q: want an error", wrong)
		}
	}
}
