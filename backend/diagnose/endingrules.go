package diagnose

// endingRules are about ending access, asking what a token is worth, and
// registering an app by a request.
func endingRules() []rule {
	return []rule{
		{
			id: "revocation-not-offered", title: "The server has no way for an app to end its access; only the patient or the site can.", stages: []Stage{Revoke},
			when: []condition{fault("revocation-unsupported"), seen("the server names no revocation endpoint", func(v *view) bool { return v.Discovery.Known && v.Discovery.RevocationEndpoint == "" })}, prior: atEpic(8, 5),
			evidence: []evidence{
				fault("revocation-unsupported").is(Strong, "The server names no revocation endpoint."),
				all(isEpic, seen("the server names no revocation endpoint", func(v *view) bool { return v.Discovery.RevocationEndpoint == "" })).is(Fair, "Epic neither documents nor advertises revocation."),
			},
			distinguish: "A server that offers it names revocation_endpoint in its metadata.",
			fix:         Fix{"Here the access is forgotten. To end it at the hospital, open MyChart's (or the portal's) page for linked apps and remove it there.", EndAccessAtEHR, ""},
			sources:     []string{"RFC 7009 section 2", epicOAuth},
		},
		{
			id: "revocation-refused", title: "The server refuses to end the access.", stages: []Stage{Revoke},
			when: []condition{fault("revocation-refused", "token-type-not-revocable"), oauth("unsupported_token_type")}, prior: often(6),
			evidence: []evidence{
				either(fault("token-type-not-revocable"), oauth("unsupported_token_type")).is(Strong+Fair, "The server does not end tokens of this type (unsupported_token_type)."),
				fault("revocation-refused").is(Strong, "The server answered with an error."),
			},
			distinguish: "The portal's page for linked apps shows whether the access is still there.",
			fix:         Fix{"End the access at the EHR: in MyChart, or the portal, on the page for linked apps.", EndAccessAtEHR, ""},
			sources:     []string{"RFC 7009 section 2.2.1"},
		},
		{
			id: "introspection-not-offered", title: "The server does not tell apps what a token is worth.", stages: []Stage{Revoke},
			when: []condition{faultFamily("introspection-")}, prior: often(6),
			evidence:    []evidence{fault("introspection-unsupported").is(Decisive, "It offers no introspection, or not to this app."), fault("introspection-refused", "introspection-invalid").is(Strong, "It gave no usable answer.")},
			distinguish: "A read shows as well whether the token is good.",
			fix:         Fix{"Test the connection instead: a read shows whether the token is good.", TestAgain, ""},
			sources:     []string{"RFC 7662 section 2", "https://hl7.org/fhir/smart-app-launch/token-introspection.html"},
		},
		{
			id: "nothing-to-end", title: "There is no connection, or no token, to end or to ask about.", stages: []Stage{Revoke, FHIR, Refresh, Local},
			when: []condition{fault("no-access-token", "not-connected")}, prior: often(6),
			evidence:    []evidence{fault("no-access-token", "not-connected").is(Strong+Fair, "Nothing is stored here.")},
			distinguish: "The registration's page says not connected.",
			fix:         Fix{"Sign in first: connect the registration.", Reconnect, ""},
			sources:     []string{"RFC 7009 section 2.1"},
		},
		{
			id: "registration-by-request-not-offered", title: "The server registers no app by a request; it has to be registered by hand.", stages: []Stage{Register},
			when: []condition{fault("registration-unsupported")}, prior: often(6),
			evidence:    []evidence{fault("registration-unsupported").is(Decisive, "The server names no registration endpoint, or does not answer there.")},
			distinguish: "A server that offers it names registration_endpoint in its metadata.",
			fix:         Fix{"Register the app by hand on the EHR's page for developers, and enter the client ID here.", ChangeClientID, ""},
			sources:     []string{"RFC 7591 section 3"},
		},
		{
			id: "registration-refused", title: "The server does not register the app with these particulars.", stages: []Stage{Register},
			when: []condition{fault("registration-refused", "registration-invalid", "registration-redirect-uri", "registration-keys", "registration-method-unknown", "registration-auth-method", "registration-grant-type"), oauth("invalid_client_metadata", "invalid_redirect_uri", "invalid_software_statement", "unapproved_software_statement")}, prior: often(5),
			evidence: []evidence{
				oauth("invalid_client_metadata").is(Strong, "The error is invalid_client_metadata."),
				oauth("invalid_redirect_uri").is(Strong, "The error is invalid_redirect_uri."),
				oauth("invalid_software_statement", "unapproved_software_statement").is(Strong, "The server does not accept the software statement."),
				fault("registration-refused").is(Fair, "The server refused the registration."),
				fault("registration-auth-method", "registration-grant-type").is(Strong, "The server registered something else than was asked for."),
			},
			phrases: []phrase{
				{"redirect_uris", "", ""},
				{"invalid…client_name", "", ""},
			},
			distinguish: "Its words name the member of the request.",
			fix:         Fix{"Change what the server names, or register the app by hand at the EHR.", CorrectInput, ""},
			sources:     []string{"RFC 7591 section 3.2.2"},
		},
		{
			id: "registration-token-spent", title: "The access token that allows the registration was used or has run out: it serves once, at once.", stages: []Stage{Register},
			when: []condition{fault("registration-token-refused", "registration-not-allowed", "registration-token-missing")}, prior: often(6),
			evidence: []evidence{
				fault("registration-token-refused").is(Strong+Fair, "The server does not accept the token."),
				fault("registration-not-allowed").is(Strong, "The token does not allow a registration, or none was shown."),
				fault("registration-token-missing").is(Strong+Fair, "There is no such token here."),
			},
			distinguish: "A token of a fresh sign-in with the scope works once.",
			fix:         Fix{"Sign in with the scope system/DynamicClient.register and register at once.", AddScope, "system/DynamicClient.register"},
			sources:     []string{"RFC 7591 section 3", epicOAuth},
		},
	}
}
