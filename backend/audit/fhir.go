package audit

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"iter"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Workstation is the computer that recorded, as the export names it.
type Workstation struct {
	ID      string // the same for all exports of a data folder, such as the vault's UUID
	Name    string // the host's name
	Version string // Chartkey's
}

// FHIR writes the record as an R4 Bundle (type collection) with one AuditEvent
// for each activity, in the shape of IHE's Basic Audit Log Patterns (BALP 1.1).
// A read or search that succeeded claims the BALP profile that it fits. The id of
// an AuditEvent follows from the workstation and the entry, so that exporting twice makes no doubles.
//
// https://hl7.org/fhir/R4/auditevent.html, https://profiles.ihe.net/ITI/BALP
func FHIR(w io.Writer, ws Workstation, activities iter.Seq2[Activity, error]) error {
	if _, err := io.WriteString(w, `{"resourceType":"Bundle","type":"collection"`); err != nil {
		return err
	}
	before, end := `,"entry":[`+"\n", "}\n"
	for a, err := range activities {
		if err != nil {
			return err
		}
		event := auditEvent(ws, a)
		b, err := json.Marshal(bundleEntry{"urn:uuid:" + event.ID, event})
		if err != nil {
			return err
		}
		if _, err := io.WriteString(w, before+string(b)); err != nil {
			return err
		}
		before, end = ",\n", "\n]}\n"
	}
	_, err := io.WriteString(w, end)
	return err
}

// The code systems. BALP's are https://profiles.ihe.net/ITI/BALP/artifacts.html.
const (
	dicom         = "http://dicom.nema.org/resources/ontology/DCM"
	terminology   = "http://terminology.hl7.org/CodeSystem/"
	eventType     = terminology + "audit-event-type"
	outcomeSystem = terminology + "audit-event-outcome"
	entityType    = terminology + "audit-entity-type"
	objectRole    = terminology + "object-role"
	sourceType    = terminology + "security-source-type"
	participation = terminology + "v3-ParticipationType"
	securityRole  = terminology + "extra-security-role-type"
	interaction   = "http://hl7.org/fhir/restful-interaction"
	iheEvent      = "urn:ihe:event-type-code"
	balpAgent     = "https://profiles.ihe.net/ITI/BALP/CodeSystem/UserAgentTypes"
	balpProfile   = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."
	// actionSystem has the actions of this package as codes: an action, or action-detail.
	actionSystem = "urn:uuid:6d0c5c1e-7a35-4f4e-9d6b-0f8f3e1c2a77"
	uriSystem    = "urn:ietf:rfc:3986"
)

// idSpace is the UUID under which the ids of the AuditEvents are made (RFC 9562, version 5).
var idSpace = uuid.MustParse("6d0c5c1e-7a35-4f4e-9d6b-0f8f3e1c2a77")

