package diagnose

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// PastedFacts are what a person's text told: an error page, or its address.
type PastedFacts struct {
	// Text is what was pasted, without what may be a secret; it is only searched.
	Text string `json:"text,omitempty"`
	// Host is that of the page's address, ErrorNumber the number that it names.
	Host        string `json:"host,omitempty"`
	ErrorNumber string `json:"error_number,omitempty"`
	// Callback tells that the address is on this computer: the EHR did send the browser back.
	Callback bool `json:"callback,omitempty"`
	// Echo tells that the address has some of what was sent, and these are it.
	Echo        bool   `json:"echo,omitempty"`
	ClientID    string `json:"client_id,omitempty"`
	RedirectURI string `json:"redirect_uri,omitempty"`
	Aud         string `json:"aud,omitempty"`
	Scope       string `json:"scope,omitempty"`
}

// maxPasted bounds what is read of a pasted text, and maxEchoed a value in its address.
const (
	maxPasted = 32 << 10
	maxEchoed = 2000
)

var pastedURL = regexp.MustCompile(`(?i)\bhttps?://[^\s"'<>]+`)

// Recognize diagnoses a sign-in from which nothing came back, with the help of
// what the person sees in the browser: the text of the EHR's error page, its
// address, or both. f are the facts of the sign-in; what they tell of a failure
// at another step is left out, as the page is not about that. Codes, tokens and
// whatever else an address carries are left out before anything is looked at.
func Recognize(text string, f Facts) Diagnosis {
	text = text[:min(len(text), maxPasted)]
	f.Pasted = read(text)
	if f.Stage != Authorize && f.Stage != Launch {
		f.Stage, f.Fault, f.HTTP, f.OAuth, f.Outcome = Authorize, FaultFacts{}, HTTPFacts{}, OAuthFacts{}, nil
	}
	if f.OAuth.Error == "" {
		f.OAuth.Error = errorIn(text)
	}
	if f.Fault.Code == "" {
		f.Fault.Code = "sign-in-timeout"
	}
	return Diagnose(f)
}

// read takes a pasted text apart.
func read(text string) PastedFacts {
	var p PastedFacts
	for _, found := range pastedURL.FindAllString(text, 5) {
		u, err := url.Parse(strings.TrimRight(found, ".,;)]"))
		if err != nil {
			continue
		}
		query := u.Query()
		if p.Host == "" {
			p.Host = hostOf(u.Host)
		}
		if thisComputer(u.Hostname()) && (query.Has("code") || query.Has("error") || query.Has("state")) {
			p.Callback = true
		}
		if n := query.Get("error"); p.ErrorNumber == "" && numberForm.MatchString(n) {
			p.ErrorNumber = n
		}
		for name, into := range map[string]*string{"client_id": &p.ClientID, "redirect_uri": &p.RedirectURI, "aud": &p.Aud, "scope": &p.Scope} {
			if value := query.Get(name); query.Has(name) && len(value) <= maxEchoed {
				p.Echo = true
				*into = Excerpt([]byte(value))
			}
		}
	}
	p.Text = Excerpt([]byte(text))
	return p
}

var numberForm = regexp.MustCompile(`^\d{1,6}$`)

// errorIn finds the OAuth error of an address or page.
func errorIn(text string) string {
	for _, m := range oauthErrorForm.FindAllStringSubmatch(text, 5) {
		if e := strings.ToLower(m[1]); oauthErrors[e] {
			return e
		}
	}
	return ""
}

var oauthErrorForm = regexp.MustCompile(`(?i)\berror["']?\s*[=:]\s*["']?([a-z_]{5,40})\b`)

// oauthErrors are those of RFC 6749, OpenID Connect and their relatives.
var oauthErrors = func() map[string]bool {
	m := map[string]bool{}
	for _, e := range strings.Fields(`invalid_request unauthorized_client access_denied unsupported_response_type invalid_scope server_error temporarily_unavailable
		invalid_client invalid_grant unsupported_grant_type invalid_token insufficient_scope unsupported_token_type invalid_redirect_uri invalid_client_metadata
		invalid_software_statement unapproved_software_statement login_required interaction_required consent_required account_selection_required
		invalid_request_uri invalid_request_object request_not_supported request_uri_not_supported registration_not_supported invalid_target invalid_launch slow_down`) {
		m[e] = true
	}
	return m
}()

// Excerpt makes what a server or a person sent fit to be searched: bounded, and
// without what may be a secret. secrets are those that are known, and left out
// as well.
func Excerpt(body []byte, secrets ...string) string {
	// What is taken out comes first: a secret must not come together by it.
	text := strings.ToValidUTF8(string(body[:min(len(body), 2*maxSearched)]), "")
	for _, s := range secrets {
		if len(s) >= 4 {
			for _, form := range []string{s, url.QueryEscape(s), url.PathEscape(s)} {
				text = strings.ReplaceAll(text, form, mark)
			}
		}
	}
	for _, form := range secretForms {
		text = form.ReplaceAllString(text, "${1}"+mark)
	}
	return strings.ToValidUTF8(text[:min(len(text), maxSearched)], "")
}

// mark stands where something was left out.
const mark = "…"

