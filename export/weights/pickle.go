package weights

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"
)

// Limits of the pickle machine. Every instruction, and every item that one copies, is a step; the stack, the memo and the
// objects can't grow past the steps. A GoogLeNet takes about 13,000 steps and 52,000 bytes.
const (
	maxPickle = 4 << 20
	maxSteps  = 1 << 19
	maxString = 64 << 10
	maxGlobal = 256 // each line of a GLOBAL instruction
)

// The values of a pickle are nil, bool, int64, float64, string and the types below; tensors are *layout, and what
// a weights file may name is *global.
type (
	tuple []any
	list  struct{ items []any }
	dict  struct{ items []pair } // also an OrderedDict; in the order of the file
	pair  struct{ key, value any }

	// dropped stands for an object that a checkpoint may hold beside its weights and that nobody here looks into.
	dropped struct{}

	// typedStorage is what a persistent id stands for.
	typedStorage struct {
		*storage
		dtype *dtype
	}
)

var errPickleEnds = errors.New("the pickle ends too early: the file is damaged or cut off")

// A machine runs one pickle of protocol 2. It knows only the instructions that a state dict needs.
type machine struct {
	code  []byte
	pos   int
	steps int
	stack []any
	marks []int // the height of the stack at every open MARK
	memo  map[uint32]any

	// persistent resolves a persistent id, PyTorch's way to name a storage.
	persistent func(id tuple) (any, error)
}

// unpickle runs the pickle at the beginning of code and returns its value and length.
func unpickle(code []byte, persistent func(id tuple) (any, error)) (value any, n int, err error) {
	m := &machine{code: code, memo: make(map[uint32]any), persistent: persistent}
	for {
		at := m.pos
		op, err := m.next(1)
		if err != nil {
			return nil, 0, err
		}
		if err := m.charge(1); err != nil {
			return nil, 0, err
		}
		if op[0] == '.' { // STOP
			value, err := m.pop()
			return value, m.pos, err
		}
		run, ok := instructions[op[0]]
		if !ok {
			return nil, 0, fmt.Errorf("instruction %#02x is not allowed in a weights file (byte %d)", op[0], at)
		}
		if err := run(m); err != nil {
			return nil, 0, fmt.Errorf("%w (byte %d)", err, at)
		}
	}
}

// instructions are those of pickle protocol 2 that the machine knows, by opcode; the comments are their names in Python's
// pickletools. STOP is unpickle's own.
var instructions = map[byte]func(*machine) error{
	0x80: (*machine).protocol, // PROTO

	'N':  constant(nil),                                          // NONE
	0x88: constant(true),                                         // NEWTRUE
	0x89: constant(false),                                        // NEWFALSE
	'K':  (*machine).binInt1,                                     // BININT1
	'M':  (*machine).binInt2,                                     // BININT2
	'J':  (*machine).binInt,                                      // BININT
	0x8a: (*machine).long1,                                       // LONG1
	'G':  (*machine).binFloat,                                    // BINFLOAT
	'X':  (*machine).binUnicode,                                  // BINUNICODE
	'U':  (*machine).shortBinString,                              // SHORT_BINSTRING
	')':  constant(tuple(nil)),                                   // EMPTY_TUPLE
	']':  func(m *machine) error { m.push(&list{}); return nil }, // EMPTY_LIST
	'}':  func(m *machine) error { m.push(&dict{}); return nil }, // EMPTY_DICT

	'(':  (*machine).mark,                                // MARK
	't':  (*machine).tupleFromMark,                       // TUPLE
	0x85: func(m *machine) error { return m.tupleOf(1) }, // TUPLE1
	0x86: func(m *machine) error { return m.tupleOf(2) }, // TUPLE2
	0x87: func(m *machine) error { return m.tupleOf(3) }, // TUPLE3
	'a':  (*machine).appendItem,                          // APPEND
	'e':  (*machine).appends,                             // APPENDS
	's':  (*machine).setItem,                             // SETITEM
	'u':  (*machine).setItems,                            // SETITEMS
	'q':  func(m *machine) error { return m.put(1) },     // BINPUT
	'r':  func(m *machine) error { return m.put(4) },     // LONG_BINPUT
	'h':  func(m *machine) error { return m.get(1) },     // BINGET
	'j':  func(m *machine) error { return m.get(4) },     // LONG_BINGET

	'c':  (*machine).global,       // GLOBAL
	'R':  (*machine).reduce,       // REDUCE
	0x81: (*machine).newObject,    // NEWOBJ
	'b':  (*machine).build,        // BUILD
	'Q':  (*machine).persistentID, // BINPERSID
}

