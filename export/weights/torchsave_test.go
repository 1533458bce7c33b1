package weights

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math"
	"slices"
	"testing"
)

// A pickler writes pickles of protocol 2 the way torch.save does, as far as the tests need it.
type pickler struct {
	bytes.Buffer
	puts int
	// python2 writes strings as Python 2 does, and dicts as OrderedDicts of lists.
	python2 bool
	storage func(t savedTensor) // writes a storage's persistent id
}

// memo stores the top of the stack under the next number, as Python does for all strings and containers.
func (p *pickler) memo() {
	if p.puts < 256 {
		p.Write([]byte{'q', byte(p.puts)})
	} else {
		p.WriteByte('r')
		p.Write(binary.LittleEndian.AppendUint32(nil, uint32(p.puts)))
	}
	p.puts++
}

func (p *pickler) ops(s string) { p.WriteString(s) }

func (p *pickler) text(s string) {
	if p.python2 {
		p.Write([]byte{'U', byte(len(s))})
	} else {
		p.WriteByte('X')
		p.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(s))))
	}
	p.WriteString(s)
	p.memo()
}

func (p *pickler) int(n int64) {
	switch {
	case n >= 0 && n < 256:
		p.Write([]byte{'K', byte(n)})
	case n >= 0 && n < 65536:
		p.Write(binary.LittleEndian.AppendUint16([]byte{'M'}, uint16(n)))
	case n == int64(int32(n)):
		p.Write(binary.LittleEndian.AppendUint32([]byte{'J'}, uint32(n)))
	default:
		p.Write(binary.LittleEndian.AppendUint64([]byte{0x8a, 8}, uint64(n)))
	}
}

func (p *pickler) global(module, name string) { p.ops("c" + module + "\n" + name + "\n") }

func (p *pickler) ints(list []int64) {
	p.ops("(")
	for _, n := range list {
		p.int(n)
	}
	p.ops("t")
}

// stop ends the pickle and gives its bytes.
func (p *pickler) stop() []byte {
	p.ops(".")
	return p.Bytes()
}

func newPickler() *pickler {
	p := &pickler{}
	p.ops("\x80\x02")
	return p
}

// A savedTensor is one entry of a state dict to write: a view of the storage key.
type savedTensor struct {
	name    string
	key     string // of its storage
	class   string // of its storage: FloatStorage …
	offset  int64
	shape   []int64
	stride  []int64
	rebuild string // "" is _rebuild_tensor_v2; "v1", "v3" or "parameter"
}

// A checkpoint is what is written to a file: a state dict, where it lies and the storages' bytes.
type checkpoint struct {
	tensors  []savedTensor
	storages map[string][]byte
	wrapper  string // key of a dict around the state dict, "" for none
	python2  bool
}

// elementSizes are those of the storage classes.
var elementSizes = map[string]int{
	"FloatStorage": 4, "DoubleStorage": 8, "HalfStorage": 2, "BFloat16Storage": 2, "LongStorage": 8, "UntypedStorage": 1,
}

// tensor writes the call that rebuilds a tensor.
func (p *pickler) tensor(t savedTensor) {
	switch t.rebuild {
	case "v1":
		p.global("torch._utils", "_rebuild_tensor")
	case "v3":
		p.global("torch._utils", "_rebuild_tensor_v3")
	case "parameter":
		p.global("torch._utils", "_rebuild_parameter")
		p.ops("(")
		data := t
		data.rebuild = ""
		p.tensor(data)
		p.ops("\x88")
		p.emptyOrderedDict()
		p.ops("tR")
		p.memo()
		return
	default:
		p.global("torch._utils", "_rebuild_tensor_v2")
	}
	p.ops("(")
	p.storage(t)
	p.int(t.offset)
	p.ints(t.shape)
	p.ints(t.stride)
	if t.rebuild != "v1" {
		p.ops("\x89")
		p.emptyOrderedDict()
	}
	if t.rebuild == "v3" {
		p.global("torch", "float32")
	}
	p.ops("tR")
	p.memo()
}

func (p *pickler) emptyOrderedDict() {
	p.global("collections", "OrderedDict")
	p.ops(")R")
	p.memo()
}

// stateDict writes an OrderedDict of tensors with the attribute _metadata.
func (p *pickler) stateDict(c checkpoint) {
	p.python2 = c.python2
	if c.wrapper != "" {
		p.ops("}")
		p.memo()
		p.ops("(")
		p.text("epoch")
		p.int(90)
		p.text("args")
		p.global("argparse", "Namespace")
		p.ops(")\x81}(")
		p.text("lr")
		p.ops("G\x3f\xb9\x99\x99\x99\x99\x99\x9a")
		p.text("resume")
		p.ops("Nub")
		p.text(c.wrapper)
	}
	if c.python2 {
		p.global("collections", "OrderedDict")
		p.ops("](")
		for _, t := range c.tensors {
			p.ops("](")
			p.text(t.name)
			p.tensor(t)
			p.ops("e")
		}
		p.ops("e\x85R")
	} else {
		p.emptyOrderedDict()
		p.ops("(")
		for _, t := range c.tensors {
			p.text(t.name)
			p.tensor(t)
		}
		p.ops("u")
	}
	p.ops("}")
	p.text("_metadata")
	p.emptyOrderedDict()
	p.ops("(")
	p.text("")
	p.ops("}")
	p.text("version")
	p.ops("K\x01su")
	p.ops("sb")
	if c.wrapper != "" {
		p.ops("u")
	}
}

