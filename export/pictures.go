package export

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gocv.io/x/gocv"

	"sightd/camera"
	"sightd/camera/picture"
	"sightd/inference"
	"sightd/preprocess"
)

// folder is a folder of pictures, listed but not read.
type folder struct {
	dir     string
	files   []string // relative to dir, sorted
	rule    labelRule
	classes []int // of each file; nil if they aren't known
}

// labelledFolder lists the pictures below dir and tells their classes by their names. That is an error where it can't be done.
func labelledFolder(dir string, labels []string) (*folder, error) {
	f, err := listFolder(dir)
	if err != nil {
		return nil, err
	}
	if f.rule, f.classes, err = f.label(labels); err != nil {
		return nil, fmt.Errorf("tell the classes of the pictures in %s: %w", dir, err)
	}
	return f, nil
}

// calibrationFolder lists the pictures below dir, and tells their classes if their names happen to do so.
func calibrationFolder(dir string, labels []string) (*folder, error) {
	f, err := listFolder(dir)
	if err != nil {
		return nil, err
	}
	if rule, classes, err := f.label(labels); err == nil {
		f.rule, f.classes = rule, classes
	}
	return f, nil
}

func listFolder(dir string) (*folder, error) {
	files, err := listPictures(dir)
	return &folder{dir: dir, files: files}, err
}

// label finds the rule by which the pictures' names tell their classes.
func (f *folder) label(labels []string) (labelRule, []int, error) {
	entries, err := os.ReadDir(f.dir) // sorted
	if err != nil {
		return unlabelled, nil, err
	}
	var folders []string
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			folders = append(folders, e.Name())
		}
	}
	files := make([]string, len(f.files))
	for i, name := range f.files {
		files[i] = filepath.ToSlash(name)
	}
	return labelPictures(files, folders, labels)
}

// sample is a picture as the network's input: plain RGB pixels of [size, size, 3].
type sample struct {
	file   string
	class  int // -1: not known
	pixels []byte
}

// pictures are samples in the order of their names.
type pictures struct {
	samples []sample
	rule    labelRule // by which their classes are known
	sha256  string    // of the files' sha256 sums in order, hex
	refused []string  // "FILE: reason"
}

// read reads all pictures of the folder, for a network's input of size by size pixels. progress is told after each.
func (f *folder) read(size int, progress func(done, total int)) (*pictures, error) {
	out := &pictures{rule: f.rule}
	sums := sha256.New()
	var err error
	out.refused, err = f.each(size, progress, func(s sample, sum []byte) error {
		sums.Write(sum)
		out.samples = append(out.samples, s)
		return nil
	})
	out.sha256 = hex.EncodeToString(sums.Sum(nil))
	return out, err
}

// each reads the pictures one after the other with the daemon's own decoder and preprocessing, and calls do with each and its file's
// sha256. Those that the decoder refuses are left out, and named with the reason in what is returned.
func (f *folder) each(size int, progress func(done, total int), do func(s sample, sum []byte) error) (refused []string, err error) {
	transform, err := preprocess.New(preprocess.Input{Width: size, Height: size, Type: inference.UInt8}, preprocess.Squash)
	if err != nil {
		return nil, err
	}
	defer transform.Close() // frees C memory; there is nothing to report
	decoder := camera.NewDecoder(picture.DefaultLimits)
	decoder.Enough = transform.Enough
	defer decoder.Close() // likewise
	for i, name := range f.files {
		mat, sum, err := readPicture(decoder, filepath.Join(f.dir, name))
		var refusal *picture.RefusedError
		if errors.As(err, &refusal) {
			refused = append(refused, fmt.Sprintf("%s: %v", name, err))
			progress(i+1, len(f.files))
			continue
		}
		if err != nil {
			return refused, err
		}
		s := sample{file: name, class: -1, pixels: make([]byte, 3*size*size)}
		if f.classes != nil {
			s.class = f.classes[i]
		}
		if err := transform.Apply(s.pixels, camera.Frame{Mat: mat, File: name}); err != nil {
			return refused, fmt.Errorf("prepare picture %s: %w", name, err)
		}
		if err := do(s, sum); err != nil {
			return refused, err
		}
		progress(i+1, len(f.files))
	}
	return refused, nil
}

// readPicture decodes a file and gives its sha256. The Mat belongs to the decoder.
func readPicture(decoder *camera.Decoder, path string) (mat gocv.Mat, sum []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return mat, nil, fmt.Errorf("read picture: %w", err)
	}
	defer f.Close() // it is only read
	if mat, _, err = decoder.ReadFile(f); err != nil {
		return mat, nil, err
	}
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return mat, nil, fmt.Errorf("read picture %s: %w", path, err)
	}
	return mat, h.Sum(nil), nil
}

// listPictures lists the picture files below dir, relative to it, sorted. Links to files count, as sets of pictures are often made of
// them; links to folders aren't followed, and folders whose names start with a dot are skipped.
func listPictures(dir string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != dir && strings.HasPrefix(d.Name(), ".") {
			return filepath.SkipDir
		}
		if !camera.PictureName(d.Name()) {
			return nil
		}
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		files = append(files, rel)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list pictures: %w", err)
	}
	slices.Sort(files)
	return files, nil
}
