package simulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// maxLaunches bounds the launches that wait for their app; the oldest goes first.
const maxLaunches = 1_000

// The styles that a launch can ask for.
const (
	StyleLight = "light"
	StyleDark  = "dark"
	StyleNone  = "none"
)

// FHIRContextItem is one entry of fhirContext (SMART App Launch 2.2,
// "fhirContext"): what else was open in the EHR. It has a reference, a
// canonical or an identifier; no role means "launch".
type FHIRContextItem struct {
	Reference  string          `json:"reference,omitempty"`
	Canonical  string          `json:"canonical,omitempty"`
	Identifier json.RawMessage `json:"identifier,omitempty" ts_type:"any"`
	Type       string          `json:"type,omitempty"`
	Role       string          `json:"role,omitempty"`
}

// LaunchRequest is what a user of the EHR has open when an app is launched.
type LaunchRequest struct {
	// User is the user name of the account that works in the EHR. Empty is the
	// first practitioner.
	User string `json:"user,omitempty"`
	// Patient and Encounter are IDs. A launch may be without either; an
	// encounter alone stands for its patient too.
	Patient   string `json:"patient,omitempty"`
	Encounter string `json:"encounter,omitempty"`
	// Intent is what the user means to do, such as "reconcile-medications".
	Intent      string            `json:"intent,omitempty"`
	FHIRContext []FHIRContextItem `json:"fhir_context,omitempty"`
	// ClientID is the app; empty is "chartkey-provider" for a practitioner and "chartkey-demo" for a patient.
	ClientID string `json:"client_id,omitempty"`
	// LaunchURL is where the app takes launches; empty is the client's own.
	LaunchURL string `json:"launch_url,omitempty"`
	// NeedPatientBanner tells the app to show the patient's name itself; nil leaves it untold.
	NeedPatientBanner *bool `json:"need_patient_banner,omitempty"`
	// Style is "light" (as is empty), "dark" or "none"; SmartStyleURL names a style sheet elsewhere and wins.
	Style         string `json:"style,omitempty"`
	SmartStyleURL string `json:"smart_style_url,omitempty"`
	// Tenant is the organisation within the EHR, as a host of several tells it.
	Tenant string `json:"tenant,omitempty"`
	// SkipConsent launches an app that the organisation has approved for
	// everyone, as most EHRs do for clinicians: no consent page.
	SkipConsent bool `json:"skip_consent,omitempty"`
}

// launch is one launch that waits for its app.
type launch struct {
	request LaunchRequest
	account Account
	expires time.Time
	used    bool
}

// launchBook owns the launches. A used one is kept until its time is over, so
// that a replay is told from nonsense.
type launchBook struct {
	now    func() time.Time
	random func() string

	mu      sync.Mutex // protects the rest
	waiting map[ticket]*launch
	order   []ticket
}

func newLaunchBook(now func() time.Time, random func() string) *launchBook {
	return &launchBook{now: now, random: random, waiting: map[ticket]*launch{}}
}

func (b *launchBook) add(l launch, life time.Duration) string {
	secret := b.random()
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	l.expires = now.Add(life)
	for len(b.order) > 0 {
		oldest, ok := b.waiting[b.order[0]]
		// One that ran out stays known for as long again, so that the log can say "expired".
		if ok && len(b.order) < maxLaunches && now.Before(oldest.expires.Add(life)) {
			break
		}
		delete(b.waiting, b.order[0])
		b.order = b.order[1:]
	}
	t := ticketOf(secret)
	b.waiting[t] = &l
	b.order = append(b.order, t)
	return secret
}

// take spends a launch for its client, or tells why it is no good. A launch
// that another client shows is not spent: its own app must not lose it.
func (b *launchBook) take(secret, clientID string) (launch, *oauthError) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l, ok := b.waiting[ticketOf(secret)]
	switch {
	case !ok:
		return launch{}, invalidRequest("launch is not one that this server issued")
	case l.request.ClientID != clientID:
		return launch{}, invalidRequest("launch was issued to another client")
	case l.used:
		return launch{}, invalidRequest("launch was used before; each launch works once")
	case !b.now().Before(l.expires):
		return launch{}, invalidRequest("launch has expired")
	}
	l.used = true
	return *l, nil
}

