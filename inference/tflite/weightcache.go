package tflite

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/cpu"
	"golang.org/x/sys/unix"

	"sightd/inference"
)

// CacheUse says what became of Options.WeightCache.
type CacheUse int

// What may become of a weight cache.
const (
	CacheUnused  CacheUse = iota // none was asked for, or it can't be had
	CacheRead                    // the weights are those of the file
	CacheWritten                 // the file was written anew, for the next time
)

// String gives the use in a word.
func (u CacheUse) String() string {
	switch u {
	case CacheRead:
		return "read"
	case CacheWritten:
		return "written"
	}
	return "unused"
}

// weightCache is the file in which XNNPACK keeps the weights as its kernels read them. XNNPACK trusts its content: it takes damaged
// weights as they are, and aborts the process where one that it needs isn't there or where the disk is full while it writes. So it only
// gets a file whose checksum is right and that was made of the same model by the same library on the same kind of processor, which the
// stamp, a line in a file beside it, says; and it writes to memory, out of which the file is made here.
type weightCache struct {
	path, stamp string   // where the file is, and how its stamp must begin
	file        *os.File // that XNNPACK reads, or in memory that it writes
	target      *os.File // the file that will be, under another name; nil where there is nothing to write
}

// stampName is what the name of a weight cache's stamp ends in.
const stampName = ".stamp"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// openWeightCache opens the file at path for a delegate and a model, or, where there is none of use, prepares to write it. An error
// says why neither can be done.
func openWeightCache(path string, delegate inference.Delegate, model []byte) (*weightCache, error) {
	stamp, err := weightStamp(delegate, model)
	if err != nil {
		return nil, err
	}
	w := &weightCache{path: path, stamp: stamp}
	if w.file = openStamped(path, stamp); w.file != nil {
		return w, nil
	}
	removeLeftovers(path)
	// Whether the folder can be written to is best known before: memory that never becomes a file would be wasted.
	if w.target, err = os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.new"); err != nil {
		return nil, fmt.Errorf("write weight cache: %w", err)
	}
	fd, err := unix.MemfdCreate("weights", unix.MFD_CLOEXEC)
	if err != nil {
		w.Delete()
		return nil, fmt.Errorf("create a file in memory for the weight cache: %w", err)
	}
	w.file = os.NewFile(uintptr(fd), "weights")
	return w, nil
}

// openStamped opens the file at path if its stamp begins as wanted and gives its size and checksum as they are.
func openStamped(path, stamp string) *os.File {
	have, err := os.ReadFile(path + stampName)
	if err != nil || !strings.HasPrefix(string(have), stamp) {
		return nil
	}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		sum := crc32.New(castagnoli)
		if size, err := io.Copy(sum, f); err == nil && string(have) == stamp+stampEnd(size, sum.Sum32()) {
			return f
		}
	}
	f.Close() // it was only read
	return nil
}

// stampEnd is what a stamp says of the file itself.
func stampEnd(size int64, sum uint32) string { return fmt.Sprintf(" file %d %08x\n", size, sum) }

// weightStamp says what packed weights depend on: the library, the processor, as far as it is told, the delegate and the model.
func weightStamp(delegate inference.Delegate, model []byte) (string, error) {
	library, err := Library()
	if err != nil {
		return "", err
	}
	info, err := os.Stat(library)
	if err != nil {
		return "", fmt.Errorf("find TensorFlow Lite: %w", err)
	}
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "", fmt.Errorf("find out which processor the weight cache is for: %w", err)
	}
	return fmt.Sprintf("sightd weights 1, tflite %s %d, %s %08x, %s, model %d %08x %08x,", Version(), info.Size(), runtime.GOARCH,
		processorSum(string(text)), delegate, len(model), crc32.ChecksumIEEE(model), crc32.Checksum(model, castagnoli)), nil
}

// processorSum sums up what decides which kernels XNNPACK takes: the lines of /proc/cpuinfo that say what a core is, those of other
// cores included, and what the system tells programs that they may use.
func processorSum(cpuinfo string) uint32 {
	sum := crc32.New(castagnoli)
	for line := range strings.Lines(cpuinfo) {
		switch name, _, _ := strings.Cut(line, ":"); strings.TrimSpace(name) {
		case "vendor_id", "cpu family", "model", "model name", "stepping", "flags",
			"Features", "CPU implementer", "CPU architecture", "CPU variant", "CPU part", "CPU revision":
			io.WriteString(sum, line) // a checksum's Write never fails
		}
	}
	fmt.Fprintf(sum, "%+v %+v", cpu.X86, cpu.ARM64)
	return sum.Sum32()
}

