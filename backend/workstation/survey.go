package workstation

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"chartkey/backend/audit"
	"chartkey/backend/fault"
	"chartkey/backend/fhir"
	"chartkey/backend/network"
	"chartkey/backend/scope"
	"chartkey/backend/smart"
	"chartkey/backend/store"
)

// Info is the result of a survey's item that is neither good nor bad.
const Info Result = "info"

// certificateSoon is how long before its end a certificate is worth a warning.
// Renewal by hand takes a health system some weeks.
const certificateSoon = 30 * 24 * time.Hour

// clockApart is how far two clocks may be apart before it is worth a warning.
const clockApart = time.Minute

// SurveyItem is one thing that a survey looked at.
type SurveyItem struct {
	// ID is a stable word; items on several capabilities or hosts have one each.
	ID     string `json:"id"`
	Title  string `json:"title"`
	Result Result `json:"result" ts_type:"string"` // pass, warning, fail or info
	// Declared is what the server says of itself, Seen what it did or what is needed here.
	Declared string `json:"declared"`
	Seen     string `json:"seen"`
	// Meaning is what follows from it for the person who connects.
	Meaning string `json:"meaning"`
	Advice  string `json:"advice"`
}

// Survey is what a server declares and does, beside what one registration needs of it.
type Survey struct {
	RegistrationID   string    `json:"registration_id"`
	RegistrationName string    `json:"registration_name"`
	FHIRBaseURL      string    `json:"fhir_base_url"`
	StartedAt        time.Time `json:"started_at" ts_type:"string"`
	// OK is false where an item failed: a connection cannot work then.
	OK    bool         `json:"ok"`
	Items []SurveyItem `json:"items"`
}

// surveyor carries one survey.
type surveyor struct {
	way    *way
	now    time.Time
	reg    store.Registration
	base   *url.URL
	survey Survey
	each   func(SurveyItem)

	told       bool                // a smart-configuration could be read
	found      bool                // endpoints are known, from either document
	cfg        smart.Configuration // of the smart-configuration, else of the CapabilityStatement
	capability *fhir.Capability
	scopes     scope.Set
}

// Survey looks at what the server of a registration declares, in its SMART
// configuration and its CapabilityStatement, and at what it really does, and
// compares both with what the registration needs. It sends no secret, client ID
// or token, one request to each place, and changes nothing there. each, where
// given, is called with every item. That a server fails is no error.
//
// Faults: registration-not-found, cancelled, those of the way to the server.
func (w *Workstation) Survey(ctx context.Context, ref string, each func(SurveyItem)) (survey Survey, err error) {
	err = w.as(ctx, "Survey", func(ctx context.Context, who *seat) error {
		reg, err := w.registrationRow(ctx, ref)
		if err != nil {
			return err
		}
		entry := registrationEntry(audit.Test, reg)
		entry.Detail = "survey"
		ctx = w.watched(ctx)
		observationOf(ctx).record(w, audit.Test, reg, nil)
		return w.recorded(ctx, who.profile, entry, func(ctx context.Context, _ *action) error {
			survey, err = w.surveyOf(ctx, reg, each)
			return err
		})
	})
	return survey, err
}

func (w *Workstation) surveyOf(ctx context.Context, reg store.Registration, each func(SurveyItem)) (Survey, error) {
	now := w.now()
	s := &surveyor{now: now, reg: reg, each: each, survey: Survey{
		RegistrationID: reg.ID, RegistrationName: reg.Name, FHIRBaseURL: reg.FHIRBaseURL, StartedAt: now.UTC(), Items: []SurveyItem{},
	}}
	var err error
	if s.way, err = w.to(ctx, reg.FHIRBaseURL); err != nil {
		return s.survey, err
	}
	if s.base, err = url.Parse(reg.FHIRBaseURL); err != nil {
		return s.survey, fault.New("base-url-not-a-url", "The FHIR base URL is not an address that can be used.", "Correct it in the registration.").Because(err)
	}
	for _, look := range []func(context.Context){
		s.documents, s.connections, s.capabilities, s.authorizationServer,
		func(ctx context.Context) { s.issuer(w.checkIssuerIsItsOwn(ctx, s.cfg)) }, s.signingKeys, s.answers, s.fhirServer,
	} {
		look(ctx)
		if err := ctx.Err(); err != nil {
			return s.survey, fault.New("cancelled", "The survey was cancelled.", "Run it again when you are ready.").Because(err)
		}
	}
	s.survey.OK = !slices.ContainsFunc(s.survey.Items, func(i SurveyItem) bool { return i.Result == Fail })
	return s.survey, nil
}

