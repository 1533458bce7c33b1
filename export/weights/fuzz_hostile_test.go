package weights

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestInstructionsAllowed names the instructions that a pickle may have. They push constants, build tuples, lists and dicts, and call
// what TestGlobals allows; all others are refused before they do anything: INST, OBJ, STACK_GLOBAL, NEWOBJ_EX and EXT1, with which
// Python makes objects of any class, and those of later protocols, among them FRAME.
func TestInstructionsAllowed(t *testing.T) {
	const allowed = "\x80N\x88\x89KMJ\x8aGXU)]}(t\x85\x86\x87aesuqrhjcR\x81bQ."
	for code := range 256 {
		data := []byte{byte(code), 'x', '\n', 'y', '\n', 0, 0, 0, 0, 0, 0, 0, 0}
		_, _, err := unpickle(data, nil)
		want := fmt.Sprintf("instruction 0x%02x is not allowed in a weights file (byte 0)", code)
		refused := err != nil && strings.Contains(err.Error(), want)
		if ok := strings.IndexByte(allowed, byte(code)) >= 0; refused == ok {
			t.Errorf("instruction 0x%02x: have error %v, allowed is %v", code, err, ok)
		}
	}
	for name := range globals {
		if module, _, ok := strings.Cut(name, "."); name != "argparse.Namespace" && (!ok || module != "torch" && module != "collections") {
			t.Errorf("%q may be named, which is none of torch's or collections'", name)
		}
	}
}

// TestPickleRunsNothing opens files that have Python's pickle run a command, in every way in which it does, and in every place of a file
// that has a pickle. None is opened, and none runs it.
func TestPickleRunsNothing(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "ran")
	command := "touch " + mark
	text := fmt.Sprintf("U%c%s", len(command), command)
	long := "X" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(command)))) + command
	for name, code := range map[string]string{
		"REDUCE":          "cos\nsystem\n" + text + "\x85R.",
		"REDUCE of posix": "cposix\nsystem\n(" + long + "tR.",
		"subprocess":      "csubprocess\ncheck_call\n((" + text + "ltR.",
		"eval":            "cbuiltins\neval\n(" + text + "tR.",
		"python 2":        "c__builtin__\nexec\n(" + text + "tR.",
		"INST":            "(" + text + "ios\nsystem\n.",
		"OBJ":             "(cos\nsystem\n" + text + "o.",
		"NEWOBJ":          "cos\nsystem\n" + text + "\x85\x81.",
		"NEWOBJ_EX":       "cos\nsystem\n" + text + "\x85}\x92.",
		"STACK_GLOBAL":    "U\x02osU\x06system\x93" + text + "\x85R.",
		"EXT1":            "\x82\x01" + text + "\x85R.",
		"BUILD":           "ccollections\nOrderedDict\n)R}U\x0c__setstate__cos\nsystem\nsb" + text + "b.",
		"attribute":       "ccollections\nOrderedDict.__init__.__globals__\n.",
		"getattr":         "cbuiltins\ngetattr\n(cos\nU\x06systemtR" + text + "\x85R.",
		"torch's own":     "ctorch.hub\nload\n" + text + "\x85R.",
		"rebuild":         "ctorch._utils\n_rebuild_tensor_v2\n(cos\nsystem\nK\x00))\x89NtR.",
		"persistent id":   "cos\nsystem\n" + text + "\x85RQ.",
		"memo":            "cos\nsystem\nq\x000h\x00" + text + "\x85R.",
		"within a dict":   "}U\x01acos\nsystem\n" + text + "\x85Rs.",
	} {
		pickle := []byte("\x80\x02" + code)
		files := map[string][]byte{"data.pkl": writeZip(t, "m/", []zipEntry{{name: "data.pkl", data: pickle}})}
		legacy := saveLegacy(one("fc.bias"))
		// The legacy format has pickles behind one another: a number, the version, the system, the dict, the keys.
		for i, at := range pickleStarts(t, legacy) {
			files[fmt.Sprint("legacy ", i)] = append(legacy[:at:at], pickle...)
		}
		for place, data := range files {
			if set, err := readBytes(data); err == nil {
				t.Errorf("%s in %s: opened, with %v", name, place, set.Names())
			} else if strings.ContainsAny(err.Error(), "\n\x00\x1b") {
				t.Errorf("%s in %s: have error %q", name, place, err)
			}
		}
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("the command ran")
	}
}

