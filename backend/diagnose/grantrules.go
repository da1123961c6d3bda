package diagnose

import "time"

// grantRules are about codes and refresh tokens that the server does not take
// (invalid_grant), and about answers of the token endpoint that cannot be used.
func grantRules() []rule {
	code := []Stage{Token}
	refresh := []Stage{Refresh, FHIR}
	badCode := all(badGrant, at(Token))
	ended := either(fault("grant-ended", "needs-reconnect", "no-refresh-token"), all(oauth("invalid_grant"), at(Refresh)))
	lateCode := func(d time.Duration) condition {
		return seen("the code was redeemed "+spoken(d)+" or more after it came", func(v *view) bool { return v.Request.SinceCode >= d })
	}
	badRequest := either(fault("token-request-refused"), oauth("invalid_request"))
	return []rule{
		{
			id: "code-expired", title: "The code had run out when it was redeemed: codes count for a few minutes at most.", stages: code,
			when: []condition{badCode}, prior: often(7),
			evidence: []evidence{
				all(badCode, lateCode(time.Minute)).is(Strong, "The code was redeemed {since-code} after it came."),
				all(badCode, clockOff(2*time.Minute)).is(Slight, "The clocks differ by {offset}."),
			},
			against: []evidence{all(badCode, seen("the code was redeemed within ten seconds", func(v *view) bool { return v.Request.SinceCode > 0 && v.Request.SinceCode < 10*time.Second })).is(Fair, "The code was redeemed {since-code} after it came.")},
			phrases: []phrase{
				{"code-invalid-or-expired", "Oracle Health", cernerAuthorization},
				{"code not valid", "Keycloak", "https://github.com/marcospereirampj/python-keycloak/issues/339"},
				{"invalid authorization code", "FusionAuth", "https://github.com/FusionAuth/fusionauth-issues/issues/150"},
				{"aadsts70008", "Microsoft Entra", entraCodes},
				{"code is expired", "", ""},
				{"code has expired", "", ""},
				{"code expired", "", ""},
				{"expired authorization code", "", ""},
				{"authorization code…expired", "", ""},
				{"code…ran out", "", ""},
			},
			distinguish: "A sign-in that is finished without a pause works.",
			fix:         Fix{"Start the sign-in again and finish it without a pause. If this workstation slept meanwhile, that explains it.", Reconnect, ""},
			sources:     []string{"RFC 6749 section 4.1.2", "RFC 6749 section 5.2"},
		},
		{
			id: "code-used-twice", title: "The code was used before: the page was loaded twice, or something on the way sent the request again.", stages: code,
			when: []condition{badCode}, prior: often(4),
			evidence: []evidence{all(badCode, seen("an earlier try ended without an answer", func(v *view) bool { return v.History.AnswerLost })).is(Strong, "An earlier try ended without an answer."), says("code not valid").is(Fair, "Keycloak says “Code not valid” of a code that was used as well.")},
			phrases: []phrase{
				{"aadsts54005", "Microsoft Entra", entraCodes},
				{"code…already been used", "", ""},
				{"code already used", "", ""},
				{"already redeemed", "", ""},
				{"code…has been used", "", ""},
				{"authorization code…was used", "", ""},
			},
			distinguish: "A fresh sign-in has a fresh code and works.",
			fix:         Fix{"Start the sign-in again, and do not load the page in the browser a second time.", Reconnect, ""},
			sources:     []string{"RFC 6749 section 4.1.2", "RFC 6749 section 10.5"},
		},
		{
			id: "code-for-another-redirect", title: "The code was issued for another redirect URI, or the server compares it in another way.", stages: code,
			when: []condition{badCode, all(badRequest, at(Token))}, prior: often(5),
			evidence: []evidence{
				all(badCode, edited("redirect_uris")).is(Strong, "The redirect URIs were edited since it last worked."),
			},
			against: []evidence{workedAsIs.is(Fair, "It worked with the same values {since-success} ago.")},
			phrases: []phrase{
				{"incorrect redirect_uri", "Keycloak", "https://github.com/marcospereirampj/python-keycloak/issues/207"},
				{"redirect_uri…does not match", "", ""},
				{"redirect_uri mismatch", "", ""},
				{"redirect uri…mismatch", "", ""},
				{"issued for another redirect", "", ""},
			},
			distinguish: "The trace shows the redirect URI in both requests; the server wants them the same to the letter.",
			fix:         Fix{"Compare {redirect} with what is registered at the EHR, letter by letter, and sign in again.", ChangeRedirect, "{redirect}"},
			sources:     []string{"RFC 6749 section 4.1.3"},
		},
		{
			id: "pkce-mismatch", title: "The server finds that the code verifier does not fit the challenge (PKCE).", stages: code,
			when: []condition{badCode}, prior: often(2),
			evidence: []evidence{},
			phrases: []phrase{
				{"pkce verification failed", "Keycloak", "https://github.com/keycloak/keycloak-community/issues/292"},
				{"'code_verifier' is invalid", "OpenIddict", "https://github.com/openiddict/openiddict-core/issues/1225"},
				{"aadsts501481", "Microsoft Entra", entraCodes},
				{"code_verifier", "", ""},
				{"code verifier", "", ""},
				{"code challenge…not match", "", ""},
			},
			distinguish: "A code of another sign-in, from an old tab, does not fit either.",
			fix:         Fix{"Close old sign-in tabs and sign in again. If it happens again, show the health system the trace.", Reconnect, ""},
			sources:     []string{"RFC 7636 section 4.6"},
		},
		{
			id: "code-of-another-client", title: "The code was issued to another client ID or by another server than the one that is asked.", stages: code,
			when: []condition{badCode}, prior: often(3),
			evidence: []evidence{
				all(badCode, found(ProbeDiscoveryAgain, DiscoveryChanged)).is(Strong, "The server's addresses have changed since they were read."),
				all(badCode, edited("client_id", "fhir_base_url", "environment")).is(Fair, "Client ID, environment or base URL was edited since it last worked."),
			},
			against: []evidence{workedAsIs.is(Fair, "It worked with the same values {since-success} ago.")},
			phrases: []phrase{
				{"aadsts700005:", "Microsoft Entra", entraCodes},
				{"issued to another client", "", ""},
				{"code was not issued to", "", ""},
				{"auth code…different client", "", ""},
				{"client…does not match…code", "", ""},
			},
			distinguish: "It happens where two environments share a sign-in page.",
			fix:         Fix{"Test the registration, so that the server's addresses are read anew, and sign in again.", DiscoverAgain, ""},
			probe:       ProbeDiscoveryAgain,
			sources:     []string{"RFC 6749 section 5.2", "https://github.com/smart-on-fhir/client-js/issues/87"},
		},
		{
			id: "token-request-incomplete", title: "The server finds the token request incomplete or wrong, most often because the app is registered as another client type.", stages: []Stage{Token, Refresh},
			when: []condition{badRequest}, prior: often(6),
			evidence: []evidence{
				all(badRequest, edited("client_type")).is(Strong, "The client type was edited since it last worked."),
				all(badRequest, neverWorked).is(Slight, "It has never worked."),
			},
			against: []evidence{workedAsIs.is(Fair, "The same request was accepted {since-success} ago.")},
			phrases: []phrase{
				{"aadsts900144", "Microsoft Entra", entraCodes},
				{"aadsts9002313", "Microsoft Entra", entraCodes},
				{"missing parameter", "", ""},
				{"missing client_id", "", ""},
				{"client_id…required", "", ""},
				{"multiple…client…credentials", "", ""},
			},
			distinguish: "Its words, where it has any, name the parameter.",
			fix:         Fix{"Compare the client type here with the app's page at the EHR: public, with a secret, or with a key.", ChangeClientType, ""},
			sources:     []string{"RFC 6749 section 5.2"},
		},
		{
			id: "grant-withdrawn", title: "The patient or the health system has ended the access.", stages: refresh,
			when: []condition{ended}, prior: prior{6, 7, 5, 6},
			evidence: []evidence{
				all(ended, seen("it was last used less than a day ago", func(v *view) bool { return v.History.SinceSuccess > 0 && v.History.SinceSuccess < 24*time.Hour })).is(Slight, "It worked {since-success} ago, and no usual lifetime ends so soon."),
			},
			against: []evidence{
				seen("the answer to an earlier refresh never came", func(v *view) bool { return v.History.AnswerLost }).is(Fair, "The answer to an earlier refresh never came."),
			},
			phrases: []phrase{
				{"session not active", "Keycloak", "https://github.com/openshift-online/ocm-sdk-go/pull/162"},
				{"aadsts50173", "Microsoft Entra", entraCodes},
				{"aadsts50132", "Microsoft Entra", entraCodes},
				{"aadsts50133", "Microsoft Entra", entraCodes},
				{"revoked", "", ""},
				{"withdrawn", "", ""},
				{"grant…ended", "", ""},
				{"unknown or invalid refresh token", "", ""},
				{"user…consent…removed", "", ""},
			},
			distinguish: "The portal's page for linked apps (at Epic, MyChart's) shows whether the access is still there.",
			fix:         Fix{"Sign in again, if the patient still wants it.", Reconnect, ""},
			sources:     []string{"RFC 6749 section 5.2", "RFC 7009 section 2.1", epicOAuth},
		},
		{
			id: "grant-ran-out", title: "The time for which access was given is over.", stages: refresh,
			when: []condition{ended}, prior: prior{6, 6, 6, 6},
			evidence: []evidence{
				all(ended, seen("it was last used more than a day ago", func(v *view) bool { return v.History.SinceSuccess >= 24*time.Hour })).is(Fair, "It was last used {since-success} ago."),
				fault("no-refresh-token").is(Strong, "There is no refresh token, so the access ends with the access token."),
				all(fault("needs-reconnect"), seen("no refresh token was given", func(v *view) bool { return v.Grant.Known && !v.Grant.Refresh })).is(Strong, "The server gave no refresh token."),
			},
			phrases: []phrase{
				{"token is not active", "Keycloak", "https://github.com/openid/AppAuth-iOS/issues/843"},
				{"aadsts700082", "Microsoft Entra", "https://github.com/blobfile/blobfile/issues/93"},
				{"aadsts70008:", "Microsoft Entra", entraCodes},
				{"aadsts700084", "Microsoft Entra", entraCodes},
				{"aadsts70043", "Microsoft Entra", entraCodes},
				{"refresh token…expired", "", ""},
				{"refresh token is expired", "", ""},
				{"stale token", "", ""},
				{"token has expired", "", ""},
			},
			distinguish: "At Epic the patient chooses how long an app has access, from an hour on, when allowing it.",
			fix:         Fix{"Sign in again, and choose a longer time where the EHR asks for how long.", Reconnect, ""},
			sources:     []string{"RFC 6749 section 6", epicOAuth},
		},
		{
			id: "refresh-token-replaced", title: "The refresh token had been replaced: the answer to an earlier refresh was lost, or another program used it.", stages: refresh,
			when: []condition{ended, all(at(Refresh), fault("connection-failed", "timeout", "answer-too-large"))}, prior: often(4),
			evidence: []evidence{
				all(ended, seen("the answer to an earlier refresh never came", func(v *view) bool { return v.History.AnswerLost })).is(Strong+Fair, "The answer to an earlier refresh never came; servers that replace the token end the grant when the old one is used again."),
				all(at(Refresh), fault("connection-failed", "timeout")).is(Slight, "A refresh may be carried out although its answer never came."),
			},
			phrases: []phrase{
				{"maximum allowed refresh token reuse exceeded", "", ""},
				{"refresh token…already…used", "", ""},
				{"refresh token…reuse", "", ""},
				{"refresh token not found", "", ""},
			},
			distinguish: "A copy of the data folder on another computer uses, and so replaces, the same token.",
			fix:         Fix{"Sign in again. Use a data folder on one computer only.", Reconnect, ""},
			sources:     []string{"RFC 9700 section 4.14"},
		},
		{
			id: "connected-as-other-client", title: "The connection was made with other values (client ID, server) than the registration has now.", stages: refresh,
			when: []condition{ended, fault("server-changed")}, prior: often(3),
			evidence:    []evidence{all(either(ended, fault("server-changed")), edited("client_id", "fhir_base_url", "environment", "client_type")).is(Strong+Fair, "The registration was edited since the connection was made.")},
			distinguish: "With the old values it would go on.",
			fix:         Fix{"Sign in again with the registration as it is now.", Reconnect, ""},
			sources:     []string{"RFC 6749 section 6"},
		},
		{
			id: "not-refreshable", title: "The server gave no refresh token, so only a new sign-in helps.", stages: []Stage{Refresh, FHIR, Token},
			when: []condition{fault("not-refreshable", "no-refresh-token", "needs-reconnect", "not-connected")}, prior: often(6),
			evidence: []evidence{
				fault("not-refreshable", "no-refresh-token").is(Strong+Fair, "This connection has no refresh token."),
				all(fault("needs-reconnect"), seen("no refresh token was given", func(v *view) bool { return v.Grant.Known && !v.Grant.Refresh })).is(Strong, "The server gave no refresh token."),
				fault("not-connected").is(Strong, "There is no connection."),
			},
			distinguish: "The connection's page says until when it lasts.",
			fix:         Fix{"Sign in again. To stay connected longer, ask for offline_access where the server offers it to this client type.", Reconnect, ""},
			sources:     []string{smartScopes + "#scopes-for-requesting-a-refresh-token", epicOAuth},
		},
		{
			id: "refresh-in-another-process", title: "Another Chartkey on this computer is refreshing the connection just now.", stages: []Stage{Refresh, FHIR, Token, Local},
			when: []condition{fault("refresh-busy")}, prior: often(8),
			evidence:    []evidence{fault("refresh-busy").is(Decisive, "The turn to refresh is held elsewhere.")},
			distinguish: "It passes within seconds.",
			fix:         Fix{"Wait a moment and try again.", Wait, ""},
			sources:     []string{"RFC 9700 section 4.14"},
		},
		{
			id: "answer-without-token", title: "The server's answer has no access token, though it is no error.", stages: []Stage{Token, Refresh},
			when: []condition{fault("token-missing", "token-invalid")}, prior: often(6),
			evidence:    []evidence{fault("token-missing").is(Decisive, "access_token is missing."), fault("token-invalid").is(Decisive, "A token has characters that no token may have.")},
			distinguish: "It is the server's mistake for every app.",
			fix:         Fix{"Sign in again. If it happens again, show the health system the trace.", AskHealthSystem, ""},
			sources:     []string{"RFC 6749 section 5.1"},
		},
		{
			id: "token-type-unknown", title: "The server gives tokens of a type that Chartkey does not use.", stages: []Stage{Token, Refresh},
			when: []condition{fault("token-type-unsupported")}, prior: often(6),
			evidence:    []evidence{fault("token-type-unsupported").is(Decisive, "token_type is not Bearer.")},
			distinguish: "A server that binds tokens to keys (DPoP, MAC) says so in its metadata.",
			fix:         Fix{"Ask the health system to let this app have Bearer tokens, as SMART App Launch has it.", AskHealthSystem, ""},
			sources:     []string{"RFC 6749 section 7.1", "RFC 6750 section 1.2"},
		},
		{
			id: "grant-type-not-offered", title: "The token endpoint does not offer this way to get tokens.", stages: []Stage{Token, Refresh},
			when: []condition{fault("grant-type-unsupported"), oauth("unsupported_grant_type")}, prior: often(5),
			evidence: []evidence{either(fault("grant-type-unsupported"), oauth("unsupported_grant_type")).is(Strong, "The error is unsupported_grant_type.")},
			phrases: []phrase{
				{"aadsts70003:", "Microsoft Entra", entraCodes},
				{"grant_type…parameter…required", "", ""},
				{"missing form parameter: grant_type", "", ""},
			},
			distinguish: "The server's metadata lists what it offers (grant_types_supported).",
			fix:         Fix{"Check the FHIR base URL: the token endpoint may be that of another service. Then ask the health system.", DiscoverAgain, ""},
			probe:       ProbeDiscoveryAgain,
			sources:     []string{"RFC 6749 section 5.2"},
		},
		{
			id: "token-refused-otherwise", title: "The server refuses to give tokens, with an error of its own.", stages: []Stage{Token, Refresh, FHIR},
			when: []condition{fault("token-refused", "token-not-json")}, prior: often(3),
			evidence:    []evidence{fault("token-refused").is(Fair, "The error is none that OAuth has.")},
			distinguish: "The trace has the server's answer.",
			fix:         Fix{"Sign in again. If it happens again, export the trace (it holds no secrets) and show it to the health system.", AskHealthSystem, ""},
			sources:     []string{"RFC 6749 section 5.2"},
		},
	}
}
