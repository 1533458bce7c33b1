package graph

import (
	"fmt"
	"strings"

	"sightd/export/weights"
)

// Architecture is which GoogLeNet a set of weights belongs to.
type Architecture string

// The architectures that are known.
const (
	Torchvision Architecture = "torchvision"    // batch norm, no LRN
	BVLC        Architecture = "bvlc_googlenet" // Caffe's, after the paper: biases, LRN
)

// architectures are told apart by the tensors that a set has.
var architectures = []Architecture{Torchvision, BVLC}

// Recognize says which architecture the set has most of the tensors of: it need not be complete, GoogLeNet checks that. A set
// that has less than half of any is an error that names what it has.
func Recognize(set *weights.Set) (Architecture, error) {
	has := map[string]bool{}
	for _, name := range set.Names() {
		has[name] = true
	}
	for _, a := range architectures {
		wants, there := a.Wants(), 0
		for _, w := range wants {
			if has[w.Name] {
				there++
			}
		}
		if 2*there >= len(wants) {
			return a, nil
		}
	}
	names := set.Names()
	more := ""
	if len(names) > 3 {
		names, more = names[:3], ", …"
	}
	return "", fmt.Errorf("recognize weights %s: want torchvision's googlenet (conv1.conv.weight, conv1.bn.weight, …) or Caffe's bvlc_googlenet "+
		"(conv1/7x7_s2.weight, conv1/7x7_s2.bias, …), have %d tensors of another network: %s%s", set.Path, len(set.Names()), strings.Join(names, ", "), more)
}

// Trained gives the normalization that the architecture's published weights were trained with, and whether their pictures were
// BGR. The means and deviations are in the order red, green, blue either way. A set of weights doesn't say its own.
func (a Architecture) Trained() (n Normalization, bgr bool) {
	if a == BVLC {
		return Normalization{Mean: [3]float64{123, 117, 104}, Std: [3]float64{1, 1, 1}}, true
	}
	return Symmetric, false
}
