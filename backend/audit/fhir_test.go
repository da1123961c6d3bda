package audit_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"iter"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"chartkey/backend/audit"
	"chartkey/backend/fault"
)

var (
	station = audit.Workstation{ID: "0b6e2f60-3d7c-4f0e-8a55-2c1f7d6f9a10", Name: "ward-7", Version: "1.0.0"}
	person  = audit.Entry{ProfileID: "p1", ProfileName: "Ada Lovelace", Role: "clinician", Origin: audit.FromWindow}
	atEHR   = func() audit.Entry {
		e := person
		e.RegistrationID, e.RegistrationName, e.Server, e.ClientID = "r1", "General Hospital", "https://ehr.example/fhir", "chartkey-demo"
		return e
	}()
)

func act(e audit.Entry, action audit.Action, detail string) audit.Entry {
	e.Action, e.Detail = action, detail
	return e
}

// everyAction has each action and detail as one entry, with all that it may say.
func everyAction() []audit.Entry {
	var all []audit.Entry
	for action, details := range map[audit.Action][]string{
		audit.LaunchDecision: {audit.DetailIssuerApproved, audit.DetailIssuerRefused, audit.DetailIssuerWithdrawn, audit.DetailLaunchAccepted, audit.DetailLaunchDiscarded},
		audit.Registration:   {audit.DetailAdded, audit.DetailChanged, audit.DetailRemoved},
		audit.Profile:        {audit.DetailAdded, audit.DetailRemoved, audit.DetailRole, audit.DetailPasscodeChanged, audit.DetailPasscodeReset},
		audit.SignIn:         {audit.DetailUnlocked, audit.DetailWrongPasscode},
		audit.Lock:           {""},
		audit.Vault: {audit.DetailMade, audit.DetailUnlocked, audit.DetailPassphrase, audit.DetailKeyring, audit.DetailRotated,
			audit.DetailBackup, audit.DetailRestore},
		audit.Policy:         {audit.DetailIdleTime, audit.DetailRetention},
		audit.Audit:          {audit.DetailExported, audit.DetailCheckpoint, audit.DetailResealed},
		"of-a-later-version": {"whatever"},
	} {
		for _, detail := range details {
			all = append(all, act(person, action, detail))
			e := act(atEHR, action, detail)
			e.Subject, e.Fault = "Grace", "passcode-wrong"
			all = append(all, e, act(audit.Entry{Origin: audit.FromBackground}, action, detail))
		}
	}
	for action, details := range map[audit.Action][]string{
		audit.Connect: {"", "patient", "provider"}, audit.Refresh: {""}, audit.Test: {"", "live"}, audit.Disconnect: {""}, audit.Launch: {""},
		audit.Read: {audit.DetailResource, audit.DetailSearch},
	} {
		for _, detail := range details {
			for _, resource := range []string{"", "Patient", "Observation"} {
				for _, patient := range []string{"", "Patient/1", "https://ehr.example/fhir/Patient/1", "a strange reference"} {
					e := act(atEHR, action, detail)
					e.Resource, e.Patient = resource, patient
					nobody := e
					nobody.ProfileID, nobody.ProfileName, nobody.Role, nobody.Server, nobody.Origin = "", "", "", "", audit.FromBackground
					for _, e := range []audit.Entry{e, nobody} {
						all = append(all, e.Started(morning))
						for _, end := range []error{nil, fault.New("server-unreachable", "", "")} {
							ended := e.Ended(morning, end)
							ended.Ref = 1
							all = append(all, ended)
						}
					}
				}
			}
		}
	}
	return append(all, audit.Entry{Action: audit.Unreadable, Unkeyed: true})
}

func activities(entries []audit.Entry) iter.Seq2[audit.Activity, error] {
	return func(yield func(audit.Activity, error) bool) {
		for i, e := range entries {
			e.Seq = int64(i + 1)
			if e.At.IsZero() {
				e.At = morning
			}
			a := audit.Activity{Entry: e}
			if e.Phase == audit.Done || e.Phase == audit.Failed {
				a.EndedAt, a.EndSeq = e.At.Add(time.Second), e.Seq+1
			}
			if !yield(a, nil) {
				return
			}
		}
	}
}

