package diagnose

// launchRules are about launches from within an EHR.
func launchRules() []rule {
	stages := []Stage{Launch, Authorize, Token}
	return []rule{
		{
			id: "issuer-unknown", title: "The EHR that launched the app is none that is registered or approved here.", stages: []Stage{Launch},
			when: []condition{fault("launch-issuer-unknown", "launch-pending", "invalid-issuer", "issuer-not-found", "launch-refused", "launch-issuer-refused", "launch-not-registered")}, prior: often(6),
			evidence:    []evidence{fault("launch-issuer-unknown", "launch-pending", "invalid-issuer", "issuer-not-found", "launch-refused", "launch-issuer-refused", "launch-not-registered").is(Strong+Fair, "The launch names a FHIR server (iss) that nobody has approved here.")},
			distinguish: "The EHR's own people can say whether they launched it, and with which FHIR base URL.",
			fix:         Fix{"If you know the server, approve the issuer for a registration, and launch again. If you do not, refuse it.", ApproveIssuer, ""},
			sources:     []string{"https://hl7.org/fhir/smart-app-launch/best-practices.html", smartLaunch + "#launch-app-ehr-launch"},
		},
		{
			id: "launch-not-accepted-yet", title: "The launch waits until somebody at this workstation has looked whose it is.", stages: []Stage{Launch, FHIR, Refresh, Token},
			when: []condition{fault("launch-not-accepted")}, prior: often(8),
			evidence:    []evidence{fault("launch-not-accepted").is(Decisive, "Its grant has not been accepted.")},
			distinguish: "No server has a part in it.",
			fix:         Fix{"Open Launches, look which patient and person it is, and accept or refuse it.", ApproveIssuer, ""},
			sources:     []string{"RFC 9700 section 4.7"},
		},
		{
			id: "launch-value-refused", title: "The server does not take the launch value: it ran out, was used before, or was changed on the way.", stages: stages,
			when: []condition{all(ehrLaunch, either(fault("authorization-request-refused", "authorization-refused", "server-error", "scope-refused"), silence)), oauth("invalid_launch"), all(ehrLaunch, badGrant)}, prior: often(6),
			evidence: []evidence{
				oauth("invalid_launch").is(Decisive, "The error is about the launch."),
				all(ehrLaunch, fault("authorization-request-refused")).is(Strong, "The sign-in came from an EHR launch, and the server refuses its request."),
				all(ehrLaunch, silence).is(Fair, "The sign-in came from an EHR launch, and nothing came back."),
			},
			phrases: []phrase{
				{"invalid launch", "", ""},
				{"launch…expired", "", ""},
				{"launch context…not found", "", ""},
				{"launch token", "", ""},
				{"unable to…launch context", "", ""},
			},
			distinguish: "A new launch from the EHR has a new value; a page that is loaded again has the old one.",
			fix:         Fix{"Launch the app again from the EHR. Do not load its page a second time.", RelaunchFromEHR, ""},
			sources:     []string{smartLaunch + "#launch-app-ehr-launch"},
		},
		{
			id: "launch-incomplete", title: "What opened the launch URL was no launch: iss or launch is missing.", stages: []Stage{Launch},
			when: []condition{fault("launch-incomplete", "launch-invalid", "launch-parameter-missing", "launch-iss-missing", "launch-launch-missing", "launch-repeated")}, prior: often(6),
			evidence:    []evidence{fault("launch-incomplete", "launch-invalid", "launch-parameter-missing", "launch-iss-missing", "launch-launch-missing", "launch-repeated").is(Strong+Fair, "The request lacks what a launch has.")},
			distinguish: "Opened by hand, the launch URL always looks like that; the EHR adds iss and launch.",
			fix:         Fix{"Launch the app from within the EHR, and check that its launch URL there is exactly the one shown here.", RelaunchFromEHR, ""},
			sources:     []string{smartLaunch + "#launch-app-ehr-launch"},
		},
		{
			id: "launch-not-shown-twice", title: "The launch was opened twice, and its value counts once.", stages: []Stage{Launch},
			when: []condition{fault("launch-reused", "launch-repeated", "launch-rate", "launch-too-many")}, prior: often(5),
			evidence:    []evidence{fault("launch-reused").is(Strong+Fair, "The same launch value came before."), fault("launch-rate", "launch-too-many").is(Strong, "More launches came than a person makes.")},
			distinguish: "A new launch from the EHR has a new value.",
			fix:         Fix{"Launch the app again from the EHR.", RelaunchFromEHR, ""},
			sources:     []string{smartLaunch + "#launch-app-ehr-launch"},
		},
		{
			id: "launch-otherwise", title: "The launch could not be carried out.", stages: []Stage{Launch},
			when: []condition{faultFamily("launch-")}, prior: often(2),
			evidence:    []evidence{faultFamily("launch-").is(Fair, "It was refused here.")},
			distinguish: "The list of launches says what came and what was decided.",
			fix:         Fix{"Look at the launch under Launches, and launch again from the EHR.", RelaunchFromEHR, ""},
			sources:     []string{smartLaunch + "#launch-app-ehr-launch"},
		},
	}
}
