package simulator

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// The kinds of search parameter, by FHIR's names.
const (
	paramToken     = "token"
	paramReference = "reference"
	paramDate      = "date"
	paramString    = "string"
)

// parameter is one search parameter of a resource type.
type parameter struct {
	kind string
	// paths are the elements it looks at; one that fits is enough.
	paths []string
	// target is the one type that a reference parameter may point to, or "".
	target string
}

// matcher makes a test of resources from one value of the parameter. Commas in
// the value mean "or". It fails where the value or the modifier cannot be meant.
func (p parameter) matcher(modifier, value string) (func(map[string]any) bool, error) {
	if modifier == "missing" {
		if value != "true" && value != "false" {
			return nil, fmt.Errorf(":missing takes true or false")
		}
		return func(r map[string]any) bool { return (len(p.found(r)) == 0) == (value == "true") }, nil
	}
	var tests []func(any) bool
	for _, v := range splitEscaped(value, ',') {
		if v == "" {
			return nil, fmt.Errorf("a value is empty")
		}
		test, err := p.test(modifier, v)
		if err != nil {
			return nil, err
		}
		tests = append(tests, test)
	}
	negate := p.kind == paramToken && modifier == "not"
	return func(r map[string]any) bool {
		found := p.found(r)
		for _, test := range tests {
			if slices.ContainsFunc(found, test) {
				return !negate
			}
		}
		return negate
	}, nil
}

func (p parameter) found(r map[string]any) []any {
	var out []any
	for _, path := range p.paths {
		out = append(out, elements(r, path)...)
	}
	return out
}

// test makes the test of one element against one value.
func (p parameter) test(modifier, value string) (func(any) bool, error) {
	unsupported := fmt.Errorf("the modifier :%s is not supported here", clip(modifier, 40))
	switch p.kind {
	case paramToken:
		if modifier != "" && modifier != "not" {
			return nil, unsupported
		}
		return tokenTest(value), nil
	case paramReference:
		target := p.target
		if modifier != "" {
			if _, ok := kindOf(modifier); !ok || (target != "" && target != modifier) {
				return nil, unsupported
			}
			target = modifier
		}
		return referenceTest(target, unescape(value)), nil
	case paramDate:
		if modifier != "" {
			return nil, unsupported
		}
		match, err := dateMatcher(value)
		if err != nil {
			return nil, err
		}
		return func(v any) bool {
			have, ok := spanOf(v)
			return ok && match(have)
		}, nil
	default:
		compare, ok := map[string]func(have, want string) bool{
			"": strings.HasPrefix, "contains": strings.Contains, "exact": func(have, want string) bool { return have == want },
		}[modifier]
		if !ok {
			return nil, unsupported
		}
		plain := fold
		if modifier == "exact" {
			plain = func(s string) string { return s }
		}
		want := plain(unescape(value))
		return func(v any) bool {
			return slices.ContainsFunc(words(v), func(have string) bool { return compare(plain(have), want) })
		}, nil
	}
}

// tokenTest reads code, system|code, |code or system|.
func tokenTest(value string) func(any) bool {
	parts := splitEscaped(value, '|')
	system, code, hasSystem := "", unescape(parts[0]), false
	if len(parts) > 1 {
		system, code, hasSystem = unescape(parts[0]), unescape(strings.Join(parts[1:], "|")), true
	}
	one := func(haveSystem, haveCode string) bool {
		if hasSystem && haveSystem != system {
			return false
		}
		return haveCode == code || (code == "" && hasSystem && system != "")
	}
	return func(v any) bool {
		switch v := v.(type) {
		case string:
			// A plain code has its system from the element's binding, which is not written in it.
			return v == code && (!hasSystem || system != "")
		case bool:
			return fmt.Sprint(v) == code
		case map[string]any:
			if codings, ok := v["coding"]; ok {
				return slices.ContainsFunc(elements(codings, ""), func(c any) bool { return one(first(c, "system"), first(c, "code")) })
			}
			if _, ok := v["code"]; ok {
				return one(first(v, "system"), first(v, "code"))
			}
			return one(first(v, "system"), first(v, "value"))
		}
		return false
	}
}

// referenceTest reads an ID or Type/ID.
func referenceTest(target, value string) func(any) bool {
	return func(v any) bool {
		have := first(v, "reference")
		kind, id, ok := strings.Cut(have, "/")
		if !ok || (target != "" && kind != target) {
			return false
		}
		return have == value || id == value
	}
}

// words gives the strings of a string, a HumanName or an Address.
func words(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case map[string]any:
		var out []string
		for _, name := range []string{"text", "family", "given", "prefix", "suffix", "line", "city", "district", "state", "postalCode", "country"} {
			for _, e := range elements(v, name) {
				if s, ok := e.(string); ok {
					out = append(out, s)
				}
			}
		}
		return out
	}
	return nil
}

// fold drops case and accents, as a string search does (FHIR R4 search, 3.1.1.4.8).
func fold(s string) string {
	// Most names are plain, and lists of thousands are folded.
	if !strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII }) {
		return strings.ToLower(s)
	}
	return strings.ToLower(strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return r
	}, norm.NFKD.String(s)))
}

// splitEscaped splits at a separator that no backslash precedes (FHIR R4 search, 3.1.1.4.4).
func splitEscaped(s string, separator byte) []string {
	var out []string
	start := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case separator:
			out = append(out, s[start:i])
			start = i + 1
		}
	}
	return append(out, s[start:])
}

func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