func schema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	f, err := os.Open("testdata/fhir-r4-auditevent.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	doc, err := jsonschema.UnmarshalJSON(f)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("fhir.json", doc); err != nil {
		t.Fatal(err)
	}
	return c.MustCompile("fhir.json")
}

func export(t testing.TB, ws audit.Workstation, all iter.Seq2[audit.Activity, error]) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := audit.FHIR(&b, ws, all); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func validate(s *jsonschema.Schema, b []byte) error {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		return err
	}
	return s.Validate(doc)
}

func TestEveryActionIsAValidAuditEvent(t *testing.T) {
	s := schema(t)
	if validate(s, []byte(`{"resourceType":"AuditEvent","type":{"code":"rest"},"recorded":"yesterday","agent":[{"requestor":true}],"source":{"observer":{}}}`)) == nil {
		t.Fatal("the schema lets everything pass")
	}
	b := export(t, station, activities(everyAction()))
	if err := validate(s, b); err != nil {
		t.Errorf("%#v", err)
	}
	for _, empty := range []audit.Workstation{{}, {ID: " ", Name: "\t", Version: ""}} {
		if err := validate(s, export(t, empty, activities(everyAction()))); err != nil {
			t.Errorf("by a workstation without a name: %v", err)
		}
	}
	if err := validate(s, export(t, station, activities(nil))); err != nil {
		t.Errorf("an empty record: %v", err)
	}
}

func TestWhateverNamesAreTheExportIsValid(t *testing.T) {
	s := schema(t)
	rapid.Check(t, func(t *rapid.T) {
		e := rapid.SampledFrom(everyAction()).Draw(t, "entry")
		for _, field := range []*string{&e.ProfileID, &e.ProfileName, &e.Role, &e.RegistrationID, &e.RegistrationName, &e.Server, &e.ClientID, &e.Subject, &e.Patient} {
			*field = rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", " ", "\n", "\u2028", "Patient/", "http://"})).Draw(t, "field")
		}
		var b bytes.Buffer
		if err := audit.FHIR(&b, station, activities([]audit.Entry{e})); err != nil {
			t.Fatal(err)
		}
		if err := validate(s, b.Bytes()); err != nil {
			t.Fatalf("%v\n%s", err, b.Bytes())
		}
		checkBALP(t, b.Bytes())
	})
}

// tester is what rapid.T and testing.T have in common.
type tester interface {
	Errorf(format string, args ...any)
	Fatal(args ...any)
}

type (
	object = map[string]any
	list   = []any
)

// matches tells that a Coding, or a CodeableConcept, has a code.
func matches(v any, system, code string) bool {
	o, _ := v.(object)
	if codings, ok := o["coding"].(list); ok {
		for _, c := range codings {
			if matches(c, system, code) {
				return true
			}
		}
		return false
	}
	return o["system"] == system && o["code"] == code
}

// slice gives the elements of a list whose type has the code.
func slice(v any, system, code string) list {
	var found list
	all, _ := v.(list)
	for _, e := range all {
		if matches(e.(object)["type"], system, code) {
			found = append(found, e)
		}
	}
	return found
}

const (
	balp   = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."
	dcm    = "http://dicom.nema.org/resources/ontology/DCM"
	hl7    = "http://terminology.hl7.org/CodeSystem/"
	people = hl7 + "v3-ParticipationType"
)

// balpRule is a constraint of a BALP 1.1 profile, as its differential has it.
type balpRule struct {
	says string
	ok   func(e object) bool
}

// one tells that a slice has exactly one element, and that it has the fields and not the others.
func one(field, system, code string, with, without []string) func(object) bool {
	return func(e object) bool {
		found := slice(e[field], system, code)
		return len(found) == 1 && fits(found[0].(object), with, without)
	}
}

func fits(o object, with, without []string) bool {
	for _, f := range with {
		if o[f] == nil {
			return false
		}
	}
	for _, f := range without {
		if o[f] != nil {
			return false
		}
	}
	return true
}

