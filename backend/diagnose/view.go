package diagnose

import (
	"cmp"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"chartkey/backend/scope"
)

// view is the facts of one failure, made ready for the rules.
type view struct {
	Facts
	epic, sandbox bool
	// text is what the server said, in any member, in lower case: for searching alone.
	text      string
	epicCodes []string
	asked     scope.Set
	malformed []string
}

// maxSearched bounds the text that rules search.
const maxSearched = 16 << 10

func newView(f Facts) *view {
	v := &view{Facts: f}
	if !slices.Contains(Stages(), v.Stage) {
		v.Stage = StageOf(f.Fault.Code, Local)
	}
	base := strings.ToLower(v.Registration.FHIRBaseURL)
	v.epic = v.Registration.EHR == "epic" || (v.Registration.EHR == "" && (strings.Contains(base, "/api/fhir/") || strings.Contains(base, ".epic.com")))
	v.sandbox = v.Registration.Environment == "sandbox"
	// The message of a fault ends with the server's words, where it had any.
	_, said, _ := strings.Cut(f.Fault.Message, "It says: ")
	parts := []string{f.OAuth.Error, f.OAuth.Description, decoded(f.OAuth.URI), f.HTTP.Body, f.Pasted.Text, said}
	for _, i := range f.Outcome {
		parts = append(parts, i.Text)
		if i.EpicCode != "" {
			v.epicCodes = append(v.epicCodes, i.EpicCode)
		}
	}
	for _, m := range toldCode.FindAllStringSubmatch(said, 4) {
		v.epicCodes = append(v.epicCodes, m[1])
	}
	for i, p := range parts {
		parts[i] = p[:min(len(p), maxSearched)]
	}
	v.text = strings.ToLower(strings.Join(strings.Fields(strings.Join(parts, " ")), " "))
	set, errs := scope.ParseList(strings.Join(f.Request.Scopes, " "))
	v.asked = set
	if len(errs) > 0 {
		for _, s := range strings.Fields(strings.Join(f.Request.Scopes, " ")) {
			if _, err := scope.Parse(s); err != nil {
				v.malformed = append(v.malformed, s)
			}
		}
	}
	return v
}

// decoded takes percent encoding away, also where it was applied more than once.
func decoded(text string) string {
	for range 3 {
		plain, err := url.PathUnescape(text)
		if err != nil || plain == text {
			break
		}
		text = plain
	}
	return text
}

// toldCode finds one of Epic's codes in the words of a fault (package fhir, said).
var toldCode = regexp.MustCompile(`\(code (\d{4,5})\)`)

// quiet tells that nothing of the facts is a failure.
func (v *view) quiet() bool {
	return v.Fault.Code == "" && v.OAuth.Error == "" && v.HTTP.Status < 400 && len(v.Outcome) == 0 && v.Pasted.Text == ""
}

// host is whom the failure is about.
func (v *view) host() string {
	for _, text := range []string{v.HTTP.Host, v.Registration.FHIRBaseURL, v.Discovery.TokenEndpoint} {
		if h := hostOf(text); h != "" {
			return h
		}
	}
	return ""
}

var hostForm = regexp.MustCompile(`^[A-Za-z0-9.-]{1,120}(:\d{1,5})?$`)

// hostOf gives host and port of an address, or of "host:port", or "".
func hostOf(text string) string {
	if u, err := url.Parse(text); err == nil && u.Host != "" {
		text = u.Host
	}
	if !hostForm.MatchString(text) {
		return ""
	}
	return strings.ToLower(text)
}

// address makes an address fit to show: no user, query or fragment.
func address(text string) string {
	u, err := url.Parse(text)
	if err != nil || hostOf(text) == "" || u.Host == "" || len(u.Path) > 300 {
		return ""
	}
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	return shown.String()
}

var idForm = regexp.MustCompile(`^[A-Za-z0-9._~:/-]{1,100}$`)

