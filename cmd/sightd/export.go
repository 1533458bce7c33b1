package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"sightd/daemon"
	"sightd/export"
	"sightd/export/graph"
	"sightd/inference"
)

const exportAbout = `Makes a quantized .tflite of GoogLeNet weights in torchvision's layout: a state dict saved by torch.save (.pth, .pt) or
as .safetensors, with any number of classes. Auxiliary heads are left out, batch norm is folded, weights become int8 with a scale for
each output channel; the ranges of activations come from the calibration pictures, run by TensorFlow Lite itself. The model card
is written beside the model, as OUT.json.

Example:
  sightd export googlenet.pth -o mine.tflite --labels labels.txt --calibration pictures/`

func exportCommand(_ context.Context, c *call) error {
	fs := c.flags("export", "WEIGHTS -o OUT.tflite --labels FILE --calibration DIR [flags]", exportAbout)
	o := export.Options{Exporter: "sightd " + version}
	labels := fs.String("labels", "", "`FILE` with one label a line, in the order of the classes (required)")
	fs.StringVar(&o.Output, "o", "", "the .tflite `FILE` to write (required)")
	fs.StringVar(&o.Name, "name", "", "the model's `NAME` in its card and in messages; without it that of the file")
	fs.StringVar(&o.Calibration, "calibration", "", fmt.Sprintf("`DIR` of pictures such as the model will see, at least %d; 100 to 500 are good (required)", export.MinPictures))
	fs.StringVar(&o.Eval, "eval", "", "`DIR` with a folder of pictures for each class, whose sorted names have the order of the labels: measures accuracy")
	fs.IntVar(&o.Size, "size", 224, "height and width of the input in pixels: 96, 128, 160 … 512")
	io := fs.String("io", "int8", "type of the input: int8 (pixel-128), uint8 (pixel) or float32 ((pixel-mean)/std)")
	fs.BoolVar(&o.Features, "features", false, "give the 1024 pooled features as output 1")
	mean := fs.String("mean", "127.5,127.5,127.5",
		"what was subtracted from the pixels in training: `M` or M,M,M in the order of --channels, for pixels from 0 to 255; or from 0 to 1, as in torchvision's transforms, if --std is below 1")
	std := fs.String("std", "127.5,127.5,127.5", "what they were divided by then: `S` or S,S,S")
	channels := fs.String("channels", "rgb", "order of the channels in training: rgb or bgr; the exported model always takes RGB")
	fs.IntVar(&o.Threads, "threads", 0, "number of threads for calibration; 0 is one for each core, at most 4")
	quiet := fs.Bool("quiet", false, "print no progress")
	arguments, err := c.parse(fs)
	if err != nil {
		return err
	}
	if len(arguments) != 1 {
		return usageError{fmt.Sprintf("want one file of weights, have %d", len(arguments))}
	}
	o.Weights = arguments[0]
	for _, required := range []struct{ flag, value string }{{"-o", o.Output}, {"-labels", *labels}, {"-calibration", o.Calibration}} {
		if required.value == "" {
			return usageError{required.flag + " is missing"}
		}
	}
	types := map[string]inference.Type{"int8": inference.Int8, "uint8": inference.UInt8, "float32": inference.Float32}
	if o.Input = types[*io]; o.Input == inference.UnknownType {
		return usageError{fmt.Sprintf("-io: want int8, uint8 or float32, have %q", *io)}
	}
	if o.Normalization, o.BGR, err = normalization(*mean, *std, *channels); err != nil {
		return usageError{err.Error()}
	}
	if o.Labels, err = daemon.ReadLabels(*labels); err != nil {
		return err
	}
	bar := newBar(c.stderr, *quiet)
	o.Progress = bar.show
	report, err := export.Run(o)
	bar.end()
	if err != nil {
		return err
	}
	return printReport(c.stdout, o, report)
}

// normalization reads --mean and --std, which are in the order of --channels, into red, green, blue.
func normalization(mean, std, channels string) (n graph.Normalization, bgr bool, err error) {
	if channels != "rgb" && channels != "bgr" {
		return n, false, fmt.Errorf("-channels: want rgb or bgr, have %q", channels)
	}
	var errs []error
	read := func(flag, text string) (v [3]float64) {
		parts := strings.Split(text, ",")
		if len(parts) != 1 && len(parts) != 3 {
			errs = append(errs, fmt.Errorf("-%s: want one number or three, have %q", flag, text))
			return v
		}
		for i := range v {
			f, err := strconv.ParseFloat(strings.TrimSpace(parts[i%len(parts)]), 64)
			if err != nil {
				errs = append(errs, fmt.Errorf("-%s: want a number, have %q", flag, parts[i%len(parts)]))
			}
			v[i] = f
		}
		if channels == "bgr" {
			v[0], v[2] = v[2], v[0]
		}
		return v
	}
	n.Mean, n.Std = read("mean", mean), read("std", std)
	if max(n.Std[0], n.Std[1], n.Std[2]) < 1 && max(n.Mean[0], n.Mean[1], n.Mean[2]) <= 1 {
		// No network is fed pixels of 0 to 255 divided by less than 1: these are for pixels of 0 to 1.
		for i := range 3 {
			n.Mean[i], n.Std[i] = 255*n.Mean[i], 255*n.Std[i]
		}
	}
	return n, channels == "bgr", errors.Join(errs...)
}

// printReport says what was made.
func printReport(w io.Writer, o export.Options, r *export.Report) error {
	card := r.Card
	var b strings.Builder
	fmt.Fprintf(&b, "wrote %s: %.2f MB, %d classes, input %s %dx%d\n",
		o.Output, float64(r.Bytes)/1e6, len(card.Labels), card.Input.Type, card.Input.Size, card.Input.Size)
	fmt.Fprintf(&b, "wrote %s: model card\n", export.CardName(o.Output))
	fmt.Fprintf(&b, "trained on (pixel-mean)/std, %s: mean %.5g, std %.5g for pixels from 0 to 255; it takes RGB\n",
		strings.ToUpper(card.Input.Channels), card.Input.Mean, card.Input.Std)
	fmt.Fprintf(&b, "the same top-1 label as the float network on %.1f %% of %d calibration pictures\n", 100*card.Agreement.Top1, card.Agreement.Pictures)
	if a := card.Accuracy; a != nil {
		fmt.Fprintf(&b, "top-1 on %d labelled pictures: float %.2f %%, int8 %.2f %%; the same label on %.2f %%\n",
			a.Pictures, 100*a.FloatTop1, 100*a.Top1, 100*a.Agreement)
	}
	for _, text := range r.Refused {
		fmt.Fprintf(&b, "left out %s\n", text)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// bar shows progress on a terminal: one line that is written over, ten times a second at most.
type bar struct {
	w     io.Writer // nil: nothing is shown
	last  time.Time
	shown bool
}

// newBar shows progress on w if that is a terminal.
func newBar(w io.Writer, quiet bool) *bar {
	f, ok := w.(*os.File)
	if !ok || quiet {
		return &bar{}
	}
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return &bar{}
	}
	return &bar{w: w}
}

func (b *bar) show(stage string, done, total int) {
	if b.w == nil || time.Since(b.last) < 100*time.Millisecond && done < total {
		return
	}
	b.last, b.shown = time.Now(), true
	const width = 30
	filled := width * done / max(total, 1)
	fmt.Fprintf(b.w, "\r\033[K%-28s [%s%s] %d/%d", stage, strings.Repeat("#", filled), strings.Repeat(".", width-filled), done, total)
}

func (b *bar) end() {
	if b.shown {
		fmt.Fprint(b.w, "\r\033[K")
	}
}
