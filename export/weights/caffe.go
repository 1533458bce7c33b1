package weights

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Limits of a Caffe network. GoogLeNet has about 200 layers with data, losses and Caffe's own copies.
const (
	maxLayers     = 4096
	maxLayerBlobs = 16
	maxLayerNames = 4 << 20 // bytes of all layers' names, types, bottoms and tops, with nameCost for each
	nameCost      = 16
	maxPreamble   = 1024 // fields of the network before its first layer
)

// Layer is a layer of a Caffe network as the file states it.
type Layer struct {
	Name string

	// Type is one of the names of Caffe's second format, such as "Convolution", "InnerProduct", "Pooling", "LRN", "ReLU", "Concat";
	// the numbers of the first format are translated to them. A number that isn't known becomes "type 99".
	Type string

	Bottoms, Tops []string // the blobs that the layer reads and writes, by name

	// Settings are the parameters that the file sets, under their names in caffe.proto: "convolution_param.kernel_size": 7,
	// "lrn_param.alpha": 1e-4. What is not set has Caffe's default. Some files, the one with BVLC's weights alone among them, set
	// none at all. An enumeration or a truth value is its number: "pooling_param.pool": 1 is AVE. Where a list is allowed, as for
	// kernel_size, and its values are equal, the one value stands for them; two that differ, for height and width, come under the
	// names of their own, such as kernel_h and kernel_w. The parameters of data and loss layers, engines, fillers and what else
	// does not change the answer of a classifier are left out.
	Settings map[string]float64
}

// Layers gives the layers of a Caffe network in the file's order; nil for the other formats, which name none. It is a copy.
func (s *Set) Layers() []Layer {
	layers := slices.Clone(s.layers)
	for i := range layers {
		l := &layers[i]
		l.Bottoms, l.Tops, l.Settings = slices.Clone(l.Bottoms), slices.Clone(l.Tops), maps.Clone(l.Settings)
	}
	return layers
}

// A caffeNet collects what a NetParameter holds.
type caffeNet struct {
	*protobuf
	layouts map[string]*layout
	layers  []Layer
	names   int // bytes taken by names
}

// readCaffe lists the tensors and the layers of a Caffe network, a NetParameter in protobuf's encoding. The first blob of a
// layer becomes LAYER.weight, the second LAYER.bias, any other LAYER.blob2 and so on. A file that was cut off just between two
// layers looks whole here; Check misses its tensors.
func readCaffe(r io.ReaderAt, size int64) (map[string]*layout, []Layer, error) {
	c := &caffeNet{protobuf: newProtobuf(r, size), layouts: make(map[string]*layout)}
	for f, err := range c.fields(0, size) {
		if err != nil {
			return nil, nil, err
		}
		format := layerFormats[f.number]
		if format == nil {
			continue
		}
		if err := c.layer(f, format); err != nil {
			return nil, nil, fmt.Errorf("layer %d: %w", len(c.layers), err)
		}
	}
	if len(c.layouts) == 0 {
		return nil, nil, fmt.Errorf("it holds no tensors: none of its %d layers has blobs", len(c.layers))
	}
	return c.layouts, c.layers, nil
}

// layer reads the message of a layer.
func (c *caffeNet) layer(message field, format *layerFormat) error {
	if err := message.expect(wireBytes); err != nil {
		return err
	}
	if len(c.layers) == maxLayers {
		return fmt.Errorf("want at most %d layers", maxLayers)
	}
	var l Layer
	var blobs []field
	values := make(map[string][]float64)
	for f, err := range c.fields(message.at, message.end) {
		if err != nil {
			return err
		}
		switch f.number {
		case format.name:
			l.Name, err = c.name(f)
		case format.kind:
			l.Type, err = c.kind(f, format)
		case format.bottom:
			l.Bottoms, err = c.appendName(l.Bottoms, f)
		case format.top:
			l.Tops, err = c.appendName(l.Tops, f)
		case format.blobs:
			if blobs = append(blobs, f); len(blobs) > maxLayerBlobs {
				err = fmt.Errorf("%q has more than %d blobs", l.Name, maxLayerBlobs)
			}
		default:
			err = c.parameters(values, f, format.parameters[f.number])
		}
		if err != nil {
			return err
		}
	}
	if l.Name == "" || l.Type == "" {
		return fmt.Errorf("its name is %q and its type %q, want both", l.Name, l.Type)
	}
	var err error
	if l.Settings, err = settings(values); err != nil {
		return fmt.Errorf("%q: %w", l.Name, err)
	}
	if err := c.tensors(l, blobs); err != nil {
		return err
	}
	c.layers = append(c.layers, l)
	return nil
}

