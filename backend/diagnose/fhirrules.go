package diagnose

import (
	"slices"
	"strings"

	"chartkey/backend/scope"
)

const (
	epicSpec = "https://fhir.epic.com/Specifications"
	fhirHTTP = "https://hl7.org/fhir/R4/http.html"
)

// fhirRules are about reads that the FHIR server refuses, with Epic's published
// codes among them.
func fhirRules() []rule {
	stages := []Stage{FHIR}
	unauthorized := either(fault("fhir-unauthorized"), status(401))
	forbidden := either(fault("fhir-forbidden"), status(403))
	missing := either(fault("fhir-not-found"), status(404, 410))
	refused := either(fault("fhir-request-refused"), status(400, 422))
	notGranted := seen("the granted scopes do not cover the resource type", func(v *view) bool {
		if !v.Grant.Known || typeForm.FindString(v.Request.Resource) == "" {
			return false
		}
		granted := scope.Grammar(v.Grant.Scopes)
		return !granted.Allows("patient", v.Request.Resource, scope.Read) && !granted.Allows("user", v.Request.Resource, scope.Read) && !granted.Allows("system", v.Request.Resource, scope.Read)
	})
	searchNotGranted := seen("a search was made, and only read is granted", func(v *view) bool {
		granted := scope.Grammar(v.Grant.Scopes)
		return v.Request.Search && v.Grant.Known && !granted.Allows("patient", v.Request.Resource, scope.Search) && !granted.Allows("user", v.Request.Resource, scope.Search) &&
			(granted.Allows("patient", v.Request.Resource, scope.Read) || granted.Allows("user", v.Request.Resource, scope.Read))
	})
	restricted := seen("the granted scopes narrow the resource type by a query", func(v *view) bool {
		granted := scope.Grammar(v.Grant.Scopes)
		return v.Grant.Known && typeForm.FindString(v.Request.Resource) != "" && slices.ContainsFunc(granted, func(s scope.Scope) bool {
			return s.Kind == scope.Resource && s.Type == v.Request.Resource && len(s.Query) > 0
		})
	})
	return []rule{
		{
			id: "access-token-expired", title: "The access token has run out or was ended, and the server takes it no longer.", stages: stages,
			when: []condition{unauthorized, bearer("invalid_token")}, prior: often(6),
			evidence: []evidence{
				all(unauthorized, bearer("invalid_token")).is(Fair, "WWW-Authenticate says invalid_token."),
				issueCode("expired").is(Strong, "The server's issue is expired."),
				all(unauthorized, seen("it was last used more than an hour ago", func(v *view) bool { return v.History.SinceSuccess.Hours() >= 1 })).is(Fair, "It was last used {since-success} ago."),
			},
			against: []evidence{seen("a new token was refused as well", func(v *view) bool { return v.History.Failures >= 2 || strings.Contains(v.Fault.Message, "even a new") }).is(Strong, "A fresh token was refused as well.")},
			phrases: []phrase{
				{"access token…expired", "", ""},
				{"token…expired", "", ""},
			},
			distinguish: "After a refresh the same read works.",
			fix:         Fix{"Refresh the connection; if that does not help, sign in again.", Reconnect, ""},
			sources:     []string{"RFC 6750 section 3.1"},
		},
		{
			id: "token-not-for-this-server", title: "The FHIR server takes no token of this authorization server, however fresh: it expects another audience, or is not set up for it.", stages: stages,
			when: []condition{unauthorized}, prior: often(4),
			evidence: []evidence{
				seen("a new token was refused as well", func(v *view) bool { return v.History.Failures >= 2 || strings.Contains(v.Fault.Message, "even a new") }).is(Strong, "A fresh token was refused as well."),
				all(unauthorized, neverWorked).is(Slight, "No read with this registration has worked yet."),
				all(unauthorized, seen("a token was given less than five minutes ago", func(v *view) bool {
					return v.History.SinceSuccess > 0 && v.History.SinceSuccess.Minutes() < 5
				})).is(Fair, "A token was given {since-success} ago."),
			},
			phrases: []phrase{
				{"bearer realm=…error=\"invalid_token\"", "Oracle Health", "https://github.com/smart-on-fhir/client-js/issues/124"},
				{"invalid access token", "Okta's SMART sample", "https://github.com/oktadev/okta-smartfhir-docs/issues/14"},
				{"token audience…", "", ""},
				{"issuer…is invalid", "", ""},
			},
			distinguish: "A token that has run out is mended by a refresh, and this is not.",
			fix:         Fix{"Check that the FHIR base URL is the one that the sign-in was for (aud). If it is, show the health system the trace.", ChangeBaseURL, "{better-base}"},
			probe:       ProbeDiscoveryAgain,
			sources:     []string{"RFC 6750 section 3.1", smartLaunch + "#obtain-authorization-code"},
		},
		{
			id: "scope-does-not-cover", title: "The granted scopes do not include {resource}.", stages: stages,
			when: []condition{forbidden, bearer("insufficient_scope"), epicCode("4118"), all(unauthorized, notGranted)}, prior: often(6),
			evidence: []evidence{
				all(forbidden, notGranted).is(Strong+Fair, "What was granted does not cover {resource}."),
				all(unauthorized, notGranted).is(Fair, "What was granted does not cover {resource}."),
				bearer("insufficient_scope").is(Decisive, "WWW-Authenticate says insufficient_scope."),
				searchNotGranted.is(Strong+Fair, "A search was made, and only reading by id is granted."),
				restricted.is(Fair, "What was granted is narrower than the whole of {resource}."),
			},
			against: []evidence{seen("the granted scopes cover the resource type", func(v *view) bool {
				return v.Grant.Known && typeForm.FindString(v.Request.Resource) != "" && !notGranted.holds(v) && !searchNotGranted.holds(v)
			}).is(Strong, "What was granted covers {resource}.")},
			phrases: []phrase{
				{"client not authorized for…have not been included", "Epic", "https://github.com/onc-healthit/onc-certification-g10-test-kit/issues/278"},
				{"sub-resource that the client is not authorized for", "Epic", "https://github.com/onc-healthit/onc-certification-g10-test-kit/issues/278"},
				{"insufficient scope", "", ""},
				{"insufficient_scope", "", ""},
				{"scope…does not…permit", "", ""},
				{"not permitted by scope", "", ""},
				{"requires…scope", "", ""},
			},
			distinguish: "The connection's page shows what was granted.",
			fix:         Fix{"Select the API for {resource} on the app's page at the EHR, ask for its scope, and sign in again.", SelectAPIs, "{resource}"},
			sources:     []string{"RFC 6750 section 3.1", smartScopes, "https://github.com/cerner/smart-on-fhir-tutorial/issues/24"},
		},
		{
			id: "user-may-not-see", title: "The person who signed in may not see this in the EHR.", stages: stages,
			when: []condition{forbidden, epicCode("4118"), issueCode("forbidden", "security", "suppressed")}, prior: atEpic(6, 5),
			evidence: []evidence{
				epicCode("4118").is(Decisive, "Epic answered with {epic-code}."),
				issueCode("forbidden", "suppressed").is(Fair, "The server's issue says that it is forbidden."),
				all(forbidden, seen("the granted scopes cover the resource type", func(v *view) bool { return v.Grant.Known && v.Request.Resource != "" && !notGranted.holds(v) })).is(Strong, "What was granted covers {resource}, so it is the person's own rights."),
			},
			phrases: []phrase{
				{"authorization failed.", "Microsoft's FHIR server", "https://github.com/microsoft/fhir-server/issues/727"},
			},
			distinguish: "In the EHR itself the same person does not see it either.",
			fix:         Fix{"Ask the health system's EHR team for the right to it, or ask for a record that this person may see.", AskHealthSystem, ""},
			sources:     []string{epicSpec, epicTrouble, fhirHTTP + "#Status-Codes"},
		},
		{
			id: "break-the-glass", title: "The record is protected (Break-the-Glass): the reason for opening it has to be given first.", stages: stages,
			when: []condition{epicCode("4130", "4131", "4134")}, prior: often(6),
			evidence: []evidence{
				epicCode("4131", "4134").is(Decisive, "Epic answered with {epic-code}."),
				epicCode("4130").is(Decisive, "Epic answered with {epic-code}: here not even a reason helps this person."),
			},
			distinguish: "In the EHR the same record asks for a reason.",
			fix:         Fix{"Open the record in the EHR and give the reason there, then read again. With code 4130, ask the health system.", OpenInEHR, ""},
			sources:     []string{epicSpec},
		},
		{
			id: "no-such-resource", title: "There is no such resource: the id is wrong, or belongs to another environment or FHIR version.", stages: stages,
			when: []condition{missing, epicCode("4102", "59144"), issueCode("not-found", "deleted")}, prior: often(6),
			evidence: []evidence{
				epicCode("4102", "59144").is(Strong+Fair, "Epic answered with {epic-code}."),
				missing.is(Fair, "The server says that there is nothing."),
			},
			against: []evidence{epicCode("4103", "4107").is(Strong, "Epic says that it was there.")},
			phrases: []phrase{
				{"resource…is not known", "", ""},
			},
			distinguish: "A search for the patient gives the ids that count here. DSTU2 and R4 have ids of their own for the same patient at Epic.",
			fix:         Fix{"Search for the resource again, and use the id that comes back.", SearchAgain, ""},
			sources:     []string{epicSpec, fhirHTTP + "#read"},
		},
		{
			id: "patient-not-visible", title: "At Epic, not found can mean a patient whom this person may not see.", stages: stages,
			when: []condition{all(missing, isEpic), epicCode("4102")}, prior: prior{4, 5, 1, 1},
			evidence: []evidence{
				all(missing, isEpic, seen("a Patient was asked for", func(v *view) bool { return v.Request.Resource == "Patient" })).is(Slight, "A Patient was asked for."),
				all(missing, isEpic, audience("provider"), seen("a Patient was asked for", func(v *view) bool { return v.Request.Resource == "Patient" })).is(Fair, "A clinician asked, whose rights decide which patients are there."),
			},
			distinguish: "Another person, with more rights, sees it under the same id.",
			fix:         Fix{"Look the patient up in the EHR with the same account; ask for the right to the record if it is missing there.", OpenInEHR, ""},
			sources:     []string{epicTrouble, epicSpec},
		},
		{
			id: "resource-deleted", title: "The record was deleted in the EHR.", stages: stages,
			when: []condition{epicCode("4103"), status(410), issueCode("deleted")}, prior: often(6),
			evidence:    []evidence{epicCode("4103").is(Decisive, "Epic answered with {epic-code}."), status(410).is(Strong+Fair, "The answer was HTTP 410."), issueCode("deleted").is(Strong, "The server's issue is deleted.")},
			distinguish: "A search does not find it any more.",
			fix:         Fix{"There is nothing to read. Search again for what has taken its place.", SearchAgain, ""},
			sources:     []string{epicSpec, fhirHTTP + "#read"},
		},
		{
			id: "patient-merged", title: "The patient was merged into another.", stages: stages,
			when: []condition{epicCode("4107")}, prior: often(6),
			evidence:    []evidence{epicCode("4107").is(Decisive, "Epic answered with {epic-code}.")},
			distinguish: "The answer, or a search for the patient, names the record that counts now.",
			fix:         Fix{"Search for the patient again, and use the record that comes back.", SearchAgain, ""},
			sources:     []string{epicSpec, "https://hl7.org/fhir/R4/patient.html#merge"},
		},
		{
			id: "patient-parameter-missing", title: "The search lacks a parameter that the server wants, most often the patient, and for Observation a category or code.", stages: stages,
			when: []condition{epicCode("4110", "4111", "59108", "59159"), issueCode("required")}, prior: often(6),
			evidence: []evidence{
				epicCode("4110", "4111", "59108").is(Decisive, "Epic answered with {epic-code}."),
				epicCode("59159").is(Strong+Fair, "Epic answered with {epic-code}."),
				issueCode("required").is(Strong, "The server's issue says that something is missing."),
			},
			phrases: []phrase{
				{"must have either code or category", "Epic", "https://github.com/jwilleke/yourphr/issues/754"},
				{"required search parameter", "", ""},
				{"either…must be…specified", "", ""},
			},
			distinguish: "The server's documentation lists the sets of parameters that a search must have.",
			fix:         Fix{"Add patient=… to the search, and for Observation category=… or code=… as well.", ChangeRequest, ""},
			sources:     []string{epicSpec, "https://hl7.org/fhir/us/core/STU6.1/CapabilityStatement-us-core-server.html"},
		},
		{
			id: "parameter-invalid", title: "A search parameter has a value that the server does not take, such as a patient that does not exist.", stages: stages,
			when: []condition{epicCode("4100", "4115", "59102", "59111", "59101", "59109"), all(refused, not(epicCode("4110", "4111", "4112", "59105", "59108", "59159")))}, prior: often(6),
			evidence: []evidence{
				epicCode("4100", "4115", "59102", "59111").is(Decisive, "Epic answered with {epic-code}."),
				epicCode("59101", "59109").is(Strong, "Epic answered with {epic-code}."),
				issueCode("value", "code-invalid", "invalid").is(Fair, "The server's issue says that a value is wrong."),
			},
			phrases: []phrase{
				{"invalid date/time", "", ""},
			},
			distinguish: "Take the parameters out one by one: the server answers when the wrong one is gone.",
			fix:         Fix{"Check each value of the search: ids from this server, dates as 2026-01-31, and codes with their system.", ChangeRequest, ""},
			sources:     []string{epicSpec, "https://hl7.org/fhir/R4/search.html"},
		},
		{
			id: "parameters-contradict", title: "The search combines parameters that do not go together, such as two patients.", stages: stages,
			when: []condition{epicCode("4112")}, prior: often(6),
			evidence:    []evidence{epicCode("4112").is(Decisive, "Epic answered with {epic-code}.")},
			distinguish: "With one patient a search works.",
			fix:         Fix{"Search for one patient at a time.", ChangeRequest, ""},
			sources:     []string{epicSpec},
		},
		{
			id: "parameter-unknown", title: "The server does not know a parameter of the search, and left it out.", stages: stages,
			when: []condition{epicCode("4122", "59100")}, prior: often(5),
			evidence: []evidence{epicCode("4122", "59100").is(Strong, "Epic answered with {epic-code}.")},
			phrases: []phrase{
				{"hapi-0524", "HAPI", "https://github.com/hapifhir/hapi-fhir/issues/7244"},
				{"unknown search parameter", "HAPI", "https://github.com/awslabs/fhir-works-on-aws-search-es/issues/17"},
				{"does not know how to handle get operation…with parameters", "HAPI", "https://github.com/hapifhir/hapi-fhir/issues/405"},
			},
			distinguish: "The CapabilityStatement lists the parameters of each type.",
			fix:         Fix{"Leave the parameter out, or spell it as the server's documentation does.", ChangeRequest, ""},
			sources:     []string{epicSpec, "https://hl7.org/fhir/R4/search.html#errors"},
		},
		{
			id: "search-results-gone", title: "The pages of the search are no longer kept on the server.", stages: stages,
			when: []condition{epicCode("4113", "4116"), fault("fhir-paging-loop", "fhir-paging-endless")}, prior: often(6),
			evidence: []evidence{
				epicCode("4113", "4116").is(Decisive, "Epic answered with {epic-code}."),
				fault("fhir-paging-loop", "fhir-paging-endless").is(Strong, "The pages of the search do not come to an end."),
			},
			phrases: []phrase{
				{"search id…does not exist and may have expired", "", ""},
			},
			distinguish: "A search from the beginning works.",
			fix:         Fix{"Start the search again, and read its pages without a pause.", SearchAgain, ""},
			sources:     []string{epicSpec, fhirHTTP + "#paging"},
		},
		{
			id: "too-many-results", title: "The search finds more than the server gives.", stages: stages,
			when: []condition{epicCode("4127", "59133"), issueCode("too-costly", "too-long"), fault("answer-too-large")}, prior: often(4),
			evidence: []evidence{
				epicCode("4127").is(Decisive, "Epic answered with {epic-code}: a search for patients gives 100 at most."),
				epicCode("59133").is(Strong, "Epic answered with {epic-code}."),
				issueCode("too-costly", "too-long").is(Strong+Fair, "The server's issue says that it is too much."),
			},
			distinguish: "A narrower search is answered.",
			fix:         Fix{"Narrow the search: a birth date beside the name, a category, or dates.", ChangeRequest, ""},
			sources:     []string{epicSpec, "https://hl7.org/fhir/R4/valueset-issue-type.html"},
		},
		{
			id: "nothing-found", title: "The search is right, and there is nothing to find.", stages: stages,
			when: []condition{epicCode("4101")}, prior: often(6),
			evidence:    []evidence{epicCode("4101").is(Strong+Fair, "Epic answered with {epic-code}.")},
			distinguish: "For another patient, or without the category, the same search finds something.",
			fix:         Fix{"Nothing has to be done. Check the patient and the dates if something was expected.", ChangeRequest, ""},
			sources:     []string{epicSpec},
		},
		{
			id: "more-in-the-chart", title: "What came may not be the whole record: the server shows a patient what is released to patients.", stages: stages,
			when: []condition{epicCode("4119")}, prior: often(4),
			evidence:    []evidence{epicCode("4119").is(Strong, "Epic answered with {epic-code}, as it does for every patient's sign-in.")},
			distinguish: "It comes with each search of a patient, and is a remark and no error.",
			fix:         Fix{"Nothing has to be done. Ask the health system for a copy of the record if more is needed.", AskHealthSystem, ""},
			sources:     []string{epicSpec},
		},
		{
			id: "record-lacks-a-code", title: "The record in the EHR lacks a code that FHIR needs, or the site has not mapped it.", stages: stages,
			when: []condition{epicCode("4104", "4117", "40000", "59187", "59188", "59189")}, prior: often(5),
			evidence:    []evidence{epicCode("4104", "4117", "40000", "59187", "59188", "59189").is(Decisive, "Epic answered with {epic-code}.")},
			distinguish: "For other records the same request works.",
			fix:         Fix{"Give the health system's Epic team the code and the request: a mapping or a flowsheet is missing on their side.", AskHealthSystem, ""},
			sources:     []string{epicSpec},
		},
		{
			id: "epic-internal-error", title: "Something failed inside the EHR while it worked on the request.", stages: stages,
			when: []condition{epicCode("59177")}, prior: often(6),
			evidence:    []evidence{epicCode("59177").is(Decisive, "Epic answered with {epic-code}.")},
			distinguish: "If the same request works later, it was passing.",
			fix:         Fix{"Try again later. If it lasts, give the health system the time and the request.", Retry, ""},
			sources:     []string{epicSpec},
		},
		{
			id: "content-invalid", title: "What was sent is not valid FHIR, or exists already.", stages: stages,
			when: []condition{epicCode("59105", "59141"), issueCode("structure", "duplicate", "conflict", "multiple-matches"), status(409, 412, 415, 422)}, prior: often(4),
			evidence:    []evidence{epicCode("59105", "59141").is(Decisive, "Epic answered with {epic-code}."), issueCode("structure", "duplicate", "conflict", "multiple-matches").is(Strong, "The server's issue says so.")},
			distinguish: "The issue's words name the element.",
			fix:         Fix{"Check the request. Chartkey reads only, so it should not come to this.", ChangeRequest, ""},
			sources:     []string{epicSpec, "https://hl7.org/fhir/R4/valueset-issue-type.html"},
		},
		{
			id: "type-not-offered", title: "The server does not offer {resource}, or not to this app.", stages: stages,
			when: []condition{missing, issueCode("not-supported"), status(405, 501), refused}, prior: often(3),
			evidence: []evidence{issueCode("not-supported").is(Strong+Fair, "The server's issue is not-supported."), status(405, 501).is(Strong, "The answer was {status}.")},
			phrases: []phrase{
				{"unknown resource type…server knows how to handle", "HAPI", "https://github.com/hapifhir/hapi-fhir/issues/539"},
				{"resource type…not supported", "", ""},
			},
			distinguish: "The CapabilityStatement lists the types; at Epic, those of the app's own (header Epic-Client-ID).",
			fix:         Fix{"Read a type that the server's CapabilityStatement lists, or select its API on the app's page at the EHR.", SelectAPIs, "{resource}"},
			sources:     []string{"https://hl7.org/fhir/R4/capabilitystatement.html", epicOAuth},
		},
		{
			id: "fhir-base-url-wrong", title: "What answers at the FHIR base URL is no FHIR server.", stages: stages,
			when: []condition{fault("fhir-bad-answer", "fhir-not-a-bundle")}, prior: often(4),
			evidence: []evidence{
				all(fault("fhir-bad-answer"), neverWorked).is(Fair, "No read has worked yet."),
				fault("fhir-not-a-bundle").is(Fair, "A search was answered with something else than a Bundle."),
				all(fault("fhir-bad-answer"), isEpic, webPage).is(Slight, "Epic answers an unknown path with HTTP 200 and a web page."),
			},
			against:     []evidence{workedAsIs.is(Strong, "The same address worked {since-success} ago.")},
			distinguish: "{base}/metadata, opened in a browser, shows a CapabilityStatement at a FHIR server.",
			fix:         Fix{"Compare the FHIR base URL with the published one, letter by letter and in case.", ChangeBaseURL, "{better-base}"},
			probe:       ProbeBaseURLVariants,
			sources:     []string{fhirHTTP + "#capabilities"},
		},
		{
			id: "link-leads-elsewhere", title: "The server refers to another server, to which the token must not go.", stages: stages,
			when: []condition{fault("fhir-next-elsewhere", "fhir-other-server", "fhir-insecure")}, prior: often(6),
			evidence:    []evidence{fault("fhir-next-elsewhere", "fhir-other-server", "fhir-insecure").is(Decisive, "The address is on another host, or not https.")},
			distinguish: "A server behind a proxy writes links with its inner name; that is a mistake of its configuration.",
			fix:         Fix{"Enter the FHIR base URL with the host that the server's own links have, or tell the health system.", ChangeBaseURL, ""},
			sources:     []string{smartLaunch + "#app-protection", fhirHTTP + "#paging"},
		},
		{
			id: "path-invalid", title: "What was asked for is no FHIR path.", stages: []Stage{FHIR, Local},
			when: []condition{fault("fhir-path-invalid")}, prior: often(6),
			evidence:    []evidence{fault("fhir-path-invalid").is(Decisive, "It was refused here, before any request.")},
			distinguish: "A path is a type, an id or a search, such as Patient/123 or Observation?patient=123.",
			fix:         Fix{"Enter a path such as Patient/123 or Observation?patient=123&category=vital-signs.", ChangeRequest, ""},
			sources:     []string{fhirHTTP + "#general"},
		},
	}
}
