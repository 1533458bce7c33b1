package tflitefile

import (
	"encoding/binary"
	"fmt"
	"math"
)

// input is a flatbuffer from a stranger. Nothing in it is trusted: every offset and count is checked against its
// length before it is used. The first fault is kept in err; what is read after it is zero, so that callers need to look
// at err only once in a while, and before they use a number from the file as an index.
type input struct {
	data []byte
	err  error

	// budget is what may still be allocated, in bytes. Tables and vectors that several offsets point at could
	// otherwise make memory grow with the square of the file.
	budget int
}

// What a list may cost in memory: an honest file's lists take at most a few times its own size.
const (
	budgetPerByte = 16
	tableCost     = 64 // bytes of a table's struct and what stands for it in memory
)

// table is a table in the input; the zero table has no fields.
type table struct {
	in     *input
	pos    int // of the table
	vtable int // position of its vtable
	size   int // bytes of the vtable; 0: no fields
}

// err is the first fault found in the table's input.
func (t table) err() error {
	if t.in == nil {
		return nil
	}
	return t.in.err
}

// openTable checks the identifier at bytes 4 to 7 and gives the root table.
func openTable(data []byte, identifier string) (*input, table, error) {
	in := &input{data: data, budget: budgetPerByte * len(data)}
	if len(data) < 8 {
		return nil, table{}, fmt.Errorf("%d bytes: want at least 8", len(data))
	}
	if have := string(data[4:8]); have != identifier {
		return nil, table{}, fmt.Errorf("identifier %q: want %q", have, identifier)
	}
	root := in.tableAt(in.follow(0))
	return in, root, in.err
}

func (in *input) fail(format string, args ...any) {
	if in.err == nil {
		in.err = fmt.Errorf(format, args...)
	}
}

// bytesAt gives n bytes at pos, nil and a fault if they aren't all there.
func (in *input) bytesAt(pos, n int) []byte {
	if in.err != nil {
		return nil
	}
	if pos < 0 || n < 0 || pos > len(in.data) || n > len(in.data)-pos {
		in.fail("%d bytes at %d: want an end at or before %d", n, pos, len(in.data))
		return nil
	}
	return in.data[pos : pos+n : pos+n]
}

func (in *input) uint16At(pos int) int {
	if b := in.bytesAt(pos, 2); b != nil {
		return int(binary.LittleEndian.Uint16(b))
	}
	return 0
}

// follow gives the position that the offset at pos points to.
func (in *input) follow(pos int) int {
	b := in.bytesAt(pos, 4)
	if b == nil {
		return 0
	}
	offset := binary.LittleEndian.Uint32(b)
	if int64(offset) > int64(len(in.data)-pos) {
		in.fail("offset %d at %d: want one to before %d", offset, pos, len(in.data))
		return 0
	}
	return pos + int(offset)
}

// spend takes n bytes from the budget.
func (in *input) spend(n int) bool {
	if n > in.budget {
		in.fail("contents larger than a file of %d bytes can hold", len(in.data))
		return false
	}
	in.budget -= n
	return true
}

func (in *input) tableAt(pos int) table {
	b := in.bytesAt(pos, 4)
	if b == nil || !in.spend(tableCost) {
		return table{}
	}
	vtable := int64(pos) - int64(int32(binary.LittleEndian.Uint32(b)))
	if vtable < 0 || vtable > int64(len(in.data)) {
		in.fail("table at %d: vtable at %d: want it within %d bytes", pos, vtable, len(in.data))
		return table{}
	}
	size := in.uint16At(int(vtable))
	if in.err == nil && (size < 4 || in.bytesAt(int(vtable), size) == nil) {
		in.fail("table at %d: vtable of %d bytes: want 4 or more", pos, size)
	}
	if in.err != nil {
		return table{}
	}
	return table{in: in, pos: pos, vtable: int(vtable), size: size}
}

// field gives the position of the field in the slot, 0 if it is absent.
func (t table) field(slot int) int {
	at := 4 + 2*slot
	if at+2 > t.size {
		return 0
	}
	offset := t.in.uint16At(t.vtable + at)
	if offset == 0 {
		return 0
	}
	return t.pos + offset
}