// What of AuditEvent is used, in the order of the specification.
type (
	bundleEntry struct {
		FullURL  string     `json:"fullUrl"`
		Resource fhirRecord `json:"resource"`
	}
	fhirRecord struct {
		ResourceType string       `json:"resourceType"`
		ID           string       `json:"id"`
		Meta         *fhirMeta    `json:"meta,omitempty"`
		Type         coding       `json:"type"`
		Subtype      []coding     `json:"subtype"`
		Action       string       `json:"action"`
		Period       *fhirPeriod  `json:"period,omitempty"`
		Recorded     string       `json:"recorded"`
		Outcome      string       `json:"outcome,omitempty"`
		OutcomeDesc  string       `json:"outcomeDesc,omitempty"`
		Agent        []fhirAgent  `json:"agent"`
		Source       fhirSource   `json:"source"`
		Entity       []fhirEntity `json:"entity,omitempty"`
	}
	fhirMeta struct {
		Profile []string `json:"profile"`
	}
	fhirPeriod struct {
		Start string `json:"start"`
		End   string `json:"end,omitempty"`
	}
	fhirAgent struct {
		Type      *concept   `json:"type,omitempty"`
		Role      []concept  `json:"role,omitempty"`
		Who       *reference `json:"who,omitempty"`
		Name      string     `json:"name,omitempty"`
		Requestor bool       `json:"requestor"`
		Network   *network   `json:"network,omitempty"`
	}
	network struct {
		Address string `json:"address"`
		Type    string `json:"type"` // http://hl7.org/fhir/network-type
	}
	fhirSource struct {
		Site     string    `json:"site,omitempty"`
		Observer reference `json:"observer"`
		Type     []coding  `json:"type"`
	}
	fhirEntity struct {
		What        *reference `json:"what,omitempty"`
		Type        coding     `json:"type"`
		Role        *coding    `json:"role,omitempty"`
		Name        string     `json:"name,omitempty"`
		Description string     `json:"description,omitempty"`
		Query       string     `json:"query,omitempty"`
		Detail      []detail   `json:"detail,omitempty"`
	}
	detail struct {
		Type  string `json:"type"`
		Value string `json:"valueString"`
	}
	coding struct {
		System  string `json:"system"`
		Code    string `json:"code"`
		Display string `json:"display,omitempty"`
	}
	concept struct {
		Coding []coding `json:"coding,omitempty"`
		Text   string   `json:"text,omitempty"`
	}
	reference struct {
		Reference  string      `json:"reference,omitempty"`
		Type       string      `json:"type,omitempty"`
		Identifier *identifier `json:"identifier,omitempty"`
		Display    string      `json:"display,omitempty"`
	}
	identifier struct {
		System string `json:"system,omitempty"`
		Value  string `json:"value"`
	}
)

// kind is how an action is classified.
type kind struct {
	typ, subtype coding
	action       string // C, R, U, D or E
}

var (
	rest         = coding{eventType, "rest", "Restful Operation"}
	authenticate = coding{dicom, "110114", "User Authentication"}
	security     = coding{dicom, "110113", "Security Alert"}
	auditLog     = coding{dicom, "110101", "Audit Log Used"}
	getToken     = coding{iheEvent, "ITI-71", "Get Access Token"}
	login        = coding{dicom, "110122", "Login"}
	logout       = coding{dicom, "110123", "Logout"}
	settings     = coding{dicom, "110129", "Security Configuration"}
	roles        = coding{dicom, "110136", "Security Roles Changed"}
	user         = coding{dicom, "110137", "User Security Attributes Changed"}
	restricted   = coding{dicom, "110132", "Use of Restricted Function"}
)

// kindOf classifies an action. One that is not known is an alert, so that nobody overlooks it.
func kindOf(e Entry) kind {
	switch e.Action {
	case Read:
		if e.Detail == DetailSearch {
			return kind{rest, coding{interaction, "search-type", "search-type"}, "E"}
		}
		return kind{rest, coding{interaction, "read", "read"}, "R"}
	case Test:
		return kind{rest, coding{interaction, "capabilities", "capabilities"}, "E"}
	case Connect, Refresh, Launch:
		return kind{authenticate, getToken, "E"}
	case Disconnect, Lock:
		return kind{authenticate, logout, "E"}
	case SignIn:
		return kind{authenticate, login, "E"}
	case Registration:
		return kind{security, settings, created(e.Detail)}
	case Profile:
		if e.Detail == DetailRole {
			return kind{security, roles, "U"}
		}
		return kind{security, user, created(e.Detail)}
	case Vault:
		switch e.Detail {
		case DetailBackup:
			return kind{coding{dicom, "110106", "Export"}, settings, "R"}
		case DetailRestore:
			return kind{coding{dicom, "110107", "Import"}, settings, "C"}
		case DetailUnlocked:
			return kind{security, restricted, "E"}
		}
		return kind{security, settings, created(e.Detail)}
	case Audit:
		switch e.Detail {
		case DetailExported:
			return kind{auditLog, coding{dicom, "110106", "Export"}, "R"}
		case DetailCheckpoint:
			return kind{auditLog, settings, "D"}
		}
		return kind{auditLog, settings, "U"}
	}
	return kind{security, settings, "U"} // launch-decision, policy, what is unreadable and what is not known
}

