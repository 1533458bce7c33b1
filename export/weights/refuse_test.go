package weights

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
)

// safetensors writes a file with a header and n bytes of values.
func safetensors(header string, n int) []byte {
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(out, header...), make([]byte, n)...)
}

// wantError reads a file that must be refused.
func wantError(t *testing.T, name string, data []byte, want string) {
	t.Helper()
	_, err := readBytes(data)
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: error %v, want one with %q", name, err, want)
	}
}

func TestOtherFiles(t *testing.T) {
	for _, test := range []struct{ name, data, want string }{
		{"empty", "", "the file is empty"},
		{"web page", "\n<!DOCTYPE html><html><body>Sign in</body></html>", "HTML page"},
		{"bare web page", "<HTML>", "HTML page"},
		{"pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 52147035\n", "git-lfs pointer"},
		{"gzip", "\x1f\x8b\x08\x00", "compressed with gzip"},
		{"HDF5", "\x89HDF\r\n\x1a\n", "HDF5"},
		{"pickle", "\x80\x04\x95\x0c\x00", "a Python pickle, but not one that torch.save"},
		{"text", "hello, this is text", "none of the formats"},
		{"short", "ab", "none of the formats"},
		{"zip without data.pkl", string(writeZip(t, "a/", []zipEntry{{name: "readme", data: []byte("hi")}})), "zip file without a data.pkl"},
		{"zip's beginning", "PK\x03\x04", "is the file cut off?"},
	} {
		wantError(t, test.name, []byte(test.data), test.want)
	}
}

func TestZipRefusals(t *testing.T) {
	c := one("fc.bias")
	replace := func(name string, e zipEntry) func([]zipEntry) []zipEntry {
		return func(entries []zipEntry) []zipEntry {
			for i := range entries {
				if entries[i].name == name {
					entries[i] = e
				}
			}
			return entries
		}
	}
	for _, test := range []struct {
		name   string
		change func([]zipEntry) []zipEntry
		want   string
	}{
		{"TorchScript", func(e []zipEntry) []zipEntry {
			return append(e, zipEntry{name: "constants.pkl"}, zipEntry{name: "code/__torch__.py"})
		}, "it is a TorchScript archive; save model.state_dict() instead"},
		{"byte order", replace("byteorder", zipEntry{name: "byteorder", data: []byte("big")}), `byte order is "big"`},
		{"long byte order", replace("byteorder", zipEntry{name: "byteorder", data: make([]byte, 99)}), "has 99 bytes, want at most 16"},
		{"compressed pickle", replace("data.pkl", zipEntry{name: "data.pkl", data: make([]byte, 99), deflated: true}), `entry "data.pkl" is compressed`},
		{"compressed storage", replace("data/0", zipEntry{name: "data/0", data: make([]byte, 12), deflated: true}), `entry "data/0" is compressed`},
		{"zip bomb", replace("data/0", zipEntry{name: "data/0", data: make([]byte, 1<<20), deflated: true}), "claim more than its"},
		{"missing storage", replace("data/0", zipEntry{name: "data/1", data: make([]byte, 12)}), `no entry "data/0"`},
		{"short storage", replace("data/0", zipEntry{name: "data/0", data: make([]byte, 8)}), `storage "0" has 8 bytes, want 3 elements of float32`},
		{"twice", func(e []zipEntry) []zipEntry { return append(e, zipEntry{name: "byteorder"}) }, `entry "archive/byteorder" twice`},
		{"long pickle", replace("data.pkl", zipEntry{name: "data.pkl", data: make([]byte, maxPickle+1)}), "want at most 4194304"},
	} {
		wantError(t, test.name, saveZip(t, c, test.change), test.want)
	}
	data := saveZip(t, c, nil)
	at := bytes.Index(data, c.storages["0"])
	data[at] ^= 1
	wantError(t, "damaged", data, "the file is damaged")

	data = saveZip(t, c, nil)
	const nameAt, offsetAt = 46, 42 // in an entry of the directory, which has the names for the second time
	entry := bytes.LastIndex(data, []byte("archive/data/0")) - nameAt
	binary.LittleEndian.PutUint32(data[entry+offsetAt:], uint32(len(data)-40))
	wantError(t, "place", data, `read zip entry "data/0"`)
}