// removeLeftovers removes what a process left that was stopped while it wrote the file.
func removeLeftovers(path string) {
	old, _ := filepath.Glob(path + ".*.new") // an error would be one of the pattern: then nothing is removed
	for _, name := range old {
		if info, err := os.Stat(name); err == nil && time.Since(info.ModTime()) > time.Hour {
			os.Remove(name) // tried again the next time
		}
	}
}

// descriptor gives a descriptor of the file, which XNNPACK closes, and whether it is to be written; -1 without a file.
func (w *weightCache) descriptor() (fd int, build bool, err error) {
	if w == nil {
		return -1, false, nil
	}
	fd, err = unix.FcntlInt(w.file.Fd(), unix.F_DUPFD_CLOEXEC, 3) // XNNPACK takes 0 for none
	if err != nil {
		return -1, false, fmt.Errorf("hand the weight cache to XNNPACK: %w", err)
	}
	return fd, w.target != nil, nil
}

// finish ends the use of the cache, once XNNPACK has packed every weight: it writes the file, if there is something to write, and says
// what was done.
func (w *weightCache) finish() (CacheUse, error) {
	defer w.Delete()
	if w.target == nil {
		return CacheRead, nil
	}
	if err := w.save(); err != nil {
		return CacheUnused, err
	}
	return CacheWritten, nil
}

// save writes the file and its stamp. A power cut leaves the old file or the new one, and one of them with the other's stamp counts as
// none.
func (w *weightCache) save() error {
	info, err := w.file.Stat()
	if err != nil {
		return fmt.Errorf("write weight cache: %w", err)
	}
	sum := crc32.New(castagnoli)
	// XNNPACK's descriptor is a copy of this one, with the same position.
	if _, err := io.Copy(io.MultiWriter(w.target, sum), io.NewSectionReader(w.file, 0, info.Size())); err != nil {
		return fmt.Errorf("write weight cache: %w", err)
	}
	if err := commit(w.target, w.path); err != nil {
		return fmt.Errorf("write weight cache: %w", err)
	}
	w.target = nil
	stamp, err := os.CreateTemp(filepath.Dir(w.path), filepath.Base(w.path)+stampName+".*.new")
	if err != nil {
		return fmt.Errorf("write weight cache: %w", err)
	}
	if _, err = io.WriteString(stamp, w.stamp+stampEnd(info.Size(), sum.Sum32())); err == nil {
		err = commit(stamp, w.path+stampName)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write weight cache: %w", err), discard(stamp))
	}
	return nil
}

// commit brings a file to the disk, closes it and gives it its name.
func commit(f *os.File, path string) error {
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close(), f.Close())
}

// discard closes and removes a file that didn't get its name; one that did is left.
func discard(f *os.File) error {
	err := os.Remove(f.Name())
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	f.Close() // a file that isn't wanted, or that is closed already
	return err
}

// Delete closes the file, and removes what wasn't finished.
func (w *weightCache) Delete() {
	if w.file != nil {
		w.file.Close() // XNNPACK has a descriptor of its own
	}
	if w.target != nil {
		discard(w.target) // what is left is removed an hour later
	}
	w.file, w.target = nil, nil
}

// cacheable says why the weights of a graph can't be kept in a file. XNNPACK aborts the process when it is to keep weights that it
// made itself of those in the model's file, as it does with 16-bit ones: what it isn't known to manage isn't tried.
func cacheable(graph []node, total int, half bool) error {
	if half {
		return errors.New("XNNPACK can't keep the weights that it makes for 16-bit floats")
	}
	if len(graph) < total {
		return fmt.Errorf("want a graph of at most %d nodes, have %d", len(graph), total)
	}
	for _, n := range graph {
		if !keepable[n.code] || n.code == dequantizeCode && n.constant {
			return fmt.Errorf("XNNPACK isn't known to keep the weights of a graph with the operator %s", n.name())
		}
	}
	return nil
}

// keepable holds the operators with which XNNPACK was seen to keep weights: those that sightd export writes.
var keepable = map[int]bool{
	addCode: true, concatenationCode: true, convCode: true, dequantizeCode: true, fullyConnectedCode: true,
	maxPoolCode: true, meanCode: true, mulCode: true, padCode: true, quantizeCode: true, reshapeCode: true, rsqrtCode: true,
	softmaxCode: true, spaceToDepthCode: true, sqrtCode: true,
}