// charge counts n steps.
func (m *machine) charge(n int) error {
	if n > maxSteps-m.steps {
		return fmt.Errorf("the pickle takes more than %d steps, more than any state dict needs", maxSteps)
	}
	m.steps += n
	return nil
}

// next gives the next n bytes of the pickle.
func (m *machine) next(n int) ([]byte, error) {
	if n > len(m.code)-m.pos {
		return nil, errPickleEnds
	}
	m.pos += n
	return m.code[m.pos-n : m.pos], nil
}

// line gives the bytes up to the next line feed, without it.
func (m *machine) line() (string, error) {
	rest := m.code[m.pos:]
	n := bytes.IndexByte(rest[:min(len(rest), maxGlobal)], '\n')
	if n < 0 && len(rest) < maxGlobal {
		return "", errPickleEnds
	}
	if n < 0 {
		return "", fmt.Errorf("a name is longer than %d bytes", maxGlobal)
	}
	m.pos += n + 1
	return string(rest[:n]), nil
}

func (m *machine) push(v any) { m.stack = append(m.stack, v) }

// floor is the height that the stack may not be popped below: that of the last open MARK.
func (m *machine) floor() int {
	if len(m.marks) == 0 {
		return 0
	}
	return m.marks[len(m.marks)-1]
}

func (m *machine) top() (any, error) {
	if len(m.stack) <= m.floor() {
		return nil, errors.New("the stack is empty")
	}
	return m.stack[len(m.stack)-1], nil
}

func (m *machine) pop() (any, error) {
	v, err := m.top()
	if err != nil {
		return nil, err
	}
	m.stack = m.stack[:len(m.stack)-1]
	return v, nil
}

// popMark takes everything above the last MARK, and the MARK, off the stack. The result is valid until the next push.
func (m *machine) popMark() ([]any, error) {
	if len(m.marks) == 0 {
		return nil, errors.New("there is no mark on the stack")
	}
	floor := m.floor()
	items := m.stack[floor:]
	m.stack = m.stack[:floor]
	m.marks = m.marks[:len(m.marks)-1]
	return items, nil
}

func (m *machine) protocol() error {
	b, err := m.next(1)
	if err == nil && b[0] != 2 {
		err = fmt.Errorf("pickle protocol is %d, want 2, which torch.save uses by default", b[0])
	}
	return err
}

func constant(v any) func(*machine) error {
	return func(m *machine) error { m.push(v); return nil }
}

func (m *machine) binInt1() error {
	b, err := m.next(1)
	if err == nil {
		m.push(int64(b[0]))
	}
	return err
}

func (m *machine) binInt2() error {
	b, err := m.next(2)
	if err == nil {
		m.push(int64(binary.LittleEndian.Uint16(b)))
	}
	return err
}

func (m *machine) binInt() error {
	b, err := m.next(4)
	if err == nil {
		m.push(int64(int32(binary.LittleEndian.Uint32(b))))
	}
	return err
}

// long1 pushes an integer of up to 8 bytes, two's complement. Nothing in a state dict needs a longer one: it is dropped.
func (m *machine) long1() error {
	b, err := m.counted(1)
	switch {
	case err != nil:
		return err
	case len(b) > 8:
		m.push(dropped{})
		return nil
	}
	var v int64
	for i, x := range b {
		v |= int64(x) << (8 * i)
	}
	unused := 64 - 8*len(b)
	m.push(v << unused >> unused) // extends the sign
	return nil
}

func (m *machine) binFloat() error {
	b, err := m.next(8)
	if err == nil {
		m.push(math.Float64frombits(binary.BigEndian.Uint64(b)))
	}
	return err
}

// counted gives the bytes that follow a length of size bytes, little-endian.
func (m *machine) counted(size int) ([]byte, error) {
	n, err := m.number(size)
	if err != nil {
		return nil, err
	}
	if n > maxString {
		return nil, fmt.Errorf("a string has %d bytes, want at most %d", n, maxString)
	}
	return m.next(int(n))
}

// number reads an unsigned little-endian number of 1 or 4 bytes.
func (m *machine) number(size int) (uint32, error) {
	b, err := m.next(size)
	if err != nil {
		return 0, err
	}
	if size == 1 {
		return uint32(b[0]), nil
	}
	return binary.LittleEndian.Uint32(b), nil
}

func (m *machine) binUnicode() error {
	b, err := m.counted(4)
	if err != nil {
		return err
	}
	if !utf8.Valid(b) {
		return fmt.Errorf("string %q is not UTF-8", b[:min(len(b), 40)])
	}
	m.push(string(b))
	return nil
}

// shortBinString pushes a string of Python 2, which has bytes.
func (m *machine) shortBinString() error {
	b, err := m.counted(1)
	if err == nil {
		m.push(string(b))
	}
	return err
}
