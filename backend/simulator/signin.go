package simulator

import (
	"crypto/subtle"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"chartkey/backend/scope"
)

// The pages of a sign-in, in their order. Each is a GET that shows and a POST
// that takes; the fields are:
//
//	signin     username, password
//	patient    patient (an ID)
//	encounter  encounter (an ID)
//	consent    scope (once for each that is allowed), decision = allow | deny
//
// Every form has the hidden fields session and form_token, the id of its
// page, and takes decision = deny to give up.
const (
	stepSignIn    = "signin"
	stepPatient   = "patient"
	stepEncounter = "encounter"
	stepConsent   = "consent"
	// stepDone is no page: nothing is left to ask.
	stepDone = "done"
)

// browserCookie ties a sign-in to the browser that began it. Cookies do not
// know ports, so the name must not collide with another program's on localhost.
const browserCookie = "chartkey-sandbox-browser"

func stepURL(step, session string) string {
	return "/auth/" + step + "?" + url.Values{"session": {session}}.Encode()
}

// browserOf gives the browser's cookie, or sets one. Lax, because the browser
// arrives here from the app's side.
func (s *Server) browserOf(w http.ResponseWriter, r *http.Request) string {
	if c, err := r.Cookie(browserCookie); err == nil && len(c.Value) == 43 {
		return c.Value
	}
	value := s.random()
	http.SetCookie(w, &http.Cookie{Name: browserCookie, Value: value, Path: "/auth/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	return value
}

// seated gives a session all that needs no asking: who and what an EHR launch
// brought, and what the settings leave no page for.
func (s *Server) seated(ses session) session {
	settings, launched := s.Settings(), ses.request.launched
	if ses.account == nil {
		switch {
		case ses.request.context.ehr && !settings.SignInAtLaunch:
			ses.account = &launched.account
		case !ses.request.context.ehr && settings.SignedInAs != "":
			if account, err := launchUser(settings.SignedInAs); err == nil {
				ses.account = &account
			}
		}
	}
	if ses.account == nil {
		return ses
	}
	if ses.patient == "" {
		ses.patient, ses.encounter = launched.request.Patient, launched.request.Encounter
	}
	if ses.patient == "" && needsPatient(ses.request.scopes) {
		if ids, all := ses.account.patients(); !all && (len(ids) == 1 || settings.SkipPatientPicker) {
			ses.patient = ids[0]
		} else if settings.SkipPatientPicker {
			ses.patient = s.records.patientChoices()[0].ID
		}
	}
	if ses.encounter == "" && settings.SkipEncounterPicker && ses.request.scopes.Has("launch/encounter") {
		if visits := s.records.encounters(ses.patient); len(visits) > 0 {
			ses.encounter = visits[0].ID
		}
	}
	return ses
}

// due is the page that the session is at.
func (s *Server) due(ses session) string {
	settings := s.Settings()
	switch {
	case ses.account == nil:
		return stepSignIn
	case needsPatient(ses.request.scopes) && ses.patient == "":
		return stepPatient
	case ses.request.scopes.Has("launch/encounter") && ses.encounter == "" && len(s.records.encounters(ses.patient)) > 0:
		return stepEncounter
	case settings.SkipConsent, ses.request.context.ehr && (settings.SkipConsentAtLaunch || ses.request.launched.request.SkipConsent):
		return stepDone
	}
	return stepConsent
}

// advance leads the browser to the page that is due, or back to the app where none is.
func (s *Server) advance(w http.ResponseWriter, r *http.Request, ses session, verdict string) {
	due := s.due(ses)
	if due != stepDone {
		http.Redirect(w, r, stepURL(due, ses.id), http.StatusSeeOther)
		return
	}
	s.finish(w, r, ses, ses.request.scopes, verdict+"; allowed without asking")
}

// open tells whether a page may be shown: the one that is due, and those before it, so that Back works.
func (s *Server) open(ses session, step string) bool {
	switch step {
	case stepPatient:
		return ses.account != nil && needsPatient(ses.request.scopes)
	case stepEncounter:
		return ses.patient != "" && ses.request.scopes.Has("launch/encounter")
	case stepConsent:
		return s.due(ses) == stepConsent
	}
	// Who works in the EHR is signed in there, so there is no page to go back to.
	return ses.account == nil || !ses.request.context.ehr || s.Settings().SignInAtLaunch
}

func (s *Server) sessionOf(w http.ResponseWriter, r *http.Request, id string) (session, bool) {
	var browser string
	if c, err := r.Cookie(browserCookie); err == nil {
		browser = c.Value
	}
	ses, ok := s.ledger.find(id, browser)
	if !ok {
		s.errorPage(w, r, http.StatusBadRequest, "This sign-in has ended", "It took too long, was finished already, or was begun in another browser. Start again from the app.")
		judge(r, "own error page, nothing sent back: %s", s.ledger.missing(id, browser))
	}
	return ses, ok
}

func (s *Server) showStep(step string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ses, ok := s.sessionOf(w, r, r.URL.Query().Get("session"))
		if !ok {
			return
		}
		identify(r, ses.request.client.ID)
		if !s.open(ses, step) {
			http.Redirect(w, r, stepURL(s.due(ses), ses.id), http.StatusSeeOther)
			return
		}
		judge(r, "%s page shown", step)
		s.renderStep(w, r, http.StatusOK, ses, step, "", "")
	}
}

func (s *Server) takeStep(step string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			s.errorPage(w, r, http.StatusBadRequest, "The form cannot be read", "It is malformed or too long.")
			return
		}
		ses, ok := s.sessionOf(w, r, r.PostForm.Get("session"))
		if !ok {
			return
		}
		identify(r, ses.request.client.ID)
		if subtle.ConstantTimeCompare([]byte(ses.formToken), []byte(r.PostForm.Get("form_token"))) != 1 {
			s.errorPage(w, r, http.StatusForbidden, "The form was not sent from this page", "Its token does not fit. Start again from the app.")
			return
		}
		if r.PostForm.Get("decision") == "deny" {
			s.decline(w, r, ses)
			return
		}
		if !s.open(ses, step) {
			http.Redirect(w, r, stepURL(s.due(ses), ses.id), http.StatusSeeOther)
			return
		}
		switch step {
		case stepSignIn:
			s.takeSignIn(w, r, ses)
		case stepPatient:
			s.takePatient(w, r, ses)
		case stepEncounter:
			s.takeEncounter(w, r, ses)
		case stepConsent:
			s.takeConsent(w, r, ses)
		}
	}
}

