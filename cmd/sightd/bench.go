package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"sightd/camera"
	"sightd/daemon"
)

const benchAbout = `Measures how fast a model runs on this machine. Invoke is the network alone; the step is all that the daemon does with a picture:
decode, resize, Invoke, sort the scores. "first" is the first run after the model was opened, "warm-up" is left out of the rest.
With --all it tries what the daemon would choose from, each delegate and number of threads in a process of its own, which proves and
times it, and tells which is best; -delegate auto and -threads 0 then stand for all that there may be here. "init" has the proof in it, "off by" is the largest difference from a golden score.`

func benchCommand(ctx context.Context, c *call) error {
	fs := c.flags("bench", "[flags]", benchAbout)
	m := addModelFlags(fs)
	runs := fs.Int("num_runs", 100, "number of runs that are measured")
	warmups := fs.Int("warmup_runs", 10, "number of runs before them")
	all := fs.Bool("all", false, "try every delegate and number of threads, and tell which is best")
	file := fs.String("picture", "", "the picture `FILE` of a step; without it a drawn PNG of 480x480")
	arguments, err := c.parse(fs)
	if err != nil {
		return err
	}
	if len(arguments) > 0 {
		return usageError{fmt.Sprintf("want no arguments, have %q", arguments[0])}
	}
	if *all {
		return benchAll(ctx, c.stdout, m)
	}
	if *runs < 1 || *runs > 1_000_000 || *warmups < 0 || *warmups > 1_000_000 {
		return usageError{"want 1 to 1000000 runs and 0 to 1000000 before them"}
	}
	data, name, err := benchPicture(*file)
	if err != nil {
		return err
	}
	start := time.Now()
	engine, err := m.open(5)
	if err != nil {
		return err
	}
	b := &bench{engine: engine, decoder: newDecoder(engine), picture: data, initMS: ms(time.Since(start))}
	err = b.run(ctx, *warmups, *runs)
	if err == nil {
		err = b.print(c.stdout, name)
	}
	return errors.Join(err, b.decoder.Close(), engine.Close())
}

func benchPicture(file string) (data []byte, name string, err error) {
	if file == "" {
		data, err = daemon.SamplePNG("golf_ball")
		return data, "drawn PNG 480x480", err
	}
	data, err = os.ReadFile(file)
	return data, printable(file), err
}

// bench holds times in milliseconds.
type bench struct {
	engine       *daemon.Engine
	decoder      *camera.Decoder
	picture      []byte
	initMS       float64
	first        [2]float64 // Invoke, step
	invoke, step []float64
}

func (b *bench) run(ctx context.Context, warmups, runs int) error {
	for i := range warmups + runs {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		start := time.Now()
		mat, _, err := b.decoder.Decode(b.picture)
		if err != nil {
			return err
		}
		r, err := b.engine.Classify(camera.Frame{Mat: mat}, "")
		if err != nil {
			return err
		}
		step := ms(time.Since(start))
		if i == 0 {
			b.first = [2]float64{r.InferMS, step}
		}
		if i >= warmups {
			b.invoke, b.step = append(b.invoke, r.InferMS), append(b.step, step)
		}
	}
	return nil
}

func (b *bench) print(w io.Writer, picture string) error {
	fmt.Fprintf(w, "model      %s, input %s\n", b.engine.Name, b.engine.Spec().Input)
	fmt.Fprintf(w, "delegate   %s\n", b.engine.Delegation())
	fmt.Fprintf(w, "threads    %d\n", b.engine.Threads())
	fmt.Fprintf(w, "picture    %s\n", picture)
	fmt.Fprintf(w, "init       %.1f ms (open the model and prove it on %d golden inputs)\n", b.initMS, b.engine.Proven)
	fmt.Fprintf(w, "RSS        %.1f MB\n", residentMB())
	fmt.Fprintf(w, "runs       %d\n\n", len(b.invoke))
	t := tabwriter.NewWriter(w, 0, 8, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "ms\tfirst\tmean\tmin\tp50\tp95\tp99\tmax\t")
	for i, row := range []struct {
		name  string
		times []float64
	}{{"Invoke", b.invoke}, {"step", b.step}} {
		slices.Sort(row.times)
		fmt.Fprintf(t, "%s\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t\n", row.name, b.first[i], mean(row.times), row.times[0],
			percentile(row.times, 50), percentile(row.times, 95), percentile(row.times, 99), row.times[len(row.times)-1])
	}
	return t.Flush()
}

func ms(d time.Duration) float64 { return d.Seconds() * 1e3 }

func mean(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	return sum / float64(len(v))
}

// percentile takes the nearest rank of sorted values: the smallest that at least p percent of them don't exceed.
func percentile(sorted []float64, p int) float64 {
	rank := (p*len(sorted) + 99) / 100
	return sorted[max(rank, 1)-1]
}

// residentMB is the process's resident set in MB, 0 where /proc doesn't say.
func residentMB() float64 {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(data) {
		if rest, ok := strings.CutPrefix(string(line), "VmRSS:"); ok {
			if kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64); err == nil {
				return kb * 1024 / 1e6
			}
		}
	}
	return 0
}
