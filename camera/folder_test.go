package camera

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sightd/camera/picture"
)

// The pictures of these tests are text: whole with an END, refused with a BAD, else incomplete; one that says EIO can't
// be read.
func wholeText(file *io.SectionReader) error {
	text, err := io.ReadAll(file)
	switch {
	case err != nil:
		return err
	case strings.Contains(string(text), "EIO"):
		return unix.EIO
	case strings.Contains(string(text), "BAD"):
		return &picture.RefusedError{Reason: "bad\npicture"}
	case !strings.Contains(string(text), "END"):
		return &picture.RefusedError{Reason: "no end marker", Incomplete: true}
	}
	return nil
}

func options(dir string) FolderOptions {
	return FolderOptions{Name: "inbox", Path: dir, Settle: 20 * time.Millisecond, Grace: 200 * time.Millisecond, Whole: wholeText}
}

// watched opens a folder with its loop, and closes it when the test ends.
func watched(t *testing.T, opts FolderOptions) *Folder {
	t.Helper()
	f, err := OpenFolder(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { must(t, f.Close()) })
	return f
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func next(t *testing.T, f *Folder) *Item {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	item, err := f.Next(ctx)
	if err != nil {
		t.Fatalf("next: %v; %+v", err, f.Stats())
	}
	return item
}

// write makes a file with its final content in one go.
func write(t testing.TB, path, content string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o777))
	must(t, os.WriteFile(path, []byte(content), 0o666))
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	must(t, err)
	return string(content)
}

// files lists the files below dir, relative to it.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, strings.TrimPrefix(path, dir+"/"))
		}
		return err
	}))
	slices.Sort(names)
	return names
}

func wantFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	if got := files(t, dir); !slices.Equal(got, want) {
		t.Errorf("files are %q, want %q", got, want)
	}
}

func TestWaysIn(t *testing.T) {
	for _, poll := range []Poll{PollAuto, PollOn, PollOff} {
		t.Run(string(poll), func(t *testing.T) {
			dir, away := t.TempDir(), t.TempDir()
			write(t, dir+"/before.jpg", "there already END")
			opts := options(dir)
			opts.Poll = poll
			f := watched(t, opts)
			drops := []struct {
				name string
				drop func(to string)
			}{
				{"before.jpg", func(string) {}},
				{"created.jpg", func(to string) { write(t, to, "END") }},
				{"moved in.png", func(to string) {
					write(t, away+"/x", "END")
					must(t, os.Rename(away+"/x", to))
				}},
				{"linked.webp", func(to string) {
					write(t, away+"/y", "END")
					must(t, os.Link(away+"/y", to))
				}},
				{"uploaded.JPG", func(to string) {
					write(t, to+".part", "END")
					must(t, os.Rename(to+".part", to))
				}},
				{"dated.jpeg", func(to string) {
					write(t, to, "END")
					must(t, os.Chtimes(to, time.Unix(0, 0), time.Unix(-5, 0)))
				}},
				{"future.jpeg", func(to string) {
					write(t, to, "END")
					must(t, os.Chtimes(to, time.Now(), time.Now().Add(1e6*time.Hour)))
				}},
			}
			if poll == PollOn {
				drops = drops[:3] // each waits for a scan
			}
			for _, d := range drops {
				d.drop(dir + "/" + d.name)
				item := next(t, f)
				if item.File != d.name || item.Err != nil {
					t.Fatalf("got %q, %v; want %q", item.File, item.Err, d.name)
				}
				must(t, item.Done(nil))
				if _, err := os.Stat(filepath.Join(dir, "done", d.name)); err != nil {
					t.Error(err)
				}
			}
			n := uint64(len(drops))
			if stats := f.Stats(); stats != (FolderStats{Seen: n, Done: n, Polled: stats.Polled}) {
				t.Errorf("stats are %+v", stats)
			}
		})
	}
}

// A writer that pauses for longer than Settle after each part.
func TestSlowWriter(t *testing.T) {
	dir := t.TempDir()
	looked := make(chan struct{}, 100)
	opts := options(dir)
	opts.Grace = time.Hour
	opts.Whole = func(file *io.SectionReader) error {
		looked <- struct{}{}
		return wholeText(file)
	}
	f := watched(t, opts)
	file, err := os.Create(dir + "/slow.jpg")
	must(t, err)
	got := make(chan *Item, 1)
	go func() {
		item, err := f.Next(t.Context())
		if err != nil {
			t.Error(err)
		}
		got <- item
	}()
	for range 5 {
		_, err := file.WriteString(strings.Repeat("x", 1024))
		must(t, err)
		select {
		case <-looked: // it stood still for Settle
		case item := <-got:
			t.Fatalf("%+v was handed out while it was written", item)
		}
	}
	_, err = file.WriteString("END")
	must(t, err)
	must(t, file.Close())
	item := <-got
	if item == nil || item.Err != nil || item.Size != 5*1024+3 {
		t.Fatalf("got %+v", item)
	}
	must(t, item.Done(nil))
	wantFiles(t, dir, "done/slow.jpg")
}