func (s *Server) takeSignIn(w http.ResponseWriter, r *http.Request, ses session) {
	username := r.PostForm.Get("username")
	account, ok := findAccount(username, r.PostForm.Get("password"))
	if !ok {
		judge(r, "the user name or password is wrong")
		s.renderStep(w, r, http.StatusUnprocessableEntity, ses, stepSignIn, "The user name or password is not right. The test sign-ins are listed below.", clip(username, 100))
		return
	}
	if user := ses.request.launched.account; ses.request.context.ehr && account.Username != user.Username {
		judge(r, "%s signed in to a launch by %s", account.Username, user.Username)
		s.renderStep(w, r, http.StatusUnprocessableEntity, ses, stepSignIn, "The app was launched by "+user.Name+", who must sign in.", clip(username, 100))
		return
	}
	ses.account, ses.patient, ses.encounter = &account, "", ""
	s.proceed(w, r, ses, account.Username+" signed in")
}

func (s *Server) takePatient(w http.ResponseWriter, r *http.Request, ses session) {
	id := r.PostForm.Get("patient")
	if _, exists := s.records.get("Patient", id); !exists || !ses.account.mayOpen(id) {
		judge(r, "the chosen patient is not one that %s may open", ses.account.Username)
		s.renderStep(w, r, http.StatusUnprocessableEntity, ses, stepPatient, "Choose one of the records.", "")
		return
	}
	ses.patient, ses.encounter = id, ""
	s.proceed(w, r, ses, "patient "+id+" chosen")
}

func (s *Server) takeEncounter(w http.ResponseWriter, r *http.Request, ses session) {
	id := r.PostForm.Get("encounter")
	if !slices.ContainsFunc(s.records.encounters(ses.patient), func(c choice) bool { return c.ID == id }) {
		judge(r, "the chosen encounter is not one of the patient's")
		s.renderStep(w, r, http.StatusUnprocessableEntity, ses, stepEncounter, "Choose one of the visits.", "")
		return
	}
	ses.encounter = id
	s.proceed(w, r, ses, "encounter "+id+" chosen")
}

func (s *Server) proceed(w http.ResponseWriter, r *http.Request, ses session, verdict string) {
	judge(r, "%s", verdict)
	ses = s.seated(ses)
	s.ledger.keep(ses)
	s.advance(w, r, ses, verdict)
}

