// Package models holds sightd's default model, embedded in the binary: GoogLeNet for ten classes of everyday things, its
// labels and its card. It opens no model; package daemon does. The subpackage drawn draws the pictures that prove it.
package models

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

//go:embed googlenet_imagenette.tflite
var defaultModel []byte

//go:embed googlenet_imagenette.json
var defaultCard []byte

// Default gives the embedded model's .tflite file, which must not be changed, and its card. A test has compared the two: a sha256 at each
// start would take small boards as long as some pictures, and what the golden inputs prove it doesn't.
func Default() ([]byte, *Card, error) {
	card, err := ParseCard(defaultCard)
	if err != nil {
		return nil, nil, fmt.Errorf("open the default model: %w", err)
	}
	return defaultModel, card, nil
}

// Embedded says whether a file is the embedded one where it lies, and no copy of it.
func Embedded(file []byte) bool { return unsafe.SliceData(file) == unsafe.SliceData(defaultModel) }

// Forget gives the memory of the embedded file back to the system, which reads it again from the program's own file where it is looked
// at again: once a model is opened it isn't.
func Forget() error {
	page := os.Getpagesize()
	start := uintptr(unsafe.Pointer(unsafe.SliceData(defaultModel)))
	skip := (page - int(start)%page) % page
	whole := (len(defaultModel) - skip) / page * page // other data share the first and the last page
	if err := unix.Madvise(defaultModel[skip:skip+whole], unix.MADV_DONTNEED); err != nil {
		return fmt.Errorf("forget the embedded model: %w", err)
	}
	return nil
}

// Matches says whether the card is that of a file, by the file's sha256.
func (c *Card) Matches(file []byte) error {
	if have := Sum(file); have != c.File.SHA256 {
		return fmt.Errorf("match model card: it is for the file with sha256 %s, this one has %s", c.File.SHA256, have)
	}
	return nil
}

// Sum is a file's sha256 as cards state it, in lower-case hexadecimal.
func Sum(file []byte) string {
	sum := sha256.Sum256(file)
	return hex.EncodeToString(sum[:])
}