// created is C for what was added, D for what was removed and else U.
func created(detail string) string {
	switch detail {
	case DetailAdded, DetailMade:
		return "C"
	case DetailRemoved:
		return "D"
	}
	return "U"
}

func auditEvent(ws Workstation, a Activity) fhirRecord {
	k := kindOf(a.Entry)
	r := fhirRecord{
		ResourceType: "AuditEvent",
		ID:           uuid.NewSHA1(idSpace, []byte(ws.ID+"/"+strconv.FormatInt(a.Seq, 10))).String(),
		Type:         k.typ,
		Subtype:      []coding{k.subtype, {System: actionSystem, Code: strings.TrimSuffix(string(a.Action)+"-"+a.Detail, "-")}},
		Action:       k.action,
		Recorded:     instant(a.At),
		Source: fhirSource{
			Site:     text(ws.Name),
			Observer: reference{Type: "Device", Identifier: identified("", ws.ID), Display: "Chartkey"},
			Type:     []coding{{sourceType, "1", "User Device"}},
		},
	}
	if !a.EndedAt.IsZero() {
		r.Period = &fhirPeriod{instant(a.At), instant(a.EndedAt)}
		r.Recorded = instant(a.EndedAt)
	}
	r.Outcome, r.OutcomeDesc = outcome(a)
	r.Agent = agents(ws, a, k)
	r.Entity = entities(a, k)
	if p := profile(a, k); p != "" {
		r.Meta = &fhirMeta{[]string{balpProfile + p}}
	}
	return r
}

// outcome gives a code of http://terminology.hl7.org/CodeSystem/audit-event-outcome and words.
func outcome(a Activity) (code, words string) {
	switch {
	case a.Action == Unreadable:
		return "", "This entry was changed and cannot be read."
	case a.Phase == Started:
		return "", "The end of this action was not recorded."
	case a.Fault == "":
		return "0", ""
	case a.Action == SignIn:
		return "4", a.Fault // such as a wrong passcode: the person can try again
	}
	return "8", a.Fault
}

// profile is the BALP profile that the activity fits, or "". They are for reads
// and searches that succeeded; others are in their shape and claim none.
func profile(a Activity, k kind) string {
	if a.Action != Read || a.Phase == Started || a.Fault != "" || text(a.Server) == "" {
		return ""
	}
	name := map[string]string{"R": "Read", "E": "Query"}[k.action]
	if text(a.Patient) != "" {
		return "Patient" + name
	}
	return name
}

// agents are the person, Chartkey, and the server where there was one.
func agents(ws Workstation, a Activity, k kind) []fhirAgent {
	// BALP: what is read flows from the server to the client, and a query's parameters the other way.
	app, server := []coding{{dicom, "110150", "Application"}}, coding{balpAgent, "AuthzOauthService", "OAuth Authorization Server"}
	who := coding{participation, "IRCP", "information recipient"}
	outward := true
	switch {
	case a.Action == Read && k.action == "R":
		app, server = append([]coding{{dicom, "110152", "Destination Role ID"}}, app...), coding{dicom, "110153", "Source Role ID"}
	case a.Action == Read || a.Action == Test:
		app, server = append([]coding{{dicom, "110153", "Source Role ID"}}, app...), coding{dicom, "110152", "Destination Role ID"}
	case a.Action == Connect || a.Action == Refresh || a.Action == Launch || a.Action == Disconnect:
	default:
		outward = false
		who = coding{securityRole, "humanuser", "human user"}
	}

	var all []fhirAgent
	if id, name := text(a.ProfileID), text(a.ProfileName); id != "" || name != "" {
		person := fhirAgent{Type: &concept{Coding: []coding{who}}, Who: &reference{Identifier: identified("", id), Display: name}, Name: name, Requestor: true}
		if role := text(a.Role); role != "" {
			person.Role = []concept{{Text: role}}
		}
		all = append(all, person)
	}
	id := text(a.ClientID)
	if id == "" {
		id = "chartkey"
	}
	all = append(all, fhirAgent{
		Type:      &concept{Coding: app},
		Who:       &reference{Identifier: identified("", id), Display: text("Chartkey " + ws.Version)},
		Requestor: len(all) == 0,
		Network:   &network{or(text(ws.Name), "localhost"), "1"}, // machine name
	})
	if address := text(a.Server); outward && address != "" {
		all = append(all, fhirAgent{
			Type:    &concept{Coding: []coding{server}},
			Who:     &reference{Identifier: identified(uriSystem, address), Display: text(hostOf(address))},
			Network: &network{address, "5"}, // URI
		})
	}
	return all
}

