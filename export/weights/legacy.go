package weights

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// legacyProtocol is the version number in a file of torch.save's older format.
const legacyProtocol = 1001

// A torchLegacy is a file of the format that torch.save used until 2020: five pickles (a magic number, the protocol version, a
// dict on the system, the object, the list of the storages' keys) and then, in that list's order, each storage's number of
// elements as a 64-bit integer and its bytes.
type torchLegacy struct {
	file     io.ReaderAt
	size     int64
	code     []byte // the file's beginning, with all pickles
	pos      int64  // in the file
	storages map[string]*legacyStorage
}

// A legacyStorage is one that the object uses; its place is known only after the object.
type legacyStorage struct {
	storage
	elements int64
	located  bool
}

// readLegacy lists the tensors of a file in torch.save's older format.
func readLegacy(r io.ReaderAt, size int64) (map[string]*layout, error) {
	t := &torchLegacy{file: r, size: size, code: make([]byte, min(size, maxPickle)), pos: int64(len(legacyMagic))}
	t.storages = make(map[string]*legacyStorage)
	if err := readFull(r, t.code, 0); err != nil {
		return nil, err
	}
	if err := t.readSystem(); err != nil {
		return nil, err
	}
	object, err := t.pickle("state dict", t.persistent)
	if err != nil {
		return nil, err
	}
	if err := t.locateStorages(); err != nil {
		return nil, err
	}
	layouts, err := stateDict(object)
	if err != nil {
		return nil, err
	}
	return plainNames(layouts)
}

// pickle runs the next pickle of the file.
func (t *torchLegacy) pickle(what string, persistent func(tuple) (any, error)) (any, error) {
	value, n, err := unpickle(t.code[t.pos:], persistent)
	if err != nil {
		return nil, fmt.Errorf("unpickle %s: %w", what, err)
	}
	t.pos += int64(n)
	return value, nil
}

// readSystem reads the protocol version and the facts on the system that wrote the file.
func (t *torchLegacy) readSystem() error {
	protocol, err := t.pickle("protocol version", nil)
	if err != nil {
		return err
	}
	if protocol != int64(legacyProtocol) {
		return fmt.Errorf("the protocol version is %v, want %d", protocol, legacyProtocol)
	}
	system, err := t.pickle("system information", nil)
	if err != nil {
		return err
	}
	d, ok := system.(*dict)
	if !ok {
		return fmt.Errorf("the system information is %s, want a dict", describe(system))
	}
	for _, item := range d.items {
		if item.key == "little_endian" && item.value != true {
			return errors.New("its byte order is big, want little")
		}
	}
	return nil
}

// persistent gives the storage for the persistent id ("storage", class, key, location, number of elements, view).
func (t *torchLegacy) persistent(id tuple) (any, error) {
	class, key, n, err := storageID(id, 6)
	if err != nil {
		return nil, err
	}
	if id[5] != nil {
		return nil, fmt.Errorf("storage %q is a view of another one, which is not read: save the file with a newer PyTorch", key)
	}
	if n > t.size || n*int64(class.dtype.size) > t.size {
		return nil, fmt.Errorf("storage %q has %d elements of %s, the file has %d bytes: it is cut off", key, n, class.dtype.name, t.size)
	}
	size := n * int64(class.dtype.size)
	s, ok := t.storages[key]
	if !ok {
		s = &legacyStorage{storage: storage{size: size}, elements: n}
		t.storages[key] = s
	}
	if s.size != size {
		return nil, fmt.Errorf("storage %q has %d bytes in one place, %d in another", key, s.size, size)
	}
	return typedStorage{&s.storage, class.dtype}, nil
}

// locateStorages reads the list of keys and finds each storage's place behind it.
func (t *torchLegacy) locateStorages() error {
	value, err := t.pickle("storage keys", nil)
	if err != nil {
		return err
	}
	keys, ok := value.(*list)
	if !ok || len(keys.items) != len(t.storages) {
		return fmt.Errorf("the storage keys are %s, want a list of the %d storages in use", describe(value), len(t.storages))
	}
	for _, item := range keys.items {
		key, ok := item.(string)
		if !ok {
			return fmt.Errorf("a storage key is %s, want a string", describe(item))
		}
		s, ok := t.storages[key]
		if !ok || s.located {
			return fmt.Errorf("storage %q is listed twice or never used", key)
		}
		var count [8]byte
		if err := readFull(t.file, count[:], t.pos); err != nil {
			return fmt.Errorf("read storage %q: %w", key, err)
		}
		t.pos += int64(len(count))
		if n := binary.LittleEndian.Uint64(count[:]); n != uint64(s.elements) {
			return fmt.Errorf("storage %q has %d elements, want %d", key, n, s.elements)
		}
		if s.size > t.size-t.pos {
			return fmt.Errorf("storage %q ends at byte %d of a file of %d: it is cut off", key, t.pos+s.size, t.size)
		}
		s.at, s.located = t.pos, true
		t.pos += s.size
	}
	return nil
}
