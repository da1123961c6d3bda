package simulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// portalPolicy differs from pagePolicy in that the form may lead to any app:
// the launch URL is typed on the page. There is nothing on the page to take away.
const portalPolicy = "default-src 'none'; style-src 'self'; form-action 'self' http: https:; base-uri 'none'; frame-ancestors 'none'"

// maxOffered bounds a list of patients on a page; past it, the page has a search.
const maxOffered = 100

// launchForm is the launch portal's form. Its fields, by GET to choose and by
// POST to /launch to launch, are:
//
//	user                 a user name
//	find                 narrows the list of patients
//	patient, encounter   IDs, or empty
//	client_id, launch_url
//	intent, tenant
//	fhir_context         entries as parseFHIRContext reads them
//	need_patient_banner  true, false or empty
//	style                light, dark or none; smart_style_url wins
//	skip_consent         on
type launchForm struct {
	Find, LaunchURL, Intent, Tenant, FHIRContext, SmartStyleURL string
	SkipConsent                                                 bool
	Users, Patients, Encounters, Clients, Banners, Styles       []option
	// More tells how many patients are not listed.
	More int
}

// option is one entry of a list.
type option struct {
	Value, Label string
	Selected     bool
}

func selectable(chosen string, options ...option) []option {
	for i := range options {
		options[i].Selected = options[i].Value == chosen
	}
	return options
}

// launchForm fills the form from what was chosen so far. What does not fit
// together, such as an encounter of another patient, falls back to nothing chosen.
func (s *Server) launchForm(chosen url.Values) launchForm {
	f := launchForm{
		Find: clip(chosen.Get("find"), 100), LaunchURL: clip(chosen.Get("launch_url"), maxLaunchText), Intent: clip(chosen.Get("intent"), maxLaunchText),
		Tenant: clip(chosen.Get("tenant"), maxLaunchText), FHIRContext: clip(chosen.Get("fhir_context"), 4*maxLaunchText),
		SmartStyleURL: clip(chosen.Get("smart_style_url"), maxLaunchText), SkipConsent: chosen.Get("skip_consent") != "",
	}
	account, err := launchUser(chosen.Get("user"))
	if err != nil {
		account, _ = launchUser("")
	}
	for _, a := range publishedAccounts() {
		f.Users = append(f.Users, option{Value: a.Username, Label: a.Name + " (" + a.Kind + ")", Selected: a.Username == account.Username})
	}

	patient := chosen.Get("patient")
	listed, more := s.records.findPatients(f.Find, patient, account.mayOpen)
	if !chosen.Has("patient") && len(listed) > 0 {
		patient = listed[0].ID
	}
	f.More = more
	f.Patients = selectable(patient, option{Value: "", Label: "No patient"})
	for _, c := range listed {
		f.Patients = append(f.Patients, option{Value: c.ID, Label: c.Title + ", " + c.Detail, Selected: c.ID == patient})
	}
	encounter := chosen.Get("encounter")
	f.Encounters = selectable(encounter, option{Value: "", Label: "No visit"})
	for _, c := range s.records.encounters(patient) {
		f.Encounters = append(f.Encounters, option{Value: c.ID, Label: c.Title + ", " + c.Detail, Selected: c.ID == encounter})
	}

	client := chosen.Get("client_id")
	if client == "" {
		client = "chartkey-provider"
	}
	for _, c := range s.Clients() {
		if len(c.RedirectURIs) == 0 {
			continue
		}
		label := c.display() + " (" + c.ID + ")"
		if c.LaunchURL != "" {
			label += " at " + c.LaunchURL
		}
		f.Clients = append(f.Clients, option{Value: c.ID, Label: label, Selected: c.ID == client})
	}
	f.Banners = selectable(chosen.Get("need_patient_banner"), option{Value: "", Label: "Not told"}, option{Value: "true", Label: "The app shows who the patient is"}, option{Value: "false", Label: "The EHR shows it around the app"})
	f.Styles = selectable(chosen.Get("style"), option{Value: StyleLight, Label: "Light"}, option{Value: StyleDark, Label: "Dark"}, option{Value: StyleNone, Label: "Not told"})
	return f
}

// launchFromPortal takes the portal's form and opens the app.
func (s *Server) launchFromPortal(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		s.errorPage(w, r, http.StatusBadRequest, "The form cannot be read", "It is malformed or too long.")
		return
	}
	form := r.PostForm
	identify(r, form.Get("client_id"))
	req := LaunchRequest{
		User: form.Get("user"), Patient: form.Get("patient"), Encounter: form.Get("encounter"), Intent: form.Get("intent"),
		ClientID: form.Get("client_id"), LaunchURL: strings.TrimSpace(form.Get("launch_url")), Tenant: form.Get("tenant"),
		Style: form.Get("style"), SmartStyleURL: strings.TrimSpace(form.Get("smart_style_url")), SkipConsent: form.Get("skip_consent") != "",
	}
	if banner := form.Get("need_patient_banner"); banner != "" {
		need := banner == "true"
		req.NeedPatientBanner = &need
	}
	var err error
	if req.FHIRContext, err = parseFHIRContext(form.Get("fhir_context")); err == nil {
		var to string
		if to, err = s.Launch(req); err == nil {
			judge(r, "launched; the browser is sent to the app")
			w.Header().Set("Cache-Control", "no-store")
			w.Header().Set("Location", to)
			w.WriteHeader(http.StatusSeeOther)
			return
		}
	}
	problem := sentence(err)
	judge(r, "not launched: %s", problem)
	s.renderHome(w, r, http.StatusUnprocessableEntity, s.launchForm(form), problem)
}

