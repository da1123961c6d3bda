package simulator

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"chartkey/backend/scope"
)

const (
	standardCount = 50
	maxCount      = 200
	// maxSearchValues bounds the work that one search can ask for.
	maxSearchValues = 200
)

// searchQuery is a search that was understood.
type searchQuery struct {
	tests []func(map[string]any) bool
	// used are the parameters that were applied, for the links.
	used url.Values
	// warnings are what was left out, in sentences.
	warnings      []string
	sort          []sortKey
	count, offset int
	// patient, ids and tokens, where set, are what an index can look up: no
	// other record can match.
	patient string
	ids     []string
	tokens  map[string][]string // parameter, values
}

type sortKey struct {
	path       []string
	descending bool
}

// search answers a searchset (FHIR R4, "Search").
func (s *Server) search(w http.ResponseWriter, r *http.Request, a access, kind resourceKind, values url.Values) {
	may, ok := a.permitted(kind.name, scope.Search)
	if !ok {
		s.insufficient(w, r, "no granted scope lets this token search "+kind.name)
		return
	}
	if s.picky(w, r, kind, values) {
		return
	}
	strict := strings.Contains(strings.Join(r.Header.Values("Prefer"), ","), "handling=strict")
	q, err := parseSearch(kind, values, s.FHIRBaseURL(), strict)
	if err != nil {
		s.outcome(w, r, http.StatusBadRequest, "invalid", "The search cannot be run: "+err.Error()+".")
		return
	}
	var found []*record
	for _, rec := range s.records.candidates(kind, q, a.only()) {
		if may.allows(rec) && q.matches(rec) {
			found = append(found, rec)
		}
	}
	q.order(found)
	judge(r, "%d %s found", len(found), kind.name)
	w.Header().Set("Cache-Control", "no-store")
	set := s.searchset(kind, q, found)
	s.remark(&set, q, len(found), a)
	writeResource(w, http.StatusOK, set)
}

func (q searchQuery) matches(rec *record) bool {
	for _, test := range q.tests {
		if !test(rec.value) {
			return false
		}
	}
	return true
}

// parseSearch reads the parameters of a search. In lenient handling, the
// standard's default, a parameter that is not known is left out and named.
func parseSearch(kind resourceKind, values url.Values, base string, strict bool) (searchQuery, error) {
	q := searchQuery{used: url.Values{}, count: standardCount}
	total := 0
	for _, name := range slices.Sorted(maps.Keys(values)) {
		plain, modifier, _ := strings.Cut(name, ":")
		if p, ok := kind.params[plain]; ok {
			for _, v := range values[name] {
				if total += 1 + strings.Count(v, ","); total > maxSearchValues {
					return q, fmt.Errorf("it has more than %d values", maxSearchValues)
				}
				if v == "" {
					continue // an empty parameter is none (FHIR R4 search, 3.1.1.4)
				}
				meant := v
				if p.kind == paramReference {
					meant = strings.ReplaceAll(v, base+"/", "")
				}
				test, err := p.matcher(modifier, meant)
				if err != nil {
					return q, fmt.Errorf("%s=%s: %w", clip(name, 60), clip(v, 60), err)
				}
				q.tests = append(q.tests, test)
				q.used.Add(name, v)
				q.narrow(name, meant)
			}
			continue
		}
		known, err := q.control(kind, name, values[name])
		if err != nil {
			return q, err
		}
		if !known {
			problem := fmt.Sprintf("the parameter %s is not known for %s", clip(name, 60), kind.name)
			if strict {
				return q, fmt.Errorf("%s, and strict handling was asked for", problem)
			}
			q.warnings = append(q.warnings, strings.ToUpper(problem[:1])+problem[1:]+", so it was left out.")
		}
	}
	return q, nil
}

// narrow notes what an index can look up. A name with a modifier is none of these.
func (q *searchQuery) narrow(name, value string) {
	values := splitEscaped(value, ',')
	for i := range values {
		values[i] = unescape(values[i])
	}
	switch {
	case (name == "patient" || name == "subject") && len(values) == 1:
		q.patient = strings.TrimPrefix(values[0], "Patient/")
	case name == "_id":
		q.ids = values
	case slices.Contains(indexed, name):
		for i, v := range splitEscaped(value, ',') {
			parts := splitEscaped(v, '|')
			if values[i] = unescape(strings.Join(parts[min(1, len(parts)-1):], "|")); values[i] == "" {
				return // every code of a system
			}
		}
		if q.tokens == nil {
			q.tokens = map[string][]string{}
		}
		q.tokens[name] = values
	}
}

// candidates gives the records that a search has to look at, in their order:
// the shortest list that holds all that can match. only is the one patient that the token may see, or "".
func (rs *records) candidates(kind resourceKind, q searchQuery, only string) []*record {
	best := rs.of(kind.name)
	take := func(list []*record) {
		if len(list) < len(best) {
			best = list
		}
	}
	if kind.owner != "" {
		for _, patient := range []string{only, q.patient} {
			if patient != "" {
				take(rs.byPatient[kind.name][patient])
			}
		}
	}
	if q.ids != nil {
		var list []*record
		for _, id := range q.ids {
			if r, ok := rs.get(kind.name, id); ok {
				list = append(list, r)
			}
		}
		take(inOrder(list))
	}
	for name, values := range q.tokens {
		list := rs.byToken[tokenKey{kind.name, name, values[0]}]
		if len(values) > 1 {
			list = nil
			for _, v := range values {
				list = append(list, rs.byToken[tokenKey{kind.name, name, v}]...)
			}
			list = inOrder(list)
		}
		take(list)
	}
	return best
}

