package camera

import (
	"fmt"
	"path"
	"strings"
)

// CheckIgnore says what is wrong with a pattern of FolderOptions.Ignore; nil: nothing.
//
// A pattern is one of path.Match, in which * and ? stand for anything but a slash, [a-z] for one of these characters, and
// \ takes the meaning from the next one. Case matters. A pattern without a slash is matched against a file's own name, in
// whatever directory it is: thumb_*.jpg. One with a slash is matched against the whole name relative to the folder:
// cam1/test-?.png. One that ends in a slash is about directories, and leaves out everything below those that match:
// thumbs/ wherever one is, cam1/raw/ only there. Others are about files.
//
// Patterns that no name can match are errors: an empty one, one with a leading slash, with // in it, or with a . or ..
// between slashes. So is **, which has no meaning of its own here.
func CheckIgnore(pattern string) error {
	fault := func(want string) error { return fmt.Errorf("ignore %q: %s", pattern, want) }
	name := strings.TrimSuffix(pattern, "/")
	switch {
	case name == "":
		return fault("want a pattern of a name")
	case strings.HasPrefix(name, "/"):
		return fault("want a name relative to the folder, without a leading /")
	case strings.Contains(name, "**"):
		return fault("** has no meaning: a pattern without a slash matches in every directory, one that ends in / with all below")
	}
	for step := range strings.SplitSeq(name, "/") {
		if step == "" || step == "." || step == ".." {
			return fault("want no empty name, . or .. between slashes")
		}
	}
	if _, err := path.Match(name, ""); err != nil {
		return fault("want each [ closed, and something after each \\")
	}
	return nil
}

// ignorePatterns are patterns that CheckIgnore has nothing against.
type ignorePatterns struct {
	files, directories []string
}

func newIgnorePatterns(patterns []string) (p ignorePatterns) {
	for _, pattern := range patterns {
		if name, ok := strings.CutSuffix(pattern, "/"); ok {
			p.directories = append(p.directories, name)
		} else {
			p.files = append(p.files, pattern)
		}
	}
	return p
}

// file and directory report whether the name relative to the folder is to be left alone.
func (p ignorePatterns) file(name string) bool      { return matches(p.files, name) }
func (p ignorePatterns) directory(name string) bool { return matches(p.directories, name) }

func matches(patterns []string, name string) bool {
	for _, pattern := range patterns {
		subject := name
		if !strings.Contains(pattern, "/") {
			subject = path.Base(name)
		}
		// The patterns were checked.
		if ok, _ := path.Match(pattern, subject); ok {
			return true
		}
	}
	return false
}