func TestLegacyRefusals(t *testing.T) {
	data := saveLegacy(one("fc.bias"))
	for _, test := range []struct{ name, old, new, want string }{
		{"protocol version", "M\xe9\x03.", "M\xea\x03.", "the protocol version is 1002, want 1001"},
		{"big endian", "little_endianq\x01\x88", "little_endianq\x01\x89", "byte order is big"},
		{"system", "}(X\x10\x00\x00\x00protocol_version", "](X\x10\x00\x00\x00protocol_version", "stored in a list"},
		{"view", "K\x03NtQ", "K\x03K\x01tQ", "is a view of another one"},
		{"key", "](X\x01\x00\x00\x000", "](X\x01\x00\x00\x009", `storage "9" is listed twice or never used`},
		{"key's type", "](X\x01\x00\x00\x000q\x00", "](K\x00", "a storage key is an int"},
		{"no keys", "](X\x01\x00\x00\x000q\x00e.", "].", "want a list of the 1 storages in use"},
		{"count", "\x03\x00\x00\x00\x00\x00\x00\x00", "\x04\x00\x00\x00\x00\x00\x00\x00", `storage "0" has 4 elements, want 3`},
		{"size", "K\x03NtQ", "J\xff\xff\xff\x7fNtQ", "the file has"},
		{"negative size", "K\x03NtQ", "J\xff\xff\xff\xffNtQ", "an int -1 as its size"},
		{"huge size", "K\x03NtQ", "\x8a\x08\x01\x00\x00\x00\x00\x00\x00\x40NtQ", "it is cut off"},
	} {
		changed := bytes.Replace(data, []byte(test.old), []byte(test.new), 1)
		if bytes.Equal(changed, data) {
			t.Errorf("%s: the file has no %q", test.name, test.old)
		}
		wantError(t, test.name, changed, test.want)
	}
}

// TestGlobals unpickles names, allowed and not.
func TestGlobals(t *testing.T) {
	for _, test := range []struct{ code, want string }{
		{"cos\nsystem\n(X\x02\x00\x00\x00lstR.", `unpickle data.pkl: global "os.system" is not allowed in a weights file`},
		{"cbuiltins\neval\n.", `global "builtins.eval" is not allowed`},
		{"ctorch._utils\n_rebuild_tensor_v2.__globals__\n.", "is not allowed"},
		{"ctorchvision.models.googlenet\nGoogLeNet\n)\x81.",
			"it holds a whole module (torchvision.models.googlenet.GoogLeNet), not a state dict: save model.state_dict()"},
		{"ctorch.nn.parallel.data_parallel\nDataParallel\n.", "holds a whole module"},
		{"ctorch.FloatStorage\n.", "the pickle ends too early"},
		{"c" + strings.Repeat("a", maxGlobal) + "\nb\n.", "a name is longer than 256 bytes"},
		{"ctorch\nFloatStorage\n)R.", `"torch.FloatStorage" is called, but is no function`},
		{"ccollections\nOrderedDict\n)\x81.", `"collections.OrderedDict" is made`},
		{"ccollections\nOrderedDict\nNR.", "arguments are None, want a tuple"},
		{"N)R.", "None is called"},
		{"ccollections\nOrderedDict\nN\x85R.", "1 arguments, the first None"},
		{"ccollections\nOrderedDict\n]Na\x85R.", "an item is None, want a list of key and value"},
		{"ctorch._utils\n_rebuild_tensor_v2\n)R.", "0 arguments, want 4 to 7"},
		{"ctorch._utils\n_rebuild_tensor_v2\n(NK\x00))tR.", "the storage is None"},
		{"ctorch._utils\n_rebuild_parameter\n(NNNtR.", "the parameter is None"},
		{"ctorch._utils\n_rebuild_tensor_v3\n)R.", "0 arguments, want 7 or 8"},
	} {
		data := writeZip(t, "m/", []zipEntry{{name: "data.pkl", data: []byte("\x80\x02" + test.code)}})
		wantError(t, fmt.Sprintf("%q", test.code), data, test.want)
	}
}