func (s *surveyor) tell(i SurveyItem) {
	if i.Result == Pass {
		i.Advice = ""
	}
	s.survey.Items = append(s.survey.Items, i)
	if s.each != nil {
		s.each(i)
	}
}

// list gives names for a sentence, as a server wrote them.
func list(names []string) string {
	if len(names) == 0 {
		return "nothing"
	}
	return network.Clean(strings.Join(names, ", "), 600)
}

// documents reads the two documents, and compares them.
func (s *surveyor) documents(ctx context.Context) {
	first, err := s.way.smart.Statement(ctx, s.reg.FHIRBaseURL, smart.FromSmartConfiguration)
	answered := err == nil
	if err == nil {
		s.cfg, err = first.Configuration()
	}
	s.told = err == nil
	second, otherErr := s.way.smart.Statement(ctx, s.reg.FHIRBaseURL, smart.FromCapabilityStatement)
	var other smart.Configuration
	var noEndpoints error
	if otherErr == nil {
		other, noEndpoints = second.Configuration()
		var c fhir.Capability
		if c, otherErr = fhir.ParseCapability(second.Body); otherErr == nil {
			s.capability = &c
		}
	}
	namesEndpoints := otherErr == nil && noEndpoints == nil
	if !s.told && namesEndpoints && fault.Code(err) != "discovery-endpoint-insecure" {
		s.cfg = other
	}
	s.found = s.cfg.TokenEndpoint != ""

	item := SurveyItem{ID: "smart-configuration", Title: "The SMART configuration can be read", Result: Pass, Meaning: "The places to sign in and what the server offers are known."}
	if answered {
		item.Seen = fmt.Sprintf("It is served as %s.", shown(first.ContentType))
	}
	switch {
	case err != nil:
		f := Fault(err)
		item.Result, item.Seen, item.Advice = Fail, f.Message, f.Advice
		item.Meaning = "No sign-in can begin."
		if s.found {
			item.Result = Warning
			item.Meaning = "Chartkey signs in by the CapabilityStatement alone, as with servers of SMART 1. What the server can do is not told, so only trying shows it."
		}
	case first.ContentType != "application/json":
		item.Result, item.Meaning = Warning, "Chartkey reads it all the same; stricter apps do not."
		item.Advice = "Tell the server's operator that it should be application/json."
	}
	item.Declared = "SMART App Launch has it at .well-known/smart-configuration, as application/json."
	s.tell(item)

	item = SurveyItem{ID: "capability-statement", Title: "The CapabilityStatement can be read", Result: Pass, Meaning: "What can be read there is known in advance."}
	if otherErr != nil {
		f := Fault(otherErr)
		item.Result, item.Seen, item.Advice = Warning, f.Message, "Check the FHIR base URL. "+f.Advice
		item.Meaning = "Whether this is a FHIR R4 server, and what can be read there, is not known."
		s.tell(item)
	} else {
		item.Declared = strings.TrimSpace(s.capability.Software+" "+s.capability.SoftwareVersion) + "."
		if item.Declared == "." {
			item.Declared = "It does not say which software it is."
		}
		item.Seen = fmt.Sprintf("%d KiB, served as %s.", (len(second.Body)+1023)/1024, shown(second.ContentType))
		if !slices.Contains([]string{"application/fhir+json", "application/json", "application/json+fhir"}, second.ContentType) {
			item.Result, item.Meaning, item.Advice = Warning, "Chartkey reads it all the same; stricter apps do not.", "Tell the server's operator that it should be application/fhir+json."
		}
		s.tell(item)
		if s.told {
			s.agree(other, noEndpoints)
		}
	}
	if s.found {
		s.leftOut(other)
	}
	s.scopes = effectiveScopes(s.reg, s.cfg)
	s.clock(first, second)
}

func shown(contentType string) string {
	if contentType == "" {
		return "no type at all"
	}
	return contentType
}