// spoken is a duration for a sentence: its largest one or two units.
func spoken(d time.Duration) string {
	d = d.Abs()
	unit := func(n int, name string) string {
		if n == 1 {
			return "1 " + name
		}
		return fmt.Sprintf("%d %ss", n, name)
	}
	switch {
	case d < 2*time.Minute:
		return unit(int(d.Round(time.Second).Seconds()), "second")
	case d < 2*time.Hour:
		return unit(int(d.Round(time.Minute).Minutes()), "minute")
	case d < 48*time.Hour:
		return unit(int(d.Round(time.Hour).Hours()), "hour")
	}
	return unit(int(d.Hours()/24), "day")
}

// vocabulary is what may stand in curly brackets in the texts of rules. Each
// word has a form that does when the fact is not known.
var vocabulary = map[string]func(*view) string{
	"host":   func(v *view) string { return cmp.Or(v.host(), "the server") },
	"base":   func(v *view) string { return cmp.Or(address(v.Registration.FHIRBaseURL), "the FHIR base URL") },
	"client": func(v *view) string { return cmp.Or(idForm.FindString(v.Registration.ClientID), "that is saved here") },
	"environment": func(v *view) string {
		return cmp.Or(known(v.Registration.Environment, "sandbox", "production"), "the environment that is meant")
	},
	"other-environment": otherEnvironment,
	"swapped":           swapped,
	"audience":          func(v *view) string { return cmp.Or(known(v.Registration.Audience, "patient", "provider"), "patient") },
	"other-audience":    otherAudience,
	"redirect":          func(v *view) string { return cmp.Or(address(v.redirect()), "the redirect URI that is saved here") },
	"port":              func(v *view) string { return cmp.Or(portOf(v.redirect()), "another one") },
	"first-port": func(v *view) string {
		return cmp.Or(portOf(first(v.Registration.RedirectURIs)), "of the first redirect URI")
	},
	"wait":          func(v *view) string { return waiting(v.HTTP.RetryAfter) },
	"elapsed":       func(v *view) string { return lapse(v.Elapsed) },
	"since-success": func(v *view) string { return lapse(v.History.SinceSuccess) },
	"since-edit":    func(v *view) string { return lapse(v.History.SinceEdit) },
	"since-code":    func(v *view) string { return lapse(v.Request.SinceCode) },
	"age":           func(v *view) string { return lapse(v.History.Age) },
	"offset":        func(v *view) string { return lapse(v.Clock.Offset) },
	"clock":         clockWords,
	"status":        func(v *view) string { return fmt.Sprintf("HTTP %d", v.HTTP.Status) },
	"proxy":         func(v *view) string { return strings.TrimSpace("the proxy " + hostOf(v.Network.Proxy)) },
	"resource":      func(v *view) string { return cmp.Or(typeForm.FindString(v.Request.Resource), "this kind of resource") },
	"method":        func(v *view) string { return cmp.Or(methodForm.FindString(v.Request.AuthMethod), "this method") },
	"key":           func(v *view) string { return strings.TrimSpace("the key " + idForm.FindString(v.Request.KeyID)) },
	"scopes": func(v *view) string {
		return cmp.Or(strings.Join(v.suspects(), " "), "scopes that the app is not registered for")
	},
	"pasted-difference": func(v *view) string { return v.differences() },
	"epic-code":         func(v *view) string { return v.epicWords() },
}

var (
	typeForm   = regexp.MustCompile(`^[A-Z][A-Za-z]{1,40}$`)
	methodForm = regexp.MustCompile(`^[a-z_]{1,40}$`)
)