// launchFromControl is the portal for programs: a LaunchRequest in JSON,
// answered by {"launch_url": "…"}. A refusal is 422 with
// {"error": "launch_refused", "error_description": "…"}.
func (s *Server) launchFromControl(w http.ResponseWriter, r *http.Request) {
	var req LaunchRequest
	if !readControl(w, r, &req) {
		return
	}
	identify(r, req.ClientID)
	to, err := s.Launch(req)
	if err != nil {
		judge(r, "not launched: %s", sentence(err))
		writeJSON(w, http.StatusUnprocessableEntity, map[string]string{"error": "launch_refused", "error_description": sentence(err)})
		return
	}
	judge(r, "launch made")
	writeJSON(w, http.StatusOK, map[string]string{"launch_url": to})
}

// readControl reads the JSON of a control request into value. It answers
// itself and gives false where it is none. Asking for JSON keeps forms of other
// sites out, as a page must ask before it may send that (CORS).
func readControl(w http.ResponseWriter, r *http.Request, value any) bool {
	refused := func(status int, format string, args ...any) bool {
		text := fmt.Sprintf(format, args...)
		judge(r, "refused: %s", text)
		writeJSON(w, status, map[string]string{"error": "invalid_request", "error_description": text})
		return false
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return refused(http.StatusUnsupportedMediaType, "the request must be JSON (application/json)")
	}
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(value); err != nil {
		return refused(http.StatusBadRequest, "the JSON cannot be read: %s", ascii(err.Error()))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return refused(http.StatusBadRequest, "something follows the JSON object")
	}
	return true
}

// sameOrigin keeps requests of other sites' pages away from what changes the
// server. A program that is no browser sends neither of the headers it looks at.
func sameOrigin(next http.HandlerFunc) http.HandlerFunc {
	protection := http.NewCrossOriginProtection()
	return func(w http.ResponseWriter, r *http.Request) {
		if err := protection.Check(r); err != nil {
			judge(r, "refused: a page of another site sent it")
			writeJSON(w, http.StatusForbidden, map[string]string{"error": "forbidden", "error_description": "pages of other sites may not control this server"})
			return
		}
		next(w, r)
	}
}

// parseFHIRContext reads fhirContext as the portal takes it: a JSON array of
// entries, or one entry a line, each a reference such as ImagingStudy/7 or a
// canonical URL, and after a space its role.
func parseFHIRContext(text string) ([]FHIRContextItem, error) {
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "[") {
		dec := json.NewDecoder(bytes.NewReader([]byte(text)))
		dec.DisallowUnknownFields()
		var items []FHIRContextItem
		if err := dec.Decode(&items); err != nil {
			return nil, fmt.Errorf("fhirContext is no JSON array of entries with reference, canonical, identifier, type and role: %w", err)
		}
		if _, err := dec.Token(); !errors.Is(err, io.EOF) {
			return nil, errors.New("something follows the array of fhirContext")
		}
		return items, nil
	}
	var items []FHIRContextItem
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if len(words) > 2 {
			return nil, fmt.Errorf("a line of fhirContext has more than a reference and a role: %q", clip(line, 100))
		}
		item := FHIRContextItem{Reference: words[0]}
		// A canonical is an absolute URL that does not end in Type/id.
		if u, err := url.Parse(words[0]); err == nil && u.IsAbs() && !referenceForm.MatchString(words[0]) {
			item = FHIRContextItem{Canonical: words[0]}
		}
		if len(words) == 2 {
			item.Role = words[1]
		}
		items = append(items, item)
	}
	return items, nil
}

// sentence makes a sentence of an error.
func sentence(err error) string {
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

// findPatients lists the patients that may be opened and whose name, ID or
// record number holds every word of find: maxOffered of them, the chosen one
// always, and how many more there are.
func (rs *records) findPatients(find, chosen string, may func(string) bool) (out []choice, more int) {
	words := strings.Fields(fold(find))
	for _, c := range rs.patientChoices() {
		if !may(c.ID) {
			continue
		}
		text := fold(c.Title + " " + c.Detail + " " + c.ID)
		fits := !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(text, word) })
		switch {
		case c.ID == chosen:
			out = append(out, c)
		case !fits:
		case len(out) >= maxOffered:
			more++
		default:
			out = append(out, c)
		}
	}
	return out, more
}