// agree compares the endpoints of the two documents.
func (s *surveyor) agree(other smart.Configuration, err error) {
	item := SurveyItem{ID: "endpoints-agree", Title: "Both documents name the same places", Result: Pass, Meaning: "Older and newer apps sign in at the same place."}
	var differ []string
	for _, e := range []struct{ name, one, two string }{
		{"authorize", s.cfg.AuthorizationEndpoint, other.AuthorizationEndpoint}, {"token", s.cfg.TokenEndpoint, other.TokenEndpoint},
		{"revoke", s.cfg.RevocationEndpoint, other.RevocationEndpoint}, {"introspect", s.cfg.IntrospectionEndpoint, other.IntrospectionEndpoint},
		{"register", s.cfg.RegistrationEndpoint, other.RegistrationEndpoint}, {"manage", s.cfg.ManagementEndpoint, other.ManagementEndpoint},
	} {
		if e.one != "" && e.two != "" && e.one != e.two {
			differ = append(differ, fmt.Sprintf("%s is %s in the one and %s in the other", e.name, network.Clean(e.one, 200), network.Clean(e.two, 200)))
		}
	}
	switch {
	case fault.Code(err) == "discovery-endpoint-insecure":
		item.Result, item.Seen, item.Meaning = Warning, Fault(err).Message, "Chartkey does not use what the CapabilityStatement names; older apps may."
		item.Advice = "Tell the server's operator."
	case err != nil:
		item.Result, item.Seen, item.Meaning = Info, "The CapabilityStatement names no places to sign in.", "Chartkey does not need them there; apps of SMART 1 do."
	case len(differ) > 0:
		item.Result, item.Seen = Warning, strings.Join(differ, "; ")+"."
		item.Meaning = "Chartkey goes by the SMART configuration. Another app may sign in elsewhere."
		item.Advice = "Ask the server's operator which is right."
	default:
		item.Seen = "What both name is the same."
	}
	s.tell(item)
}

// leftOut names endpoints that are not safe to use.
func (s *surveyor) leftOut(other smart.Configuration) {
	var unsafe []string
	for _, sentence := range slices.Concat(s.cfg.Warnings, other.Warnings) {
		if strings.Contains(sentence, " is left out: ") && !slices.Contains(unsafe, sentence) {
			unsafe = append(unsafe, sentence)
		}
	}
	item := SurveyItem{ID: "endpoints-secure", Title: "Every endpoint has a safe address", Result: Pass, Seen: "All have https, or are on this computer.", Meaning: "Nothing goes over the network unencrypted."}
	if len(unsafe) > 0 {
		item.Result, item.Seen, item.Meaning = Warning, strings.Join(unsafe, " "), "Chartkey never uses these, so what they are for does not work."
		item.Advice = "Tell the server's operator."
	}
	s.tell(item)
}

// clock compares the server's clock with this computer's.
func (s *surveyor) clock(from ...smart.Statement) {
	for _, document := range from {
		offset, told := document.ClockOffset()
		if !told {
			continue
		}
		s.tell(clockItem(offset))
		return
	}
	s.tell(SurveyItem{ID: "clock", Title: "The clocks agree", Result: Info, Seen: "The server did not tell its time.", Meaning: "If sign-ins fail for reasons of time, check this computer's clock."})
}

func clockItem(offset time.Duration) SurveyItem {
	item := SurveyItem{ID: "clock", Title: "The clocks agree", Result: Pass, Seen: "The server's clock is " + apart(offset) + ".", Meaning: "Times in tokens mean the same on both sides."}
	if offset.Abs() > clockApart {
		item.Result = Warning
		item.Meaning = "A sign-in may be refused as too old or from the future, and the time left on an access token is shown wrong."
		item.Advice = "Set this computer's clock by network time. If it is right, tell the server's operator."
	}
	return item
}

// apart says how far a clock is ahead, in words.
func apart(offset time.Duration) string {
	switch offset = offset.Round(time.Second); {
	case offset.Abs() < 2*time.Second:
		return "within two seconds of this computer's"
	case offset > 0:
		return offset.String() + " ahead of this computer's"
	}
	return offset.Abs().String() + " behind this computer's"
}

// endpoint is an address that the server names, with what it is for.
type endpoint struct{ name, address string }

