package simulator

import (
	"fmt"
	"strings"
	"time"
)

// span is the time that a FHIR date stands for, from lo up to and without hi:
// "2024-03" is all of March. A side that is open is the far past or future.
type span struct{ lo, hi time.Time }

var (
	farPast   = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	farFuture = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
)

// dateForms are the precisions of FHIR's dateTime and instant, and the minute,
// which search allows. A time without a zone is taken as UTC.
var dateForms = []struct {
	layout string
	end    func(time.Time) time.Time
}{
	{"2006", func(t time.Time) time.Time { return t.AddDate(1, 0, 0) }},
	{"2006-01", func(t time.Time) time.Time { return t.AddDate(0, 1, 0) }},
	{"2006-01-02", func(t time.Time) time.Time { return t.AddDate(0, 0, 1) }},
	{"2006-01-02T15:04", func(t time.Time) time.Time { return t.Add(time.Minute) }},
	{"2006-01-02T15:04Z07:00", func(t time.Time) time.Time { return t.Add(time.Minute) }},
	{"2006-01-02T15:04:05", func(t time.Time) time.Time { return t.Add(time.Second) }},
	{"2006-01-02T15:04:05Z07:00", func(t time.Time) time.Time { return t.Add(time.Second) }},
}

func parseDate(s string) (span, error) {
	for _, f := range dateForms {
		if t, err := time.Parse(f.layout, s); err == nil {
			end := f.end(t)
			if strings.Contains(s, ".") {
				end = t.Add(time.Millisecond)
			}
			return span{t, end}, nil
		}
	}
	return span{}, fmt.Errorf("%q is no date", clip(s, 60))
}

// spanOf reads the date, dateTime, instant or Period of a resource.
func spanOf(v any) (span, bool) {
	switch v := v.(type) {
	case string:
		s, err := parseDate(v)
		return s, err == nil
	case map[string]any:
		out := span{farPast, farFuture}
		start, hasStart := v["start"].(string)
		end, hasEnd := v["end"].(string)
		if !hasStart && !hasEnd {
			return span{}, false
		}
		if hasStart {
			s, err := parseDate(start)
			if err != nil {
				return span{}, false
			}
			out.lo = s.lo
		}
		if hasEnd {
			s, err := parseDate(end)
			if err != nil {
				return span{}, false
			}
			out.hi = s.hi
		}
		return out, true
	}
	return span{}, false
}

// comparisons are the prefixes of a date search (FHIR R4 search, 3.1.1.4.7).
var comparisons = map[string]func(have, want span) bool{
	"eq": func(have, want span) bool { return !have.lo.Before(want.lo) && !have.hi.After(want.hi) },
	"ne": func(have, want span) bool { return have.lo.Before(want.lo) || have.hi.After(want.hi) },
	"gt": func(have, want span) bool { return have.hi.After(want.hi) },
	"lt": func(have, want span) bool { return have.lo.Before(want.lo) },
	"ge": func(have, want span) bool { return have.hi.After(want.hi) || !have.lo.Before(want.lo) },
	"le": func(have, want span) bool { return have.lo.Before(want.lo) || !have.hi.After(want.hi) },
	"sa": func(have, want span) bool { return !have.lo.Before(want.hi) },
	"eb": func(have, want span) bool { return !have.hi.After(want.lo) },
}

// dateMatcher reads a search value such as "ge2024-01".
func dateMatcher(value string) (func(have span) bool, error) {
	// A "+" of a zone that was not escaped arrives as a space.
	value = strings.ReplaceAll(value, " ", "+")
	compare := comparisons["eq"]
	if len(value) > 2 {
		if c, ok := comparisons[value[:2]]; ok {
			compare, value = c, value[2:]
		}
	}
	want, err := parseDate(value)
	if err != nil {
		return nil, err
	}
	return func(have span) bool { return compare(have, want) }, nil
}