// TestMachine runs pickles that a machine can't.
func TestMachine(t *testing.T) {
	for _, test := range []struct{ code, want string }{
		{"", "ends too early"},
		{".", "the stack is empty"},
		{"\x80\x04.", "pickle protocol is 4, want 2"},
		{"\x80", "ends too early"},
		{"\x95.", "instruction 0x95 is not allowed in a weights file (byte 0)"},
		{"0", "instruction 0x30 is not allowed"},
		{"i", "instruction 0x69 is not allowed"},
		{"(.", "the stack is empty"},
		{"N(.", "the stack is empty"},
		{"N(\x85.", "the stack is empty"},
		{"N\x86.", "the stack is empty"},
		{"NN\x87.", "the stack is empty"},
		{"t.", "there is no mark"},
		{"e.", "there is no mark"},
		{"u.", "there is no mark"},
		{"a.", "the stack is empty"},
		{"Na.", "the stack is empty"},
		{"NNa.", "an item is appended to None"},
		{"Ns.", "the stack is empty"},
		{"NNNs.", "stored in None"},
		{"}(Nu.", "1 keys and values"},
		{"NNb.", "attributes are set on None"},
		{"h\x07.", "memo 7 is read before it is written"},
		{"j\x07\x00\x00\x00.", "memo 7"},
		{"q\x00.", "the stack is empty"},
		{"NQ.", "a persistent id is None"},
		{")Q.", "where none is allowed"},
		{"X\xff\xff\xff\xffa.", "a string has 4294967295 bytes, want at most"},
		{"X\x02\x00\x00\x00\xff\xff.", "is not UTF-8"},
		{"U\x05abc", "ends too early"},
		{"G\x00", "ends too early"},
		{"K", "ends too early"},
		{"M\x00", "ends too early"},
		{"J\x00", "ends too early"},
		{"\x8a\x02\x00", "ends too early"},
		{"X\x00", "ends too early"},
		{strings.Repeat("N", maxSteps+1) + ".", "more than 524288 steps"},
	} {
		_, _, err := unpickle([]byte(test.code), nil)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%.40q: error %v, want one with %q", test.code, err, test.want)
		}
	}
	for _, test := range []struct {
		code string
		want any
	}{
		{"N.", nil},
		{"\x88.", true},
		{"K\xff.", int64(255)},
		{"M\xff\xff.", int64(65535)},
		{"J\xff\xff\xff\xff.", int64(-1)},
		{"\x8a\x00.", int64(0)},
		{"\x8a\x01\xfe.", int64(-2)},
		{"\x8a\x02\x00\x80.", int64(-32768)},
		{"\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80.", int64(-1 << 63)},
		{"\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01.", dropped{}},
		{"G\xbf\xf8\x00\x00\x00\x00\x00\x00.", -1.5},
		{"X\x02\x00\x00\x00\xc3\xa9.", "é"},
		{"U\x02\xff\xff.", "\xff\xff"},
		{"ccollections\nCounter\n}\x85R.", dropped{}},
		{"ctorch\nSize\n(K\x02K\x03t\x85R.", dropped{}},
		{"ctorch\ndevice\nX\x04\x00\x00\x00cuda\x85R.", dropped{}},
		{"cargparse\nNamespace\n)\x81}b.", dropped{}},
	} {
		value, n, err := unpickle([]byte(test.code), nil)
		if err != nil || value != test.want || n != len(test.code) {
			t.Errorf("%q: %v, %d bytes, error %v, want %v", test.code, value, n, err, test.want)
		}
	}
}

