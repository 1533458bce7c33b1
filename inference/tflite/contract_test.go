package tflite

import (
	"fmt"
	"hash/crc32"
	"path/filepath"
	"testing"

	"golang.org/x/sys/cpu"

	"sightd/inference"
	"sightd/inference/contract"
	"sightd/inference/tflite/faulty"
)

// open is OpenBytes as package contract wants it: a *Classifier that is nil makes no interface that is nil.
func open(data []byte, opts inference.Options) (inference.Classifier, error) {
	c, err := OpenBytes(data, opts)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func TestContract(t *testing.T) {
	emulateHalf(t)
	contract.Run(t, contract.Implementation{
		Name: "tflite",
		Open: open,
		Delegates: []inference.Delegate{
			inference.Auto, inference.CPU, inference.XNNPACK, inference.XNNPACKFP16,
			inference.External + inference.Delegate(faulty.Build(t)) + "?do=partial",
		},
		Takes: func(d inference.Delegate, floats bool) bool {
			return d != inference.XNNPACKFP16 || floats && nativeHalf
		},
		NoNaN: []inference.Delegate{inference.XNNPACKFP16}, // its SOFTMAX on x86 takes NaN for a number
	})
}

// TestContractCached runs the suite with weights that lie in files.
func TestContractCached(t *testing.T) {
	folder := t.TempDir()
	contract.Run(t, contract.Implementation{
		Name: "cached",
		Open: func(data []byte, opts inference.Options) (inference.Classifier, error) {
			opts.WeightCache = filepath.Join(folder, fmt.Sprintf("%08x", crc32.ChecksumIEEE(data)))
			return open(data, opts)
		},
		Delegates: []inference.Delegate{inference.XNNPACK},
	})
}

// emulateHalf lets XNNPACK compute 16-bit floats, until the test ends, on an x86 processor that only converts them.
func emulateHalf(t *testing.T) {
	was := nativeHalf
	t.Cleanup(func() { nativeHalf = was })
	nativeHalf = was || cpu.X86.HasAVX2 && cpu.X86.HasFMA
}