func rules(action, interaction, client, server string) []balpRule {
	who, noMedia := []string{"type", "who", "network"}, []string{"media"}
	return []balpRule{
		{"type = rest", func(e object) bool { return matches(e["type"], hl7+"audit-event-type", "rest") }},
		{"subtype has the interaction once", func(e object) bool {
			n := 0
			for _, s := range e["subtype"].(list) {
				if matches(s, "http://hl7.org/fhir/restful-interaction", interaction) {
					n++
				}
			}
			return n == 1
		}},
		{"action", func(e object) bool { return e["action"] == action }},
		{"recorded 1..1", func(e object) bool { return e["recorded"] != nil }},
		{"outcome = 0", func(e object) bool { return e["outcome"] == "0" }},
		{"agent 2..*", func(e object) bool { return len(e["agent"].(list)) >= 2 }},
		{"agent[client]", one("agent", dcm, client, who, noMedia)},
		{"agent[server]", one("agent", dcm, server, who, noMedia)},
		{"agent[user] 0..1, a requestor", func(e object) bool {
			users := slice(e["agent"], people, "IRCP")
			return len(users) == 0 || len(users) == 1 && users[0].(object)["requestor"] == true && fits(users[0].(object), []string{"who"}, []string{"media", "network"})
		}},
	}
}

func role(field, system, code, roleCode string) func(object) bool {
	return func(e object) bool {
		found := slice(e[field], system, code)
		return len(found) == 1 && matches(found[0].(object)["role"], hl7+"object-role", roleCode)
	}
}

func balpRules() map[string][]balpRule {
	read := append(rules("R", "read", "110152", "110153"),
		balpRule{"entity[data]", one("entity", hl7+"audit-entity-type", "2", []string{"what"}, nil)},
		balpRule{"entity[data].role", role("entity", hl7+"audit-entity-type", "2", "4")})
	query := append(rules("E", "search-type", "110153", "110152"),
		balpRule{"entity[query]", one("entity", hl7+"audit-entity-type", "2", []string{"query"}, []string{"what", "lifecycle", "detail", "name"})},
		balpRule{"entity[query].role", role("entity", hl7+"audit-entity-type", "2", "24")})
	patient := []balpRule{
		{"entity 2..*", func(e object) bool { return len(e["entity"].(list)) >= 2 }},
		{"entity[patient]", one("entity", hl7+"audit-entity-type", "1", []string{"what"}, nil)},
		{"entity[patient].role", role("entity", hl7+"audit-entity-type", "1", "1")},
		{"entity[patient].what is a Patient", func(e object) bool {
			return slice(e["entity"], hl7+"audit-entity-type", "1")[0].(object)["what"].(object)["type"] == "Patient"
		}},
	}
	return map[string][]balpRule{
		"Read": read, "PatientRead": append(append([]balpRule(nil), read...), patient...),
		"Query": query, "PatientQuery": append(append([]balpRule(nil), query...), patient...),
	}
}

func hasEmpty(v any) bool {
	switch v := v.(type) {
	case object:
		for _, x := range v {
			if hasEmpty(x) {
				return true
			}
		}
		return len(v) == 0
	case list:
		return len(v) == 0 || slices.ContainsFunc(v, hasEmpty)
	}
	return v == "" || v == nil
}

// checkBALP checks each AuditEvent of a bundle: against the profile that it
// claims, and against what R4 says beyond its schema.
func checkBALP(t tester, bundle []byte) map[string]int {
	var b struct {
		Entry []struct {
			FullURL  string
			Resource object
		}
	}
	if err := json.Unmarshal(bundle, &b); err != nil {
		t.Fatal(err)
	}
	claimed, ids := map[string]int{}, map[string]bool{}
	all := balpRules()
	for _, entry := range b.Entry {
		e := entry.Resource
		if ids[entry.FullURL] || entry.FullURL != "urn:uuid:"+e["id"].(string) {
			t.Errorf("the id %s is used twice, or is not that of the resource", entry.FullURL)
		}
		ids[entry.FullURL] = true
		if hasEmpty(e) { // ele-1
			t.Errorf("an element without anything in it: %v", e)
		}
		requestors := 0
		for _, a := range e["agent"].(list) {
			if a.(object)["requestor"] == true {
				requestors++
			}
		}
		if requestors != 1 {
			t.Errorf("%d requestors in %v", requestors, e)
		}
		if len(slice(e["agent"], dcm, "110150")) != 1 {
			t.Errorf("the application is not an agent of %v", e)
		}
		for _, en := range e["entity"].(list) { // sev-1
			if en := en.(object); en["name"] != nil && en["query"] != nil {
				t.Errorf("an entity with a name and a query in %v", e)
			}
		}
		meta, _ := e["meta"].(object)
		if meta == nil {
			continue
		}
		for _, p := range meta["profile"].(list) {
			name := strings.TrimPrefix(p.(string), balp)
			claimed[name]++
			if all[name] == nil {
				t.Errorf("unknown profile %v", p)
			}
			for _, rule := range all[name] {
				if !rule.ok(e) {
					t.Errorf("not %s: %s\n%v", name, rule.says, e)
				}
			}
		}
	}
	return claimed
}