func endpointsOf(cfg smart.Configuration) []endpoint {
	all := []endpoint{
		{"the sign-in", cfg.AuthorizationEndpoint}, {"tokens", cfg.TokenEndpoint}, {"signing keys", cfg.JWKSURI}, {"revocation", cfg.RevocationEndpoint},
		{"introspection", cfg.IntrospectionEndpoint}, {"registration", cfg.RegistrationEndpoint}, {"management", cfg.ManagementEndpoint},
	}
	return slices.DeleteFunc(all, func(e endpoint) bool { return e.address == "" })
}

// connections looks at the encryption of each host, and names the other hosts.
func (s *surveyor) connections(ctx context.Context) {
	hosts := []*url.URL{s.base}
	var elsewhere []string
	for _, e := range endpointsOf(s.cfg) {
		u, err := url.Parse(e.address)
		if err != nil {
			continue // discovery has refused such
		}
		if !network.SameOrigin(u, s.base) {
			elsewhere = append(elsewhere, fmt.Sprintf("%s at %s://%s", e.name, u.Scheme, network.Clean(u.Host, 200)))
		}
		if !slices.ContainsFunc(hosts, func(h *url.URL) bool { return network.SameOrigin(h, u) }) {
			hosts = append(hosts, u)
		}
	}
	if s.found {
		item := SurveyItem{ID: "origins", Title: "Where its parts are", Result: Pass, Declared: "Everything is at " + network.Clean(s.base.Host, 200) + ".", Meaning: "One host has to be reachable and trusted."}
		if len(elsewhere) > 0 {
			item.Result, item.Declared = Info, "Elsewhere than the FHIR server: "+strings.Join(elsewhere, ", ")+"."
			item.Meaning = "Each of these hosts has to be reachable from here, and is trusted with what it is for: you type your password at the sign-in's."
			item.Advice = "Check that the names belong to your health system or its vendor."
		}
		s.tell(item)
	}
	for _, u := range hosts {
		s.encryption(ctx, u)
		if ctx.Err() != nil {
			return
		}
	}
}

func (s *surveyor) encryption(ctx context.Context, u *url.URL) {
	host := network.Clean(u.Host, 200)
	item := SurveyItem{ID: "tls", Title: "The connection to " + host + " is encrypted", Result: Pass, Meaning: "Nobody on the way can read or change what is sent."}
	if u.Scheme != "https" {
		item.Result, item.Declared, item.Seen = Info, "It is an http address.", "It does not leave this computer."
		item.Meaning = "That is right for a sandbox here, and for nothing else."
		s.tell(item)
		return
	}
	state, err := network.Handshake(ctx, s.way.http, u)
	if err != nil {
		f := Fault(err)
		item.Result, item.Seen, item.Meaning, item.Advice = Fail, f.Message, "Nothing can be sent there.", f.Advice
		s.tell(item)
		return
	}
	item.Declared = "SMART App Launch asks for TLS 1.2 or later."
	item.Seen = tls.VersionName(state.Version) + " with " + tls.CipherSuiteName(state.CipherSuite) + "."
	if slices.ContainsFunc(tls.InsecureCipherSuites(), func(c *tls.CipherSuite) bool { return c.ID == state.CipherSuite }) {
		item.Result, item.Meaning, item.Advice = Warning, "The cipher is one with known weaknesses.", "Tell the server's operator, or whoever runs the proxy on the way."
	}
	s.tell(item)

	until := network.Expiry(state)
	item = SurveyItem{ID: "certificate", Title: "The certificate of " + host, Result: Pass, Meaning: "It is trusted, and lasts for a while."}
	if len(state.PeerCertificates) > 0 {
		c := network.Describe(state.PeerCertificates[0])
		item.Declared = fmt.Sprintf("%s, signed by %s.", c.Subject, c.Issuer)
	}
	left := until.Sub(s.now)
	item.Seen = fmt.Sprintf("It counts until %s, %d days from now.", until.UTC().Format("2006-01-02"), int(left/(24*time.Hour)))
	if left < certificateSoon {
		item.Result, item.Meaning, item.Advice = Warning, "When it has run out, connections fail until it is renewed.", "Tell the server's operator, unless you know that it is renewed by itself."
	}
	s.tell(item)
}

