package trace

import (
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Text writes a trace for a terminal.
func Text(w io.Writer, t Trace) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s%s\n", t.Operation, t.Started.UTC().Format(shownTime), outcomeWords(t))
	for _, s := range t.LeftOut {
		fmt.Fprintln(&b, s)
	}
	for _, s := range inOrder(t) {
		if n := s.note; n != nil {
			fmt.Fprintf(&b, "\n%d. Step: %s\n", n.Seq, n.Step)
			indent(&b, n.text())
			continue
		}
		e := s.exchange
		fmt.Fprintf(&b, "\n%d. %s (%s)\n", e.Seq, e.Title, strings.Join(e.circumstances(), "; "))
		indent(&b, e.sent())
		if answer := e.got(); answer != "" {
			b.WriteByte('\n')
			indent(&b, answer)
		}
		for _, j := range e.JWTs {
			fmt.Fprintf(&b, "\n   JWT %s, decoded and not verified:\n", j.Mark)
			indent(&b, j.text())
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func indent(b *strings.Builder, text string) {
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		if line != "" {
			b.WriteString("   " + line)
		}
		b.WriteByte('\n')
	}
}

// circumstances say when and how an exchange went.
func (e *Exchange) circumstances() []string {
	to := "to the authorization server"
	if e.Server == FHIRServer {
		to = "to the FHIR server"
	}
	out := []string{e.At.UTC().Format(shownTime), to, milliseconds(e.Duration)}
	if e.TLS != nil {
		out = append(out, e.TLS.Version+" with a certificate by "+e.TLS.Issuer)
	}
	if e.Proxy != "" {
		out = append(out, "through the proxy "+e.Proxy)
	}
	if e.Error != "" {
		out = append(out, "failed: "+e.Error)
	}
	return out
}

// sent is the request as it went, redacted.
func (e *Exchange) sent() string { return e.Request.text(e.Method + " " + e.URL) }

// got is the answer as it came, redacted, or "".
func (e *Exchange) got() string {
	switch {
	case e.Status == 0:
		return ""
	case e.Open:
		return e.Response.text(statusLine(e)) + "\n‹the answer was not read to its end yet›\n"
	}
	return e.Response.text(statusLine(e))
}

func statusLine(e *Exchange) string {
	return strings.TrimSpace(fmt.Sprintf("%s %d %s", e.Protocol, e.Status, http.StatusText(e.Status)))
}

func (m *Message) text(first string) string {
	var b strings.Builder
	b.WriteString(first + "\n")
	for _, h := range m.Headers {
		fmt.Fprintf(&b, "%s: %s\n", h.Name, h.Value)
	}
	if m.Body.Text != "" {
		b.WriteString("\n" + m.Body.Text + "\n")
	}
	if m.Body.LeftOut != "" {
		b.WriteString("‹" + m.Body.LeftOut + "›\n")
	}
	return b.String()
}

func (n *Note) text() string {
	var lines []string
	if n.Detail != "" {
		lines = append(lines, n.Detail)
	}
	for _, f := range n.Values {
		lines = append(lines, f.Name+"="+f.Value)
	}
	return strings.Join(lines, "\n")
}

func (j *JWT) text() string {
	var lines []string
	for _, list := range [][]Claim{j.Header, j.Claims} {
		for _, c := range list {
			line := c.Name + ": " + c.Value
			if c.Meaning != "" {
				line += "  (" + c.Meaning + ")"
			}
			lines = append(lines, line)
		}
	}
	return strings.Join(append(lines, "signature: "+j.Signature), "\n")
}
