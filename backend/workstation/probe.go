package workstation

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"chartkey/backend/diagnose"
	"chartkey/backend/network"
	"chartkey/backend/smart"
	"chartkey/backend/store"
)

const (
	// probeTimeout bounds one probe.
	probeTimeout = 8 * time.Second
	// maxProbes bounds how many are run for one failure.
	maxProbes = 3
	// maxProbeAnswer is how much of an answer a probe looks at.
	maxProbeAnswer = 256 << 10
	// clockTolerance is that of id_tokens and assertions.
	clockTolerance = 2 * time.Minute
)

// runProbes asks what the causes of a diagnosis name, each once for a failure.
// Only addresses that the
// registration or its discovery names are asked, without secrets.
func (w *Workstation) runProbes(ctx context.Context, reg store.Registration, facts *diagnose.Facts, d diagnose.Diagnosis) {
	if facts.Probes == nil {
		facts.Probes = map[diagnose.ProbeID]string{}
	}
	asked := 0
	for _, c := range d.Causes {
		if c.Probe == "" || facts.Probes[c.Probe] != "" || asked == maxProbes {
			continue
		}
		asked++
		ctx, cancel := context.WithTimeout(ctx, probeTimeout)
		facts.Probes[c.Probe] = w.probe(ctx, reg, c.Probe, facts)
		cancel()
	}

}

func (w *Workstation) probe(ctx context.Context, reg store.Registration, id diagnose.ProbeID, facts *diagnose.Facts) string {
	way, err := w.to(ctx, reg.FHIRBaseURL)
	if err != nil {
		return diagnose.NotTold
	}
	p := prober{client: &http.Client{Transport: way.http.Transport, Timeout: probeTimeout, CheckRedirect: network.NoRedirects}}
	cfg, err := w.discover(ctx, reg.FHIRBaseURL)
	switch id {
	case diagnose.ProbeClock:
		return p.clock(ctx, reg.FHIRBaseURL, w.now)
	case diagnose.ProbeDiscoveryAgain:
		return w.probeDiscovery(ctx, reg, facts)
	case diagnose.ProbeBaseURLVariants:
		return p.variants(ctx, reg.FHIRBaseURL)
	case diagnose.ProbeClientKnown:
		if err == nil {
			return p.clientKnown(ctx, cfg, reg, facts)
		}
	case diagnose.ProbeRedirectRegistered:
		// Of a client that is not known, no redirect URI is.
		if err == nil && p.clientKnown(ctx, cfg, reg, facts) == diagnose.ClientKnown {
			return p.differs(ctx, p.authorizeURL(cfg, reg, reg.ClientID, facts.Request.RedirectURI), p.authorizeURL(cfg, reg, reg.ClientID, facts.Request.RedirectURI+"/chartkey-probe"), diagnose.RedirectAccepted, diagnose.RedirectRefused)
		}
	case diagnose.ProbeOtherEnvironment:
		return p.otherEnvironment(ctx, w, reg)
	case diagnose.ProbeJWKSReachable:
		return diagnose.KeysOnlyLocalHost // the only address that Chartkey publishes at
	}
	return diagnose.NotTold
}

func (p prober) clientKnown(ctx context.Context, cfg smart.Configuration, reg store.Registration, facts *diagnose.Facts) string {
	if known := facts.Probes[diagnose.ProbeClientKnown]; known != "" {
		return known
	}
	uri := facts.Request.RedirectURI
	return p.differs(ctx, p.authorizeURL(cfg, reg, reg.ClientID, uri), p.authorizeURL(cfg, reg, madeUp(reg.ClientID), uri), diagnose.ClientKnown, diagnose.ClientUnknown)
}

// prober asks without a browser, a cookie or a secret.
type prober struct{ client *http.Client }

// probeAnswer is what a probe sees.
type probeAnswer struct {
	status   int
	header   http.Header
	location *url.URL
	body     []byte
}