func TestReadsAndSearchesFitBALP(t *testing.T) {
	claimed := checkBALP(t, export(t, station, activities(everyAction())))
	for _, name := range []string{"Read", "PatientRead", "Query", "PatientQuery"} {
		if claimed[name] == 0 {
			t.Errorf("nothing claims %s: %v", name, claimed)
		}
	}
	// What failed, or did not end, claims no profile that is for success.
	e := act(atEHR, audit.Read, audit.DetailResource)
	failed := e.Ended(morning, fault.New("timeout", "", ""))
	if claimed := checkBALP(t, export(t, station, activities([]audit.Entry{e.Started(morning), failed}))); len(claimed) > 0 {
		t.Errorf("claimed %v", claimed)
	}
}

func TestAnAuditEventSaysWhoWhatAndOnWhom(t *testing.T) {
	e := act(atEHR, audit.Read, audit.DetailSearch)
	e.Resource, e.Patient, e.Ref = "Observation", "Patient/1", 1
	var b struct{ Entry []struct{ Resource object } }
	if err := json.Unmarshal(export(t, station, activities([]audit.Entry{e.Ended(morning, nil)})), &b); err != nil {
		t.Fatal(err)
	}
	got := b.Entry[0].Resource
	for path, want := range map[string]string{
		"agent/0/who/display":            "Ada Lovelace",
		"agent/0/role/0/text":            "clinician",
		"agent/1/who/identifier/value":   "chartkey-demo",
		"agent/2/network/address":        "https://ehr.example/fhir",
		"agent/2/who/display":            "ehr.example",
		"source/site":                    "ward-7",
		"source/observer/display":        "Chartkey",
		"entity/0/what/reference":        "https://ehr.example/fhir/Patient/1",
		"entity/1/query":                 base64.StdEncoding.EncodeToString([]byte("GET https://ehr.example/fhir/Observation")),
		"entity/2/what/identifier/value": "r1",
		"period/end":                     "2026-03-02T08:00:01.000Z",
		"recorded":                       "2026-03-02T08:00:01.000Z",
	} {
		var v any = got
		for _, step := range strings.Split(path, "/") {
			switch x := v.(type) {
			case object:
				v = x[step]
			case list:
				i, err := strconv.Atoi(step)
				if err != nil {
					t.Fatal(err)
				}
				v = x[i]
			}
		}
		if v != want {
			t.Errorf("%s is %v, not %s", path, v, want)
		}
	}
}