// secretForms are what secrets look like: by the name before them, or by
// themselves. A code is one only in a query or where it is long: errors have
// codes, too.
var secretForms = []*regexp.Regexp{
	regexp.MustCompile(`(?i)((?:^|[?&#;\s]|%(?:25)*(?:3f|26|23))(?:code|state|nonce|launch|iss_state|session_state|code_challenge)(?:=|%(?:25)*3d))[^\s&"'<>;]+`),
	regexp.MustCompile(`(?i)("(?:code|state|nonce|launch)"\s*:\s*")[^\s"]{20,}`),
	regexp.MustCompile(`(?i)((?:^|[^a-z_])(?:access_token|refresh_token|id_token|id_token_hint|registration_access_token|client_secret|client_assertion|assertion|code_verifier|password|passwd|pwd|token|secret|samlresponse|samlrequest|samlart|relaystate|ticket|sid|session|sessionid|session_id|jsessionid|phpsessid|execution|tab_id|session_code|auth_session_id|auth_token|api_key|apikey)["']?\s*(?:=|:|%(?:25)*3d)\s*["']?)[^\s&"'<>;,]{6,}`),
	regexp.MustCompile(`(?i)(\b(?:bearer|basic|dpop)\s+)[a-z0-9+/=._~-]{6,}`),
	regexp.MustCompile(`()\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)*`),
	regexp.MustCompile(`()//[^/\s@]{1,200}@`),
}

// differences says in a sentence how what was sent, as the page's address has
// it, differs from what is saved here.
func (v *view) differences() string {
	var out []string
	p, r := v.Pasted, v.Registration
	if p.ClientID != "" && r.ClientID != "" && p.ClientID != r.ClientID {
		out = append(out, "The client ID "+differs(r.ClientID, p.ClientID)+".")
	}
	if p.RedirectURI != "" && len(r.RedirectURIs) > 0 {
		if kind, nearest := redirectDifference(r.RedirectURIs, p.RedirectURI); kind != "" {
			out = append(out, fmt.Sprintf("The redirect URI %s from %s.", kind, shown(nearest)))
		}
	}
	if aud := v.aud(); p.Aud != "" && aud != "" && p.Aud != aud {
		out = append(out, "The aud "+differs(aud, p.Aud)+".")
	}
	return strings.Join(out, " ")
}

func shown(uri string) string {
	if a := address(uri); a != "" {
		return a
	}
	return "the registered one"
}

func (v *view) aud() string {
	if v.Request.Aud != "" {
		return v.Request.Aud
	}
	return v.Registration.FHIRBaseURL
}

// differs says where two values part, without the values themselves, which may
// hold more than they should.
func differs(want, got string) string {
	switch {
	case strings.EqualFold(want, got):
		return fmt.Sprintf("differs from the one saved here in upper and lower case, at character %d", parting(want, got)+1)
	case strings.TrimSuffix(want, "/") == strings.TrimSuffix(got, "/"):
		if strings.HasSuffix(want, "/") {
			return "lacks the slash at the end that the one saved here has"
		}
		return "has a slash at the end that the one saved here has not"
	case strings.TrimSpace(want) == strings.TrimSpace(got):
		return "differs from the one saved here in white space at an end"
	}
	return fmt.Sprintf("differs from the one saved here from character %d on (%d characters here, %d there)", parting(want, got)+1, len([]rune(want)), len([]rune(got)))
}

// parting is the index of the first character in which two texts differ.
func parting(a, b string) int {
	x, y := []rune(a), []rune(b)
	for i := range x {
		if i >= len(y) || x[i] != y[i] {
			return i
		}
	}
	return len(x)
}

// redirectDifference says how a redirect URI differs from the registered one
// that comes nearest, or "" where it is one of them.
func redirectDifference(registered []string, got string) (kind, nearest string) {
	best := -1
	for _, want := range registered {
		if want == got {
			return "", want
		}
		k, near := redirectMiss(want, got)
		if near > best {
			best, kind, nearest = near, k, want
		}
	}
	return kind, nearest
}

// redirectMiss says how two redirect URIs differ, and how near they are.
func redirectMiss(want, got string) (string, int) {
	w, err1 := url.Parse(want)
	g, err2 := url.Parse(got)
	if err1 != nil || err2 != nil {
		return "is no address, and so differs", 0
	}
	samePath := w.Path == g.Path && w.RawQuery == g.RawQuery
	switch {
	case g.Scheme == "" || g.Host == "":
		return "is not a whole address (scheme, host and path), and so differs", 1
	case strings.EqualFold(want, got):
		return fmt.Sprintf("differs in upper and lower case (character %d)", parting(want, got)+1), 9
	case strings.TrimSuffix(want, "/") == strings.TrimSuffix(got, "/"):
		return "differs by the slash at the end", 8
	case samePath && w.Host == g.Host:
		return "differs in the scheme (" + schemes(g.Scheme, w.Scheme) + ")", 7
	case samePath && w.Scheme == g.Scheme && w.Hostname() == g.Hostname():
		return fmt.Sprintf("differs in the port (%s in the place of %s)", portWord(g), portWord(w)), 6
	case samePath && w.Scheme == g.Scheme && w.Port() == g.Port() && thisComputer(w.Hostname()) && thisComputer(g.Hostname()):
		return fmt.Sprintf("names this computer in another way (%s in the place of %s), and so differs", g.Hostname(), w.Hostname()), 5
	case w.Scheme == g.Scheme && w.Host == g.Host && w.Path == g.Path:
		return "differs in the query", 4
	case w.Scheme == g.Scheme && w.Host == g.Host:
		return fmt.Sprintf("differs in the path (character %d)", parting(want, got)+1), 3
	case w.Scheme == g.Scheme && w.Hostname() == g.Hostname():
		return "differs in port and path", 2
	}
	return "differs in the host", 1
}

func portWord(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	return "none"
}

func schemes(got, want string) string {
	for _, s := range []string{got, want} {
		if s != "http" && s != "https" {
			return "another one"
		}
	}
	return got + " in the place of " + want
}

func thisComputer(host string) bool {
	return host == "localhost" || host == "127.0.0.1" || host == "::1"
}