func inOrder(list []*record) []*record {
	slices.SortFunc(list, func(a, b *record) int { return a.at - b.at })
	return slices.Compact(list)
}

// control reads a parameter that shapes the answer.
func (q *searchQuery) control(kind resourceKind, name string, values []string) (known bool, err error) {
	value := values[len(values)-1]
	switch name {
	case "_format", "_pretty":
		return true, nil
	case "_count":
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 {
			return true, fmt.Errorf("_count must be a whole number")
		}
		q.count = min(n, maxCount)
		q.used.Set(name, strconv.Itoa(q.count))
		return true, nil
	case "_offset":
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 {
			return true, fmt.Errorf("_offset must be a whole number")
		}
		q.offset = n
		return true, nil
	case "_summary":
		if value == "count" {
			q.count = 0
			q.used.Set(name, value)
			return true, nil
		}
		return value == "false", nil
	case "_total":
		// The total is always told, whatever is asked.
		return true, nil
	case "_sort":
		for key := range strings.SplitSeq(value, ",") {
			field, descending := strings.CutPrefix(key, "-")
			p, ok := kind.params[field]
			if !ok || (p.kind != paramDate && field != "_id") {
				return false, nil
			}
			q.sort = append(q.sort, sortKey{path: p.paths, descending: descending})
		}
		q.used.Set(name, value)
		return true, nil
	}
	return false, nil
}

// order sorts by _sort. Without it the order is that of the data, which never
// changes, so pages never overlap.
func (q searchQuery) order(found []*record) {
	if len(q.sort) == 0 {
		return
	}
	// What is compared is read once for each record, as reading a date costs more than comparing it.
	type row struct {
		*record
		keys []sortValue
	}
	rows := make([]row, len(found))
	for i, r := range found {
		rows[i] = row{r, make([]sortValue, len(q.sort))}
		for k, key := range q.sort {
			rows[i].keys[k] = key.of(r)
		}
	}
	slices.SortStableFunc(rows, func(a, b row) int {
		for i, key := range q.sort {
			if c := a.keys[i].compare(b.keys[i], key.descending); c != 0 {
				return c
			}
		}
		return 0
	})
	for i := range rows {
		found[i] = rows[i].record
	}
}

// sortValue is what a record is sorted by: a time, a text or nothing.
type sortValue struct {
	time time.Time
	text string
	has  bool
}

func (key sortKey) of(r *record) sortValue {
	for _, path := range key.path {
		for _, v := range elements(r.value, path) {
			if have, ok := spanOf(v); ok {
				return sortValue{time: have.lo, has: true}
			}
			if text, ok := v.(string); ok {
				return sortValue{text: text, has: true}
			}
		}
	}
	return sortValue{}
}

func (a sortValue) compare(b sortValue, descending bool) int {
	switch {
	case !a.has && !b.has:
		return 0
	case !a.has:
		return 1 // what has no date comes last in both directions
	case !b.has:
		return -1
	}
	c := a.time.Compare(b.time)
	if c == 0 {
		c = strings.Compare(a.text, b.text)
	}
	if descending {
		return -c
	}
	return c
}

type bundle struct {
	ResourceType string        `json:"resourceType"`
	Type         string        `json:"type"`
	Timestamp    string        `json:"timestamp"`
	Total        int           `json:"total"`
	Link         []bundleLink  `json:"link"`
	Entry        []bundleEntry `json:"entry,omitempty"`
}

type bundleLink struct {
	Relation string `json:"relation"`
	URL      string `json:"url"`
}

type bundleEntry struct {
	FullURL  string          `json:"fullUrl,omitempty"`
	Resource json.RawMessage `json:"resource"`
	Search   struct {
		Mode string `json:"mode"`
	} `json:"search"`
}

// searchset makes the page of results that was asked for.
func (s *Server) searchset(kind resourceKind, q searchQuery, found []*record) bundle {
	base := s.FHIRBaseURL()
	link := func(offset int) string {
		used := maps.Clone(q.used)
		if offset > 0 {
			used.Set("_offset", strconv.Itoa(offset))
		}
		if len(used) == 0 {
			return base + "/" + kind.name
		}
		return base + "/" + kind.name + "?" + used.Encode()
	}
	b := bundle{ResourceType: "Bundle", Type: "searchset", Timestamp: s.now().UTC().Format(time.RFC3339), Total: len(found)}
	b.Link = append(b.Link, bundleLink{"self", link(q.offset)})
	from := min(q.offset, len(found))
	to := min(from+q.count, len(found))
	if to < len(found) && q.count > 0 {
		b.Link = append(b.Link, bundleLink{"next", link(to)})
	}
	if from > 0 && q.count > 0 {
		b.Link = append(b.Link, bundleLink{"previous", link(max(0, from-q.count))})
	}
	for _, rec := range found[from:to] {
		e := bundleEntry{FullURL: base + "/" + rec.kind + "/" + rec.id, Resource: rec.json()}
		e.Search.Mode = "match"
		b.Entry = append(b.Entry, e)
	}
	if len(q.warnings) > 0 {
		raw, err := json.Marshal(newOutcome("warning", "not-supported", q.warnings...))
		if err == nil {
			e := bundleEntry{Resource: raw}
			e.Search.Mode = "outcome"
			b.Entry = append(b.Entry, e)
		}
	}
	return b
}
