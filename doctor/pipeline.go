package doctor

import (
	"context"
	"errors"
	"os/exec"
	"regexp"
	"slices"
	"strings"
)

// pipeline has GStreamer look for each element of a pipeline.
func pipeline(ctx context.Context, name, text string) []Finding {
	names := elements(text)
	program, err := exec.LookPath("gst-inspect-1.0")
	if err != nil || len(names) == 0 {
		return nil // where gst-launch-1.0 is missing, too, that was told
	}
	f := Finding{Name: name, Status: OK, Detail: "GStreamer has " + strings.Join(names, ", ") + "; whether they fit together is seen by sightd alone"}
	var missing []string
	for _, element := range names {
		var exit *exec.ExitError
		if _, _, err := probe(ctx, program, "--exists", element); errors.As(err, &exit) && exit.Exited() {
			missing = append(missing, element)
		} else if err != nil {
			f.Status, f.Detail = Warn, "whether GStreamer has "+element+" couldn't be found out: "+err.Error()
			f.Hint = "try \"gst-inspect-1.0 " + element + "\""
			return []Finding{f}
		}
	}
	if len(missing) > 0 {
		f.Status, f.Detail = Fail, "GStreamer has no "+strings.Join(missing, ", ")
		f.Hint = "correct the name, or install the package with it: gstreamer1.0-plugins-base, -good, -bad and -ugly have most"
		if slices.ContainsFunc(missing, func(s string) bool { return strings.HasPrefix(s, "nv") }) {
			f.Hint = "elements that begin with nv come with a Jetson's own system (sudo apt install nvidia-l4t-gstreamer), or in a container from its host (--runtime nvidia)"
		}
	}
	return []Finding{f}
}

// elementName is what an element of a pipeline is called: no caps (video/x-raw), no pad (t.src_0), and no bin in brackets.
var elementName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]*$`)

// elements are the names of the elements of a pipeline that stand first or behind an exclamation mark, each once.
func elements(text string) []string {
	var names []string
	first := true
	for _, word := range words(text) {
		if first && elementName.MatchString(word) && word != "bin" && !slices.Contains(names, word) {
			names = append(names, word)
		}
		first = word == "!"
	}
	return names
}

// words are those of a pipeline, and its exclamation marks; what is quoted or escaped is of one word.
func words(text string) []string {
	var all []string
	var word strings.Builder
	end := func() {
		if word.Len() > 0 {
			all = append(all, word.String())
			word.Reset()
		}
	}
	quote, escaped := rune(0), false
	for _, r := range text {
		switch {
		case escaped:
			escaped = false
			word.WriteRune(r)
		case r == '\\' && quote != '\'':
			escaped = true
		case quote != 0:
			if r == quote {
				quote = 0
			}
			word.WriteRune(r)
		case r == '"' || r == '\'':
			quote = r
			word.WriteRune(r)
		case r == '!':
			end()
			all = append(all, "!")
		case r == ' ' || r == '\t' || r == '\n' || r == '\r':
			end()
		default:
			word.WriteRune(r)
		}
	}
	end()
	return all
}
