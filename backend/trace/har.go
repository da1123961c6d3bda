package trace

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// harTime is ISO 8601 with milliseconds, as HAR has it.
const harTime = "2006-01-02T15:04:05.000Z07:00"

type harFile struct {
	Log harLog `json:"log"`
}

type harLog struct {
	Version string     `json:"version"`
	Creator harCreator `json:"creator"`
	Pages   []harPage  `json:"pages"`
	Entries []harEntry `json:"entries"`
	Comment string     `json:"comment,omitempty"`
}

type harCreator struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

type harPage struct {
	Started string     `json:"startedDateTime"`
	ID      string     `json:"id"`
	Title   string     `json:"title"`
	Timings harNothing `json:"pageTimings"`
	Comment string     `json:"comment,omitempty"`
	Notes   []Note     `json:"_notes,omitempty"`
}

type harNothing struct{}

type harEntry struct {
	Page     string      `json:"pageref"`
	Started  string      `json:"startedDateTime"`
	Time     float64     `json:"time"`
	Request  harRequest  `json:"request"`
	Response harResponse `json:"response"`
	Cache    harNothing  `json:"cache"`
	Timings  harTimings  `json:"timings"`
	Comment  string      `json:"comment,omitempty"`
	Error    string      `json:"_error,omitempty"`
	TLS      *TLS        `json:"_tls,omitempty"`
	Proxy    string      `json:"_proxy,omitempty"`
	JWTs     []JWT       `json:"_jwts,omitempty"`
}

type harTimings struct {
	Send    float64 `json:"send"`
	Wait    float64 `json:"wait"`
	Receive float64 `json:"receive"`
}

type harRequest struct {
	Method      string       `json:"method"`
	URL         string       `json:"url"`
	HTTPVersion string       `json:"httpVersion"`
	Cookies     []harNothing `json:"cookies"`
	Headers     []Field      `json:"headers"`
	Query       []Field      `json:"queryString"`
	PostData    *harPostData `json:"postData,omitempty"`
	HeadersSize int          `json:"headersSize"`
	BodySize    int64        `json:"bodySize"`
}

type harPostData struct {
	MimeType string  `json:"mimeType"`
	Params   []Field `json:"params,omitempty"`
	Text     string  `json:"text,omitempty"`
	Comment  string  `json:"comment,omitempty"`
}

type harResponse struct {
	Status      int          `json:"status"`
	StatusText  string       `json:"statusText"`
	HTTPVersion string       `json:"httpVersion"`
	Cookies     []harNothing `json:"cookies"`
	Headers     []Field      `json:"headers"`
	Content     harContent   `json:"content"`
	RedirectURL string       `json:"redirectURL"`
	HeadersSize int          `json:"headersSize"`
	BodySize    int64        `json:"bodySize"`
}

type harContent struct {
	Size     int64  `json:"size"`
	MimeType string `json:"mimeType"`
	Text     string `json:"text,omitempty"`
	Comment  string `json:"comment,omitempty"`
}

// HAR writes traces as one HTTP Archive (HAR 1.2), which browsers and support
// desks open. Each trace is a page of it. What HAR has no place for is in
// members that begin with an underscore.
func HAR(w io.Writer, traces ...Trace) error {
	log := harLog{
		Version: "1.2", Creator: harCreator{"Chartkey", ""}, Pages: []harPage{}, Entries: []harEntry{},
		Comment: "Secrets and what tells of patients are replaced by marks such as ‹access token 1›. The same mark is the same value within a page.",
	}
	for i, t := range traces {
		if i == 0 {
			log.Creator = creator(t.Program)
		}
		id := fmt.Sprintf("trace-%d", i+1)
		log.Pages = append(log.Pages, harPage{
			Started: t.Started.Format(harTime), ID: id, Title: t.Operation + outcomeWords(t), Comment: strings.Join(t.LeftOut, " "), Notes: t.Notes,
		})
		for _, e := range t.Exchanges {
			log.Entries = append(log.Entries, e.har(id))
		}
	}
	// HAR wants them in the order of time.
	slices.SortStableFunc(log.Entries, func(a, b harEntry) int { return strings.Compare(a.Started, b.Started) })
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(harFile{log})
}

func creator(program string) harCreator {
	name, version, _ := strings.Cut(program, " ")
	return harCreator{cmp.Or(name, "Chartkey"), version}
}

func outcomeWords(t Trace) string {
	switch t.Outcome {
	case "":
		return ""
	case "ok":
		return ", done"
	}
	return ", ended with " + t.Outcome
}

func ms(d time.Duration) float64 { return float64(max(d, 0).Microseconds()) / 1000 }

func (e *Exchange) har(page string) harEntry {
	protocol := e.Protocol
	if protocol == "" {
		protocol = "unknown"
	}
	out := harEntry{
		Page: page, Started: e.At.Format(harTime), Time: ms(e.Duration), Comment: e.Title, Error: e.Error, TLS: e.TLS, Proxy: e.Proxy, JWTs: e.JWTs,
		Timings: harTimings{0, ms(e.Wait), ms(e.Duration - e.Wait)},
		Request: harRequest{
			Method: e.Method, URL: encoded(e.URL), HTTPVersion: protocol, Cookies: []harNothing{}, Headers: copied(e.Request.Headers), Query: copied(e.Query), HeadersSize: -1, BodySize: e.Request.Body.Size,
		},
		Response: harResponse{
			Status: e.Status, StatusText: http.StatusText(e.Status), HTTPVersion: protocol, Cookies: []harNothing{}, Headers: copied(e.Response.Headers), HeadersSize: -1, BodySize: -1,
			Content: harContent{Size: e.Response.Body.Size, MimeType: e.Response.Body.MediaType, Text: e.Response.Body.Text, Comment: e.Response.Body.LeftOut},
		},
	}
	for _, h := range e.Response.Headers {
		if h.Name == "Location" {
			out.Response.RedirectURL = encoded(h.Value)
		}
	}
	if b := e.Request.Body; b.Size > 0 {
		// Both, though HAR has one or the other: browsers write both and read the text.
		out.Request.PostData = &harPostData{MimeType: b.MediaType, Params: b.Form, Text: b.Text, Comment: b.LeftOut}
		if len(b.Form) > 0 {
			out.Request.PostData.Text = joined(b.Form)
		}
	}
	return out
}

// encoded writes the marks of a URL in a form that readers of URLs take.
func encoded(raw string) string {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(raw, "‹")
		b.WriteString(strings.ReplaceAll(before, " ", "%20"))
		if !ok {
			return b.String()
		}
		mark, after, _ := strings.Cut(rest, "›")
		b.WriteString(url.PathEscape("‹" + mark + "›"))
		raw = after
	}
}