// A real picture, whole only with its last byte, and looked into after each part that is written.
func TestPictureInParts(t *testing.T) {
	canvas := image.NewGray(image.Rect(0, 0, 64, 48))
	for i := range canvas.Pix {
		canvas.Pix[i] = byte(i * i)
	}
	var buf bytes.Buffer
	must(t, jpeg.Encode(&buf, canvas, nil))
	encoded := buf.Bytes()

	dir := t.TempDir()
	looked := make(chan error, 100)
	whole := Whole(picture.Limits{MaxPixels: 1 << 20, MaxBytes: 1 << 20})
	opts := options(dir)
	opts.Grace = time.Hour
	opts.Whole = func(file *io.SectionReader) error {
		err := whole(file)
		looked <- err
		return err
	}
	f := watched(t, opts)
	got := make(chan *Item, 1)
	go func() {
		item, err := f.Next(t.Context())
		if err != nil {
			t.Error(err)
		}
		got <- item
	}()
	const parts = 8
	for i := range parts {
		// Each part is appended by another descriptor, so that none is open while the file is looked into.
		file, err := os.OpenFile(dir+"/a.jpg", os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o666)
		must(t, err)
		_, err = file.Write(encoded[i*len(encoded)/parts : (i+1)*len(encoded)/parts])
		must(t, err)
		must(t, file.Close())
		var refused *picture.RefusedError
		if err := <-looked; i < parts-1 && (!errors.As(err, &refused) || !refused.Incomplete) {
			t.Fatalf("after part %d: %v, want it incomplete", i, err)
		}
	}
	if item := <-got; item == nil || item.Err != nil || item.Size != int64(len(encoded)) {
		t.Errorf("got %+v", item)
	}
}

func TestManyAtOnce(t *testing.T) {
	dir := t.TempDir()
	f := watched(t, options(dir))
	const n = 200
	go func() {
		for i := range n {
			path := fmt.Sprintf("%s/%03d.jpg", dir, i)
			if err := os.WriteFile(path, fmt.Append(nil, i, "END"), 0o666); err != nil {
				t.Error(err)
			}
		}
	}()
	seen := map[string]bool{}
	items := make(chan *Item)
	for range 4 {
		go func() {
			for {
				item, err := f.Next(t.Context())
				if err != nil {
					return
				}
				items <- item
			}
		}()
	}
	for range n {
		item := <-items
		if seen[item.File] {
			t.Fatalf("%s was handed out twice", item.File)
		}
		seen[item.File] = true
		must(t, item.Done(nil))
	}
	if stats := f.Stats(); stats != (FolderStats{Seen: n, Done: n}) {
		t.Errorf("stats are %+v", stats)
	}
	if left := files(t, dir+"/done"); len(left) != n {
		t.Errorf("%d files are done", len(left))
	}
}

func TestRefused(t *testing.T) {
	dir := t.TempDir()
	f := watched(t, options(dir))
	for name, content := range map[string]string{"bad.jpg": "BAD", "cut.jpg": "ENDLESS"[:2], "empty.jpg": ""} {
		write(t, dir+"/"+name, content)
	}
	reasons := map[string]string{"bad.jpg": "bad\npicture", "cut.jpg": "no end marker", "empty.jpg": "no end marker"}
	for range 3 {
		item := next(t, f)
		var refused *picture.RefusedError
		if !errors.As(item.Err, &refused) || refused.Reason != reasons[item.File] {
			t.Fatalf("%s: %v", item.File, item.Err)
		}
		must(t, item.Refuse(item.Err.Error(), nil))
	}
	wantFiles(t, dir, "failed/bad.jpg", "failed/bad.jpg.txt", "failed/cut.jpg", "failed/cut.jpg.txt",
		"failed/empty.jpg", "failed/empty.jpg.txt")
	line := read(t, dir+"/failed/bad.jpg.txt")
	at, reason, _ := strings.Cut(line, " ")
	if _, err := time.Parse(time.RFC3339, at); err != nil || reason != `bad\npicture`+"\n" {
		t.Errorf("reason is %q", line)
	}
	if stats := f.Stats(); stats != (FolderStats{Seen: 3, Refused: 3}) {
		t.Errorf("stats are %+v", stats)
	}
}

func TestNextEnds(t *testing.T) {
	f := watched(t, options(t.TempDir()))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	ended := make(chan error)
	for range 2 {
		go func() {
			_, err := f.Next(t.Context())
			ended <- err
		}()
	}
	must(t, f.Close())
	must(t, f.Close())
	for range 2 {
		if err := <-ended; !errors.Is(err, os.ErrClosed) {
			t.Errorf("got %v", err)
		}
	}
}

func TestFolderOptions(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/file", "")
	tests := []struct {
		change func(*FolderOptions)
		want   string
	}{
		{func(o *FolderOptions) { o.Name = "" }, "name"},
		{func(o *FolderOptions) { o.Name = "a/b" }, "name"},
		{func(o *FolderOptions) { o.Path = "" }, "path"},
		{func(o *FolderOptions) { o.Path = dir + "/file" }, "not a directory"},
		{func(o *FolderOptions) { o.Whole = nil }, "whole"},
		{func(o *FolderOptions) { o.Settle = -1 }, "settle"},
		{func(o *FolderOptions) { o.After = "moove" }, `after "moove": want move, keep or delete`},
		{func(o *FolderOptions) { o.After = AfterKeep }, "state directory"},
		{func(o *FolderOptions) { o.Poll = "yes" }, `poll "yes": want auto, on or off`},
	}
	for _, test := range tests {
		opts := options(dir)
		test.change(&opts)
		f, err := OpenFolder(opts)
		if err == nil {
			must(t, f.Close())
		}
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("got %v, want %q", err, test.want)
		}
	}
}
