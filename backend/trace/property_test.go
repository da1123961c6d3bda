package trace_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"chartkey/backend/secret"
	"chartkey/backend/trace"

	"pgregory.net/rapid"
)

// planter makes documents, and plants canaries where something must not be shown.
type planter struct {
	t    *rapid.T
	list []string
}

var (
	secretNames  = []string{"access_token", "refresh_token", "id_token", "code", "code_verifier", "state", "nonce", "client_secret", "client_assertion", "assertion", "launch", "password", "registration_access_token", "jti", "sid"}
	unknownNames = []string{"patientName", "custom", "x", "data", "account_no", "session_token", "authz_ticket", "displayName", "__epic.dstu2.patient", "value"}
	spokenNames  = []string{"error_description", "message", "detail", "title", "client_name"}
)

// canary is a new secret. Its alphabet and form vary as those of servers do.
func (p *planter) canary() string {
	value := rapid.OneOf(
		rapid.StringMatching(`[A-Za-z0-9_-]{24,64}7q`),
		rapid.StringMatching(`[a-f0-9]{32}`),
		rapid.StringMatching(`[A-Za-z0-9+/]{22,40}={0,2}`),
		rapid.StringMatching(`eyJ[A-Za-z0-9_-]{20,40}\.eyJ[A-Za-z0-9_-]{20,60}\.[A-Za-z0-9_-]{20,60}`),
		rapid.StringMatching(`[A-Z][a-z]{5,9} [A-Z][a-z]{5,9}-[A-Z][a-z]{5,9}`),
		rapid.StringMatching(`[A-Za-z0-9"\\&<%+ ]{20,30}[0-9]`),
	).Draw(p.t, "canary")
	value = "K" + value
	p.list = append(p.list, value)
	return value
}

// header is a canary for a header.
func (p *planter) header() string {
	value := oneLine(p.canary())
	p.list[len(p.list)-1] = value
	return value
}

// value makes a JSON value in which every text is a canary.
func (p *planter) value(depth int) any {
	switch n := rapid.IntRange(0, 7).Draw(p.t, "form"); {
	case n == 0 && depth > 0:
		return p.object(depth - 1)
	case n == 1 && depth > 0:
		list := []any{}
		for range rapid.IntRange(0, 4).Draw(p.t, "length") {
			list = append(list, p.value(depth-1))
		}
		return list
	case n == 2:
		return rapid.Bool().Draw(p.t, "flag")
	case n == 3:
		return nil
	}
	return p.canary()
}

func (p *planter) object(depth int) map[string]any {
	out := map[string]any{}
	for range rapid.IntRange(1, 6).Draw(p.t, "members") {
		name := rapid.SampledFrom(append(append([]string{}, secretNames...), unknownNames...)).Draw(p.t, "name")
		if rapid.IntRange(0, 9).Draw(p.t, "named by a secret") == 0 {
			// Only what looks like no name is known for none.
			name = rapid.StringMatching(`K[A-Za-z0-9_-]{24,64}7q`).Draw(p.t, "name that is a secret")
			p.list = append(p.list, name)
		}
		if _, taken := out[name]; !taken {
			out[name] = p.value(depth)
		}
	}
	return out
}

// echo is a sentence that quotes a canary from before.
func (p *planter) echo() string {
	quoted := "nothing"
	if len(p.list) > 0 {
		quoted = rapid.SampledFrom(p.list).Draw(p.t, "echoed")
	}
	writings := []func(string) string{
		func(s string) string { return s }, url.QueryEscape, url.PathEscape,
		func(s string) string { b, _ := json.Marshal(s); return string(b) },
		func(s string) string { return s[:len(s)/2] + "\n" + s[len(s)/2:] },
	}
	return "The value " + writings[rapid.IntRange(0, len(writings)-1).Draw(p.t, "writing")](quoted) + " is not good."
}

