package diagnose

import (
	"slices"
	"strings"
	"sync"
)

// rule is one cause with everything that speaks for and against it. Rules are
// data: to add one, add an entry to a …rules.go file and a case to its tests.
type rule struct {
	id, title string
	// stages are those at which the cause can show.
	stages []Stage
	// when: the cause is considered where one of these holds, or one of the
	// phrases was said, or something seen is decisive; and needs, where set, holds.
	when  []condition
	needs condition
	// prior is how often it is met, before anything particular is looked at.
	prior    prior
	evidence []evidence
	against  []evidence
	// phrases are words by which servers tell this cause.
	phrases []phrase
	// distinguish, fix and sources are those of Cause.
	distinguish string
	fix         Fix
	probe       ProbeID
	sources     []string
}

// Weight is how much a thing that was seen counts. Two of a kind count less
// than one of the next, and no prior outweighs the least of them but one.
type Weight int

// The weights.
const (
	// Decisive: it hardly means anything else.
	Decisive Weight = 100
	// Strong: it mostly means this.
	Strong Weight = 40
	// Fair: it means this about as often as not.
	Fair Weight = 18
	// Slight: it fits, and fits other causes too.
	Slight Weight = 8
)

// Above these scores a cause is likely, or worth a look before the others.
const (
	highFrom   = 60
	mediumFrom = 24
)

// evidence is something that counts for a cause, or against it.
type evidence struct {
	condition
	weight Weight
	says   string
}

// prior is how often a cause is met, from 1 (rare) to 9, by kind of server.
type prior struct {
	epicSandbox, epicProduction, otherSandbox, otherProduction int
}

// often is a prior that is the same everywhere.
func often(n int) prior { return prior{n, n, n, n} }

// atEpic is a prior that differs between Epic's servers and others.
func atEpic(epic, other int) prior { return prior{epic, epic, other, other} }

func (p prior) of(v *view) int {
	switch {
	case v.epic && v.sandbox:
		return p.epicSandbox
	case v.epic:
		return p.epicProduction
	case v.sandbox:
		return p.otherSandbox
	}
	return p.otherProduction
}

// phrase is how some server tells a cause. An ellipsis stands for anything;
// case does not matter. The words of a server that is named, with the source
// where they were seen, are decisive; others, which anybody may use, are strong.
type phrase struct {
	text   string
	server string
	source string
}

func (p phrase) weight() Weight {
	if p.server == "" {
		return Strong
	}
	return Decisive
}

// in tells whether the phrase is in a text that is in lower case.
func (p phrase) in(text string) bool {
	for part := range strings.SplitSeq(strings.ToLower(p.text), "…") {
		at := strings.Index(text, part)
		if at < 0 {
			return false
		}
		text = text[at+len(part):]
	}
	return true
}

// judge gives the cause where what was seen allows it.
func (r *rule) judge(v *view) (Cause, bool) {
	if !slices.Contains(r.stages, v.Stage) || (r.needs.holds != nil && !r.needs.holds(v)) {
		return Cause{}, false
	}
	considered := slices.ContainsFunc(r.when, func(c condition) bool { return c.holds(v) })
	score := r.prior.of(v)
	var pro, contra []string
	if p := r.said(v); p.text != "" {
		considered = true
		score += int(p.weight())
		pro = append(pro, "The server's words “"+p.text+"” mean this"+atServer(p.server)+".")
	}
	for _, e := range r.evidence {
		if !e.holds(v) {
			continue
		}
		considered = considered || e.weight == Decisive
		score += int(e.weight)
		pro = append(pro, v.fill(e.says))
	}
	if !considered {
		return Cause{}, false
	}
	for _, e := range r.against {
		if e.holds(v) {
			score -= int(e.weight)
			contra = append(contra, v.fill(e.says))
		}
	}
	return r.cause(v, pro, contra, score), true
}

// said gives the first phrase that the server used. Those of named servers,
// which weigh more, are listed first.
func (r *rule) said(v *view) phrase {
	for _, p := range r.phrases {
		if p.in(v.text) {
			return p
		}
	}
	return phrase{}
}

func atServer(server string) string {
	if server == "" {
		return ""
	}
	return " at " + server
}

func (r *rule) cause(v *view, pro, contra []string, score int) Cause {
	c := Cause{
		ID: r.id, Title: v.fill(r.title), Score: score, Likelihood: Low, Evidence: pro, Against: contra,
		Distinguish: v.fill(r.distinguish), Fix: Fix{Text: v.fill(r.fix.Text), Action: r.fix.Action, Param: v.param(r.fix.Param)},
		Probe: r.probe, Sources: slices.Clone(r.sources),
	}
	if p := r.said(v); p.source != "" && !slices.Contains(c.Sources, p.source) {
		c.Sources = append(c.Sources, p.source)
	}
	switch {
	case score >= highFrom:
		c.Likelihood = High
	case score >= mediumFrom:
		c.Likelihood = Medium
	}
	if len(pro) == 0 {
		where := "other servers than Epic's"
		if v.epic {
			where = "Epic's servers"
		}
		kind := "a frequent"
		switch p := r.prior.of(v); {
		case p < 4:
			kind = "a rare"
		case p < 7:
			kind = "a possible"
		}
		c.Evidence = []string{"Nothing that was seen points to it in particular; it is " + kind + " reason for such a failure at " + where + "."}
	}
	if contra == nil {
		c.Against = []string{}
	}
	return c
}

// group is the rules of one file, under the heading that they have in docs/diagnosis.md.
type group struct {
	heading string
	rules   []rule
}

func groups() []group {
	return []group{
		{"The way to the server, and servers that do not work", networkRules()},
		{"The FHIR base URL and discovery", discoveryRules()},
		{"The sign-in in the browser", authorizeRules()},
		{"What the browser brings back", callbackRules()},
		{"Clients that the token endpoint does not accept", clientRules()},
		{"Codes, refresh tokens and token answers", grantRules()},
		{"Who signed in (id_token)", identityRules()},
		{"What was granted", accessRules()},
		{"FHIR reads", fhirRules()},
		{"Launches from within an EHR", launchRules()},
		{"Ending access, asking about tokens, registering by a request", endingRules()},
		{"This workstation", localRules()},
	}
}

// table is every rule. Of two causes with the same score the earlier comes first.
var table = sync.OnceValue(func() []rule {
	var rules []rule
	for _, g := range groups() {
		rules = append(rules, g.rules...)
	}
	return rules
})

// lastResort is what is said where no rule fits.
func lastResort(v *view) *rule {
	r := &rule{
		id:          "unknown-failure",
		title:       "The failure is one that Chartkey knows no particular cause of.",
		prior:       often(1),
		evidence:    []evidence{seen("no rule fits", func(*view) bool { return true }).is(Slight, "No cause in Chartkey's table fits what was seen.")},
		distinguish: "The trace of the exchange shows what the server was asked and what it answered.",
		fix:         Fix{"Try once more. If it fails in the same way, export the trace (it holds no secrets) and show it to the health system.", AskHealthSystem, ""},
		sources:     []string{"RFC 6749 section 5.2"},
	}
	if v.quiet() {
		r.id, r.title = "nothing-wrong", "Nothing that was seen is a failure."
		r.distinguish = "A test of the registration (layer all) shows whether the connection works from end to end."
		r.evidence[0].says = "There is no error, no refusal and no odd answer in what was seen."
		r.fix = Fix{"Nothing has to be done. If something does not work all the same, test the registration.", TestAgain, ""}
	}
	return r
}
