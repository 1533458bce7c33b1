package capture

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

const hidden = "***"

// secretParameter finds parameters that hold secrets, in queries, in paths of some cameras (/user=admin&password=…) and among
// the properties of GStreamer elements.
var secretParameter = regexp.MustCompile(
	`(?i)\b([a-z_-]*(?:passw(?:or)?d|passphrase|pass|pwd|pw|token|secret)|(?:api[_-]?)?key|auth)\s*=\s*("[^"]*"|'[^']*'|[^\s&;/,!]+)`)

// Redact is a URL as it may be shown: without user, password, query and fragment. What is no URL stays as it is.
func Redact(address string) string {
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		return address
	}
	u, err := url.Parse(address)
	end, at := strings.IndexAny(rest, "/?#"), strings.LastIndexByte(rest, '@')
	if err != nil || end >= 0 && at > end && strings.Contains(rest[:at], ":") {
		// A password with an unescaped /, ? or # looks like a host and port with a path behind.
		return scheme + "://" + hidden
	}
	return scheme + "://" + u.Host + secretParameter.ReplaceAllString(u.EscapedPath(), "$1="+hidden)
}

// secrets are the parts of a URL or pipeline that must not be shown.
type secrets struct {
	replace *strings.Replacer
	words   []string
}

// urlPattern finds URLs in a pipeline.
var urlPattern = regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://[^\s"'!]+`)

// secretsOf finds the secrets of a URL, or of a pipeline with URLs in it.
func secretsOf(text string) secrets {
	pairs := map[string]string{}
	for _, address := range urlPattern.FindAllString(text, -1) {
		addURL(pairs, address)
	}
	for _, match := range secretParameter.FindAllStringSubmatch(text, -1) {
		value := strings.Trim(match[2], `"'`)
		addWord(pairs, value, hidden)
		if plain, err := url.QueryUnescape(value); err == nil {
			addWord(pairs, plain, hidden)
		}
	}
	return newSecrets(pairs)
}

func newSecrets(pairs map[string]string) secrets {
	var s secrets
	for word := range pairs {
		s.words = append(s.words, word)
	}
	// The longest first: one that is part of another must not spoil it.
	slices.SortFunc(s.words, func(a, b string) int { return len(b) - len(a) })
	var oldnew []string
	for _, word := range s.words {
		oldnew = append(oldnew, word, pairs[word])
	}
	s.replace = strings.NewReplacer(oldnew...)
	return s
}

func addWord(pairs map[string]string, word, instead string) {
	if word != "" && word != hidden {
		pairs[word] = instead
	}
}

func addURL(pairs map[string]string, address string) {
	if shown := Redact(address); shown != address {
		addWord(pairs, address, shown)
	}
	_, rest, _ := strings.Cut(address, "://")
	if user, _, ok := cutLast(rest, "@"); ok {
		addWord(pairs, user+"@", hidden+"@")
		// A name without a password may be a token.
		secret := user
		if _, password, ok := strings.Cut(user, ":"); ok {
			secret = password
		}
		addWord(pairs, secret, hidden)
		if plain, err := url.PathUnescape(secret); err == nil {
			addWord(pairs, plain, hidden)
		}
	}
	if _, query, ok := strings.Cut(rest, "?"); ok {
		addWord(pairs, "?"+query, "?"+hidden)
	}
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// clean hides the secrets in a text. The end of one that was cut off somewhere may be the beginning of a secret: that goes, too.
func (s secrets) clean(text string, cut bool) string {
	if s.replace == nil {
		return text
	}
	if cut {
		text = s.trim(text)
	}
	return s.replace.Replace(text)
}

// trim removes the longest beginning of a secret that text ends in.
func (s secrets) trim(text string) string {
	shortest := len(text)
	for _, word := range s.words {
		for n := min(len(word)-1, len(text)); n > 0; n-- {
			if strings.HasSuffix(text, word[:n]) {
				shortest = min(shortest, len(text)-n)
				break
			}
		}
	}
	return text[:shortest]
}
