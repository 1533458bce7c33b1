package graph

import (
	"fmt"
	"maps"
	"slices"

	"sightd/export/weights"
)

// checkSettings compares the layers of a Caffe file, as far as they state their settings, with the network's: a file may have its
// tensors and yet compute something else. Other formats state none. Layers that aren't the network's, such as losses, are not looked at.
func checkSettings(set *weights.Set) error {
	wants := settings()
	for _, l := range set.Layers() {
		want := wants[l.Name]
		if l.Type == "ReLU" {
			want = map[string]float64{"relu_param.negative_slope": 0}
		}
		for _, name := range slices.Sorted(maps.Keys(l.Settings)) {
			if w, ok := want[name]; ok && w != l.Settings[name] {
				return fmt.Errorf("check weights %s: layer %s: want %s %g, have %g", set.Path, l.Name, name, w, l.Settings[name])
			}
		}
	}
	return nil
}

// settings gives the settings of BVLC's layers under Caffe's names, by the layers' names.
func settings() map[string]map[string]float64 {
	out := map[string]map[string]float64{}
	window := func(name, param string, kernel, stride, pad int) map[string]float64 {
		out[name] = map[string]float64{}
		for setting, value := range map[string]int{
			"kernel_size": kernel, "kernel_h": kernel, "kernel_w": kernel, "stride": stride, "stride_h": stride, "stride_w": stride,
			"pad": pad, "pad_h": pad, "pad_w": pad,
		} {
			out[name][param+"."+setting] = float64(value)
		}
		return out[name]
	}
	conv := func(name string, kernel, stride int) {
		s := window(name, "convolution_param", kernel, stride, (kernel-1)/2)
		for _, name := range []string{"group", "dilation", "dilation_h", "dilation_w"} {
			s["convolution_param."+name] = 1
		}
	}
	const maximum, average = 0, 1
	pool := func(name string, kernel, stride, pad, method int) {
		s := window(name, "pooling_param", kernel, stride, pad)
		s["pooling_param.pool"], s["pooling_param.round_mode"] = float64(method), 0 // sizes are rounded up
		if method == maximum {
			s["pooling_param.global_pooling"] = 0
		}
	}
	for _, l := range layers {
		switch {
		case l.isInception():
			pool(l.name+"/pool", 3, 1, 1, maximum)
			for _, br := range branches {
				conv(l.name+"/"+br.name, br.kernel, 1)
			}
		case l.norm:
			out[l.name] = map[string]float64{
				"lrn_param.local_size": float64(2*caffeNorm.Radius + 1), "lrn_param.alpha": caffeAlpha, "lrn_param.beta": caffeNorm.Beta,
				"lrn_param.k": caffeNorm.Bias, "lrn_param.norm_region": 0,
			}
		case l.torch == "":
			pool(l.name, l.kernel, l.stride, 0, maximum)
		default:
			conv(l.name, l.kernel, l.stride)
		}
	}
	pool(Features, 7, 1, 0, average)
	out[Classifier] = map[string]float64{"inner_product_param.transpose": 0}
	return out
}
