package trace

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"hash/maphash"
	"regexp"
	"strings"
	"unicode/utf8"

	"chartkey/backend/secret"
)

// class is how eagerly a value is looked for in other text.
type class int

const (
	// plain values are looked for as a whole, in words of servers only: they may
	// be common ones ("female"), and everything else is redacted by its name.
	plain class = iota
	// identifying values are looked for as a whole, everywhere.
	identifying
	// opaque values are looked for everywhere, also parts of them, and in
	// whatever form they are written.
	opaque
)

// block is the length of the pieces by which values are found.
const block = 8

// The bounds on what is remembered. Where they are reached, no words of a
// server are kept any more: what could be in them is no longer known.
const (
	maxKnown   = 8192
	maxAnchors = 1 << 18
	// maxPieces bounds the anchors of one value: pieces of its first 16 KiB are found.
	maxPieces = 2048
	// shortestSecret is the least length at which a secret is looked for in other text.
	shortestSecret = 4
)

// known is a value that must not be seen, without the value.
type known struct {
	kind  Kind
	mark  string
	class class
	n     int
	// sum is of the value with ASCII letters in lower case.
	sum [sha256.Size]byte
}

// anchor is where in a known value a block stands.
type anchor struct {
	of *known
	at int
}

// marks gives values their marks, and finds them in text. Of a value it keeps
// keyed hashes: of the whole, and of blocks of eight bytes. It is not safe for
// concurrent use.
type marks struct {
	key  [32]byte
	seed maphash.Seed

	byValue map[[sha256.Size]byte][]*known
	counts  map[Kind]int
	anchors map[uint64][]anchor
	short   [block]map[uint64]*known // by length, values of less than a block
	held    int                      // anchors
	full    bool
	// generation changes with everything that is looked for.
	generation int

	// public are client IDs and the like, which look like secrets and are none.
	public map[string]bool
	places []place
	jwts   []JWT           // of the message that is being redacted
	told   map[string]bool // marks of JWTs that were decoded before
}

func newMarks() *marks {
	m := &marks{seed: maphash.MakeSeed(), byValue: map[[sha256.Size]byte][]*known{}, counts: map[Kind]int{}, anchors: map[uint64][]anchor{}, public: map[string]bool{}, told: map[string]bool{}}
	_, _ = rand.Read(m.key[:]) // it never fails: the runtime stops the program first
	for i := range m.short {
		m.short[i] = map[uint64]*known{}
	}
	return m
}

func (m *marks) sum(value string) (out [sha256.Size]byte) {
	h := hmac.New(sha256.New, m.key[:])
	_, _ = h.Write([]byte(value)) // a hash never fails
	h.Sum(out[:0])
	return out
}

// secret gives the mark of a secret or an identifier, the same each time.
func (m *marks) secret(kind Kind, value string) string {
	// A backend service is its own subject: what is a client ID is public.
	if value == "" || m.public[value] && kind.class() == identifying {
		return value
	}
	return m.remember(kind, value, "")
}

// text gives the mark of a value of which nothing is known. A short word is
// only that: were it looked for elsewhere, no sentence would be left whole.
func (m *marks) text(value string) string {
	if len(value) < shortestSecret || isVocabulary(value) {
		return length(value)
	}
	return m.private(value)
}

// private is text for what a person entered, as the values of a search.
func (m *marks) private(value string) string {
	kind := somePlain
	switch {
	case value == "" || m.public[value]:
		return length(value)
	case looksOpaque(value):
		kind = someOpaque
	case len(value) >= block && !isVocabulary(value) && !strings.Contains(value, "://"):
		kind = someWords
	}
	return m.remember(kind, value, length(value))
}

var vocabulary = regexp.MustCompile(`^([a-z][a-z_-]{1,24}|-?[0-9.]{1,4})$`)

// isVocabulary tells whether a value is what protocols are made of.
func isVocabulary(value string) bool {
	return vocabulary.MatchString(value) || isType(value) || schemes[lower(value)]
}

// length is the mark of a value that is nothing more.
func length(value string) string {
	if value == "" {
		return ""
	}
	return plural(utf8.RuneCountInString(value), "‹text, %d character›", "‹text, %d characters›")
}

// remember gives a value's mark. A value that is known as a secret of one kind
// keeps that mark where it turns up as another: a token that is introspected
// is the access token from before.
func (m *marks) remember(kind Kind, value, mark string) string {
	sum := m.sum(value)
	for _, k := range m.byValue[sum] {
		if k.kind == kind || k.kind.named() && (!kind.named() || k.class == opaque && kind.class() == opaque) {
			return k.mark
		}
	}
	if mark == "" {
		m.counts[kind]++
		mark = fmt.Sprintf("‹%s %d›", kind, m.counts[kind])
	}
	if len(m.byValue) >= maxKnown {
		m.full = true
		return mark
	}
	if kind.class() == opaque {
		delete(m.public, value)
	}
	k := &known{kind: kind, mark: mark, class: kind.class()}
	m.byValue[sum] = append(m.byValue[sum], k)
	m.watch(k, value)
	// What a person reads has no line breaks and invisible characters, and what
	// is looked through for breaks has no spaces.
	shown, tight := clean(value), packed(value)
	if shown != value && shown != "" {
		twin := *k
		m.watch(&twin, shown)
	}
	if k.class == opaque && tight != shown && tight != value {
		twin := *k
		m.watch(&twin, tight)
	}
	return mark
}