func (p prober) do(ctx context.Context, method, address string, form url.Values) (probeAnswer, error) {
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return probeAnswer{}, err
	}
	req.Header.Set("Accept", "text/html, application/json")
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Accept", "application/json")
	}
	res, err := p.client.Do(req)
	if err != nil {
		return probeAnswer{}, err
	}
	defer func() { _ = res.Body.Close() }() // it was only read
	a := probeAnswer{status: res.StatusCode, header: res.Header}
	if to, err := res.Location(); err == nil {
		a.location = to
	}
	a.body, err = io.ReadAll(io.LimitReader(res.Body, maxProbeAnswer))
	return a, err
}

// authorizeURL is that of a sign-in whose state and challenge belong to none.
func (p prober) authorizeURL(cfg smart.Configuration, reg store.Registration, clientID, redirectURI string) string {
	u, err := url.Parse(cfg.AuthorizationEndpoint)
	if err != nil {
		return ""
	}
	q := u.Query()
	for name, value := range map[string]string{
		"response_type": "code", "client_id": clientID, "redirect_uri": redirectURI, "scope": effectiveScopes(reg, cfg).String(), "aud": reg.FHIRBaseURL,
		"state": throwAway(), "code_challenge": throwAway(), "code_challenge_method": "S256",
	} {
		q.Set(name, value)
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// throwAway gives 43 characters that are of no use to anybody.
func throwAway() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// madeUp gives a client ID of the same form that nobody has.
func madeUp(clientID string) string {
	random := throwAway()
	i := 0
	return strings.Map(func(r rune) rune {
		i++
		from := random[i%len(random)]
		switch {
		case r >= '0' && r <= '9':
			return rune('0' + from%10)
		case r >= 'a' && r <= 'f':
			return rune('a' + from%6)
		case r >= 'g' && r <= 'z':
			return rune('g' + from%20)
		case r >= 'A' && r <= 'Z':
			return rune('A' + from%26)
		}
		return r
	}, clientID)
}

var pageTitle = regexp.MustCompile(`(?is)<title[^>]*>(.{0,200}?)</title>`)

// shape is what tells two answers of an authorization endpoint apart.
type answerShape struct {
	status      int
	to, title   string
	oauth       string
	signsInPage bool
}

func (p prober) shapeOf(ctx context.Context, address string) (answerShape, bool) {
	a, err := p.do(ctx, http.MethodGet, address, nil)
	if err != nil {
		return answerShape{}, false
	}
	s := answerShape{status: a.status}
	if a.location != nil {
		s.to, s.oauth = a.location.Host+a.location.Path, a.location.Query().Get("error")
	}
	if m := pageTitle.FindSubmatch(a.body); m != nil {
		s.title = strings.TrimSpace(string(m[1]))
	}
	// A redirect without an error, or a page with a password, is on the way to a sign-in.
	s.signsInPage = (s.to != "" && s.oauth == "") || (s.status == http.StatusOK && strings.Contains(strings.ToLower(string(a.body)), `type="password"`))
	return s, true
}

// differs compares the answer to the real request with that to a made-up one.
func (p prober) differs(ctx context.Context, real, other, yes, no string) string {
	a, okA := p.shapeOf(ctx, real)
	b, okB := p.shapeOf(ctx, other)
	switch {
	case !okA || !okB || real == "":
		return diagnose.NotTold
	case a != b && a.signsInPage:
		return yes
	case a == b && !a.signsInPage && (a.status >= 400 || a.oauth != ""):
		return no
	}
	return diagnose.NotTold
}

func (p prober) clock(ctx context.Context, base string, now func() time.Time) string {
	before := now()
	a, err := p.do(ctx, http.MethodGet, strings.TrimSuffix(base, "/")+"/.well-known/smart-configuration", nil)
	if err != nil {
		return diagnose.NotTold
	}
	date, err := http.ParseTime(a.header.Get("Date"))
	if err != nil {
		return diagnose.NotTold
	}
	here := before.Add(now().Sub(before) / 2)
	switch off := date.Sub(here); {
	case off > clockTolerance:
		return diagnose.ClockBehind
	case off < -clockTolerance:
		return diagnose.ClockAhead
	}
	return diagnose.ClockRight
}

func (w *Workstation) probeDiscovery(ctx context.Context, reg store.Registration, facts *diagnose.Facts) string {
	fresh, err := w.discoverAnew(ctx, reg.FHIRBaseURL)
	if err != nil {
		return diagnose.DiscoveryFails
	}
	was := facts.Discovery
	if was.Known && (fresh.Issuer != was.Issuer || fresh.TokenEndpoint != was.TokenEndpoint || fresh.AuthorizationEndpoint != was.AuthorizationEndpoint ||
		!slices.Equal(fresh.Capabilities, was.Capabilities)) {
		return diagnose.DiscoveryChanged
	}
	return diagnose.DiscoverySame
}

var otherVersion = regexp.MustCompile(`(?i)/(DSTU2|STU3)(/|$)`)

func (p prober) variants(ctx context.Context, base string) string {
	trimmed := strings.TrimSuffix(base, "/")
	var tries [][2]string
	if base == trimmed {
		tries = append(tries, [2]string{base + "/", diagnose.BaseWithSlash})
	} else {
		tries = append(tries, [2]string{trimmed, diagnose.BaseWithoutSlash})
	}
	if r4 := otherVersion.ReplaceAllString(base, "/R4$2"); r4 != base {
		tries = append(tries, [2]string{r4, diagnose.BaseAsR4})
	}
	if i := strings.Index(strings.ToLower(base), "/api/fhir/r4"); i >= 0 && base[i:i+12] != "/api/FHIR/R4" {
		tries = append(tries, [2]string{base[:i] + "/api/FHIR/R4" + base[i+12:], diagnose.BaseInOtherCase})
	}
	if p.isBase(ctx, base) {
		return diagnose.NotTold // it works as it is, so another one working says nothing
	}
	for _, t := range tries {
		if p.isBase(ctx, t[0]) {
			return t[1]
		}
	}
	return diagnose.BaseNoneWorks
}

// isBase tells whether a SMART configuration is found under a base URL. The
// address as it is written counts, so its own slash is kept.
func (p prober) isBase(ctx context.Context, base string) bool {
	document := "/.well-known/smart-configuration"
	if strings.HasSuffix(base, "/") {
		document = document[1:]
	}
	a, err := p.do(ctx, http.MethodGet, base+document, nil)
	var found struct {
		Token string `json:"token_endpoint"`
	}
	return err == nil && json.Unmarshal(a.body, &found) == nil && found.Token != ""
}

// otherEnvironment asks the token endpoint of the other environment whether it
// knows the client ID, which is no secret, with a code that cannot be one.
func (p prober) otherEnvironment(ctx context.Context, w *Workstation, reg store.Registration) string {
	if reg.EHR != "epic" {
		return diagnose.NotTold
	}
	base := EpicSandboxBaseURL
	if reg.Environment == "sandbox" {
		base = ""
		if regs, err := w.store.Registrations(ctx); err == nil {
			for _, other := range regs {
				if other.EHR == "epic" && other.Environment == "production" {
					base = other.FHIRBaseURL
				}
			}
		}
	}
	if base == "" {
		return diagnose.NotTold
	}
	cfg, err := w.discover(ctx, base)
	if err != nil {
		return diagnose.NotTold
	}
	a, err := p.do(ctx, http.MethodPost, cfg.TokenEndpoint, url.Values{
		"grant_type": {"authorization_code"}, "code": {"chartkey-probe"}, "redirect_uri": {append(redirectURIs(reg), DefaultRedirectURIs()...)[0]}, "client_id": {reg.ClientID},
	})
	var answer struct {
		Error string `json:"error"`
	}
	if err != nil || json.Unmarshal(a.body, &answer) != nil {
		return diagnose.NotTold
	}
	switch answer.Error {
	case "invalid_grant":
		return diagnose.KnownElsewhere
	case "invalid_client":
		return diagnose.UnknownElsewhere
	}
	return diagnose.NotTold
}
