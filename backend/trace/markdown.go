package trace

import (
	"fmt"
	"io"
	"strings"
)

// Markdown writes a trace for a support ticket: what it was, a sequence
// diagram (Mermaid), and each exchange. What a server said stands in code
// blocks alone, so that nothing of it acts as Markdown.
func Markdown(w io.Writer, t Trace) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# Trace: %s\n\n", plainMarkdown(t.Operation))
	b.WriteString("Tokens, secrets and what tells of patients are replaced by marks such as `‹access token 1›`. The same mark is the same value. No signature of a token is kept.\n\n")
	b.WriteString("| | |\n|---|---|\n")
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "| %s | %s |\n", name, value)
		}
	}
	row("Recorded by", plainMarkdown(t.Program))
	row("Started", t.Started.UTC().Format(shownTime))
	if !t.Ended.IsZero() {
		row("Ended", t.Ended.UTC().Format(shownTime)+", after "+milliseconds(t.Ended.Sub(t.Started)))
	}
	row("Outcome", plainMarkdown(t.Outcome))
	for _, s := range t.LeftOut {
		row("Left out", plainMarkdown(s))
	}
	b.WriteString("\n```mermaid\n" + mermaid(t) + "```\n")
	for _, s := range inOrder(t) {
		if n := s.note; n != nil {
			fmt.Fprintf(&b, "\n## %d. Step: %s\n\n%s\n", n.Seq, plainMarkdown(n.Step), n.At.UTC().Format(shownTime))
			codeBlock(&b, "text", n.text())
			continue
		}
		e := s.exchange
		fmt.Fprintf(&b, "\n## %d. %s\n\n", e.Seq, plainMarkdown(e.Title))
		for i, line := range e.circumstances() {
			if i > 0 {
				b.WriteString("; ")
			}
			b.WriteString(plainMarkdown(line))
		}
		b.WriteString(".\n")
		codeBlock(&b, "http", e.sent())
		if answer := e.got(); answer != "" {
			codeBlock(&b, "http", answer)
		}
		for _, j := range e.JWTs {
			fmt.Fprintf(&b, "\nThe JWT %s, decoded and not verified:\n", plainMarkdown(j.Mark))
			codeBlock(&b, "text", j.text())
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// shownTime is how times are written for people.
const shownTime = "2006-01-02 15:04:05.000 UTC"

// codeBlock writes a code block that its content cannot end.
func codeBlock(b *strings.Builder, language, content string) {
	fence := "```"
	for strings.Contains(content, fence) {
		fence += "`"
	}
	fmt.Fprintf(b, "\n%s%s\n%s\n%s\n", fence, language, strings.TrimRight(content, "\n"), fence)
}

// plainMarkdown takes the meaning from what Markdown and HTML would act on.
func plainMarkdown(s string) string {
	var b strings.Builder
	for _, r := range oneLine(s) {
		if strings.ContainsRune("\\`*_{}[]()#+!|<>~@&$", r) {
			fmt.Fprintf(&b, "&#%d;", r)
			continue
		}
		b.WriteRune(r)
	}
	// Addresses become links by themselves.
	return strings.ReplaceAll(b.String(), "://", "&#58;//")
}

// oneLine is one line of what is redacted already: its marks stay.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// mermaid writes the sequence diagram.
func mermaid(t Trace) string {
	arrows := Sequence(t)
	var b strings.Builder
	b.WriteString("sequenceDiagram\n")
	short := map[string]string{Browser: "B", Chartkey: "C", AuthorizationServer: "A", FHIRServer: "F"}
	for _, p := range Participants() {
		for _, a := range arrows {
			if a.From == p || a.To == p {
				fmt.Fprintf(&b, "    participant %s as %s\n", short[p], ParticipantName(p))
				break
			}
		}
	}
	for _, a := range arrows {
		line := "->>"
		switch {
		case a.Outcome == OutcomeFailed || a.Outcome == OutcomeRefused:
			line = "--x"
		case a.Answer:
			line = "-->>"
		}
		fmt.Fprintf(&b, "    %s%s%s: %s\n", short[a.From], line, short[a.To], plainMermaid(a.Label))
	}
	return b.String()
}

// plainMermaid writes what Mermaid would act on as its character codes.
func plainMermaid(s string) string {
	var b strings.Builder
	for _, r := range cut(oneLine(s), 120) {
		if strings.ContainsRune("#;<>&\"`%{}\\", r) {
			fmt.Fprintf(&b, "#%d;", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}
