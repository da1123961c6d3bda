package diagnose

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the generated part of docs/diagnosis.md anew")

const (
	document  = "../../docs/diagnosis.md"
	beginning = "<!-- What follows is written by: go test ./backend/diagnose -run Document -update -->\n"
)

// tables writes the part of docs/diagnosis.md that comes from the code.
func tables() string {
	var b strings.Builder
	cell := func(s string) string {
		s = blank.ReplaceAllStringFunc(s, func(m string) string { return "‹" + strings.Trim(m, "{}") + "›" })
		return strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;").Replace(s)
	}
	weight := func(w Weight) string {
		switch {
		case w >= Decisive:
			return "decisive"
		case w >= Strong:
			return "strong"
		case w >= Fair:
			return "fair"
		}
		return "slight"
	}
	b.WriteString("\n## Probes\n\n| probe | asks | finds |\n|---|---|---|\n")
	for _, p := range Probes() {
		var results []string
		for _, r := range p.Results {
			results = append(results, "`"+r.Result+"`: "+r.Means)
		}
		fmt.Fprintf(&b, "| `%s` | **%s** %s %s | %s |\n", p.ID, cell(p.Title), cell(p.Asks), cell(p.Safe), cell(strings.Join(results, "<br>")))
	}
	b.WriteString("\n## Causes\n")
	for _, g := range groups() {
		fmt.Fprintf(&b, "\n### %s\n\n| cause | what speaks for it | what mends it |\n|---|---|---|\n", g.heading)
		for _, r := range g.rules {
			var signs []string
			for _, e := range r.evidence {
				signs = append(signs, weight(e.weight)+": "+cell(e.words))
			}
			servers := map[string]bool{}
			for _, p := range r.phrases {
				servers[p.server] = true
			}
			delete(servers, "")
			if len(r.phrases) > 0 {
				words := "words of servers"
				if len(servers) > 0 {
					words += ", such as those of " + strings.Join(slices.Sorted(maps.Keys(servers)), ", ")
				}
				signs = append(signs, words)
			}
			for _, e := range r.against {
				signs = append(signs, "*against* ("+weight(e.weight)+"): "+cell(e.words))
			}
			fix := cell(r.fix.Text) + " `" + string(r.fix.Action) + "`"
			if r.probe != "" {
				fix += " Probe: `" + string(r.probe) + "`."
			}
			fmt.Fprintf(&b, "| **`%s`** %s | %s | %s |\n", r.id, cell(r.title), strings.Join(signs, "<br>"), fix)
		}
	}
	b.WriteString("\n## Sources\n\nEach diagnosis names those of its causes.\n\n")
	cited := map[string][]string{}
	for _, r := range table() {
		for _, s := range r.sources {
			if strings.Contains(s, "github.com/") {
				cited[s] = append(cited[s], r.id)
			}
		}
		for _, p := range r.phrases {
			if p.source != "" && !slices.Contains(cited[p.source], r.id) {
				cited[p.source] = append(cited[p.source], r.id)
			}
		}
	}
	for _, s := range slices.Sorted(maps.Keys(cited)) {
		fmt.Fprintf(&b, "- <%s>: `%s`\n", s, strings.Join(slices.Compact(cited[s]), "`, `"))
	}
	return b.String()
}

func TestTheDocumentIsThatOfTheTable(t *testing.T) {
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	before, after, found := strings.Cut(string(text), beginning)
	if !found {
		t.Fatalf("%s has no line that begins what is generated", document)
	}
	for _, a := range Actions() {
		if !strings.Contains(after, "`"+string(a)+"`") && !*update {
			t.Errorf("%s does not have the action %s", document, a)
		}
	}
	want := tables()
	if *update {
		if err := os.WriteFile(document, []byte(before+beginning+want), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if after != want {
		t.Error("docs/diagnosis.md is not that of the table: go test ./backend/diagnose -run Document -update")
	}
}
