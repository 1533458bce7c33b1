package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"

	"sightd/camera"
	"sightd/camera/picture"
	"sightd/daemon"
	"sightd/decide"
)

const classifyAbout = `Classifies pictures (JPEG, PNG, WebP) and prints a table, or with --json one object a line:
  {"file":…,"label":…,"index":…,"score":…,"top":[{"label":…,"index":…,"score":…}…],"infer_ms":…}
  {"file":…,"error":…}
A folder is searched with all folders below it; dot files, unfinished uploads (.part, .tmp …) and files without
a picture's name are left out there. "-" reads one picture from standard input.
Of many pictures as many as there are threads are classified side by side, each on one thread; they are printed in their order.
Exit status: 0 all classified, 1 some refused, 2 usage.`

// classified is a line of --json.
type classified struct {
	File    string         `json:"file"`
	Label   string         `json:"label"`
	Index   int            `json:"index"`
	Score   float32        `json:"score"`
	Top     []decide.Score `json:"top"`
	InferMS float64        `json:"infer_ms"`
}

// refused is a line of --json.
type refused struct {
	File  string `json:"file"`
	Error string `json:"error"`
}

func classifyCommand(ctx context.Context, c *call) error {
	fs := c.flags("classify", "[flags] FILE|DIR|-...", classifyAbout)
	m := addModelFlags(fs)
	asJSON := fs.Bool("json", false, "print one JSON object a line")
	top := fs.Int("top", 5, "how many labels to print for a picture, best first")
	arguments, err := c.parse(fs)
	if err != nil {
		return err
	}
	if len(arguments) == 0 {
		return usageError{"want a picture, a folder, or - for standard input"}
	}
	if *top < 1 {
		return usageError{fmt.Sprintf("-top: want 1 or more, have %d", *top)}
	}
	o, err := m.options(*top)
	if err != nil {
		return err
	}
	engine, err := daemon.OpenEngine(o)
	if err != nil {
		return err
	}
	decoder := newDecoder(engine)
	out := bufio.NewWriter(c.stdout)
	p := newPrinter(out, *asJSON)
	k := &classifier{engine: engine, decoder: decoder, printer: p, stdin: c.stdin, side: o.Lanes()}
	if !engine.Delegation().Delegate.HasDriver() {
		k.again = func() (*daemon.Engine, error) { return daemon.OpenEngine(o.Beside(engine)) }
	}
	err = k.all(ctx, arguments)
	return errors.Join(err, p.flush(), out.Flush(), decoder.Close(), engine.Close())
}

// newDecoder makes a decoder of pictures for an engine.
func newDecoder(e *daemon.Engine) *camera.Decoder {
	d := camera.NewDecoder(picture.DefaultLimits)
	d.Enough = func(size image.Point) bool { return e.Enough(daemon.View{}, size) }
	return d
}

// classifier classifies files: the first ones one after the other, on all threads, and if there are many the others side by side. It
// prints them in their order.
type classifier struct {
	engine  *daemon.Engine
	decoder *camera.Decoder
	again   func() (*daemon.Engine, error) // opens the model once more, on one thread; nil: it can be had once
	printer *printer
	stdin   io.Reader

	side    int    // how many are best classified side by side
	lanes   *lanes // nil before they are worth it
	judged  int
	refused int
}

// all classifies the arguments. Only what stops everything is an error: no more output, or a signal.
func (k *classifier) all(ctx context.Context, arguments []string) (err error) {
	for _, name := range arguments {
		if err = k.argument(ctx, name); err != nil {
			break
		}
	}
	if k.lanes != nil {
		err = errors.Join(err, k.lanes.close(k.print))
	}
	if err == nil && k.refused > 0 {
		return errRefused
	}
	return err
}

// argument classifies a file, standard input, or the pictures below a folder.
func (k *classifier) argument(ctx context.Context, name string) error {
	if name == "-" {
		return k.judge(&task{name: name, read: k.readStdin})
	}
	info, err := os.Stat(name)
	if err != nil || !info.IsDir() {
		return k.judge(&task{name: name, read: readFile(name)})
	}
	return filepath.WalkDir(name, func(path string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return k.judge(&task{name: path, read: func(*camera.Decoder) (camera.Frame, error) { return camera.Frame{}, err }})
		}
		if d.IsDir() && path != name && strings.HasPrefix(d.Name(), ".") {
			return filepath.SkipDir
		}
		if !d.Type().IsRegular() || !camera.PictureName(d.Name()) {
			return nil
		}
		return k.judge(&task{name: path, read: readFile(path)})
	})
}

