package diagnose

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var kebab = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

func TestEveryRuleIsWhole(t *testing.T) {
	if n := len(table()); n < 60 {
		t.Errorf("there are only %d rules", n)
	}
	seen := map[string]bool{}
	probes := map[ProbeID]bool{"": true}
	for _, p := range Probes() {
		probes[p.ID] = true
	}
	quiet, loud := &view{}, &view{}
	loud.Fault.Code = "x"
	for _, r := range append(slices.Clone(table()), *lastResort(quiet), *lastResort(loud)) {
		if !kebab.MatchString(r.id) || seen[r.id] {
			t.Errorf("the id %q is no kebab-case word, or there twice", r.id)
		}
		seen[r.id] = true
		for _, sentence := range []string{r.title, r.distinguish, r.fix.Text} {
			if len(sentence) < 15 || !strings.HasSuffix(sentence, ".") && !strings.HasSuffix(sentence, "?") || strings.Contains(sentence, "  ") {
				t.Errorf("%s: %q is no sentence", r.id, sentence)
			}
		}
		texts := []string{r.title, r.distinguish, r.fix.Text, r.fix.Param}
		for _, e := range append(slices.Clone(r.evidence), r.against...) {
			texts = append(texts, e.says)
			if !strings.HasSuffix(e.says, ".") && !strings.HasSuffix(e.says, "}") || e.words == "" {
				t.Errorf("%s: the evidence %q is no sentence, or its condition %q has no words", r.id, e.says, e.words)
			}
			if !slices.Contains([]Weight{Slight, Fair, Strong, Strong + Fair, Decisive}, e.weight) {
				t.Errorf("%s: the weight %d of %q is none of those", r.id, e.weight, e.says)
			}
		}
		for _, text := range texts {
			for _, word := range blank.FindAllString(text, -1) {
				if name := strings.Trim(word, "{}"); vocabulary[name] == nil && name != "better-base" {
					t.Errorf("%s: nothing stands for %s", r.id, word)
				}
			}
		}
		for _, p := range []int{r.prior.epicSandbox, r.prior.epicProduction, r.prior.otherSandbox, r.prior.otherProduction} {
			if p < 1 || p > 9 {
				t.Errorf("%s: the prior %d is not between 1 and 9", r.id, p)
			}
		}
		if len(r.sources) == 0 || slices.Contains(r.sources, "") {
			t.Errorf("%s has no source", r.id)
		}
		if !slices.Contains(Actions(), r.fix.Action) {
			t.Errorf("%s: the action %q is none", r.id, r.fix.Action)
		}
		if !probes[r.probe] {
			t.Errorf("%s: the probe %q is none", r.id, r.probe)
		}
		if len(r.when) == 0 && len(r.phrases) == 0 && !slices.ContainsFunc(r.evidence, func(e evidence) bool { return e.weight == Decisive }) && r.id != "unknown-failure" && r.id != "nothing-wrong" {
			t.Errorf("%s can never be considered", r.id)
		}
		if len(r.stages) == 0 && r.id != "unknown-failure" && r.id != "nothing-wrong" {
			t.Errorf("%s has no stage", r.id)
		}
		for _, p := range r.phrases {
			if len(p.text) < 4 || p.text != strings.ToLower(p.text) {
				t.Errorf("%s: the phrase %q is too short, or not in lower case", r.id, p.text)
			}
		}
	}
}

func TestEveryActionAndProbeIsOfUse(t *testing.T) {
	actions, probes := map[Action]bool{}, map[ProbeID]bool{}
	for _, r := range table() {
		actions[r.fix.Action] = true
		probes[r.probe] = true
	}
	for _, a := range Actions() {
		if !actions[a] {
			t.Errorf("no rule is mended by %s", a)
		}
	}
	for _, p := range Probes() {
		if !probes[p.ID] {
			t.Errorf("no rule asks for the probe %s", p.ID)
		}
		if p.Title == "" || p.Asks == "" || p.Safe == "" || len(p.Results) < 2 || p.Results[len(p.Results)-1].Result != NotTold {
			t.Errorf("the probe %s is not whole", p.ID)
		}
	}
}

func TestThePriorsNeverOutweighWhatWasSeen(t *testing.T) {
	// Nine against one is the most that priors can differ.
	if 9-1 > int(Slight) || Slight >= Fair || int(Slight)+8 >= int(Fair)+int(Slight) || Fair >= Strong || Strong >= Decisive {
		t.Error("a prior outweighs evidence")
	}
}

