// Package weights reads the files that hold a network's weights: state dicts saved by PyTorch (.pth, .pt), in its zip
// format and in the pickle format of before 2020, safetensors files, and Caffe's networks (.caffemodel). The content
// decides, never the file's extension.
//
// Nothing in a file is executed. A .pth file is a Python pickle, a program for a stack machine; the machine here knows the
// few instructions, and the few names, that a state dict is made of, and refuses all others. Whatever a file claims (sizes,
// counts, strides, offsets) is checked against the file's real size before memory is taken for it: opening a hostile file
// takes 100 MB at most, and reading a tensor a small multiple of the bytes that it lies over in the file, at most 512 MiB.
//
// The package reads tensors, and checks their names, shapes and values against a table that the caller brings. Of a Caffe
// network it also gives the layers, as far as the file states them. It knows no network, folds no batch norm and changes no
// layout: a convolution's weights come as the file has them, OIHW.
package weights

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
)

// maxFile is the largest file that is opened. GoogLeNet with an optimizer's state beside it has about 150 MB.
const maxFile = 1 << 30

// The formats that Set.Format names.
const (
	formatZip         = "pytorch zip"
	formatLegacy      = "pytorch legacy"
	formatSafetensors = "safetensors"
	formatCaffe       = "caffemodel"
)

// Tensor is one array of a file, converted to float32. Its memory belongs to the caller.
type Tensor struct {
	Name  string
	Shape []int     // as the file states it; empty for a single number
	Data  []float32 // row-major and contiguous (C order), whatever the strides in the file
}

// Set holds the tensors of one open file by name. It keeps their places in the file, not their values: Tensor reads these
// when asked. A Set is safe for use by several goroutines; Close it when the tensors needed have been read.
type Set struct {
	Path   string // as given to Open
	Format string // "pytorch zip", "pytorch legacy", "safetensors" or "caffemodel"
	SHA256 string // of the whole file, in lower-case hexadecimal

	file    io.ReaderAt
	close   func() error
	layouts map[string]*layout
	layers  []Layer // of a Caffe network
}

// Open reads the names, types and shapes of the tensors in a weights file and checks that their values lie within it. Names
// lose the "module." that DataParallel and the "_orig_mod." that torch.compile put before each of them. In a zip file, the
// checksums of the tensors' storages are checked too. In a Caffe network, which names layers and not tensors, a layer's first
// blob is the tensor LAYER.weight, the second LAYER.bias, and others, which GoogLeNet has none of, are LAYER.blob2 and so on. The
// error names the file and, where there is one, the way out.
func Open(path string) (*Set, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("open weights: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("open weights %s: it is no regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open weights: %w", err)
	}
	set, err := read(file, info.Size())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open weights %s: %w", path, err), file.Close())
	}
	set.Path, set.close = path, file.Close
	return set, nil
}

// read makes a Set of the size bytes in r.
func read(r io.ReaderAt, size int64) (*Set, error) {
	format, err := detect(r, size)
	if err != nil {
		return nil, err
	}
	set := &Set{Format: format, file: r}
	switch format {
	case formatZip:
		set.layouts, err = readZip(r, size)
	case formatLegacy:
		set.layouts, err = readLegacy(r, size)
	case formatSafetensors:
		set.layouts, err = readSafetensors(r, size)
	case formatCaffe:
		set.layouts, set.layers, err = readCaffe(r, size)
	}
	if err != nil {
		return nil, err
	}
	hash := sha256.New()
	if n, err := io.Copy(hash, io.NewSectionReader(r, 0, size)); err != nil {
		return nil, err
	} else if n != size {
		return nil, fmt.Errorf("read %d bytes, want %d: the file is changing", n, size)
	}
	set.SHA256 = hex.EncodeToString(hash.Sum(nil))
	return set, nil
}

// Close closes the file. Tensor and Check fail after it.
func (s *Set) Close() error {
	if s.close == nil {
		return nil
	}
	return s.close()
}

// Names lists the tensors, sorted.
func (s *Set) Names() []string {
	return slices.Sorted(maps.Keys(s.layouts))
}

// Shape gives the shape of a tensor, and false if the file has none of that name.
func (s *Set) Shape(name string) ([]int, bool) {
	l, ok := s.layouts[name]
	if !ok {
		return nil, false
	}
	return slices.Clone(l.shape), true
}

// Tensor reads one tensor and converts it to float32. float32, float64, float16 and bfloat16 are converted; another type is
// an error, as is a name that the file doesn't have. A float64 that float32 can't hold becomes an infinity.
func (s *Set) Tensor(name string) (Tensor, error) {
	l, ok := s.layouts[name]
	if !ok {
		return Tensor{}, fmt.Errorf("read %s: %s has no such tensor", name, s.Path)
	}
	data, err := l.read(s.file)
	if err != nil {
		return Tensor{}, fmt.Errorf("read %s of %s: %w", name, s.Path, err)
	}
	return Tensor{Name: name, Shape: slices.Clone(l.shape), Data: data}, nil
}