// answers asks the two endpoints of a sign-in for nothing.
func (s *surveyor) answers(ctx context.Context) {
	if !s.found {
		return
	}
	if s.reg.Kind == KindApp {
		s.signInPage(ctx)
	}
	if ctx.Err() != nil {
		return
	}

	item := SurveyItem{
		ID: "token-endpoint", Title: "The token endpoint answers as OAuth has it", Result: Pass, Declared: network.Clean(s.cfg.TokenEndpoint, 300), Meaning: "When something is refused, the reason can be told.",
	}
	p, err := s.way.smart.ProbeToken(ctx, s.cfg.TokenEndpoint)
	switch {
	case err != nil:
		f := Fault(err)
		item.Result, item.Seen, item.Meaning, item.Advice = Fail, f.Message, "No sign-in can be finished, and no access renewed.", f.Advice
	case p.Location != nil:
		item.Result, item.Seen = Fail, fmt.Sprintf("It sends the request on to %s://%s (HTTP %d).", network.Clean(p.Location.Scheme, 20), network.Clean(p.Location.Host, 200), p.Status)
		item.Meaning = "No sign-in can be finished: Chartkey does not hand a code or secret on to another address."
		item.Advice = "Tell the server's operator that the address in its SMART configuration is not the right one."
	case p.Error != "" && p.Status >= 400 && p.Status < 500:
		item.Seen = fmt.Sprintf("A request without grant type is refused with %s (HTTP %d).", p.Error, p.Status)
	case p.Error != "":
		item.Result, item.Seen = Warning, fmt.Sprintf("A request without grant type is refused with %s, but with HTTP %d.", p.Error, p.Status)
		item.Meaning = "Chartkey understands it; other apps may take it for a success or a breakdown."
		item.Advice = "Tell the server's operator that RFC 6749 section 5.2 asks for 400 or 401."
	case p.Status >= 500 || p.Status == http.StatusTooManyRequests:
		item.Result, item.Seen = Warning, fmt.Sprintf("It answers HTTP %d.", p.Status)
		item.Meaning = "It may be down for now, or may be unable to refuse a request properly. Sign-ins fail while it is down."
		item.Advice = "Try again later."
	default:
		item.Result, item.Seen = Warning, fmt.Sprintf("A request without grant type is answered with HTTP %d and %s, and with no OAuth error.", p.Status, shown(p.ContentType))
		item.Meaning = "It may not be the token endpoint. If it is, why a sign-in is refused will be hard to tell."
		item.Advice = "A network sign-in page in between is another cause. If connecting fails, tell the server's operator."
	}
	s.tell(item)
}

// signInPage asks where the browser is sent.
func (s *surveyor) signInPage(ctx context.Context) {
	item := SurveyItem{
		ID: "authorization-endpoint", Title: "The sign-in page answers", Result: Pass, Declared: network.Clean(s.cfg.AuthorizationEndpoint, 300), Meaning: "A browser will find it.",
	}
	p, err := s.way.smart.ProbeAuthorization(ctx, s.cfg.AuthorizationEndpoint)
	at, _ := url.Parse(s.cfg.AuthorizationEndpoint)
	switch {
	case err != nil:
		f := Fault(err)
		item.Result, item.Seen, item.Advice = Warning, f.Message, f.Advice
		item.Meaning = "The browser may reach it by another way than Chartkey; if it does not, no sign-in can begin."
	case p.Location != nil && at != nil && network.SameOrigin(p.Location, at):
		item.Seen = fmt.Sprintf("Without a request it sends the browser on within %s (HTTP %d).", network.Clean(at.Host, 200), p.Status)
	case p.Location != nil:
		item.Result, item.Seen = Warning, fmt.Sprintf("Without a request it sends the browser on to %s://%s (HTTP %d).", network.Clean(p.Location.Scheme, 20), network.Clean(p.Location.Host, 200), p.Status)
		item.Meaning = "You may sign in at that host. A server that sends browsers on unasked can also be misused to do so."
		item.Advice = "Check that the host belongs to your health system or its vendor."
	case p.Status == http.StatusNotFound || p.Status == http.StatusGone || p.Status >= 500:
		item.Result, item.Seen = Warning, fmt.Sprintf("It answers HTTP %d, where a page should be.", p.Status)
		item.Meaning = "The sign-in may not begin: some servers answer like this to a request for nothing, and are well otherwise."
		item.Advice = "If connecting fails too, tell the server's operator."
	default:
		item.Seen = fmt.Sprintf("It answers with a page (HTTP %d, %s), and sends nobody on.", p.Status, shown(p.ContentType))
	}
	s.tell(item)
}