// watch has a value found from now on.
func (m *marks) watch(k *known, value string) {
	low := lower(value)
	if len(low) < shortestSecret && k.class == opaque || len(low) < 2 && k.class == plain {
		return
	}
	m.generation++
	k.n, k.sum = len(low), m.sum(low)
	if k.n < block {
		if h := maphash.String(m.seed, low); m.short[k.n][h] == nil {
			m.short[k.n][h] = k
		}
		return
	}
	add := func(at int) {
		if m.held >= maxAnchors {
			m.full = true
			return
		}
		h := maphash.String(m.seed, low[at:at+block])
		m.anchors[h] = append(m.anchors[h], anchor{k, at})
		m.held++
	}
	add(0)
	if k.class != opaque || !looksOpaque(value) {
		return
	}
	// Any fifteen characters in a row hold one of these.
	for at := block; at+block <= k.n && at < maxPieces*block; at += block {
		if varied(value[at : at+block]) {
			add(at)
		}
	}
	if tail := k.n - block; tail%block != 0 && varied(value[tail:]) {
		add(tail)
	}
}

// varied tells a block of something random from one of a word.
func varied(piece string) bool {
	var upper, low, digit bool
	for i := range len(piece) {
		switch c := piece[i]; {
		case 'A' <= c && c <= 'Z':
			upper = true
		case 'a' <= c && c <= 'z':
			low = true
		case '0' <= c && c <= '9':
			digit = true
		}
	}
	return upper && low || upper && digit || low && digit
}

// span is a piece of text that a mark takes the place of.
type span struct {
	from, to int
	mark     string
	class    class
}

// find gives the known values in text, from left to right. least is the class
// from which on values are looked for, shortest the length.
func (m *marks) find(text string, least class, shortest int) []span {
	if len(m.byValue) == 0 {
		return nil
	}
	low := lower(text)
	var out []span
	for i := 0; i < len(low); {
		if s, ok := m.findAt(text, low, i, least, shortest); ok {
			if n := len(out); n > 0 && s.from < out[n-1].to {
				s.from = out[n-1].to
			}
			out = append(out, s)
			i = s.to
			continue
		}
		i++
	}
	return out
}

func (m *marks) findAt(text, low string, i int, least class, shortest int) (span, bool) {
	best := span{}
	take := func(k *known) {
		if k.class < least || k.n < shortest || k.n <= best.to-best.from || i+k.n > len(low) {
			return
		}
		if (k.class != opaque || k.n < block) && !alone(text, i, i+k.n) {
			return
		}
		if m.sum(low[i:i+k.n]) == k.sum {
			best = span{i, i + k.n, k.mark, k.class}
		}
	}
	var partly *known
	if i+block <= len(low) {
		for _, a := range m.anchors[maphash.String(m.seed, low[i:i+block])] {
			if a.at == 0 {
				take(a.of)
			}
			if partly == nil && a.of.class == opaque && (a.at > 0 || varied(text[i:i+block])) {
				partly = a.of
			}
		}
	}
	if best.to > 0 {
		return best, true
	}
	for n := min(block-1, len(low)-i); n > 0; n-- {
		if len(m.short[n]) > 0 {
			if k := m.short[n][maphash.String(m.seed, low[i:i+n])]; k != nil {
				take(k)
			}
		}
	}
	if best.to > 0 {
		return best, true
	}
	if partly != nil {
		from, to := i, i+block
		for from > 0 && tokenChar(text[from-1]) {
			from--
		}
		for to < len(text) && tokenChar(text[to]) {
			to++
		}
		return span{from, to, "‹part of " + strings.Trim(partly.mark, "‹›") + "›", opaque}, true
	}
	return span{}, false
}

// alone tells whether a piece of text is no part of a longer word.
func alone(text string, from, to int) bool {
	before, _ := utf8.DecodeLastRuneInString(text[:from])
	after, _ := utf8.DecodeRuneInString(text[to:])
	return (from == 0 || !wordRune(before)) && (to == len(text) || !wordRune(after))
}

// has tells whether text holds a known value, and gives its mark.
func (m *marks) has(text string, least class, shortest int) (string, bool) {
	if found := m.find(text, least, shortest); len(found) > 0 {
		return found[0].mark, true
	}
	return "", false
}

// Know tells the recorder of a secret before it is seen, so that it has its
// name wherever it turns up.
func (r *Recorder) Know(kind Kind, value secret.Value) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.marks.secret(kind, value.Reveal())
}

// lower is strings.ToLower for ASCII alone: it changes no length.
func lower(s string) string {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if 'A' <= b[i] && b[i] <= 'Z' {
					b[i] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}
