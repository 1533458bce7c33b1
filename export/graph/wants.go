package graph

import (
	"strings"

	"sightd/export/weights"
)

// kernel chooses between the original's kernel and torchvision's, where that is another one.
func (a Architecture) kernel(original, torchvision int) int {
	if a == Torchvision && torchvision != 0 {
		return torchvision
	}
	return original
}

// Wants lists the tensors that the architecture reads from a set of weights, with their shapes as torch and Caffe have them (OIHW for
// convolutions). The number of classes is weights.Classes: any, the same for the classifier's weights and bias.
func (a Architecture) Wants() []weights.Want {
	var wants []weights.Want
	add := func(name string, shape ...int) { wants = append(wants, weights.Want{Name: name, Shape: shape}) }
	conv := func(name, torch string, kernel, in, out int) {
		if a == BVLC {
			add(name+".weight", out, in, kernel, kernel)
			add(name+".bias", out)
			return
		}
		add(torch+".conv.weight", out, in, kernel, kernel)
		for _, norm := range batchNorm {
			add(torch+".bn."+norm, out)
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
				conv(l.name+"/"+br.name, l.torch+"."+br.torch, a.kernel(br.kernel, br.torchKernel), in, w[i])
				if br.output {
					out += w[i]
				}
			}
			channels = out
		case l.torch != "":
			conv(l.name, l.torch, l.kernel, channels, l.channels)
			channels = l.channels
		}
	}
	fc := "fc"
	if a == BVLC {
		fc = Classifier
	}
	add(fc+".weight", weights.Classes, channels)
	add(fc+".bias", weights.Classes)
	return wants
}

// Dropped says whether a tensor may be in the set though the exported network has no use for it: the auxiliary heads, which
// serve training alone, and the batch norms' counters.
func (a Architecture) Dropped(name string) bool {
	if a == BVLC {
		return strings.HasPrefix(name, "loss1/") || strings.HasPrefix(name, "loss2/")
	}
	return strings.HasPrefix(name, "aux1.") || strings.HasPrefix(name, "aux2.") ||
		strings.HasSuffix(name, ".num_batches_tracked")
}