// TestRebuildArguments calls the functions that rebuild a tensor with wrong arguments, behind a right storage and offset.
func TestRebuildArguments(t *testing.T) {
	store := typedStorage{&storage{size: 12}, float32Type}
	shape, stride := tuple{int64(3)}, tuple{int64(1)}
	full := &dict{items: []pair{{"neg", true}}}
	for _, test := range []struct {
		call func(*machine, tuple) (any, error)
		args tuple
		want string // "" for no error
	}{
		{rebuildTensor, tuple{shape, stride}, ""},
		{rebuildTensor, tuple{shape, stride, true, nil, nil}, ""},
		{rebuildTensor, tuple{shape, stride, true, nil, &dict{}}, ""},
		{rebuildTensor, tuple{shape, stride, true, nil, full}, "lazily negated"},
		{rebuildTensor, tuple{shape, stride, true, nil, false}, "lazily negated"},
		{rebuildTensor, tuple{&list{}, stride}, "size is a list, want a tuple"},
		{rebuildTensor, tuple{shape, full}, "stride is a dict, want a tuple"},
		{rebuildTensor, tuple{tuple{1.0}, stride}, "size 0 is not an int"},
		{rebuildTensor, tuple{tuple{true}, stride}, "size 0 is not an int"},
		{rebuildTensorV3, tuple{shape, stride, true, nil, globals["torch.float16"]}, ""},
		{rebuildTensorV3, tuple{shape, stride, true, nil, globals["torch.float16"], full}, "lazily negated"},
		{rebuildTensorV3, tuple{shape, stride, true, nil, "float16"}, "the element type is a string"},
		{rebuildTensorV3, tuple{shape, stride, true, nil, globals["torch.Size"]}, "the element type is torch.Size"},
	} {
		_, err := test.call(nil, append(tuple{store, int64(0)}, test.args...))
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("arguments %v: error %v, want %q", test.args, err, test.want)
		}
	}
}

// TestStorageIDs refuses persistent ids that name no storage.
func TestStorageIDs(t *testing.T) {
	float := globals["torch.FloatStorage"]
	for _, test := range []struct {
		id   tuple
		want string
	}{
		{tuple{}, "has 0 parts, want 5"},
		{tuple{"module", float, "0", "cpu", int64(3)}, `the first is "storage"`},
		{tuple{"storage", "FloatStorage", "0", "cpu", int64(3)}, "class is a string"},
		{tuple{"storage", globals["torch.Size"], "0", "cpu", int64(3)}, "class is torch.Size"},
		{tuple{"storage", float, int64(0), "cpu", int64(3)}, "key is an int"},
		{tuple{"storage", float, "0", "cpu", 3.5}, "has a float 3.5 as its size"},
		{tuple{"storage", float, "0", "cpu", int64(-3)}, "has an int -3 as its size"},
	} {
		if _, _, _, err := storageID(test.id, 5); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: error %v, want one with %q", test.id, err, test.want)
		}
	}
}

