package trace

import (
	"encoding/base64"
	"encoding/hex"
	"html"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxWords is how much of a server's own words is looked at; more is no message.
	maxWords = 8 << 10
	// shownWords bounds what is kept of them, in characters.
	shownWords = 300
	// longWord is from where on letters mixed with digits are no word.
	longWord = 20
	// longestName is that of a parameter, a member or a header, in bytes.
	longestName = 64
)

// clean makes text fit to show and to hold marks: one line, no control or
// invisible characters, and none of the signs that marks are made of.
func clean(text string) string {
	var b strings.Builder
	space := false
	for _, r := range text {
		switch {
		case unicode.IsSpace(r) || unicode.IsControl(r):
			space = b.Len() > 0
			continue
		case !unicode.IsGraphic(r) || r == utf8.RuneError:
			continue
		case r == '‹':
			r = '<'
		case r == '›':
			r = '>'
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		b.WriteRune(r)
	}
	return b.String()
}

// cut shortens text to a number of characters. It is for text that was scrubbed.
func cut(text string, limit int) string {
	n := 0
	for i := range text {
		if n == limit {
			// Half a mark is none.
			if open := strings.LastIndex(text[:i], "‹"); open > strings.LastIndex(text[:i], "›") {
				i = open
			}
			return text[:i] + "…"
		}
		n++
	}
	return text
}

// scrub takes the known values out of a value that is kept: a URL, a word, an
// id that is public.
func (m *marks) scrub(value string) string {
	value = clean(value)
	switch {
	case value == "":
		return ""
	case m.full || len(value) > maxWords:
		return length(value)
	}
	return m.replace(value, identifying, 4)
}

// words is scrub for a server's own sentences, in which anything may be
// quoted: what looks like a secret, a number of a person, a date, an address
// of mail or a resource goes too.
func (m *marks) words(text string) string {
	text = clean(text)
	switch {
	case text == "":
		return ""
	case m.full || len(text) > maxWords:
		return length(text)
	}
	return cut(outside(m.replace(text, plain, 1), m.unknown), shownWords)
}

// again is scrub for text that holds marks and lines already.
func (m *marks) again(text string) string {
	return m.replace(text, identifying, 4)
}

// replace puts marks in the place of known values. Where one is hidden in
// another form, nothing of the text is kept.
func (m *marks) replace(text string, least class, shortest int) string {
	text = outside(text, func(piece string) string {
		found := m.find(piece, least, shortest)
		if len(found) == 0 {
			return piece
		}
		var b strings.Builder
		at := 0
		for _, s := range found {
			b.WriteString(piece[at:s.from])
			b.WriteString(s.mark)
			at = s.to
		}
		b.WriteString(piece[at:])
		return b.String()
	})
	if mark, hidden := m.hides(outside(text, nil), 2); hidden {
		return strings.TrimSuffix(length(text), "›") + ", with " + strings.Trim(mark, "‹›") + " in it›"
	}
	return text
}

// outside changes the pieces of a text that are no marks. Without a change it
// gives the text without its marks.
func outside(text string, change func(string) string) string {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(text, "‹")
		if change == nil {
			b.WriteString(before + " ")
		} else if before != "" {
			b.WriteString(change(before))
		}
		if !ok {
			return b.String()
		}
		mark, after, ok := strings.Cut(rest, "›")
		if !ok { // no mark ends it: cut made none, and clean leaves none in
			return b.String()
		}
		if change != nil {
			b.WriteString("‹" + mark + "›")
		}
		text = after
	}
}