func TestEveryActionIsClassified(t *testing.T) {
	for _, c := range []struct {
		action                  audit.Action
		detail                  string
		typ, subtype, crude     string
		person, server, subject bool // the person's type is IRCP; the server is an agent; a subject is a user
	}{
		{audit.Connect, "patient", "110114", "ITI-71", "E", true, true, false},
		{audit.Refresh, "", "110114", "ITI-71", "E", true, true, false},
		{audit.Launch, "", "110114", "ITI-71", "E", true, true, false},
		{audit.Disconnect, "", "110114", "110123", "E", true, true, false},
		{audit.Test, "live", "rest", "capabilities", "E", true, true, false},
		{audit.Read, audit.DetailResource, "rest", "read", "R", true, true, false},
		{audit.Read, audit.DetailSearch, "rest", "search-type", "E", true, true, false},
		{audit.LaunchDecision, audit.DetailIssuerApproved, "110113", "110129", "U", false, false, false},
		{audit.Registration, audit.DetailAdded, "110113", "110129", "C", false, false, false},
		{audit.Registration, audit.DetailChanged, "110113", "110129", "U", false, false, false},
		{audit.Registration, audit.DetailRemoved, "110113", "110129", "D", false, false, false},
		{audit.Profile, audit.DetailAdded, "110113", "110137", "C", false, false, true},
		{audit.Profile, audit.DetailRemoved, "110113", "110137", "D", false, false, true},
		{audit.Profile, audit.DetailRole, "110113", "110136", "U", false, false, true},
		{audit.Profile, audit.DetailPasscodeReset, "110113", "110137", "U", false, false, true},
		{audit.SignIn, audit.DetailUnlocked, "110114", "110122", "E", false, false, true},
		{audit.Lock, "", "110114", "110123", "E", false, false, false},
		{audit.Vault, audit.DetailMade, "110113", "110129", "C", false, false, false},
		{audit.Vault, audit.DetailUnlocked, "110113", "110132", "E", false, false, false},
		{audit.Vault, audit.DetailRotated, "110113", "110129", "U", false, false, false},
		{audit.Vault, audit.DetailBackup, "110106", "110129", "R", false, false, false},
		{audit.Vault, audit.DetailRestore, "110107", "110129", "C", false, false, false},
		{audit.Policy, audit.DetailRetention, "110113", "110129", "U", false, false, false},
		{audit.Audit, audit.DetailExported, "110101", "110106", "R", false, false, false},
		{audit.Audit, audit.DetailCheckpoint, "110101", "110129", "D", false, false, false},
		{audit.Audit, audit.DetailResealed, "110101", "110129", "U", false, false, false},
		{"of-a-later-version", "", "110113", "110129", "U", false, false, false},
	} {
		e := act(atEHR, c.action, c.detail)
		e.Subject = "Grace"
		var b struct{ Entry []struct{ Resource object } }
		if err := json.Unmarshal(export(t, station, activities([]audit.Entry{e})), &b); err != nil {
			t.Fatal(err)
		}
		got := b.Entry[0].Resource
		subtypes := got["subtype"].(list)
		own := strings.TrimSuffix(string(c.action)+"-"+c.detail, "-")
		if got["type"].(object)["code"] != c.typ || subtypes[0].(object)["code"] != c.subtype || got["action"] != c.crude || subtypes[1].(object)["code"] != own {
			t.Errorf("%s %s: %v %v %v", c.action, c.detail, got["type"], subtypes, got["action"])
		}
		users := 0
		for _, en := range got["entity"].(list) {
			if matches(en.(object)["role"], hl7+"object-role", "11") {
				users++
			}
		}
		if agents := len(got["agent"].(list)); (agents == 3) != c.server || (len(slice(got["agent"], people, "IRCP")) == 1) != c.person || (users == 1) != c.subject {
			t.Errorf("%s %s: agents %v, entities %v", c.action, c.detail, got["agent"], got["entity"])
		}
	}
}

func TestAPatientIsReferredToAtItsServer(t *testing.T) {
	for _, c := range []struct{ server, patient, reference, identifier string }{
		{"https://ehr.example/fhir", "Patient/1", "https://ehr.example/fhir/Patient/1", ""},
		{"https://ehr.example/fhir/", "Patient/1", "https://ehr.example/fhir/Patient/1", ""},
		{"https://ehr.example/fhir", "https://other.example/Patient/2", "https://other.example/Patient/2", ""},
		{"", "Patient/1", "Patient/1", ""},
		{"https://ehr.example/fhir", "erXuFYUfucBZaryVksYEcMg3", "", "erXuFYUfucBZaryVksYEcMg3"},
		{"https://ehr.example/fhir", "Patient/", "", "Patient/"},
	} {
		e := act(atEHR, audit.Read, audit.DetailResource)
		e.Resource, e.Server, e.Patient = "Patient", c.server, c.patient
		var b struct{ Entry []struct{ Resource object } }
		if err := json.Unmarshal(export(t, station, activities([]audit.Entry{e})), &b); err != nil {
			t.Fatal(err)
		}
		entities := b.Entry[0].Resource["entity"]
		for _, typ := range []string{"1", "2"} { // the patient, and the resource that is one
			what := slice(entities, hl7+"audit-entity-type", typ)[0].(object)["what"].(object)
			id, _ := what["identifier"].(object)
			if reference, _ := what["reference"].(string); reference != c.reference || (id == nil) != (c.identifier == "") || id != nil && id["value"] != c.identifier {
				t.Errorf("%s at %s: %v", c.patient, c.server, what)
			}
		}
	}
}