// pickleStarts finds where a legacy file's pickles begin: each with its protocol, the first at 0.
func pickleStarts(t *testing.T, data []byte) []int {
	t.Helper()
	var at []int
	for i := range data {
		if bytes.HasPrefix(data[i:], []byte("\x80\x02")) && (i == 0 || data[i-1] == '.') {
			at = append(at, i)
		}
	}
	if len(at) < 4 {
		t.Fatalf("have %d pickles in a legacy file, want at least 4", len(at))
	}
	return at
}

// TestHostileSizes opens small files that claim to be large, or to go deep: each is refused, with less than 4 MiB of memory taken in all.
func TestHostileSizes(t *testing.T) {
	const bound = 4 << 20
	if raceDetector {
		t.Skip("the race detector changes allocations")
	}
	header := func(n uint64) []byte {
		return append(binary.LittleEndian.AppendUint64(nil, n), `{"a":{"dtype":"F32"`...)
	}
	nested := oneLayer()
	for range 2000 {
		nested = message(nil).text(1, "n").bytes(2, nested)
	}
	zip64 := saveZip(t, one("fc.bias"), nil)
	const nameAt, sizeAt = 46, 20 // in an entry of the directory: the compressed size, and behind it the other
	for entry := bytes.Index(zip64, []byte("PK\x01\x02")); entry >= 0 && entry+nameAt < len(zip64); {
		binary.LittleEndian.PutUint32(zip64[entry+sizeAt:], 0xfffffffe)
		binary.LittleEndian.PutUint32(zip64[entry+sizeAt+4:], 0xfffffffe)
		next := bytes.Index(zip64[entry+4:], []byte("PK\x01\x02"))
		if next < 0 {
			break
		}
		entry += 4 + next
	}
	directory := saveZip(t, one("fc.bias"), nil)
	end := bytes.LastIndex(directory, []byte("PK\x05\x06"))
	binary.LittleEndian.PutUint16(directory[end+8:], 0xfffe)
	binary.LittleEndian.PutUint16(directory[end+10:], 0xfffe)
	storage := bytes.Replace(saveLegacy(one("fc.bias")), []byte("K\x03NtQ"), []byte("\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7fNtQ"), 1)
	pickled := func(code string) []byte {
		return writeZip(t, "m/", []zipEntry{{name: "data.pkl", data: []byte("\x80\x02" + code)}})
	}
	for name, data := range map[string][]byte{
		"safetensors header of 2^63":   header(1 << 63),
		"safetensors header of 2^64-1": header(1<<64 - 1),
		"safetensors header of 1 GB":   header(1 << 30),
		"safetensors header, deep":     safetensors(strings.Repeat(`{"a":`, 20_000), 0),
		"safetensors list, deep":       safetensors(`{"a":{"shape":`+strings.Repeat("[", 20_000), 0),
		"zip entries of 4 GB":          zip64,
		"zip with 65534 entries":       directory,
		"legacy storage of 2^63-1":     storage,
		"pickled string of 4 GB":       pickled("X\xff\xff\xff\xff"),
		"pickled integer of 255 bytes": pickled("\x8a\xff" + strings.Repeat("x", 255) + "."),
		"pickled tuples, deep":         pickled(strings.Repeat("(", 50_000) + strings.Repeat("t", 50_000) + "."),
		"pickled memo of 2^32-1":       pickled("Nr\xff\xff\xff\xff0j\xff\xff\xff\xff."),
		"caffe layers, deep":           nested,
		"caffe blob of 2^40 values":    inLayer(claim(6, 1<<40)),
		"caffe length of 2^63":         append(oneLayer(), 0xa2, 6, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := readBytes(data)
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("%s: opened", name)
		} else if strings.ContainsAny(err.Error(), "\n\x00\x1b") || len(err.Error()) > 2000 {
			t.Errorf("%s: have error %q", name, err)
		}
		if taken := after.TotalAlloc - before.TotalAlloc; taken > bound {
			t.Errorf("%s: %d bytes were allocated, want at most %d for a file of %d: %v", name, taken, bound, len(data), err)
		}
	}
}