func (b *launchBook) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting, b.order = map[ticket]*launch{}, nil
}

// Launch begins an EHR launch (SMART App Launch 2.2, "Launch App: EHR
// Launch") and gives the address to open: the app's launch URL with iss and an
// opaque launch that works once, for its client, within Settings.LaunchLife.
// It fails, in a sentence, where the request contradicts the records or names
// what is not registered.
func (s *Server) Launch(req LaunchRequest) (string, error) {
	account, err := s.checkLaunch(&req)
	if err != nil {
		return "", err
	}
	secret := s.launches.add(launch{request: req, account: account}, s.Settings().LaunchLife)
	separator := "?"
	if strings.Contains(req.LaunchURL, "?") {
		separator = "&"
	}
	return req.LaunchURL + separator + url.Values{"iss": {s.FHIRBaseURL()}, "launch": {secret}}.Encode(), nil
}

// The lengths that a launch's texts may have, so that a thousand of them fit in memory.
const (
	maxLaunchText  = 500
	maxLaunchItems = 50
)

// checkLaunch fills in what was left out and tells what cannot be.
func (s *Server) checkLaunch(req *LaunchRequest) (Account, error) {
	account, err := launchUser(req.User)
	if err != nil {
		return account, err
	}
	req.User = account.Username
	if req.ClientID == "" {
		req.ClientID = "chartkey-provider"
		if account.Kind == PatientAccount {
			req.ClientID = "chartkey-demo"
		}
	}
	client, ok := s.client(req.ClientID)
	if !ok {
		return account, fmt.Errorf("no app is registered here with the client ID %q", clip(req.ClientID, 100))
	}
	if len(client.RedirectURIs) == 0 {
		return account, fmt.Errorf("%s is a backend service, which no one launches", client.ID)
	}
	if req.LaunchURL == "" {
		req.LaunchURL = client.LaunchURL
	}
	if err := checkLaunchURL(req.LaunchURL); err != nil {
		return account, err
	}
	if err := s.checkLaunchRecord(req, account); err != nil {
		return account, err
	}
	for name, text := range map[string]string{"intent": req.Intent, "tenant": req.Tenant, "smart_style_url": req.SmartStyleURL} {
		if len(text) > maxLaunchText {
			return account, fmt.Errorf("%s has more than %d bytes", name, maxLaunchText)
		}
	}
	if !slices.Contains([]string{"", StyleLight, StyleDark, StyleNone}, req.Style) {
		return account, fmt.Errorf("the style %q is none of light, dark and none", clip(req.Style, 40))
	}
	if u, err := url.Parse(req.SmartStyleURL); req.SmartStyleURL != "" && (err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https")) {
		return account, errors.New("smart_style_url is not an http or https address")
	}
	if len(req.FHIRContext) > maxLaunchItems {
		return account, fmt.Errorf("fhirContext has more than %d entries", maxLaunchItems)
	}
	for i, item := range req.FHIRContext {
		if err := item.check(); err != nil {
			return account, fmt.Errorf("fhirContext, entry %d: %w", i+1, err)
		}
	}
	req.FHIRContext = slices.Clone(req.FHIRContext)
	return account, nil
}

func launchUser(username string) (Account, error) {
	accounts := publishedAccounts()
	i := slices.IndexFunc(accounts, func(a Account) bool {
		return (username == "" && a.Kind == PractitionerAccount) || (username != "" && strings.EqualFold(a.Username, strings.TrimSpace(username)))
	})
	if i < 0 {
		return Account{}, fmt.Errorf("no user is named %q", clip(username, 100))
	}
	return accounts[i], nil
}

