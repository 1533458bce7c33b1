package graph

import (
	"strings"

	"sightd/export/weights"
)

// Wants lists the tensors that GoogLeNet reads from torchvision's state dict, with their shapes as torch has them (OIHW for
// convolutions). The number of classes is weights.Classes: any, the same for fc.weight and fc.bias.
func Wants() []weights.Want {
	var wants []weights.Want
	conv := func(torch string, kernel, in, out int) {
		wants = append(wants, weights.Want{Name: torch + ".conv.weight", Shape: []int{out, in, kernel, kernel}})
		for _, name := range batchNorm {
			wants = append(wants, weights.Want{Name: torch + ".bn." + name, Shape: []int{out}})
		}
	}
	channels := 3
	for _, l := range layers {
		switch {
		case l.isInception():
			w, out := l.inception, 0
			for i, br := range branches {
				in := channels
				if br.from >= 0 {
					in = w[br.from]
				}
				conv(l.torch+"."+br.torch, br.kernel, in, w[i])
				if br.output {
					out += w[i]
				}
			}
			channels = out
		case l.torch != "":
			conv(l.torch, l.kernel, channels, l.channels)
			channels = l.channels
		}
	}
	return append(wants,
		weights.Want{Name: "fc.weight", Shape: []int{weights.Classes, channels}},
		weights.Want{Name: "fc.bias", Shape: []int{weights.Classes}})
}

// Dropped says whether a tensor may be in the state dict though the exported network has no use for it: the auxiliary heads,
// which serve training alone, and the batch norms' counters.
func Dropped(name string) bool {
	return strings.HasPrefix(name, "aux1.") || strings.HasPrefix(name, "aux2.") ||
		strings.HasSuffix(name, ".num_batches_tracked")
}
