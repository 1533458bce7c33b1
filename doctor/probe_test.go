package doctor

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// program makes a shell script that the tests' PATH has as a program.
func program(t *testing.T, name, script string) {
	t.Helper()
	path := filepath.Join(os.Getenv("PATH"), name)
	write(t, path, "#!/bin/sh\n"+script+"\n")
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestPipeline(t *testing.T) {
	for _, test := range []struct {
		name, pipeline, script string
		want                   []string
	}{
		{"known", "videotestsrc ! videoconvert", "exit 0", []string{"ok source a: GStreamer has videotestsrc, videoconvert"}},
		{"misspelled", "videotestsrc ! videoconvrt ! x264enc", `[ "$1 $2" = "--exists videotestsrc" ]`,
			[]string{"fail source a: GStreamer has no videoconvrt, x264enc -> install the package"}},
		{"of a Jetson", "nvarguscamerasrc ! nvvidconv", "exit 1", []string{"fail source a: no nvarguscamerasrc, nvvidconv -> nvidia-l4t-gstreamer"}},
		{"killed", "videotestsrc", "kill -9 $$", []string{"warn source a: whether GStreamer has videotestsrc couldn't be found out -> gst-inspect-1.0"}},
		{"no element", "( a. )", "exit 1", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			installed(t, "gst-launch-1.0")
			program(t, "gst-inspect-1.0", test.script)
			got := live(t, recorded(t, nil), "{name: a, type: gstreamer, pipeline: \""+test.pipeline+"\"}")
			want(t, got, append([]string{"ok source a program: gst-launch-1.0"}, test.want...)...)
		})
	}
}

func TestElements(t *testing.T) {
	for pipeline, want := range map[string]string{
		"":                                "",
		"videotestsrc":                    "videotestsrc",
		"a!b ! c":                         "a b c",
		"a x=1 y = 2 ! b ! a ! c":         "a b c",
		"a ! video/x-raw,width=64 ! b":    "a b",
		"tee name=t ! queue ! b t. ! c":   "tee queue b c",
		"a ! t.src_0 ! b":                 "a b",
		`a uri="x ! y" ! b z='! q' ! c`:   "a b c",
		`a x=\! ! b`:                      "a b",
		"bin.( a ! b )":                   "b",
		"rtspsrc location=rtsp://u:p@x !": "rtspsrc",
	} {
		if got := strings.Join(elements(pipeline), " "); got != want {
			t.Errorf("%s: got %s, want %s", pipeline, got, want)
		}
	}
}

func FuzzElements(f *testing.F) {
	for _, s := range []string{"a ! b", `a "! b`, "a\\", "é ! ! x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, pipeline string) {
		for _, name := range elements(pipeline) {
			if !elementName.MatchString(name) || !strings.Contains(strings.ReplaceAll(pipeline, "\\", ""), name) {
				t.Fatalf("got %q of %q", name, pipeline)
			}
		}
	})
}

func TestVideo(t *testing.T) {
	film := filepath.Join(t.TempDir(), "film")
	write(t, film, "version: 1\n")
	for _, test := range []struct{ name, script, want string }{
		{"a video", "echo video", "ok source a: is there, and may be read"},
		{"none", "echo \"$9: Invalid data\" >&2; exit 1", "fail source a: film: ffmpeg can't read it: Invalid data -> set sources[0].path"},
		{"sound", "exit 0", "fail source a: want a video, have a file without pictures -> set sources[0].path"},
		{"killed", "kill -9 $$", "ok source a: whether it is a video couldn't be found out"},
	} {
		t.Run(test.name, func(t *testing.T) {
			installed(t, "ffmpeg")
			program(t, "ffprobe", test.script)
			want(t, live(t, recorded(t, nil), "{name: a, type: replay, path: "+film+"}")[1:], test.want)
		})
	}

	ended, cancel := context.WithCancel(context.Background())
	cancel()
	installed(t)
	program(t, "ffprobe", "exec /bin/sleep 60")
	want(t, []Finding{recording(ended, "source a", film, "", true)}, "ok source a: couldn't be found out: context canceled")
}

// TestRealPrograms asks the programs themselves, where they are.
func TestRealPrograms(t *testing.T) {
	ctx := context.Background()
	text := filepath.Join(t.TempDir(), "text.yaml")
	write(t, text, "version: 1\n")
	for _, name := range []string{"ffprobe", "gst-inspect-1.0", "ffmpeg"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skip(err)
		}
	}
	want(t, []Finding{recording(ctx, "source a", text, "look", true)}, "fail source a: ffmpeg can't read it -> look")
	film := filepath.Join(t.TempDir(), "film.avi")
	arguments := []string{"-v", "error", "-f", "lavfi", "-i", "testsrc=size=64x48:duration=1", "-c:v", "mjpeg", film}
	if out, err := exec.Command("ffmpeg", arguments...).CombinedOutput(); err != nil {
		t.Fatalf("make a video: %v: %s", err, out)
	}
	want(t, []Finding{recording(ctx, "source a", film, "look", true)}, "ok source a: is there")
	found := pipeline(ctx, "source a", "fakesrc ! nosuchelement")
	if !slices.ContainsFunc(found, func(f Finding) bool { return f.Status == Fail && strings.HasSuffix(f.Detail, "no nosuchelement") }) {
		t.Errorf("got %+v, want an element missing", found)
	}
}