// takeConsent grants what was left checked and sends the browser back with a code.
func (s *Server) takeConsent(w http.ResponseWriter, r *http.Request, ses session) {
	if r.PostForm.Get("decision") != "allow" {
		s.renderStep(w, r, http.StatusUnprocessableEntity, ses, stepConsent, "Choose Allow or Deny.", "")
		return
	}
	var granted scope.Set
	for _, sc := range ses.request.scopes {
		if slices.Contains(r.PostForm["scope"], sc.Text) {
			granted = append(granted, sc)
		}
	}
	if len(granted) == 0 {
		s.decline(w, r, ses)
		return
	}
	verdict := "allowed"
	if held := len(ses.request.scopes) - len(granted); held > 0 {
		verdict += ", with fewer scopes than it asked for"
	}
	s.finish(w, r, ses, granted, verdict)
}

// finish ends the pages with a grant and sends a code back to the app.
func (s *Server) finish(w http.ResponseWriter, r *http.Request, ses session, granted scope.Set, verdict string) {
	if !s.ledger.finish(ses.id) {
		s.errorPage(w, r, http.StatusBadRequest, "This sign-in has ended", "It was finished already. Start again from the app.")
		return
	}
	settings, now := s.Settings(), s.now()
	g := grant{
		clientID: ses.request.client.ID, account: *ses.account, scopes: granted, nonce: ses.request.nonce, signedIn: now,
		fhirUser: ses.account.as(ses.patient),
	}
	if needsPatient(granted) {
		g.patient = ses.patient
	}
	if granted.Has("launch/encounter") {
		g.encounter = ses.encounter
	}
	if granted.Has("launch") {
		g.context, g.patient, g.encounter = ses.request.context, ses.patient, ses.encounter
	}
	verdict += s.shape(&g, ses.request.client)
	switch {
	case !ses.request.client.may(grantRefresh):
	case g.scopes.Has("offline_access"):
		g.refreshUntil = now.Add(settings.RefreshTokenLife)
	case g.scopes.Has("online_access"):
		g.refreshUntil = now.Add(settings.OnlineLife)
	}
	secret := s.ledger.allow(g, ses.request, settings.CodeLife)
	judge(r, "%s; a code was sent back to the app", verdict)
	s.sendBack(w, r, ses.request, url.Values{"code": {secret}})
}

func (s *Server) decline(w http.ResponseWriter, r *http.Request, ses session) {
	if !s.ledger.finish(ses.id) {
		s.errorPage(w, r, http.StatusBadRequest, "This sign-in has ended", "It was finished already. Start again from the app.")
		return
	}
	judge(r, "the person said no; sent back with access_denied")
	s.sendBack(w, r, ses.request, url.Values{"error": {"access_denied"}, "error_description": {"the person did not allow the access"}})
}

func (s *Server) renderStep(w http.ResponseWriter, r *http.Request, status int, ses session, step, problem, username string) {
	app := ses.request.client.display()
	p := page{
		Page: step, Problem: problem, Session: ses.id, FormToken: ses.formToken, App: app,
		RedirectURI: ses.request.redirectURI, Username: username,
	}
	if ses.account != nil {
		p.User = ses.account.Name
	}
	if s.open(ses, stepSignIn) {
		p.SignInURL = stepURL(stepSignIn, ses.id)
	}
	switch step {
	case stepSignIn:
		p.Title, p.Accounts = "Sign in", publishedAccounts()
		show(w, r, status, "signin", p)
	case stepPatient:
		p.Title, p.Legend = "Choose a record", "Whose record may "+app+" open?"
		p.Find = clip(r.URL.Query().Get("find"), 100)
		p.Choices, p.More = s.records.findPatients(p.Find, "", ses.account.mayOpen)
		// A person's own record comes first, as it is the one that is checked.
		own := strings.TrimPrefix(ses.account.FHIRUser, "Patient/")
		slices.SortStableFunc(p.Choices, func(a, b choice) int {
			switch {
			case a.ID == own && b.ID != own:
				return -1
			case b.ID == own && a.ID != own:
				return 1
			}
			return 0
		})
		show(w, r, status, "choose", p)
	case stepEncounter:
		p.Title, p.Legend, p.Choices = "Choose a visit", "Which visit is this about?", s.records.encounters(ses.patient)
		show(w, r, status, "choose", p)
	case stepConsent:
		p.Title = "Allow access"
		if ses.patient != "" {
			p.Patient = s.records.patientName(ses.patient)
		}
		for _, sc := range ses.request.scopes {
			p.Choices = append(p.Choices, choice{ID: sc.Text, Title: describe(sc, app)})
		}
		show(w, r, status, "consent", p)
	}
}
