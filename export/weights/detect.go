package weights

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
)

// headSize is how much of a file's beginning tells its format, unless it is a protobuf.
const headSize = 4 << 10

// legacyMagic begins a file of torch.save's older format: the pickle of the number 0x1950a86a20f9469cfc6c.
const legacyMagic = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."

// otherFiles are files that come in place of weights: what they have at a place, text in lower case, with what to say of them.
var otherFiles = []struct {
	at            int
	mark, problem string
}{
	{0, "<!doctype", "it is an HTML page, not weights: fetch the file itself, not the page that shows it"},
	{0, "<html", "it is an HTML page, not weights: fetch the file itself, not the page that shows it"},
	{0, "version https://git-lfs", "it is a git-lfs pointer, not weights: run `git lfs pull` in its repository"},
	{0, "\x1f\x8b", "it is compressed with gzip: decompress it first"},
	{0, "\x89HDF\r\n", "it is an HDF5 file (Keras, or Caffe's .caffemodel.h5): want PyTorch's .pth, .safetensors or .caffemodel"},
	{0, "\x93NUMPY", "it is a NumPy array: want a network's weights with their names, such as .safetensors"},
	{4, "TFL3", "it is a TensorFlow Lite model: want the weights that one is made of"},
	{0, "\x80", "it is a Python pickle, but not one that torch.save(model.state_dict(), …) wrote with pickle protocol 2"},
}

// prototxt finds a layer in the text that describes a Caffe network.
var prototxt = regexp.MustCompile(`(?m)^[ \t]*layers?[ \t]*\{`)

// detect tells the format from the first bytes, or what the file is instead.
func detect(r io.ReaderAt, size int64) (string, error) {
	if size == 0 {
		return "", errors.New("the file is empty")
	}
	if size > maxFile {
		return "", fmt.Errorf("the file has %d bytes, want at most %d", size, maxFile)
	}
	head := make([]byte, min(size, headSize))
	if err := readFull(r, head, 0); err != nil {
		return "", err
	}
	switch {
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return formatZip, nil
	case bytes.HasPrefix(head, []byte(legacyMagic)):
		return formatLegacy, nil
	case len(head) > 8 && head[8] == '{' && binary.LittleEndian.Uint64(head) <= maxFile:
		return formatSafetensors, nil
	}
	text := bytes.ToLower(bytes.TrimLeft(head, "\xef\xbb\xbf \t\r\n"))
	for _, other := range otherFiles {
		if bytes.HasPrefix(head[min(other.at, len(head)):], []byte(other.mark)) || bytes.HasPrefix(text, []byte(other.mark)) {
			return "", errors.New(other.problem)
		}
	}
	const tarMagicAt = 257
	if len(head) > tarMagicAt && bytes.HasPrefix(head[tarMagicAt:], []byte("ustar")) {
		return "", errors.New(describeTar(r, size))
	}
	p := newProtobuf(r, size)
	if isCaffe(p) {
		return formatCaffe, nil
	}
	if problem := describeProtobuf(p); problem != "" {
		return "", errors.New(problem)
	}
	if prototxt.Match(head) {
		return "", errors.New("it is the text that describes a Caffe network (.prototxt), without weights: want its .caffemodel")
	}
	return "", errors.New("it is none of the formats that are read: PyTorch's .pth (zip or legacy), .safetensors and Caffe's .caffemodel")
}

// describeTar says what a tar file is: torch.save wrote one until 2017.
func describeTar(r io.ReaderAt, size int64) string {
	archive := tar.NewReader(io.NewSectionReader(&limitedReaderAt{r, 64 << 10}, 0, size))
	for range 8 {
		header, err := archive.Next()
		if err != nil {
			break // whatever is wrong with it, it is a tar file
		}
		if slices.Contains([]string{"sys_info", "tensors", "storages"}, header.Name) {
			return "it is of torch.save's first format, a tar file (PyTorch 0.1): load and save it again with a current PyTorch " +
				"(torch.load with weights_only=False runs code from the file: do it only if you trust where that comes from)"
		}
	}
	return "it is a tar archive: unpack it, and give the weights file in it"
}

// describeProtobuf says what a protobuf that isn't a Caffe network is; "" if it can't be told.
func describeProtobuf(p *protobuf) string {
	var head []field
	for f, err := range p.fields(0, p.size) {
		if err != nil || len(head) == 32 {
			break
		}
		head = append(head, f)
	}
	has := func(number, wire uint64) bool {
		return slices.ContainsFunc(head, func(f field) bool { return f.number == number && f.wire == wire })
	}
	if len(head) < 2 || head[0].number != 1 {
		return ""
	}
	node := &layerFormat{name: 1, kind: 2} // a NodeDef's name and operator
	switch {
	case head[0].wire == wireVarint && has(7, wireBytes): // ir_version, graph
		return "it is an ONNX model: want the PyTorch or Caffe weights that it was made of"
	case head[0].wire == wireVarint && head[0].value == 1 && head[1].number == 2 && head[1].wire == wireBytes: // version, meta_graphs
		return "it is a TensorFlow SavedModel: want PyTorch's .pth, .safetensors or Caffe's .caffemodel"
	case head[0].wire == wireBytes && p.named(head[0], node):
		return "it is a TensorFlow graph: want PyTorch's .pth, .safetensors or Caffe's .caffemodel"
	}
	return ""
}

// readFull fills buf with the bytes at offset at; a file that ends before is an error.
func readFull(r io.ReaderAt, buf []byte, at int64) error {
	n, err := r.ReadAt(buf, at)
	if n == len(buf) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("the file ends at byte %d, want %d bytes more: it is cut off", at+int64(n), len(buf)-n)
	}
	return err
}
