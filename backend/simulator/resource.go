package simulator

import "slices"

// resourceKind is one resource type that is served: a row for the router, the
// search, the compartment check, the consent page and the CapabilityStatement.
type resourceKind struct {
	name string
	// words are how the consent page calls it.
	words string
	// owner is the element that names the patient, or "" for what belongs to no
	// patient's record and is readable by everyone with the scope.
	owner  string
	params map[string]parameter
}

// with joins the parameters that every type has with its own.
func with(own map[string]parameter) map[string]parameter {
	own["_id"] = parameter{kind: paramToken, paths: []string{"id"}}
	if _, ok := own["identifier"]; !ok {
		own["identifier"] = parameter{kind: paramToken, paths: []string{"identifier"}}
	}
	return own
}

// clinical adds to with the two names of the patient.
func clinical(owner string, own map[string]parameter) map[string]parameter {
	own["patient"] = parameter{kind: paramReference, paths: []string{owner}, target: "Patient"}
	if owner == "subject" {
		own["subject"] = parameter{kind: paramReference, paths: []string{owner}}
	}
	return with(own)
}

func token(paths ...string) parameter     { return parameter{kind: paramToken, paths: paths} }
func date(paths ...string) parameter      { return parameter{kind: paramDate, paths: paths} }
func text(paths ...string) parameter      { return parameter{kind: paramString, paths: paths} }
func reference(paths ...string) parameter { return parameter{kind: paramReference, paths: paths} }

// personParameters are common to Patient, Practitioner and RelatedPerson.
func personParameters(own map[string]parameter) map[string]parameter {
	own["name"] = text("name")
	own["family"] = text("name.family")
	own["given"] = text("name.given")
	own["gender"] = token("gender")
	own["active"] = token("active")
	return with(own)
}

// resourceKinds is sorted by name. Parameters are those of the R4 search
// registry, under their names there.
var resourceKinds = []resourceKind{
	{name: "AllergyIntolerance", words: "allergies", owner: "patient", params: clinical("patient", map[string]parameter{
		"clinical-status": token("clinicalStatus"), "verification-status": token("verificationStatus"), "category": token("category"),
		"code": token("code", "reaction.substance"), "criticality": token("criticality"), "date": date("recordedDate"), "onset": date("onsetDateTime"),
	})},
	{name: "Condition", words: "conditions", owner: "subject", params: clinical("subject", map[string]parameter{
		"clinical-status": token("clinicalStatus"), "verification-status": token("verificationStatus"), "category": token("category"),
		"code": token("code"), "encounter": reference("encounter"), "onset-date": date("onsetDateTime", "onsetPeriod"), "recorded-date": date("recordedDate"),
	})},
	{name: "DiagnosticReport", words: "reports of tests", owner: "subject", params: clinical("subject", map[string]parameter{
		"status": token("status"), "category": token("category"), "code": token("code"), "encounter": reference("encounter"),
		"date": date("effectiveDateTime", "effectivePeriod"), "issued": date("issued"), "result": reference("result"), "performer": reference("performer"),
	})},
	{name: "DocumentReference", words: "notes and documents", owner: "subject", params: clinical("subject", map[string]parameter{
		"status": token("status"), "category": token("category"), "type": token("type"), "encounter": reference("context.encounter"),
		"date": date("date"), "period": date("context.period"), "author": reference("author"), "contenttype": token("content.attachment.contentType"),
	})},
	{name: "Encounter", words: "visits", owner: "subject", params: clinical("subject", map[string]parameter{
		"status": token("status"), "class": token("class"), "type": token("type"), "date": date("period"),
		"participant": reference("participant.individual"), "service-provider": reference("serviceProvider"),
	})},
	{name: "Immunization", words: "vaccinations", owner: "patient", params: clinical("patient", map[string]parameter{
		"status": token("status"), "vaccine-code": token("vaccineCode"), "date": date("occurrenceDateTime"), "lot-number": text("lotNumber"), "performer": reference("performer.actor"),
	})},
	{name: "MedicationRequest", words: "prescriptions", owner: "subject", params: clinical("subject", map[string]parameter{
		"status": token("status"), "intent": token("intent"), "category": token("category"), "code": token("medicationCodeableConcept"),
		"authoredon": date("authoredOn"), "encounter": reference("encounter"), "requester": reference("requester"),
	})},
	{name: "Observation", words: "observations", owner: "subject", params: clinical("subject", map[string]parameter{
		"status": token("status"), "category": token("category"), "code": token("code"), "component-code": token("component.code"),
		"combo-code": token("code", "component.code"), "encounter": reference("encounter"), "performer": reference("performer"),
		"date": date("effectiveDateTime", "effectivePeriod", "effectiveInstant"), "value-concept": token("valueCodeableConcept"),
	})},
	{name: "Organization", words: "organizations", params: with(map[string]parameter{
		"name": text("name", "alias"), "active": token("active"), "type": token("type"),
	})},
	{name: "Patient", words: "name, date of birth and address", owner: "id", params: personParameters(map[string]parameter{
		"birthdate": date("birthDate"), "death-date": date("deceasedDateTime"), "general-practitioner": reference("generalPractitioner"),
		"organization": reference("managingOrganization"), "address": text("address"), "telecom": token("telecom"),
	})},
	{name: "Practitioner", words: "clinicians", params: personParameters(map[string]parameter{})},
	{name: "Procedure", words: "procedures", owner: "subject", params: clinical("subject", map[string]parameter{
		"status": token("status"), "category": token("category"), "code": token("code"), "encounter": reference("encounter"),
		"date": date("performedDateTime", "performedPeriod"), "performer": reference("performer.actor"),
	})},
	{name: "RelatedPerson", words: "related persons", owner: "patient", params: clinical("patient", personParameters(map[string]parameter{
		"relationship": token("relationship"), "birthdate": date("birthDate"),
	}))},
}

func kindOf(name string) (resourceKind, bool) {
	i := slices.IndexFunc(resourceKinds, func(k resourceKind) bool { return k.name == name })
	if i < 0 {
		return resourceKind{}, false
	}
	return resourceKinds[i], true
}

// resourceTypes gives the names of the types served, sorted.
func resourceTypes() []string {
	out := make([]string, len(resourceKinds))
	for i, k := range resourceKinds {
		out[i] = k.name
	}
	return out
}

func resourceWords(name string) string {
	k, _ := kindOf(name)
	return k.words
}

func searchParameters(name string) map[string]parameter {
	k, _ := kindOf(name)
	return k.params
}