// TestNothingPlantedComesOut sends documents of random form back and forth.
func TestNothingPlantedComesOut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := &planter{t: t}
		r := trace.NewRecorder(trace.Options{Operation: "x"})
		for range rapid.IntRange(1, 3).Draw(t, "exchanges") {
			form := url.Values{}
			for range rapid.IntRange(0, 5).Draw(t, "fields") {
				form.Add(rapid.SampledFrom(append(append([]string{}, secretNames...), unknownNames...)).Draw(t, "field"), p.canary())
			}
			answer := p.object(3)
			echoes := rapid.SliceOfN(rapid.SampledFrom(spokenNames), 0, 3).Draw(t, "echoes")
			for _, name := range echoes {
				answer[name] = p.echo()
			}
			status := rapid.SampledFrom([]int{200, 400, 401, 500}).Draw(t, "status")
			header := http.Header{"Content-Type": {rapid.SampledFrom([]string{"application/json", "application/fhir+json", "text/plain", ""}).Draw(t, "media type")}}
			header.Set("X-Anything", p.header())
			header.Set("Www-Authenticate", `Bearer realm="`+strings.NewReplacer(`"`, `\"`, `\`, `\\`, "\n", " ").Replace(p.echo())+`"`)
			header.Set("Location", "https://ehr.example/cb?"+url.Values{"code": {p.canary()}, "what": {p.canary()}}.Encode())
			b, err := json.Marshal(answer)
			if err != nil {
				t.Fatal(err)
			}
			path := rapid.SampledFrom([]string{"/token", "/fhir/Patient/", "/fhir/Observation?patient=", "/x?state="}).Draw(t, "path")
			if strings.HasSuffix(path, "=") || strings.HasSuffix(path, "/") {
				id := strings.Map(func(r rune) rune {
					if strings.ContainsRune(`"\\&<%+ /=`, r) {
						return '-'
					}
					return r
				}, p.canary())
				p.list[len(p.list)-1] = id // as it is sent
				path += id
			}
			q, err := http.NewRequest(http.MethodPost, "https://ehr.example"+path, strings.NewReader(form.Encode()))
			if err != nil {
				t.Fatal(err)
			}
			q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if rapid.Bool().Draw(t, "signed") {
				q.Header.Set("Authorization", "Bearer "+p.header())
			}
			resp, err := r.Transport(roundTrip(func(q *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: status, Proto: "HTTP/1.1", Header: header, Body: io.NopCloser(strings.NewReader(string(b))), Request: q, ContentLength: -1}, nil
			})).RoundTrip(q)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(resp.Body); err != nil || string(got) != string(b) {
				t.Fatal("the caller got something else")
			}
			_ = resp.Body.Close()
		}
		note := p.canary()
		r.Know(trace.AccessToken, secret.New(note))
		r.Note("step", p.echo(), url.Values{"code": {p.canary()}, "error_description": {p.echo()}})
		var all strings.Builder
		tr := r.Trace()
		b, err := json.Marshal(tr)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(b)
		for _, write := range []func(io.Writer, trace.Trace) error{trace.Markdown, trace.Text, func(w io.Writer, t trace.Trace) error { return trace.HAR(w, t) }} {
			if err := write(&all, tr); err != nil {
				t.Fatal(err)
			}
		}
		text := all.String()
		for _, canary := range p.list {
			inJSON, _ := json.Marshal(canary)
			for _, form := range []string{canary, strings.Trim(string(inJSON), `"`), url.QueryEscape(canary), url.PathEscape(canary)} {
				if at := strings.Index(text, form); at >= 0 {
					t.Fatalf("%q is there as %q: …%s…", canary, form, text[max(0, at-200):min(len(text), at+100)])
				}
			}
		}
	})
}

// oneLine is what a header takes.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' {
			return '_'
		}
		return r
	}, s)
}

// FuzzBody has bodies of any form and type come from a server that was sent a
// secret, and that puts it into them.
func FuzzBody(f *testing.F) {
	const canary = "Zx81-Qm2xVb9kTtLw8NcJpE1rYs6"
	for _, seed := range []struct{ media, body string }{
		{"application/json", `{"error":"invalid_grant","error_description":"no §","access_token":"§","a":[{"§":1},"§"]}`},
		{"application/fhir+json", `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"§","diagnostics":"§","details":{"text":"§","coding":[{"system":"urn:§","code":"§"}]}}]}`},
		{"application/fhir+json", `{"resourceType":"Bundle","total":1,"link":[{"relation":"next","url":"Patient?x=§"}],"entry":[{"resource":{"resourceType":"§"}}]}`},
		{"application/x-www-form-urlencoded", "code=§&§=x&scope=a%20§&redirect_uri=http://localhost/§?a=§#§"},
		{"text/html", "<title>x § y</title>§"}, {"text/html; charset=§", "<TITLE\n>§"}, {"§/§", "§"}, {"application/json", `[1,2,{"§":§}]`}, {"application/json", `{"id_token":"eyJhbGciOiJub25lIn0.e30.§"}`},
		{"application/json", `{"error_description":"\u005a§\u200b ‹§› Zx81-Qm2xVb9kTt"}`}, {"application/jwk-set+json", `{"keys":[{"kty":"oct","k":"§","kid":"§"}]}`},
	} {
		f.Add(seed.media, seed.body, 200)
		f.Add(seed.media, seed.body, 401)
	}
	f.Fuzz(func(t *testing.T, media, body string, status int) {
		body = strings.ReplaceAll(body, "§", canary)
		r := trace.NewRecorder(trace.Options{})
		r.Know(trace.Code, secret.New(canary))
		q, err := http.NewRequest(http.MethodPost, "https://ehr.example/token", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		media = strings.ReplaceAll(media, "§", canary)
		q.Header.Set("Content-Type", media)
		resp, err := r.Transport(roundTrip(func(q *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {media}, "Location": {body}, "Www-Authenticate": {body}, "Server": {body}}, Body: io.NopCloser(strings.NewReader(body)), Request: q, ContentLength: -1}, nil
		})).RoundTrip(q)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(resp.Body); err != nil || string(got) != body {
			t.Fatal("the caller got something else")
		}
		_ = resp.Body.Close()
		r.Note("x", body, url.Values{"state": {body}, "error": {body}})
		tr := r.Trace()
		for name, text := range exports(t, tr) {
			if packed := strings.Join(strings.Fields(text), ""); strings.Contains(strings.ToLower(packed), strings.ToLower(canary)) {
				t.Errorf("%s: %s", name, text)
			}
			if !json.Valid([]byte(text)) && (name == "JSON" || name == "HAR" || name == "sequence") {
				t.Errorf("%s is not JSON", name)
			}
		}
		if n := len(fmt.Sprint(tr)); n > 300<<10 {
			t.Errorf("%d bytes are kept", n)
		}
	})
}