// hides tells whether text holds a known value in another form: encoded for a
// URL, for HTML or JSON, in Base64 or hex, broken by spaces or lines, or backwards.
func (m *marks) hides(text string, depth int) (mark string, found bool) {
	if depth == 0 || len(text) < 4 || len(m.byValue) == 0 {
		return "", false
	}
	look := func(form string, least class, shortest int, deeper bool) bool {
		if form == text || found {
			return found
		}
		if mark, found = m.has(form, least, shortest); !found && deeper {
			mark, found = m.hides(form, depth-1)
		}
		return found
	}
	if strings.ContainsAny(text, "%+") {
		for form, i := text, 0; i < 3; i++ {
			next := unescape(form)
			if look(next, identifying, 4, true) || look(strings.ReplaceAll(next, "+", " "), identifying, 4, false) {
				return mark, found
			}
			if next == form {
				break
			}
			form = next
		}
	}
	if strings.Contains(text, "&") && look(html.UnescapeString(text), identifying, 4, true) {
		return mark, found
	}
	if strings.Contains(text, `\`) && look(unquote(text), identifying, 4, true) {
		return mark, found
	}
	tight := packed(text)
	if look(tight, opaque, block, false) || look(reversed(tight), opaque, block, false) {
		return mark, found
	}
	for _, form := range decoded(tight) {
		// Bytes that are no text hold no small values but by chance.
		if look(form, identifying, 6, utf8.ValidString(form)) {
			return mark, found
		}
	}
	return "", false
}

// packed is text without spaces, line breaks and invisible characters.
func packed(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || !unicode.IsGraphic(r) {
			return -1
		}
		return r
	}, text)
}

// unescape decodes %XX where it is whole, and leaves everything else.
func unescape(text string) string {
	if plain, err := url.PathUnescape(text); err == nil {
		return plain
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '%' && i+2 < len(text) {
			if n, err := strconv.ParseUint(text[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(n))
				i += 2
				continue
			}
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// unquote decodes the escapes of JSON strings.
func unquote(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' || i+1 == len(text) {
			b.WriteByte(text[i])
			continue
		}
		i++
		if text[i] == 'u' && i+4 < len(text) {
			if n, err := strconv.ParseUint(text[i+1:i+5], 16, 16); err == nil {
				b.WriteRune(rune(n))
				i += 4
				continue
			}
		}
		if k := strings.IndexByte("nrtbf", text[i]); k >= 0 {
			b.WriteByte("\n\r\t\b\f"[k])
			continue
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

func reversed(text string) string {
	b := []byte(text)
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return string(b)
}

// codedRun is what may be Base64 or hex.
var codedRun = regexp.MustCompile(`[A-Za-z0-9+/_-]{12,}`)

// decoded gives what Base64 and hex in text stand for, wherever it begins.
func decoded(text string) []string {
	var out []string
	for _, run := range codedRun.FindAllString(text, 64) {
		run = strings.NewReplacer("-", "+", "_", "/").Replace(run)
		for from := range 4 {
			piece := run[from:]
			if len(piece)%4 == 1 {
				piece = piece[:len(piece)-1]
			}
			// Bits that stand over are not looked at.
			if b, err := base64.RawStdEncoding.DecodeString(piece); err == nil {
				out = append(out, string(b))
			}
		}
		for from := range 2 {
			piece := run[from:]
			if b, err := hex.DecodeString(piece[:len(piece)/2*2]); err == nil {
				out = append(out, string(b))
			}
		}
	}
	return out
}

var (
	inWords   = regexp.MustCompile(`https?://[^\s"'<>()\[\]{}]+`)
	mail      = regexp.MustCompile(`[^\s@"'<>()]+@[^\s@"'<>()]+`)
	reference = regexp.MustCompile(`\b([A-Z][A-Za-z]+)/([A-Za-z0-9.-]{1,64})`)
	day       = regexp.MustCompile(`\b\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\b\d{1,2}[-/.]\d{1,2}[-/.]\d{4}\b`)
	number    = regexp.MustCompile(`\d[\d -]{4,}\d`)
	token     = regexp.MustCompile(`[A-Za-z0-9._~+/=%-]{20,}`)
)

// unknown takes out of a sentence what may be somebody's, though nobody said so.
func (m *marks) unknown(text string) string {
	text = inWords.ReplaceAllStringFunc(text, func(found string) string {
		address := strings.TrimRight(found, ".,;:!?")
		return m.address(address).text + found[len(address):]
	})
	rules := []func(string) string{
		func(s string) string { return mail.ReplaceAllString(s, "‹mail address›") },
		func(s string) string {
			return reference.ReplaceAllStringFunc(s, func(found string) string {
				kind, id, _ := strings.Cut(found, "/")
				if !isType(kind) || isType(id) {
					return found
				}
				bare := strings.TrimRight(id, ".-")
				return kind + "/" + m.secret(idOf(kind), bare) + id[len(bare):]
			})
		},
		func(s string) string {
			return token.ReplaceAllStringFunc(s, func(found string) string {
				if m.public[found] || !looksOpaque(found) {
					return found
				}
				return m.text(found)
			})
		},
		func(s string) string { return day.ReplaceAllString(s, "‹date›") },
		func(s string) string { return number.ReplaceAllString(s, "‹number›") },
	}
	for _, rule := range rules {
		text = outside(text, func(piece string) string { return besides(piece, rule) })
	}
	return text
}

// besides changes what is no address in a piece: one that was kept is not taken apart.
func besides(piece string, change func(string) string) string {
	var b strings.Builder
	at := 0
	for _, found := range inWords.FindAllStringIndex(piece, -1) {
		b.WriteString(change(piece[at:found[0]]))
		b.WriteString(piece[found[0]:found[1]])
		at = found[1]
	}
	b.WriteString(change(piece[at:]))
	return b.String()
}

// looksOpaque tells a token from a word: letters mixed with digits, or more of
// either than any word has.
func looksOpaque(word string) bool {
	if strings.Contains(word, "://") {
		return false
	}
	letters, digits, run := false, false, 0
	for i := range len(word) {
		switch c := word[i]; {
		case 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z':
			letters = true
			run++
		case '0' <= c && c <= '9':
			digits = true
			run++
		case c == '.' || c == '/' || c == ' ':
			run = 0
		default:
			run++
		}
		if run >= 2*longWord {
			return true
		}
	}
	return letters && digits && len(word) >= longWord && !strings.Contains(word, " ")
}

func wordRune(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

func tokenChar(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~+/=%", c) >= 0
}
