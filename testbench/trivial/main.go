// Trivial classifies pictures as a first program with go-tflite and gocv does: read a picture, resize it, Invoke, print the class. It
// links the libraries that sightd links, and is the yardstick for sightd's memory and start.
//
// It checks little, proves nothing, publishes nothing, and frees nothing but pictures.
package main

import (
	"flag"
	"fmt"
	"image"
	"log"

	"github.com/mattn/go-tflite"
	"gocv.io/x/gocv"
)

func main() {
	model := flag.String("model", "", "`FILE` (.tflite) with an int8 input and float scores")
	threads := flag.Int("threads", 2, "of the network")
	plain := flag.Bool("plain", false, "without XNNPACK")
	rounds := flag.Int("rounds", 1, "how often the pictures are classified; 0: for ever")
	flag.Parse()

	m := tflite.NewModelFromFile(*model)
	if m == nil {
		log.Fatalf("open model %s: the library refuses it", *model)
	}
	options := tflite.NewInterpreterOptions()
	options.SetNumThread(*threads)
	if !*plain {
		options.AddDelegate(newXNNPACK(*threads))
	}
	interpreter := tflite.NewInterpreter(m, options)
	if interpreter == nil || interpreter.AllocateTensors() != tflite.OK {
		log.Fatalf("open model %s: the interpreter refuses it", *model)
	}
	for round := 0; *rounds == 0 || round < *rounds; round++ {
		for _, file := range flag.Args() {
			best, err := classify(interpreter, file)
			if err != nil {
				log.Fatal(err)
			}
			fmt.Println(file, best)
		}
	}
}

// classify gives the best class of a picture.
func classify(interpreter *tflite.Interpreter, file string) (best int, err error) {
	picture := gocv.IMRead(file, gocv.IMReadColor)
	defer picture.Close()
	if picture.Empty() {
		return 0, fmt.Errorf("read picture %s: OpenCV makes nothing of it", file)
	}
	input := interpreter.GetInputTensor(0)
	small := gocv.NewMat()
	defer small.Close()
	if err := gocv.Resize(picture, &small, image.Pt(input.Dim(2), input.Dim(1)), 0, 0, gocv.InterpolationArea); err != nil {
		return 0, fmt.Errorf("resize picture %s: %w", file, err)
	}
	if err := gocv.CvtColor(small, &small, gocv.ColorBGRToRGB); err != nil {
		return 0, fmt.Errorf("convert picture %s: %w", file, err)
	}
	values := input.Int8s()
	for i, p := range small.ToBytes() {
		values[i] = int8(int(p) - 128)
	}
	if s := interpreter.Invoke(); s != tflite.OK {
		return 0, fmt.Errorf("classify %s: status %d", file, int(s))
	}
	scores := interpreter.GetOutputTensor(0).Float32s()
	for i, s := range scores {
		if s > scores[best] {
			best = i
		}
	}
	return best, nil
}
