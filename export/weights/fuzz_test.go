package weights

import (
	"bytes"
	"testing"
)

// readAll reads every tensor of a set, which must give as many values as its shape says, or an error.
func readAll(t *testing.T, set *Set) {
	for _, name := range set.Names() {
		tensor, err := set.Tensor(name)
		if err != nil {
			continue
		}
		count := 1
		for _, n := range tensor.Shape {
			count *= n
		}
		if len(tensor.Data) != count {
			t.Errorf("%q has shape %v and %d values", name, tensor.Shape, len(tensor.Data))
		}
	}
}

func FuzzOpen(f *testing.F) {
	c := views()
	f.Add(saveZip(f, c, nil))
	f.Add(saveLegacy(c))
	c.wrapper = "model"
	f.Add(saveLegacy(c))
	c = one("module.fc.bias")
	f.Add(saveZip(f, c, nil))
	c.python2 = true
	f.Add(saveLegacy(c))
	f.Add(safetensors(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4))
	f.Add([]byte("<!doctype html>"))
	f.Add([]byte(oneLayer()))
	f.Add([]byte("name: \"GoogleNet\"\nlayer {"))
	f.Add([]byte(message(nil).varint(1, 8).text(2, "pytorch").bytes(7, nil)))
	f.Fuzz(func(t *testing.T, data []byte) {
		if set, err := readBytes(data); err == nil {
			readAll(t, set)
		}
	})
}

// FuzzPickle gives data.pkl a storage of 64 bytes under every key.
func FuzzPickle(f *testing.F) {
	for _, c := range []checkpoint{views(), one("fc.bias")} {
		p := newPickler()
		p.storage = func(s savedTensor) { p.id(c, s, false) }
		p.stateDict(c)
		f.Add(p.stop())
	}
	f.Add([]byte("\x80\x02cos\nsystem\n(X\x02\x00\x00\x00lstR."))
	f.Add([]byte("\x80\x02}q\x00(X\x05\x00\x00\x00modelh\x00u."))
	store := make([]byte, 64)
	f.Fuzz(func(t *testing.T, data []byte) {
		value, n, err := unpickle(data, func(id tuple) (any, error) {
			class, _, _, err := storageID(id, 5)
			if err != nil {
				return nil, err
			}
			return typedStorage{&storage{size: int64(len(store))}, class.dtype}, nil
		})
		if err != nil {
			return
		}
		if n > len(data) {
			t.Errorf("%d bytes of %d were read", n, len(data))
		}
		if layouts, err := stateDict(value); err == nil {
			readAll(t, &Set{file: bytes.NewReader(store), layouts: layouts})
		}
	})
}

func FuzzSafetensors(f *testing.F) {
	f.Add([]byte(`{"__metadata__":{"format":"pt"},"a":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]}}`), 12)
	f.Add([]byte(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F64","shape":[],"data_offsets":[4,12]}}`), 12)
	f.Add([]byte(`{"a":{"dtype":"F8_E5M2","shape":[9],"data_offsets":[0,9]}}`), 9)
	f.Fuzz(func(t *testing.T, header []byte, n int) {
		data := safetensors(string(header), min(max(n, 0), 1<<16))
		set, err := readSafetensors(bytes.NewReader(data), int64(len(data)))
		if err == nil {
			readAll(t, &Set{file: bytes.NewReader(data), layouts: set})
		}
	})
}

// FuzzCaffe takes every input for a Caffe network, whether it begins like one or not.
func FuzzCaffe(f *testing.F) {
	f.Add([]byte(oneLayer()))
	f.Add([]byte(v1Network()))
	f.Add([]byte(v2Network()))
	f.Add([]byte(inLayer(claim(6, 1<<40))))
	f.Fuzz(func(t *testing.T, data []byte) {
		file := bytes.NewReader(data)
		layouts, layers, err := readCaffe(file, int64(len(data)))
		if err != nil {
			return
		}
		set := &Set{file: file, layouts: layouts, layers: layers}
		readAll(t, set)
		for _, l := range set.Layers() {
			if l.Name == "" || l.Type == "" {
				t.Errorf("layer %+v has no name or no type", l)
			}
		}
	})
}