func TestEveryResultOfAProbeCounts(t *testing.T) {
	var words strings.Builder
	for _, r := range table() {
		for _, e := range append(slices.Clone(r.evidence), r.against...) {
			words.WriteString(e.words + "\n")
		}
	}
	for _, p := range Probes() {
		for _, result := range p.Results {
			if c := found(p.ID, result.Result); result.Result != NotTold && !strings.Contains(words.String(), c.words) {
				t.Errorf("no rule looks at %s", c.words)
			}
			if result.Means == "" {
				t.Errorf("%s of %s is not explained", result.Result, p.ID)
			}
		}
	}
}

func TestWordsOfANamedServerHaveASource(t *testing.T) {
	for _, r := range table() {
		seen := map[string]bool{}
		for i, p := range r.phrases {
			if i > 0 && p.weight() > r.phrases[i-1].weight() {
				t.Errorf("%s: %q has to be listed before what anybody may say", r.id, p.text)
			}
			if (p.server != "") != strings.HasPrefix(p.source, "https://") {
				t.Errorf("%s: %q names a server or a source, and not both", r.id, p.text)
			}
			if seen[p.text] {
				t.Errorf("%s: %q is there twice", r.id, p.text)
			}
			seen[p.text] = true
		}
		for _, s := range r.sources {
			if !strings.HasPrefix(s, "https://") && !strings.HasPrefix(s, "RFC ") && !strings.HasPrefix(s, "OpenID Connect Core 1.0 ") && !strings.HasPrefix(s, "docs/") {
				t.Errorf("%s: %q is no source that can be found", r.id, s)
			}
		}
	}
}

// epicCauses are what Epic's published codes mean.
var epicCauses = map[string]string{
	"4100": "parameter-invalid", "4101": "nothing-found", "4102": "no-such-resource", "4103": "resource-deleted", "4104": "record-lacks-a-code",
	"4107": "patient-merged", "4110": "patient-parameter-missing", "4111": "patient-parameter-missing", "4112": "parameters-contradict", "4113": "search-results-gone",
	"4115": "parameter-invalid", "4116": "search-results-gone", "4117": "record-lacks-a-code", "4118": "user-may-not-see", "4119": "more-in-the-chart",
	"4122": "parameter-unknown", "4127": "too-many-results", "4130": "break-the-glass", "4131": "break-the-glass", "4134": "break-the-glass", "4135": "asked-too-often",
	"40000": "record-lacks-a-code", "59100": "parameter-unknown", "59101": "parameter-invalid", "59102": "parameter-invalid", "59105": "content-invalid",
	"59108": "patient-parameter-missing", "59109": "parameter-invalid", "59111": "parameter-invalid", "59133": "too-many-results", "59141": "content-invalid",
	"59144": "no-such-resource", "59159": "patient-parameter-missing", "59177": "epic-internal-error", "59187": "record-lacks-a-code", "59188": "record-lacks-a-code", "59189": "record-lacks-a-code",
}

func TestEveryCodeThatEpicPublishesHasItsCause(t *testing.T) {
	want := maps.Clone(epicCauses)
	if len(epicCodes()) != 37 {
		t.Errorf("there are %d codes", len(epicCodes()))
	}
	for code, text := range epicCodes() {
		for _, f := range []Facts{
			{Stage: FHIR, Registration: RegistrationFacts{EHR: "epic"}, Outcome: []IssueFacts{{Severity: "fatal", EpicCode: code}}},
			// A stored fault has no more than its words.
			{Stage: FHIR, Fault: FaultFacts{"fhir-request-refused", "The server refused the request as wrong (HTTP 400). It says: " + text + " (code " + code + ")"}},
		} {
			c := Diagnose(f).First()
			if c.ID != want[code] || c.Likelihood == Low {
				t.Errorf("%s is %s (%s)", code, c.ID, c.Likelihood)
			}
			if said := strings.Join(c.Evidence, " "); !strings.Contains(said, code) || c.ID != "asked-too-often" && !strings.Contains(said, text) {
				t.Errorf("%s: the evidence %q does not tell the code and its text", code, said)
			}
		}
		delete(want, code)
	}
	if len(want) > 0 {
		t.Errorf("not published: %v", want)
	}
}
