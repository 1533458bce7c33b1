package weights

import (
	"archive/zip"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
)

// maxDirectory is how many bytes archive/zip may read for the list of a zip file's entries. A GoogLeNet's is 37 KB.
const maxDirectory = 4 << 20

// A torchZip is a file of torch.save's zip format. Its entries lie in one folder, whose name varies: data.pkl, the pickled
// object; data/KEY, the bytes of the storage KEY; byteorder and others. All entries are stored, not compressed, so a
// tensor's values can be read from the file directly.
type torchZip struct {
	file     io.ReaderAt
	size     int64
	entries  map[string]*zip.File // by name within the folder
	storages map[string]*storage  // of data/KEY, by KEY; none until used
	buf      []byte               // for checksums
}

// readZip lists the tensors of a file in torch.save's zip format.
func readZip(r io.ReaderAt, size int64) (map[string]*layout, error) {
	z, err := newTorchZip(r, size)
	if err != nil {
		return nil, err
	}
	if _, ok := z.entries["constants.pkl"]; ok {
		return nil, errors.New("it is a TorchScript archive; save model.state_dict() instead")
	}
	if _, ok := z.entries["byteorder"]; ok {
		order, err := z.contents("byteorder", 16)
		if err != nil {
			return nil, err
		}
		if string(order) != "little" {
			return nil, fmt.Errorf("its byte order is %q, want little", order)
		}
	}
	code, err := z.contents("data.pkl", maxPickle)
	if err != nil {
		return nil, err
	}
	value, _, err := unpickle(code, z.persistent)
	if err != nil {
		return nil, fmt.Errorf("unpickle data.pkl: %w", err)
	}
	layouts, err := stateDict(value)
	if err != nil {
		return nil, err
	}
	return plainNames(layouts)
}

// newTorchZip reads the list of entries. Entries are stored once each: their sizes can't add up to more than the file.
func newTorchZip(r io.ReaderAt, size int64) (*torchZip, error) {
	archive, err := zip.NewReader(&limitedReaderAt{r, maxDirectory}, size)
	if errors.Is(err, zip.ErrFormat) {
		return nil, fmt.Errorf("read the zip file's directory, which is at its end: %w: is the file cut off?", err)
	} else if err != nil {
		return nil, fmt.Errorf("read the zip file's directory: %w", err)
	}
	folder, err := pickleFolder(archive)
	if err != nil {
		return nil, err
	}
	z := &torchZip{file: r, size: size, entries: make(map[string]*zip.File), storages: make(map[string]*storage)}
	z.buf = make([]byte, 64<<10)
	left := uint64(size)
	for _, f := range archive.File {
		if f.UncompressedSize64 > left {
			return nil, fmt.Errorf("the zip file's entries claim more than its %d bytes", size)
		}
		left -= f.UncompressedSize64
		name, ok := strings.CutPrefix(f.Name, folder)
		if !ok {
			continue
		}
		if _, ok := z.entries[name]; ok {
			return nil, fmt.Errorf("the zip file has entry %q twice", f.Name)
		}
		z.entries[name] = f
	}
	return z, nil
}

// pickleFolder finds the folder that data.pkl lies in, which is at the top.
func pickleFolder(archive *zip.Reader) (string, error) {
	for _, f := range archive.File {
		if folder, ok := strings.CutSuffix(f.Name, "/data.pkl"); ok && !strings.Contains(folder, "/") {
			return folder + "/", nil
		}
	}
	return "", errors.New("it is a zip file without a data.pkl: torch.save did not write it")
}

// contents gives the bytes of an entry.
func (z *torchZip) contents(name string, limit int64) ([]byte, error) {
	s, err := z.stored(name)
	if err != nil {
		return nil, err
	}
	if s.size > limit {
		return nil, fmt.Errorf("zip entry %q has %d bytes, want at most %d", name, s.size, limit)
	}
	buf := make([]byte, s.size)
	return buf, readFull(z.file, buf, s.at)
}

// stored finds the place of an entry's bytes and compares them with their checksum.
func (z *torchZip) stored(name string) (*storage, error) {
	f, ok := z.entries[name]
	if !ok {
		return nil, fmt.Errorf("the zip file has no entry %q", name)
	}
	if f.Method != zip.Store || f.CompressedSize64 != f.UncompressedSize64 {
		return nil, fmt.Errorf("zip entry %q is compressed, want stored, as torch.save writes it", name)
	}
	at, err := f.DataOffset()
	if err != nil {
		return nil, fmt.Errorf("read zip entry %q: %w", name, err)
	}
	size := int64(f.UncompressedSize64) // at most z.size
	if at < 0 || at > z.size-size {
		return nil, fmt.Errorf("zip entry %q ends at byte %d of a file of %d: it is cut off", name, at+size, z.size)
	}
	sum := crc32.NewIEEE()
	if _, err := io.CopyBuffer(sum, io.NewSectionReader(z.file, at, size), z.buf); err != nil {
		return nil, fmt.Errorf("read zip entry %q: %w", name, err)
	}
	if sum.Sum32() != f.CRC32 {
		return nil, fmt.Errorf("zip entry %q has CRC-32 %08x, want %08x: the file is damaged", name, sum.Sum32(), f.CRC32)
	}
	return &storage{at: at, size: size}, nil
}

// persistent gives the storage for the persistent id ("storage", class, key, location, number of elements).
func (z *torchZip) persistent(id tuple) (any, error) {
	class, key, n, err := storageID(id, 5)
	if err != nil {
		return nil, err
	}
	s, ok := z.storages[key]
	if !ok {
		if s, err = z.stored("data/" + key); err != nil {
			return nil, err
		}
		z.storages[key] = s
	}
	if n > s.size || n*int64(class.dtype.size) != s.size {
		return nil, fmt.Errorf("storage %q has %d bytes, want %d elements of %s", key, s.size, n, class.dtype.name)
	}
	return typedStorage{s, class.dtype}, nil
}

// storageID takes the persistent id of a storage apart: its class, key and number of elements.
func storageID(id tuple, length int) (class *global, key string, n int64, err error) {
	if len(id) != length || id[0] != "storage" {
		return nil, "", 0, fmt.Errorf("a persistent id has %d parts, want %d, of which the first is \"storage\"", len(id), length)
	}
	class, ok := id[1].(*global)
	if !ok || class.dtype == nil {
		return nil, "", 0, fmt.Errorf("a storage's class is %s, want one like torch.FloatStorage", describe(id[1]))
	}
	key, ok = id[2].(string)
	if !ok {
		return nil, "", 0, fmt.Errorf("a storage's key is %s, want a string", describe(id[2]))
	}
	n, ok = id[4].(int64)
	if !ok || n < 0 {
		return nil, "", 0, fmt.Errorf("storage %q has %s %v as its size, want an int from 0", key, describe(id[4]), id[4])
	}
	return class, key, n, nil
}

// A limitedReaderAt reads at most left bytes, so that a hostile directory can't make archive/zip build millions of entries.
type limitedReaderAt struct {
	r    io.ReaderAt
	left int
}

func (l *limitedReaderAt) ReadAt(p []byte, at int64) (int, error) {
	if len(p) > l.left {
		return 0, fmt.Errorf("it is longer than %d bytes", maxDirectory)
	}
	l.left -= len(p)
	return l.r.ReadAt(p, at)
}
