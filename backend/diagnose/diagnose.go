// Package diagnose turns what was seen of a failure into its likeliest causes,
// each with the evidence for it and what mends it.
//
// It owns the table of causes: one rule a cause, in the files named …rules.go.
// Values go in and values come out. It asks no server, reads no clock and keeps
// nothing; where only asking could tell two causes apart it names a probe, which
// its caller runs. What it says is made of its own words and of a few facts that
// it has checked, and never of a server's free text, which may quote a secret.
package diagnose

import (
	"cmp"
	"slices"
)

// Stage is the step at which something failed.
type Stage string

// The stages.
const (
	Discovery Stage = "discovery" // reading what the server says of itself
	Authorize Stage = "authorize" // the browser is out, or came back with an error
	Callback  Stage = "callback"  // checking what the browser brought back
	Token     Stage = "token"     // the code for tokens, and a backend service's request
	Refresh   Stage = "refresh"
	IDToken   Stage = "id-token"
	FHIR      Stage = "fhir"
	Launch    Stage = "launch" // an EHR launch, until the browser goes to authorize
	Revoke    Stage = "revoke" // ending access, and asking what a token is worth
	Register  Stage = "register"
	Local     Stage = "local" // this workstation: vault, ports, files, what was entered
)

// Stages gives every stage, in the order of a connection's life.
func Stages() []Stage {
	return []Stage{Discovery, Authorize, Callback, Token, Refresh, IDToken, FHIR, Launch, Revoke, Register, Local}
}

// Diagnosis is what a failure probably is.
type Diagnosis struct {
	Stage Stage `json:"stage" ts_type:"string"`
	// Causes are at least one and at most MaxCauses, the likeliest first.
	Causes []Cause `json:"causes"`
}

// MaxCauses bounds how many causes a diagnosis has: more is no help.
const MaxCauses = 8

// Likelihood is how likely a cause is.
type Likelihood string

// The likelihoods. High: something was seen that hardly means anything else.
// Medium: something was seen that points to it. Low: nothing was, or what was
// seen speaks against it; it is met with such failures.
const (
	High   Likelihood = "high"
	Medium Likelihood = "medium"
	Low    Likelihood = "low"
)

// Cause is one thing that may be behind a failure.
type Cause struct {
	// ID is a stable kebab-case word.
	ID string `json:"id"`
	// Title says in a sentence what is wrong.
	Title      string     `json:"title"`
	Likelihood Likelihood `json:"likelihood" ts_type:"string"`
	// Score orders the causes: the sum of what speaks for the cause and against
	// it (see Weight). It means nothing across diagnoses.
	Score int `json:"score"`
	// Evidence says in sentences what speaks for it; there is at least one.
	Evidence []string `json:"evidence"`
	// Against says in sentences what speaks against it.
	Against []string `json:"against"`
	// Distinguish says what would tell this cause from the others.
	Distinguish string `json:"distinguish"`
	Fix         Fix    `json:"fix"`
	// Probe names what can be asked to know more, or is "".
	Probe ProbeID `json:"probe" ts_type:"string"`
	// Sources are sections of specifications and public addresses that tell of it.
	Sources []string `json:"sources"`
}

// Fix is what mends a cause.
type Fix struct {
	// Text says in a sentence or two what to do.
	Text string `json:"text"`
	// Action is the same for a program, which may offer it as a button.
	Action Action `json:"action" ts_type:"string"`
	// Param is what the action is about (a scope, an address, a time), or "".
	Param string `json:"param"`
}

// Diagnose ranks the causes that what was seen allows. It always gives at
// least one, with advice, whatever the facts are.
func Diagnose(f Facts) Diagnosis {
	v := newView(f)
	d := Diagnosis{Stage: v.Stage}
	for i := range table() {
		if c, ok := table()[i].judge(v); ok {
			d.Causes = append(d.Causes, c)
		}
	}
	if len(d.Causes) == 0 {
		last := lastResort(v)
		d.Causes = append(d.Causes, last.cause(v, []string{last.evidence[0].says}, nil, last.prior.of(v)))
	}
	// The table's own order decides between equals.
	slices.SortStableFunc(d.Causes, func(a, b Cause) int { return cmp.Compare(b.Score, a.Score) })
	d.Causes = d.Causes[:min(len(d.Causes), MaxCauses)]
	return d
}

// First gives the likeliest cause.
func (d Diagnosis) First() Cause { return d.Causes[0] }