// checkLaunchURL keeps to http and https: the browser is sent there by a redirect.
func checkLaunchURL(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case raw == "":
		return errors.New("the app has no launch URL; name the one that it listens on")
	case len(raw) > maxLaunchText || err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || strings.Contains(raw, "#"):
		return fmt.Errorf("the launch URL %q is not an http or https address without user and fragment", clip(raw, 200))
	}
	return nil
}

// checkLaunchRecord checks that patient and encounter exist, belong together and are the user's to open.
func (s *Server) checkLaunchRecord(req *LaunchRequest, account Account) error {
	if req.Encounter != "" {
		visit, ok := s.records.get("Encounter", req.Encounter)
		if !ok {
			return fmt.Errorf("there is no encounter %q", clip(req.Encounter, 64))
		}
		if req.Patient == "" {
			req.Patient = visit.patient
		}
		if visit.patient != req.Patient {
			return fmt.Errorf("the encounter %s is not one of the patient %s", clip(req.Encounter, 64), clip(req.Patient, 64))
		}
	}
	if req.Patient == "" {
		return nil
	}
	if _, ok := s.records.get("Patient", req.Patient); !ok {
		return fmt.Errorf("there is no patient %q", clip(req.Patient, 64))
	}
	if !account.mayOpen(req.Patient) {
		return fmt.Errorf("%s may not open the record of %s", account.Name, req.Patient)
	}
	return nil
}

var (
	// referenceForm is a relative or absolute literal reference (FHIR R4, "References").
	referenceForm = regexp.MustCompile(`^(https?://[^\s]+/)?[A-Z][A-Za-z]+/[A-Za-z0-9.-]{1,64}$`)
	typeForm      = regexp.MustCompile(`^[A-Z][A-Za-z]{0,63}$`)
)

// check tells what SMART's rules for an entry leave no room for.
func (i FHIRContextItem) check() error {
	if i.Reference == "" && i.Canonical == "" && len(i.Identifier) == 0 {
		return errors.New("it has no reference, canonical or identifier")
	}
	if max(len(i.Reference), len(i.Canonical), len(i.Identifier), len(i.Role)) > maxLaunchText {
		return fmt.Errorf("it has a text of more than %d bytes", maxLaunchText)
	}
	if i.Reference != "" && !referenceForm.MatchString(i.Reference) {
		return fmt.Errorf("the reference %q is not of the form Type/id", clip(i.Reference, 100))
	}
	if u, err := url.Parse(i.Canonical); i.Canonical != "" && (err != nil || !u.IsAbs()) {
		return fmt.Errorf("the canonical %q is not an absolute URL", clip(i.Canonical, 100))
	}
	if i.Type != "" && !typeForm.MatchString(i.Type) {
		return fmt.Errorf("the type %q is no FHIR resource type", clip(i.Type, 100))
	}
	if len(i.Identifier) > 0 {
		var object map[string]any
		if err := json.Unmarshal(i.Identifier, &object); err != nil || len(object) == 0 {
			return errors.New("the identifier is not an object")
		}
	}
	return nil
}

// launchContext is what a launch hands to the app beside patient and encounter.
type launchContext struct {
	// ehr tells a launch by the EHR from a sign-in that the app began.
	ehr         bool
	intent      string
	fhirContext []FHIRContextItem
	banner      *bool
	styleURL    string
	tenant      string
}

// contextOf gives a launch's context.
func (s *Server) contextOf(req LaunchRequest) launchContext {
	c := launchContext{ehr: true, intent: req.Intent, fhirContext: req.FHIRContext, banner: req.NeedPatientBanner, styleURL: req.SmartStyleURL, tenant: req.Tenant}
	if c.styleURL == "" {
		switch req.Style {
		case "", StyleLight:
			c.styleURL = s.Origin() + "/smart-style.json"
		case StyleDark:
			c.styleURL = s.Origin() + "/smart-style-dark.json"
		}
	}
	return c
}