func known(value string, allowed ...string) string {
	if slices.Contains(allowed, value) {
		return value
	}
	return ""
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

func otherEnvironment(v *view) string {
	switch v.Registration.Environment {
	case "sandbox":
		return "production"
	case "production":
		return "sandbox"
	}
	return "the other one"
}

func swapped(v *view) string {
	if known(v.Registration.Environment, "sandbox", "production") == "" {
		return "the sandbox one in production, or the other way round"
	}
	return "the " + otherEnvironment(v) + " one, and this is " + v.Registration.Environment
}

func otherAudience(v *view) string {
	if v.Registration.Audience == "provider" {
		return "patient"
	}
	return "provider"
}

func portOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Port()
}

func waiting(d time.Duration) string {
	if d <= 0 {
		return "a few minutes"
	}
	return spoken(d)
}

// lapse is spoken for a time that may not be known.
func lapse(d time.Duration) string {
	if d == 0 {
		return "some time"
	}
	return spoken(d)
}

func clockWords(v *view) string {
	if !v.Clock.Known {
		return "ahead or behind"
	}
	if v.Clock.Offset > 0 {
		return spoken(v.Clock.Offset) + " behind the server's"
	}
	return spoken(v.Clock.Offset) + " ahead of the server's"
}

// redirect is the redirect URI that was used.
func (v *view) redirect() string {
	return cmp.Or(v.Request.RedirectURI, first(v.Registration.RedirectURIs))
}

// suspects are the scopes that were asked for and may be why: those that the
// server names, else those that cannot be read, else those that it does not
// list, else wildcards.
func (v *view) suspects() []string {
	var out []string
	add := func(is func(scope.Scope) bool) bool {
		for _, s := range v.asked {
			if is(s) && !slices.Contains(out, s.Text) {
				out = append(out, s.Text)
			}
		}
		return len(out) > 0
	}
	if add(func(s scope.Scope) bool { return len(s.Text) > 5 && strings.Contains(v.text, strings.ToLower(s.Text)) }) {
		return out
	}
	for _, s := range v.malformed {
		if idForm.MatchString(s) {
			out = append(out, s)
		}
	}
	if len(out) > 0 || add(v.unlisted) {
		return out
	}
	add(func(s scope.Scope) bool { return s.Kind == scope.Resource && s.Type == "*" })
	return out
}

// unlisted tells that the server lists scopes of this kind and not this one.
func (v *view) unlisted(s scope.Scope) bool {
	return len(v.Discovery.ScopesSupported) > 0 && scope.Grammar(v.Discovery.ScopesSupported).Supports(s) == scope.NotListed
}

// blank finds the words in curly brackets.
var blank = regexp.MustCompile(`\{[a-z-]+\}`)

// fill puts facts in the place of the words in curly brackets.
func (v *view) fill(text string) string {
	filled := blank.ReplaceAllStringFunc(text, func(mark string) string {
		if get := vocabulary[strings.Trim(mark, "{}")]; get != nil {
			return get(v)
		}
		return mark
	})
	// What stands for a fact that is not known may come to begin the sentence.
	for _, word := range []string{"the ", "this ", "scopes "} {
		if strings.HasPrefix(text, "{") && strings.HasPrefix(filled, word) {
			return strings.ToUpper(filled[:1]) + filled[1:]
		}
	}
	return filled
}

// param is fill for a program: nothing where the fact is not known.
func (v *view) param(text string) string {
	switch {
	case text == "{scopes}":
		return strings.Join(v.suspects(), " ")
	case text == "{redirect}":
		return address(v.redirect())
	case text == "{port}":
		return portOf(v.redirect())
	case text == "{first-port}":
		return portOf(first(v.Registration.RedirectURIs))
	case text == "{proxy}":
		return hostOf(v.Network.Proxy)
	case text == "{resource}":
		return typeForm.FindString(v.Request.Resource)
	case text == "{wait}":
		if v.HTTP.RetryAfter <= 0 {
			return ""
		}
		return v.HTTP.RetryAfter.String()
	case text == "{other-environment}":
		return known(otherEnvironment(v), "sandbox", "production")
	case text == "{better-base}":
		return v.betterBase()
	}
	return v.fill(text)
}