func entities(a Activity, k kind) []fhirEntity {
	var all []fhirEntity
	other := coding{entityType, "4", "Other"}
	object := coding{entityType, "2", "System Object"}
	patient := patientReference(text(a.Server), text(a.Patient))
	if patient != nil {
		all = append(all, fhirEntity{What: patient, Type: coding{entityType, "1", "Person"}, Role: &coding{objectRole, "1", "Patient"}})
	}
	if a.Action == Read {
		switch {
		case k.action == "E":
			url := strings.TrimSuffix(text(a.Server), "/") + "/" + a.Resource
			all = append(all, fhirEntity{Type: object, Role: &coding{objectRole, "24", "Query"},
				Description: "The parameters of searches are not recorded.",
				Query:       base64.StdEncoding.EncodeToString([]byte("GET " + url))})
		case a.Resource == "Patient" && patient != nil:
			all = append(all, fhirEntity{What: patient, Type: object, Role: &coding{objectRole, "4", "Domain Resource"}})
		default:
			all = append(all, fhirEntity{What: &reference{Type: a.Resource, Display: or(a.Resource, "not recorded")}, Type: object,
				Role: &coding{objectRole, "4", "Domain Resource"}})
		}
	}
	// BALP counts the entities of type 2, so these are of type 4.
	if id, name := text(a.RegistrationID), text(a.RegistrationName); id != "" || name != "" {
		e := fhirEntity{Type: other, Role: &coding{objectRole, "13", "Security Resource"}, Name: name}
		if id != "" {
			e.What = &reference{Identifier: identified("", id), Display: name}
		}
		all = append(all, e)
	}
	if subject := text(a.Subject); subject != "" {
		e := fhirEntity{Type: other, Name: subject}
		if a.Action == Profile || a.Action == SignIn {
			e.Role = &coding{objectRole, "11", "Security User Entity"}
		}
		all = append(all, e)
	}
	line := fhirEntity{Type: other, Role: &coding{objectRole, "13", "Security Resource"}, Name: "Activity record",
		Detail: []detail{{"entry", strconv.FormatInt(a.Seq, 10)}, {"origin", or(string(a.Origin), "unknown")}}}
	if a.EndSeq > 0 {
		line.Detail = append(line.Detail, detail{"end", strconv.FormatInt(a.EndSeq, 10)})
	}
	if a.Unkeyed {
		line.Detail = append(line.Detail, detail{"unkeyed", "true"})
	}
	return append(all, line)
}

// patientReference gives a patient such as Patient/123 as a reference at its server.
func patientReference(server, patient string) *reference {
	if patient == "" {
		return nil
	}
	id, ok := strings.CutPrefix(patient, "Patient/")
	switch {
	case strings.HasPrefix(patient, "https://"), strings.HasPrefix(patient, "http://"):
		return &reference{Reference: patient, Type: "Patient"}
	case ok && id != "" && server != "":
		return &reference{Reference: strings.TrimSuffix(server, "/") + "/" + patient, Type: "Patient"}
	case ok && id != "":
		return &reference{Reference: patient, Type: "Patient"}
	}
	return &reference{Type: "Patient", Identifier: identified("", patient)}
}

// text fits a FHIR string: not empty when trimmed, and on one line.
func text(s string) string { return strings.TrimSpace(clean(s, maxURL)) }

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func identified(system, value string) *identifier {
	if value = text(value); value == "" {
		return nil
	}
	return &identifier{system, value}
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return address
	}
	return u.Host
}

func instant(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }
