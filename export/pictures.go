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

// sample is a picture as the network's input: plain RGB pixels of [size, size, 3].
type sample struct {
	file   string
	class  int // -1: not known
	pixels []byte
}

// pictures are samples in the order of their names.
type pictures struct {
	samples []sample
	sha256  string   // of the files' sha256 sums in order, hex
	refused []string // "FILE: reason"
}

// readPictures reads the pictures below dir with the daemon's own decoder and preprocessing. With classes > 0, dir has a folder for each
// class, in the order of the classes when sorted by name, and each picture's class is known. progress is told after each picture.
func readPictures(dir string, size, classes int, progress func(done, total int)) (*pictures, error) {
	files, err := listPictures(dir)
	if err != nil {
		return nil, err
	}
	class := func(string) int { return -1 }
	if classes > 0 {
		if class, err = classFolders(dir, classes); err != nil {
			return nil, err
		}
	}
	transform, err := preprocess.New(preprocess.Input{Width: size, Height: size, Type: inference.UInt8}, preprocess.Squash)
	if err != nil {
		return nil, err
	}
	defer transform.Close() // frees C memory; there is nothing to report
	decoder := camera.NewDecoder(picture.DefaultLimits)
	defer decoder.Close() // likewise

	out := &pictures{}
	sums := sha256.New()
	for i, name := range files {
		mat, sum, err := readPicture(decoder, filepath.Join(dir, name))
		var refused *picture.RefusedError
		if errors.As(err, &refused) {
			out.refused = append(out.refused, fmt.Sprintf("%s: %v", name, err))
			continue
		}
		if err != nil {
			return nil, err
		}
		s := sample{file: name, class: class(name), pixels: make([]byte, 3*size*size)}
		if err := transform.Apply(s.pixels, camera.Frame{Mat: mat, File: name}); err != nil {
			return nil, fmt.Errorf("prepare picture %s: %w", name, err)
		}
		sums.Write(sum)
		out.samples = append(out.samples, s)
		progress(i+1, len(files))
	}
	out.sha256 = hex.EncodeToString(sums.Sum(nil))
	return out, nil
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
// them; links to folders aren't followed.
func listPictures(dir string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
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

// classFolders maps a file to its class by the folder that it is in.
func classFolders(dir string, classes int) (func(file string) int, error) {
	entries, err := os.ReadDir(dir) // sorted
	if err != nil {
		return nil, fmt.Errorf("list class folders: %w", err)
	}
	index := map[string]int{}
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			index[e.Name()] = len(index)
		}
	}
	if len(index) != classes {
		return nil, fmt.Errorf("list class folders in %s: want one folder for each of %d classes, have %d", dir, classes, len(index))
	}
	return func(file string) int {
		folder, _, _ := strings.Cut(filepath.ToSlash(file), "/")
		if c, ok := index[folder]; ok {
			return c
		}
		return -1
	}, nil
}
