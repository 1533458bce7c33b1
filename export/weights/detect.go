package weights

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// headSize is how much of a file's beginning tells its format.
const headSize = 64

// legacyMagic begins a file of torch.save's older format: the pickle of the number 0x1950a86a20f9469cfc6c.
const legacyMagic = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."

// otherFiles are beginnings of files that come in place of weights, text in lower case, with what to say of them.
var otherFiles = []struct{ head, problem string }{
	{"<!doctype", "it is an HTML page, not weights: fetch the file itself, not the page that shows it"},
	{"<html", "it is an HTML page, not weights: fetch the file itself, not the page that shows it"},
	{"version https://git-lfs", "it is a git-lfs pointer, not weights: run `git lfs pull` in its repository"},
	{"\x1f\x8b", "it is compressed with gzip: decompress it first"},
	{"\x89HDF\r\n", "it is an HDF5 file (Keras): want a PyTorch state dict or safetensors"},
	{"\x80", "it is a Python pickle, but not one that torch.save(model.state_dict(), …) wrote with pickle protocol 2"},
}

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
		if bytes.HasPrefix(head, []byte(other.head)) || bytes.HasPrefix(text, []byte(other.head)) {
			return "", errors.New(other.problem)
		}
	}
	return "", errors.New("it is none of the formats that are read: PyTorch's .pth (zip or legacy) and .safetensors")
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