// id writes a storage's persistent id; the zip format lacks the last part, the view.
func (p *pickler) id(c checkpoint, t savedTensor, legacy bool) {
	p.ops("(")
	p.text("storage")
	if t.class == "UntypedStorage" {
		p.global("torch.storage", t.class)
	} else {
		p.global("torch", t.class)
	}
	p.text(t.key)
	p.text("cpu")
	p.int(int64(len(c.storages[t.key]) / elementSizes[t.class]))
	if legacy {
		p.ops("N")
	}
	p.ops("tQ")
}

// A zipEntry is one entry of a zip file to write.
type zipEntry struct {
	name     string
	data     []byte
	deflated bool
}

// saveZip writes a checkpoint in torch.save's zip format; change, if not nil, may change the entries before.
func saveZip(t testing.TB, c checkpoint, change func([]zipEntry) []zipEntry) []byte {
	t.Helper()
	p := newPickler()
	p.storage = func(s savedTensor) { p.id(c, s, false) }
	p.stateDict(c)
	entries := []zipEntry{{name: "data.pkl", data: p.stop()}, {name: "byteorder", data: []byte("little")}}
	for _, key := range sortedKeys(c.storages) {
		entries = append(entries, zipEntry{name: "data/" + key, data: c.storages[key]})
	}
	entries = append(entries, zipEntry{name: "version", data: []byte("3\n")})
	if change != nil {
		entries = change(entries)
	}
	return writeZip(t, "archive/", entries)
}

// writeZip writes entries as torch.save does: stored, with an extra field "FB" that aligns the data to 64 bytes.
func writeZip(t testing.TB, folder string, entries []zipEntry) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for _, e := range entries {
		header := &zip.FileHeader{Name: folder + e.name, Method: zip.Store, CRC32: crc32.ChecksumIEEE(e.data)}
		header.UncompressedSize64, header.CompressedSize64 = uint64(len(e.data)), uint64(len(e.data))
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		pad := 64 - (buf.Len()+30+len(header.Name)+4)%64
		header.Extra = append([]byte{'F', 'B', byte(pad), 0}, make([]byte, pad)...)
		create := w.CreateRaw
		if e.deflated {
			header.Method = zip.Deflate
			create = w.CreateHeader
		}
		body, err := create(header)
		if err == nil {
			_, err = body.Write(e.data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// saveLegacy writes a checkpoint in torch.save's older format.
func saveLegacy(c checkpoint) []byte {
	out := []byte(legacyMagic)
	p := newPickler()
	p.int(legacyProtocol)
	out = append(out, p.stop()...)
	p = newPickler()
	p.ops("}(")
	p.text("protocol_version")
	p.int(legacyProtocol)
	p.text("little_endian")
	p.ops("\x88u")
	out = append(out, p.stop()...)
	p = newPickler()
	p.storage = func(s savedTensor) { p.id(c, s, true) }
	p.stateDict(c)
	out = append(out, p.stop()...)

	keys := sortedKeys(c.storages)
	p = newPickler()
	p.ops("](")
	for _, key := range keys {
		p.text(key)
	}
	p.ops("e")
	out = append(out, p.stop()...)
	for _, key := range keys {
		i := slices.IndexFunc(c.tensors, func(t savedTensor) bool { return t.key == key })
		count := len(c.storages[key]) / elementSizes[c.tensors[i].class]
		out = binary.LittleEndian.AppendUint64(out, uint64(count))
		out = append(out, c.storages[key]...)
	}
	return out
}

func sortedKeys(m map[string][]byte) []string {
	var keys []string
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// counting gives the bytes of a storage whose element i is i-3, which every element type holds exactly for n < 256.
func counting(class string, n int) []byte {
	var out []byte
	for i := range n {
		v := float64(i - 3)
		switch class {
		case "FloatStorage", "UntypedStorage":
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(float32(v)))
		case "DoubleStorage":
			out = binary.LittleEndian.AppendUint64(out, math.Float64bits(v))
		case "BFloat16Storage":
			out = binary.LittleEndian.AppendUint16(out, uint16(math.Float32bits(float32(v))>>16))
		case "HalfStorage":
			out = binary.LittleEndian.AppendUint16(out, toFloat16(v))
		case "LongStorage":
			out = binary.LittleEndian.AppendUint64(out, uint64(int64(v)))
		}
	}
	return out
}

// toFloat16 converts a number that float16 holds exactly and that isn't subnormal there.
func toFloat16(v float64) uint16 {
	bits := math.Float64bits(v)
	sign := uint16(bits>>63) << 15
	if v == 0 {
		return sign
	}
	exponent := int(bits>>52&0x7ff) - 1023 + 15
	return sign | uint16(exponent)<<10 | uint16(bits>>42&0x3ff)
}
