package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"sightd/daemon"
	"sightd/export/tflitefile"
	"sightd/models"
)

const modelAbout = `Tells of a .tflite file, of the embedded model where none is named; of its card too, the .json beside it.
  info    what it takes and gives, its labels, how it was made and measured
  dump    every tensor, operator and piece of metadata, a line each
  verify  runs the card's golden inputs on each delegate, in a process of its own, and compares the scores: exit status 0 only if all agree
  use     has the daemon run the file in the place of the configured model, at once where it runs: proven before, without losing a picture.
          A bad one changes nothing. Without a file the configured model is run again`

func modelCommand(ctx context.Context, c *call) error {
	fs := c.flags("model", "info|dump|verify|use [FILE]", modelAbout)
	delegates := fs.String("delegate", "", "the delegates that verify tries, with commas between; without it cpu, xnnpack and, where its libraries are, gpu")
	threads := fs.Int("threads", 0, "number of threads of verify; 0 is one for each core, at most 4")
	fs.String("c", "", "for use: "+daemonFlag)
	arguments, err := c.parse(fs)
	if err != nil {
		return err
	}
	if len(arguments) < 1 || len(arguments) > 2 {
		return usageError{"want info, dump, verify or use, and at most one file"}
	}
	path := strings.Join(arguments[1:], "")
	out := bufio.NewWriter(c.stdout)
	switch arguments[0] {
	case "info":
		err = modelInfo(out, path)
	case "dump":
		err = modelDump(out, path)
	case "verify":
		err = modelVerify(ctx, out, path, *delegates, *threads)
	case "use":
		var file string
		if file, err = daemonFile(c, fs); err == nil {
			err = modelUse(ctx, out, file, path)
		}
	default:
		return usageError{fmt.Sprintf("want info, dump, verify or use, have %q", arguments[0])}
	}
	return errors.Join(err, out.Flush())
}

// readModel reads a file, its card where it has one, and what the flatbuffer says.
func readModel(path string) ([]byte, *models.Card, *tflitefile.Model, error) {
	data, card, err := daemon.ReadModel(path)
	if err != nil {
		return nil, nil, nil, err
	}
	m, err := parseModel(path, data)
	return data, card, m, err
}

// parseModel reads a flatbuffer; path is for the error.
func parseModel(path string, data []byte) (*tflitefile.Model, error) {
	m, err := tflitefile.Read(data)
	if err != nil && path != "" {
		err = fmt.Errorf("read %s: %w", path, err)
	}
	return m, err
}

// modelDump prints the model without asking for its card: a stranger's file is to be looked at before it is trusted.
func modelDump(w io.Writer, path string) error {
	var data []byte
	var err error
	if path == "" {
		data, _, err = models.Default()
	} else {
		data, err = os.ReadFile(path)
	}
	if err != nil {
		return err
	}
	m, err := parseModel(path, data)
	if err != nil {
		return err
	}
	return tflitefile.Dump(w, m)
}

func modelInfo(w io.Writer, path string) error {
	data, card, m, err := readModel(path)
	if err != nil {
		return err
	}
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-12s %s\n", name, fmt.Sprintf(format, args...))
	}
	row("sha256", "%s", models.Sum(data))
	row("size", "%.2f MB", float64(len(data))/1e6)
	row("description", "%s", printable(m.Description))
	for _, i := range m.Inputs {
		row("input", "%s", tensorLine(m.Tensors[i]))
	}
	for _, i := range m.Outputs {
		row("output", "%s", tensorLine(m.Tensors[i]))
	}
	row("operators", "%s", countOperators(m))
	if m.Metadata != nil {
		for _, fact := range [][2]string{{"purpose", m.Metadata.Description}, {"author", m.Metadata.Author}, {"license", m.Metadata.License}} {
			if fact[1] != "" {
				row(fact[0], "%s", printable(fact[1]))
			}
		}
		if n := m.Metadata.Input.Normalization; n != nil {
			row("metadata", "(pixel-mean)/std: mean %v, std %v", n.Mean, n.Std)
		}
		labels, err := m.Labels()
		if err != nil {
			row("labels", "%v", err)
		} else {
			row("labels", "%d: %s", len(labels), printable(strings.Join(labels[:min(len(labels), 10)], ", ")))
		}
	}
	if card == nil {
		row("card", "none beside it")
		return nil
	}
	printCard(row, card)
	return nil
}

// printCard tells what a model's card says. Cards of older versions lack some of it.
func printCard(row func(name, format string, args ...any), card *models.Card) {
	row("card", "%s, made by %s", printable(card.Name), printable(card.Exporter))
	if card.Type != "" {
		row("weights", "%s, GoogLeNet (%s)", printable(card.Type), printable(card.Architecture))
	}
	row("source", "%s (%s), sha256 %s", printable(card.Source.Name), printable(card.Source.Format), printable(card.Source.SHA256))
	row("trained on", "%s", trainedOn(&card.Input))
	if len(card.Method.Steps) > 0 {
		row("method", "%s", printable(strings.Join(card.Method.Steps, ", ")))
	}
	if a := card.Agreement; a.Pictures > 0 {
		row("agreement", "%s", agreementLine(&a))
	}
	if a := card.Accuracy; a != nil {
		row("accuracy", "top-1 on %d labelled pictures: %.2f %%, float %.2f %%", a.Pictures, 100*a.Top1, 100*a.FloatTop1)
		if a.FloatTop5 > 0 {
			row("", "top-5: %.2f %%, float %.2f %%; McNemar's p for top-1: %.3f", 100*a.Top5, 100*a.FloatTop5, a.McNemarP)
		}
	}
	if t := card.Temperature; t != nil {
		row("temperature", "%s", temperatureLine(t))
	}
	if n := len(card.Layers); n > 0 {
		worst := slices.MinFunc(card.Layers, func(a, b models.LayerCard) int { return cmp.Compare(a.SNR, b.SNR) })
		row("layers", "%d in the card; the least signal-to-noise ratio is %.1f dB, of %s", n, worst.SNR, printable(worst.Name))
	}
	row("golden", "%d inputs, tolerance %g", len(card.Golden.Inputs), card.Golden.Tolerance)
}

func tensorLine(t tflitefile.Tensor) string {
	line := fmt.Sprintf("%s %s %v", printable(t.Name), t.Type, t.Shape)
	if q := t.Quant; q != nil && len(q.Scale) == 1 && len(q.ZeroPoint) == 1 {
		line += fmt.Sprintf(" scale %g zero point %d", q.Scale[0], q.ZeroPoint[0])
	}
	return line
}

// countOperators lists the operators by name, with their numbers.
func countOperators(m *tflitefile.Model) string {
	counts := map[string]int{}
	for _, op := range m.Operators {
		counts[op.Code.String()]++
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d %s", counts[name], name))
	}
	return fmt.Sprintf("%d: %s", len(m.Operators), strings.Join(parts, ", "))
}