// judge reads, classifies and prints one picture, or has a lane do so.
func (k *classifier) judge(t *task) error {
	if k.judged++; k.judged > manyPictures && k.side > 1 {
		if k.lanes == nil {
			k.lanes = startLanes(k.side, k.engine, k.again)
		}
		return k.lanes.hand(t, k.print)
	}
	frame, err := t.read(k.decoder)
	if t.err = err; err == nil {
		t.result, t.err = k.engine.Classify(frame, "")
	}
	return k.print(t)
}

// print prints what came of a picture.
func (k *classifier) print(t *task) error {
	if t.err != nil {
		k.refused++
		return k.printer.refused(t.name, t.err)
	}
	return k.printer.classified(t.name, t.result)
}

// readFile gives what decodes a file.
func readFile(name string) func(*camera.Decoder) (camera.Frame, error) {
	return func(d *camera.Decoder) (camera.Frame, error) { return decodeFile(d, name) }
}

// decodeFile decodes a file. FIFOs and devices are refused before they are opened.
func decodeFile(d *camera.Decoder, name string) (camera.Frame, error) {
	info, err := os.Stat(name)
	if err != nil {
		return camera.Frame{}, err
	}
	if !info.Mode().IsRegular() {
		return camera.Frame{}, fmt.Errorf("it is no regular file (%s)", info.Mode().Type())
	}
	f, err := os.Open(name)
	if err != nil {
		return camera.Frame{}, err
	}
	defer f.Close() // it was only read
	mat, _, err := d.ReadFile(f)
	return camera.Frame{Mat: mat, File: name}, err
}

func (k *classifier) readStdin(d *camera.Decoder) (camera.Frame, error) {
	mat, _, err := d.ReadStream(k.stdin)
	return camera.Frame{Mat: mat, File: "-"}, err
}

// printer prints results as a table, or as JSON. A table's columns are aligned over runs of up to tableRows lines, so that the first
// results of a large folder don't wait for the last.
type printer struct {
	json  *json.Encoder
	table *tabwriter.Writer
	rows  int
}

const tableRows = 32

func newPrinter(w io.Writer, asJSON bool) *printer {
	if asJSON {
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		return &printer{json: e}
	}
	return &printer{table: tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)}
}

func (p *printer) classified(name string, r daemon.Result) error {
	if p.json != nil {
		best := r.Top[0]
		return p.json.Encode(classified{name, best.Label, best.Index, best.Score, r.Top, r.InferMS})
	}
	others := make([]string, 0, len(r.Top))
	for _, s := range r.Top[1:] {
		if s.Score >= 0.01 {
			others = append(others, fmt.Sprintf("%s %.0f%%", printable(s.Label), 100*s.Score))
		}
	}
	return p.row(printable(name), printable(r.Top[0].Label), fmt.Sprintf("%.1f%%", 100*r.Top[0].Score), fmt.Sprintf("%.1f ms", r.InferMS),
		strings.Join(others, ", "))
}

func (p *printer) refused(name string, err error) error {
	text := strings.ToValidUTF8(err.Error(), "\ufffd")
	if p.json != nil {
		return p.json.Encode(refused{name, text})
	}
	return p.row(printable(name), "refused: "+printable(text))
}

func (p *printer) row(cells ...string) error {
	if _, err := fmt.Fprintln(p.table, strings.Join(cells, "\t")); err != nil {
		return err
	}
	if p.rows++; p.rows%tableRows != 0 {
		return nil
	}
	return p.table.Flush()
}

func (p *printer) flush() error {
	if p.table == nil {
		return nil
	}
	return p.table.Flush()
}

// printable quotes a text that could move a terminal's cursor.
func printable(s string) string {
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return strconv.Quote(s)
		}
	}
	return s
}