// name reads a name; all of them together are bounded.
func (c *caffeNet) name(f field) (string, error) {
	text, err := c.text(f)
	if err != nil {
		return "", err
	}
	if c.names += len(text) + nameCost; c.names > maxLayerNames {
		return "", fmt.Errorf("the names in the layers have more than %d bytes", maxLayerNames)
	}
	return text, nil
}

func (c *caffeNet) appendName(names []string, f field) ([]string, error) {
	name, err := c.name(f)
	return append(names, name), err
}

// kind reads a layer's type.
func (c *caffeNet) kind(f field, format *layerFormat) (string, error) {
	if !format.enum {
		return c.name(f)
	}
	if err := f.expect(wireVarint); err != nil {
		return "", err
	}
	if f.value < uint64(len(v1Types)) {
		return v1Types[f.value], nil
	}
	return fmt.Sprintf("type %d", f.value), nil
}

// tensors adds the blobs of a layer to the layouts.
func (c *caffeNet) tensors(l Layer, blobs []field) error {
	for i, f := range blobs {
		name := l.Name + ".blob" + strconv.Itoa(i)
		rank := 1 // of a bias, and of what isn't known here
		switch i {
		case 0:
			name, rank = l.Name+".weight", weightRank(l.Type)
		case 1:
			name = l.Name + ".bias"
		}
		blob, err := c.blob(f, rank)
		if err != nil {
			return fmt.Errorf("tensor %q: %w", name, err)
		}
		if err := add(c.layouts, name, blob); err != nil {
			return err
		}
		if len(c.layouts) > maxTensors {
			return fmt.Errorf("want at most %d tensors", maxTensors)
		}
	}
	return nil
}

// weightRank is the number of dimensions of a layer's first blob in the format without leading ones.
func weightRank(kind string) int {
	switch kind {
	case "Convolution", "Deconvolution":
		return 4
	case "InnerProduct":
		return 2
	}
	return 1
}

// parameters collects the values that a message of parameters, such as convolution_param, sets. Lists are not joined yet.
func (c *caffeNet) parameters(values map[string][]float64, message field, table *parameterTable) error {
	if table == nil {
		return nil
	}
	if err := message.expect(wireBytes); err != nil {
		return err
	}
	for f, err := range c.fields(message.at, message.end) {
		if err != nil {
			return err
		}
		name, ok := table.names[f.number]
		if !ok {
			continue
		}
		name = table.message + "." + name
		list := values[name]
		if f.wire == wireFixed32 {
			list = append(list, decimal(uint32(f.value)))
		} else {
			numbers, err := c.varints(nil, f, maxDims)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			for _, n := range numbers {
				list = append(list, float64(int64(n))) // a negative int32 is written as an int64
			}
		}
		if len(list) > maxDims {
			return fmt.Errorf("%s has %d values, want at most %d", name, len(list), maxDims)
		}
		values[name] = list
	}
	return nil
}

// settings makes one number of each list.
func settings(values map[string][]float64) (map[string]float64, error) {
	set := make(map[string]float64, len(values))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		list := values[name]
		side, twoSided := sides[name]
		_, both := values[side+"_h"]
		switch {
		case len(slices.Compact(slices.Clone(list))) == 1:
			set[name] = list[0]
		case len(list) == 2 && twoSided && !both:
			set[side+"_h"], set[side+"_w"] = list[0], list[1]
		default:
			return nil, fmt.Errorf("%s is %v, want one value", name, list)
		}
	}
	return set, nil
}

// isCaffe tells whether a file begins as a Caffe network does. Protobuf has no mark of its own: the network's name must be
// text, and its first layer must have a name and a type.
func isCaffe(p *protobuf) bool {
	seen := 0
	for f, err := range p.fields(0, p.size) {
		if seen++; err != nil || seen > maxPreamble {
			return false
		}
		if f.number == 1 && !p.printable(f) {
			return false
		}
		if format := layerFormats[f.number]; format != nil {
			return f.wire == wireBytes && p.named(f, format)
		}
	}
	return false
}

// named tells whether a message has a name and a type where the format has them, as text if that isn't an enumeration.
func (p *protobuf) named(message field, format *layerFormat) bool {
	var name, kind bool
	for f, err := range p.fields(message.at, message.end) {
		if err != nil {
			return false
		}
		switch f.number {
		case format.name:
			name = p.printable(f)
		case format.kind:
			kind = format.enum && f.wire == wireVarint || !format.enum && p.printable(f)
		}
		if name && kind {
			return true
		}
	}
	return false
}

// printable tells whether a field holds text that can be a name.
func (p *protobuf) printable(f field) bool {
	text, err := p.text(f)
	return err == nil && text != "" && !strings.ContainsFunc(text, unicode.IsControl)
}
