package trace

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// The outcomes of an Arrow.
const (
	OutcomeOK      = "ok"
	OutcomeRefused = "refused" // status 400 and above
	OutcomeFailed  = "failed"  // no whole answer came
	OutcomeMoved   = "moved"   // a redirect, which is not followed by itself
	OutcomeOpen    = "open"    // the answer was not read when the trace was taken
)

// Arrow is one message of the sequence.
type Arrow struct {
	// Seq is that of the exchange or note.
	Seq int       `json:"seq"`
	At  time.Time `json:"at" ts_type:"string"`
	// From and To are Browser, Chartkey, AuthorizationServer or FHIRServer.
	From string `json:"from"`
	To   string `json:"to"`
	// Label is a few words; it holds marks at most.
	Label string `json:"label"`
	// Answer tells the way back from the way there.
	Answer  bool   `json:"answer"`
	Outcome string `json:"outcome"`
}

// Participants are who takes part, in the order of a diagram's columns.
func Participants() []string { return []string{Browser, Chartkey, AuthorizationServer, FHIRServer} }

// ParticipantName is what a diagram writes over a column.
func ParticipantName(p string) string {
	return map[string]string{Browser: "Browser", Chartkey: "Chartkey", AuthorizationServer: "Authorization server", FHIRServer: "FHIR server"}[p]
}

// Sequence gives a trace as the arrows of a sequence diagram.
func Sequence(t Trace) []Arrow {
	out := []Arrow{}
	for _, s := range inOrder(t) {
		if s.note != nil {
			out = append(out, s.note.arrows()...)
			continue
		}
		e, server := s.exchange, AuthorizationServer
		if e.Server == FHIRServer {
			server = FHIRServer
		}
		out = append(out, Arrow{Seq: e.Seq, At: e.At, From: Chartkey, To: server, Label: e.Title + ": " + e.Method + " " + pathOf(e.URL), Outcome: OutcomeOK})
		back := Arrow{Seq: e.Seq, At: e.At.Add(e.Duration), From: server, To: Chartkey, Answer: true, Label: e.answerLabel(), Outcome: e.outcome()}
		out = append(out, back)
	}
	return out
}

func (n *Note) arrows() []Arrow {
	say := func(from, to, label string, answer bool) Arrow {
		return Arrow{Seq: n.Seq, At: n.At, From: from, To: to, Label: label, Answer: answer, Outcome: OutcomeOK}
	}
	refusal := ""
	for _, f := range n.Values {
		if f.Name == "error" {
			refusal = f.Value
		}
	}
	switch n.Step {
	case StepAuthorize:
		return []Arrow{say(Chartkey, Browser, "opens the sign-in page", false), say(Browser, AuthorizationServer, "sign-in and consent", false)}
	case StepCallback:
		arrows := []Arrow{say(AuthorizationServer, Browser, "sends the person back", true), say(Browser, Chartkey, "callback", true)}
		if refusal != "" {
			for i := range arrows {
				arrows[i].Outcome = OutcomeRefused
			}
			arrows[1].Label += ": " + refusal
		}
		return arrows
	case StepLaunch:
		return []Arrow{say(Browser, Chartkey, "launch from the EHR", false)}
	}
	return []Arrow{say(Chartkey, Chartkey, n.Step, false)}
}

func (e *Exchange) outcome() string {
	switch {
	case e.Error != "":
		return OutcomeFailed
	case e.Open:
		return OutcomeOpen
	case e.Status >= 400:
		return OutcomeRefused
	case e.Status >= 300 && e.Status != 304:
		return OutcomeMoved
	}
	return OutcomeOK
}

func (e *Exchange) answerLabel() string {
	var parts []string
	if e.Status != 0 {
		parts = append(parts, fmt.Sprint(e.Status))
	}
	if e.Error != "" {
		parts = append(parts, e.Error)
	} else if e.Open {
		parts = append(parts, "not read to its end yet")
	}
	return strings.Join(append(parts, milliseconds(e.Duration)), ", ")
}

func milliseconds(d time.Duration) string {
	if d >= 10*time.Second {
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return fmt.Sprintf("%d ms", d.Milliseconds())
}

func pathOf(raw string) string {
	_, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return raw
	}
	_, path, _ := strings.Cut(rest, "/")
	path, _, _ = strings.Cut(path, "?")
	return "/" + path
}

// step is an exchange or a note, in their common order.
type step struct {
	seq      int
	exchange *Exchange
	note     *Note
}

func inOrder(t Trace) []step {
	var out []step
	for i := range t.Exchanges {
		out = append(out, step{t.Exchanges[i].Seq, &t.Exchanges[i], nil})
	}
	for i := range t.Notes {
		out = append(out, step{t.Notes[i].Seq, nil, &t.Notes[i]})
	}
	slices.SortStableFunc(out, func(a, b step) int { return a.seq - b.seq })
	return out
}