// TestBounds saves tensors that do not fit their storage of 3 elements.
func TestBounds(t *testing.T) {
	const huge = 1 << 30
	for _, test := range []struct {
		name          string
		offset        int64
		shape, stride []int64
		want          string
	}{
		{"offset", 3, []int64{1}, []int64{1}, "reaches beyond the 3 elements"},
		{"end", 1, []int64{3}, []int64{1}, "reaches beyond the 3 elements"},
		{"stride", 0, []int64{2}, []int64{3}, "reaches beyond the 3 elements"},
		{"strides together", 1, []int64{2, 1, 2}, []int64{1, 5, 1}, "more elements than the 3"},
		{"scalar", 3, nil, nil, "reaches beyond the 3 elements"},
		{"huge offset", 1<<63 - 1, []int64{2}, []int64{1}, "reaches beyond the 3 elements"},
		{"huge stride", 2, []int64{3}, []int64{huge}, "reaches beyond the 3 elements"},
		{"huge shape", 0, []int64{huge, huge, huge}, []int64{0, 0, 0}, "more elements than the 3"},
		{"product over 64 bits", 0, []int64{huge, huge, huge, huge, huge, huge, huge, huge}, make([]int64, 8), "more elements than the 3"},
		{"too many elements", 0, []int64{4}, []int64{0}, "more elements than the 3"},
		{"negative offset", -1, []int64{1}, []int64{1}, "want an int from 0"},
		{"negative stride", 2, []int64{3}, []int64{-1}, "stride 0 is not an int from 0"},
		{"negative shape", 0, []int64{-3}, []int64{1}, "size 0 is not an int from 0"},
		{"dimensions", 0, []int64{1, 1, 1, 1, 1, 1, 1, 1, 1}, make([]int64, 9), "want at most 8"},
		{"missing stride", 0, []int64{1, 3}, []int64{1}, "size has 2 dimensions, stride has 1"},
	} {
		c := one("fc.bias")
		c.tensors[0].offset, c.tensors[0].shape, c.tensors[0].stride = test.offset, test.shape, test.stride
		wantError(t, test.name+", zip", saveZip(t, c, nil), test.want)
		wantError(t, test.name+", legacy", saveLegacy(c), test.want)
	}
}

func TestStateDictRefusals(t *testing.T) {
	twice := one("fc.bias")
	twice.tensors = append(twice.tensors, twice.tensors[0])
	long := one(strings.Repeat("a", maxName+1))
	other := one("fc.bias")
	other.wrapper = "net"
	for _, test := range []struct {
		name string
		c    checkpoint
		want string
	}{
		{"twice", twice, `tensor "fc.bias" is there twice`},
		{"long name", long, "name has 1025 bytes, want at most 1024"},
		{"other wrapper", other, `entry "epoch" is an int, want a tensor: want a state dict, or a dict that has one under "state_dict"`},
		{"no tensors", checkpoint{}, "it holds no tensors"},
	} {
		wantError(t, test.name, saveZip(t, test.c, nil), test.want)
	}
	for code, want := range map[string]string{
		"].":     "it holds a list, want a state dict",
		"}NNs.":  "a key of the state dict is None",
		"}K\x01": "the pickle ends too early",
		"}(" + strings.Repeat("NN", maxTensors+1) + "u.": "the state dict has 16385 entries, want at most 16384",
		"}q\x00(X\x05\x00\x00\x00modelh\x00u.":           "under more than 3 dicts", // a dict that holds itself
	} {
		data := writeZip(t, "m/", []zipEntry{{name: "data.pkl", data: []byte("\x80\x02" + code)}})
		wantError(t, fmt.Sprintf("%.40q", code), data, want)
	}
}

func TestSafetensors(t *testing.T) {
	header := `{"__metadata__":{"format":"pt"},
		"b":{"dtype":"F16","shape":[2,1],"data_offsets":[4,8]},
		"a":{"shape":[],"dtype":"F32","data_offsets":[0,4]},
		"n":{"dtype":"I64","shape":[],"data_offsets":[20,28]},
		"e":{"dtype":"F64","shape":[1],"data_offsets":[8,16]},
		"q":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[16,20]},
		"z":{"dtype":"F32","shape":[2,0],"data_offsets":[20,20]}}   `
	file := safetensors(header, 28)
	values := file[len(file)-28:]
	copy(values, counting("FloatStorage", 1))
	copy(values[4:], counting("HalfStorage", 2))
	copy(values[8:], counting("DoubleStorage", 1))
	set := mustRead(t, file)
	for name, want := range map[string]string{"a": "[] [-3]", "b": "[2 1] [-3 -2]", "e": "[1] [-3]", "z": "[2 0] []"} {
		have, err := set.Tensor(name)
		if err != nil || fmt.Sprint(have.Shape, have.Data) != want {
			t.Errorf("%s is %v %v, error %v, want %s", name, have.Shape, have.Data, err, want)
		}
	}
	for name, want := range map[string]string{"n": "its type is int64", "q": "its type is F8_E4M3"} {
		if _, err := set.Tensor(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Tensor(%q): error %v, want one with %q", name, err, want)
		}
	}
}