// scalar gives the n bytes of the field in the slot, nil if it is absent.
func (t table) scalar(slot, n int) []byte {
	pos := t.field(slot)
	if pos == 0 {
		return nil
	}
	return t.in.bytesAt(pos, n)
}

// int8 reads a byte, or a bool as 0 or not 0; absent: 0.
func (t table) int8(slot int) int8 {
	if b := t.scalar(slot, 1); b != nil {
		return int8(b[0])
	}
	return 0
}

func (t table) int32(slot, absent int) int {
	if b := t.scalar(slot, 4); b != nil {
		return int(int32(binary.LittleEndian.Uint32(b)))
	}
	return absent
}

// uint32 reads an index or a size; absent: 0.
func (t table) uint32(slot int) int64 {
	if b := t.scalar(slot, 4); b != nil {
		return int64(binary.LittleEndian.Uint32(b))
	}
	return 0
}

func (t table) float32(slot int) float32 {
	if b := t.scalar(slot, 4); b != nil {
		if v := math.Float32frombits(binary.LittleEndian.Uint32(b)); v != 0 {
			return v
		}
	}
	return 0 // for -0, too, which is left out when it is written, as the default is
}

// child gives the table that the field in the slot refers to; absent: the zero table and false.
func (t table) child(slot int) (table, bool) {
	pos := t.field(slot)
	if pos == 0 {
		return table{}, false
	}
	child := t.in.tableAt(t.in.follow(pos))
	return child, t.in.err == nil
}

// vector gives the position of the first element of the vector in the slot and the number of elements, all of which lie
// in the input; absent: 0, 0.
func (t table) vector(slot, elementSize int) (first, n int) {
	field := t.field(slot)
	if field == 0 {
		return 0, 0
	}
	pos := t.in.follow(field)
	b := t.in.bytesAt(pos, 4)
	if b == nil {
		return 0, 0
	}
	count := int64(binary.LittleEndian.Uint32(b))
	if most := int64(len(t.in.data)-pos-4) / int64(elementSize); count > most {
		t.in.fail("vector of %d elements at %d: want at most %d", count, pos, most)
		return 0, 0
	}
	return pos + 4, int(count)
}

// numbers gives the elements' bytes of a vector of numbers, nil if it is absent or empty. Each takes up to 8 bytes of
// memory.
func (t table) numbers(slot, elementSize int) []byte {
	first, n := t.vector(slot, elementSize)
	if n == 0 || !t.in.spend(8*n) {
		return nil
	}
	return t.in.bytesAt(first, n*elementSize)
}

// bytes gives a vector of bytes, pointing into the input; nil if it is absent or empty.
func (t table) bytes(slot int) []byte {
	first, n := t.vector(slot, 1)
	if n == 0 {
		return nil
	}
	return t.in.bytesAt(first, n)
}

func (t table) text(slot int) string {
	b := t.bytes(slot)
	if b == nil || !t.in.spend(len(b)) {
		return ""
	}
	return string(b)
}

// ints reads a vector of int32; nil if it is absent or empty.
func (t table) ints(slot int) []int {
	var values []int
	for b := t.numbers(slot, 4); len(b) > 0; b = b[4:] {
		values = append(values, int(int32(binary.LittleEndian.Uint32(b))))
	}
	return values
}

// int64s reads a vector of int64; nil if it is absent or empty.
func (t table) int64s(slot int) []int64 {
	var values []int64
	for b := t.numbers(slot, 8); len(b) > 0; b = b[8:] {
		values = append(values, int64(binary.LittleEndian.Uint64(b)))
	}
	return values
}

// float32s reads a vector of float32; nil if it is absent or empty.
func (t table) float32s(slot int) []float32 {
	var values []float32
	for b := t.numbers(slot, 4); len(b) > 0; b = b[4:] {
		values = append(values, math.Float32frombits(binary.LittleEndian.Uint32(b)))
	}
	return values
}

// tables reads a vector of tables; nil if it is absent or empty, or one of them is broken.
func (t table) tables(slot int) []table {
	first, n := t.vector(slot, 4)
	var tables []table
	for i := 0; i < n; i++ {
		pos := first + 4*i
		child := t.in.tableAt(t.in.follow(pos))
		if t.in.err != nil {
			return nil
		}
		tables = append(tables, child)
	}
	return tables
}
