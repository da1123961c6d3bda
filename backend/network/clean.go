package network

import (
	"net/url"
	"strings"
	"unicode"
)

// Clean makes text that a server sent fit to show: one line, no control or
// invisible characters, at most limit characters.
func Clean(text string, limit int) string {
	var b strings.Builder
	space := false
	n := 0
	for _, r := range text {
		switch {
		case unicode.IsSpace(r) || unicode.IsControl(r):
			space = n > 0
			continue
		case !unicode.IsGraphic(r) || r == unicode.ReplacementChar:
			continue
		}
		if space {
			b.WriteByte(' ')
			n++
			space = false
		}
		if n >= limit {
			b.WriteRune('…')
			break
		}
		b.WriteRune(r)
		n++
	}
	return b.String()
}

// secretMark stands where a secret was.
const secretMark = "‹secret›"

// Scrub replaces each of the secrets in text, as they are and as a form would
// carry them. Servers do quote in an error what they were sent.
func Scrub(text string, secrets ...string) string {
	for _, s := range secrets {
		if len(s) < 4 { // too short to be one, and it would mangle the text
			continue
		}
		for _, form := range []string{s, url.QueryEscape(s), url.PathEscape(s)} {
			text = strings.ReplaceAll(text, form, secretMark)
		}
	}
	return text
}

// Quote is Clean for text in which the secrets must not appear, even where
// the removal of hidden characters would put one together.
func Quote(text string, limit int, secrets ...string) string {
	text = Scrub(text, secrets...)
	text = Scrub(Clean(text, len(text)), secrets...)
	return Clean(text, limit)
}