func TestSafetensorsRefusals(t *testing.T) {
	tensor := func(name, dtype, shape, offsets string) string {
		return fmt.Sprintf(`%q:{"dtype":%q,"shape":%s,"data_offsets":%s}`, name, dtype, shape, offsets)
	}
	a := tensor("a", "F32", "[1]", "[0,4]")
	for _, test := range []struct{ name, header, want string }{
		{"bad JSON", `{"a":}`, "invalid character"},
		{"comma", `{` + a + `,}`, "invalid character"},
		{"behind", `{` + a + `}x`, "behind the JSON object"},
		{"twice", `{` + a + `,` + a + `}`, `key "a" is there twice`},
		{"metadata twice", `{"__metadata__":{},"__metadata__":{}}`, `key "__metadata__" is there twice`},
		{"twice inside", `{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, `key "dtype" is there twice`},
		{"unknown key", `{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}}`, `unknown key "x"`},
		{"missing key", `{"a":{"dtype":"F32","shape":[1]}}`, "want dtype, shape and two data_offsets"},
		{"list", `{"a":[]}`, "want a JSON object"},
		{"fraction", `{` + tensor("a", "F32", "[1.5]", "[0,4]") + `}`, "cannot unmarshal"},
		{"negative", `{` + tensor("a", "F32", "[-1]", "[0,4]") + `}`, "want dimensions from 0"},
		{"huge", `{` + tensor("a", "F32", "[1073741824,1073741824,1073741824]", "[0,4]") + `}`, "needs another number"},
		{"dimensions", `{` + tensor("a", "F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]") + `}`, "9 dimensions, want at most 8"},
		{"length", `{` + tensor("a", "F32", "[2]", "[0,4]") + `}`, "4 bytes are stored, shape [2] of float32 needs another number"},
		{"backwards", `{` + tensor("a", "F32", "[1]", "[4,0]") + `}`, "want 0 <= begin <= end"},
		{"cut off", `{` + a + `,` + tensor("b", "F32", "[1000]", "[4,4004]") + `}`, `tensor "b" ends at byte`},
		{"overlap", `{` + a + `,` + tensor("b", "F32", "[1]", "[2,6]") + `}`, `tensors "a" and "b" overlap`},
		{"same place", `{` + a + `,` + tensor("b", "F32", "[1]", "[0,4]") + `}`, `tensors "a" and "b" overlap`},
		{"gap", `{` + a + `,` + tensor("b", "F32", "[1]", "[6,10]") + `}`, `2 bytes before tensor "b" belong to no tensor`},
		{"rest", `{` + a + `}`, "8 bytes behind the last tensor belong to no tensor"},
		{"long", `{"a":{"shape":[` + strings.Repeat("1,", maxDescription) + `1]}}`, "want at most 4096"},
	} {
		wantError(t, test.name, safetensors(test.header, 12), test.want)
	}
	wantError(t, "empty object", safetensors("{}", 0), "it holds no tensors")
	long := binary.LittleEndian.AppendUint64(nil, maxHeader+1)
	wantError(t, "header length", append(long, "{}        "...), "want at most 16777216")
	short := binary.LittleEndian.AppendUint64(nil, 1000)
	wantError(t, "cut header", append(short, "{}        "...), "has 1000 bytes, the file 18: it is cut off")
}
