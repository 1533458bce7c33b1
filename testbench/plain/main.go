// Plain classifies the pictures of a folder with go-tflite as its README and its example label_image show it: Go's own JPEG decoder,
// the nearest pixel of github.com/nfnt/resize, a loop over At, an interpreter with threads and without a delegate. What it measures
// sightd against is what one has who starts with that.
//
// It is a module of its own, so that sightd doesn't depend on what it needs. It prints what testbench/peers/throughput.py reads, and
// takes int8 input where the example takes uint8.
package main

import (
	"encoding/json"
	"fmt"
	"image"
	_ "image/jpeg"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/mattn/go-tflite"
	"github.com/nfnt/resize"
)

// warmUp is the number of pictures that are classified before the clock starts.
const warmUp = 3

// figures is what the program prints.
type figures struct {
	Name     string  `json:"name"`
	Version  string  `json:"version"`
	Pictures int     `json:"pictures"`
	Wall     float64 `json:"wall_s"`
	CPU      float64 `json:"cpu_s"`
	Top1     []int   `json:"top1"`
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("want MODEL.tflite FOLDER")
	}
	interpreter, err := open(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(os.Args[2], "*.jpg")) // sorted
	if err != nil {
		log.Fatal(err)
	}
	if _, err := classifyAll(interpreter, files[:min(warmUp, len(files))]); err != nil {
		log.Fatal(err)
	}
	f := figures{Name: "Go, go-tflite without delegate, nfnt/resize", Version: "1.0.5, " + runtime.Version(), Pictures: len(files)}
	begin, used := time.Now(), cpu()
	if f.Top1, err = classifyAll(interpreter, files); err != nil {
		log.Fatal(err)
	}
	f.Wall, f.CPU = time.Since(begin).Seconds(), (cpu() - used).Seconds()
	if err := json.NewEncoder(os.Stdout).Encode(f); err != nil {
		log.Fatal(err)
	}
}

// open opens a model on all cores that the program may use.
func open(model string) (*tflite.Interpreter, error) {
	m := tflite.NewModelFromFile(model)
	if m == nil {
		return nil, fmt.Errorf("open model %s: the library refuses it", model)
	}
	options := tflite.NewInterpreterOptions()
	options.SetNumThread(runtime.NumCPU())
	interpreter := tflite.NewInterpreter(m, options)
	if interpreter == nil || interpreter.AllocateTensors() != tflite.OK {
		return nil, fmt.Errorf("open model %s: the interpreter refuses it", model)
	}
	return interpreter, nil
}

// classifyAll gives the best class of each file.
func classifyAll(interpreter *tflite.Interpreter, files []string) ([]int, error) {
	classes := make([]int, len(files))
	for i, file := range files {
		best, err := classify(interpreter, file)
		if err != nil {
			return nil, fmt.Errorf("classify %s: %w", file, err)
		}
		classes[i] = best
	}
	return classes, nil
}

// classify gives the best class of a file.
func classify(interpreter *tflite.Interpreter, file string) (int, error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, err
	}
	defer f.Close() // it was only read
	picture, _, err := image.Decode(f)
	if err != nil {
		return 0, err
	}
	input := interpreter.GetInputTensor(0)
	height, width := input.Dim(1), input.Dim(2)
	small := resize.Resize(uint(width), uint(height), picture, resize.NearestNeighbor)
	pixels := make([]int8, 0, height*width*3)
	for y := range height {
		for x := range width {
			r, g, b, _ := small.At(x, y).RGBA()
			pixels = append(pixels, int8(int(r>>8)-128), int8(int(g>>8)-128), int8(int(b>>8)-128))
		}
	}
	if s := input.SetInt8s(pixels); s != nil {
		return 0, s
	}
	if s := interpreter.Invoke(); s != tflite.OK {
		return 0, fmt.Errorf("invoke: status %d, want %d", s, tflite.OK)
	}
	scores, best := interpreter.GetOutputTensor(0).Float32s(), 0
	for i, score := range scores {
		if score > scores[best] {
			best = i
		}
	}
	return best, nil
}

// cpu is the time of all the process's threads.
func cpu() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		log.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
