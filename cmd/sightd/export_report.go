package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"sightd/export"
	"sightd/models"
)

// writeReport says what was made; with layers, also what became of each layer, and then all of it is written to a file, too.
func writeReport(w io.Writer, o export.Options, r *export.Report, layers bool) error {
	var b strings.Builder
	name := reportName(o.Output)
	fmt.Fprintf(&b, "wrote %s: %.2f MB\n", o.Output, float64(r.Bytes)/1e6)
	fmt.Fprintf(&b, "wrote %s: model card\n", export.CardName(o.Output))
	if layers {
		fmt.Fprintf(&b, "wrote %s: this report\n", name)
	}
	printSummary(&b, &r.Card)
	for _, text := range r.Refused {
		fmt.Fprintf(&b, "left out %s\n", printable(text))
	}
	if layers {
		printLayers(&b, r.Card.Layers)
		if err := os.WriteFile(name, []byte(b.String()), 0o666); err != nil {
			return fmt.Errorf("write report: %w", err)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// reportName is where the report on a .tflite file is written.
func reportName(model string) string {
	return strings.TrimSuffix(model, filepath.Ext(model)) + ".report.txt"
}

// printSummary says what a model is and what it was measured to do.
func printSummary(b *strings.Builder, card *models.Card) {
	row := func(name, format string, args ...any) {
		fmt.Fprintf(b, "%-12s %s\n", name, fmt.Sprintf(format, args...))
	}
	row("weights", "%s, GoogLeNet (%s), %d classes, from %s (%s)", card.Type, card.Architecture, len(card.Labels), printable(card.Source.Name), card.Source.Format)
	row("input", "%s, RGB pixels of %dx%d as %s", card.Input.Type, card.Input.Size, card.Input.Size, card.Input.Pixels)
	if card.Output != nil {
		row("output", "%s: %s", card.Output.Type, strings.Join(card.Outputs, ", "))
	}
	row("trained on", "%s", trainedOn(&card.Input))
	if len(card.Method.Steps) > 0 {
		row("method", "%s", strings.Join(card.Method.Steps, ", "))
	}
	if a := card.Agreement; a.Pictures > 0 {
		row("agreement", "%s", agreementLine(&a))
	}
	if t := card.Temperature; t != nil {
		row("temperature", "%s", temperatureLine(t))
	}
	if a := card.Accuracy; a != nil {
		printAccuracy(b, card.Type, a)
	}
}

// trainedOn tells a network's own normalization.
func trainedOn(in *models.InputCard) string {
	return fmt.Sprintf("%s, (pixel-mean)/std for pixels from 0 to 255: mean %.5g, std %.5g in the order red, green, blue",
		strings.ToUpper(printable(in.Channels)), in.Mean, in.Std)
}

// agreementLine tells what the calibration pictures showed. Cards of older versions have neither interval nor divergence.
func agreementLine(a *models.Agreement) string {
	text := fmt.Sprintf("%.1f %% of %d calibration pictures get the float network's label", 100*a.Top1, a.Pictures)
	if a.Interval != [2]float64{} {
		text += fmt.Sprintf(" (%s); KL divergence of the scores %.4f nats", interval(a.Interval), a.KL)
	}
	return text
}

// interval tells a 95 % confidence interval.
func interval(ends [2]float64) string {
	return fmt.Sprintf("95 %%: %.1f to %.1f", 100*ends[0], 100*ends[1])
}

func temperatureLine(t *models.Temperature) string {
	return fmt.Sprintf("%.3f, fitted to the %s of %d calibration pictures", t.Value, printable(t.FittedTo), t.Pictures)
}

// printAccuracy prints the table of float network and file.
func printAccuracy(b *strings.Builder, name string, a *models.Accuracy) {
	fmt.Fprintf(b, "\n%d labelled pictures (%s)\n", a.Pictures, printable(a.LabelledBy))
	w := tabwriter.NewWriter(b, 0, 8, 2, ' ', 0)
	cell := func(share float64, ends [2]float64) string {
		return fmt.Sprintf("%.2f %% (%s)", 100*share, interval(ends))
	}
	fmt.Fprintf(w, "\ttop-1\ttop-5\n")
	fmt.Fprintf(w, "float network\t%s\t%s\n", cell(a.FloatTop1, a.FloatTop1Interval), cell(a.FloatTop5, a.FloatTop5Interval))
	fmt.Fprintf(w, "%s file\t%s\t%s\n", name, cell(a.Top1, a.Top1Interval), cell(a.Top5, a.Top5Interval))
	w.Flush() // to a strings.Builder, which has no errors
	fmt.Fprintf(b, "the same label on %s; KL divergence of the scores %.4f nats\n", cell(a.Agreement, a.AgreementInterval), a.KL)
	fmt.Fprintf(b, "McNemar's exact test of top-1: p = %.3f\n", a.McNemarP)
}

// printLayers prints a line for each layer.
func printLayers(b *strings.Builder, layers []models.LayerCard) {
	if len(layers) == 0 {
		return
	}
	b.WriteString("\nThe layers: the least and greatest value of the float network, scale and zero point of the int8 values,\n" +
		"and how far the values are from the float network's, in decibels of signal to noise.\n")
	name, operator := len("layer"), len("operator")
	for _, l := range layers {
		name, operator = max(name, len(l.Name)), max(operator, len(l.Operator))
	}
	fmt.Fprintf(b, "%-*s  %-*s  %9s  %9s  %10s  %4s  %6s\n", name, "layer", operator, "operator", "low", "high", "scale", "zero", "SNR")
	for _, l := range layers {
		scale, zero := "float", ""
		if l.Scale != 0 {
			scale, zero = fmt.Sprintf("%.5g", l.Scale), fmt.Sprint(l.ZeroPoint)
		}
		fmt.Fprintf(b, "%-*s  %-*s  %9.4g  %9.4g  %10s  %4s  %6.1f\n",
			name, printable(l.Name), operator, printable(l.Operator), l.Low, l.High, scale, zero, l.SNR)
	}
}

// bar shows progress on a terminal: one line that is written over, ten times a second at most. A stage is shown when it has taken half a
// second.
type bar struct {
	w     io.Writer // nil: nothing is shown
	now   func() time.Time
	stage string
	began time.Time // of the stage
	last  time.Time // that something was shown
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
	return &bar{w: w, now: time.Now}
}

func (b *bar) show(stage string, done, total int) {
	if b.w == nil {
		return
	}
	now := b.now()
	if stage != b.stage {
		b.end()
		b.stage, b.began = stage, now
	}
	if now.Sub(b.began) < 500*time.Millisecond || now.Sub(b.last) < 100*time.Millisecond && done < total {
		return
	}
	b.last, b.shown = now, true
	const width = 30
	filled := width * done / max(total, 1)
	fmt.Fprintf(b.w, "\r\033[K%-28s [%s%s] %d/%d", stage, strings.Repeat("#", filled), strings.Repeat(".", width-filled), done, total)
}

// end takes the line away.
func (b *bar) end() {
	if b.shown {
		fmt.Fprint(b.w, "\r\033[K")
		b.shown = false
	}
}
