package diagnose

// launchRules are about launches from within an EHR.
func launchRules() []rule {
	stages := []Stage{Launch, Authorize, Token}
	return []rule{
		{
			id: "issuer-unknown", title: "The EHR that launched the app is none that is registered or approved here.", stages: []Stage{Launch},
			when: []condition{fault("invalid-issuer", "issuer-not-found")}, prior: often(6),
			evidence: []evidence{
				launchEnded("issuer-unknown").is(Decisive, "The launch names a FHIR server (iss) that nobody has decided on here."),
				fault("invalid-issuer", "issuer-not-found").is(Strong+Fair, "The FHIR server (iss) that is named is none that is known here."),
			},
			distinguish: "The EHR's own people can say whether they launched it, and with which FHIR base URL.",
			fix:         Fix{"If you know the server, approve the issuer for a registration, and launch again. If you do not, refuse it.", ApproveIssuer, ""},
			sources:     []string{"https://hl7.org/fhir/smart-app-launch/best-practices.html", smartLaunch + "#launch-app-ehr-launch"},
		},
		{
			id: "issuer-was-refused", title: "Launches from this EHR were refused here by a person.", stages: []Stage{Launch},
			when: nil, prior: often(6),
			evidence:    []evidence{launchEnded("issuer-refused").is(Decisive, "Somebody decided so under Launches.")},
			distinguish: "No server has a part in it.",
			fix:         Fix{"If the EHR is yours, approve its issuer under Launches, and launch again.", ApproveIssuer, ""},
			sources:     []string{"https://hl7.org/fhir/smart-app-launch/best-practices.html"},
		},
		{
			id: "several-registrations-fit", title: "Several registrations are for the EHR that launched the app, and none is chosen.", stages: []Stage{Launch},
			when: nil, prior: often(6),
			evidence:    []evidence{launchEnded("several-registrations").is(Decisive, "More than one registration has this FHIR base URL.")},
			distinguish: "No server has a part in it.",
			fix:         Fix{"Choose one under Launches, and launch again: the choice is remembered.", ApproveIssuer, ""},
			sources:     []string{smartLaunch + "#launch-app-ehr-launch"},
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
				all(ehrLaunch, either(badGrant, fault("server-error"))).is(Slight, "The sign-in came from an EHR launch."),
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
			sources:     []string{smartLaunch + "#launch-app-ehr-launch", "https://github.com/onc-healthit/onc-certification-g10-test-kit/issues/703"},
		},
		{
			id: "launch-incomplete", title: "What opened the launch URL was no launch: iss or launch is missing, or there twice.", stages: []Stage{Launch},
			when: nil, prior: often(6),
			evidence:    []evidence{refusedBack("iss-missing-or-repeated", "launch-missing-or-repeated", "form", "body", "too-long").is(Decisive, "The request lacks what a launch has.")},
			distinguish: "Opened by hand, the launch URL always looks like that; the EHR adds iss and launch.",
			fix:         Fix{"Launch the app from within the EHR, and check that its launch URL there is exactly the one shown here.", RelaunchFromEHR, ""},
			sources:     []string{smartLaunch + "#launch-app-ehr-launch"},
		},
		{
			id: "launch-in-a-frame", title: "The EHR opens the app inside a frame of its own page, where a launch is not taken.", stages: []Stage{Launch},
			when: nil, prior: often(5),
			evidence:    []evidence{refusedBack("framed").is(Decisive, "The browser says that the request came from within a frame.")},
			distinguish: "A hostile page can hide a frame; an EHR that does it has a setting for a window of its own.",
			fix:         Fix{"Ask the EHR's people to open the app in an external browser or a window of its own.", AskHealthSystem, ""},
			sources:     []string{"RFC 9700 section 4.16", epicOAuth},
		},
		{
			id: "launch-used-before", title: "The launch was opened twice, and its value counts once.", stages: []Stage{Launch},
			when: nil, prior: often(5),
			evidence:    []evidence{launchEnded("used-before").is(Decisive, "The same launch value came before.")},
			distinguish: "A new launch from the EHR has a new value.",
			fix:         Fix{"Launch the app again from the EHR.", RelaunchFromEHR, ""},
			sources:     []string{smartLaunch + "#launch-app-ehr-launch"},
		},
		{
			id: "launches-too-fast", title: "More launches come than a person makes: a page launches again and again.", stages: []Stage{Launch},
			when: nil, prior: often(5),
			evidence:    []evidence{launchEnded("too-many").is(Decisive, "The launch listener holds launches back, because of how many came.")},
			distinguish: "With the page closed that launches, they stop.",
			fix:         Fix{"Close the page that launches, wait a moment, and launch once from the EHR.", Wait, ""},
			sources:     []string{"https://hl7.org/fhir/smart-app-launch/best-practices.html"},
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
