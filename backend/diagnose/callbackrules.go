package diagnose

// callbackRules are about what the browser brings back.
func callbackRules() []rule {
	stages := []Stage{Callback, Authorize}
	return []rule{
		{
			id: "answer-from-another-server", title: "The browser's answer names another server than the one that the sign-in began with.", stages: stages,
			when: []condition{fault("callback-issuer-mismatch")}, prior: often(5),
			evidence:    []evidence{fault("callback-issuer-mismatch").is(Decisive, "Its iss is not the issuer of this server.")},
			distinguish: "A server that was renamed sends its new name each time and has it in its metadata; an attack does not.",
			fix:         Fix{"Do not go on. Test the registration, so that the issuer is read anew; if it still differs, tell the health system.", Stop, ""},
			probe:       ProbeDiscoveryAgain,
			sources:     []string{"RFC 9207 section 2.4", "RFC 9700 section 4.4"},
		},
		{
			id: "answer-without-issuer", title: "The browser's answer lacks the iss that the server's metadata promises.", stages: stages,
			when: []condition{fault("callback-issuer-missing")}, prior: often(5),
			evidence:    []evidence{fault("callback-issuer-missing").is(Decisive, "The metadata has authorization_response_iss_parameter_supported, and no iss came.")},
			distinguish: "A portal that drops parameters does it each time; an answer of another server would come once.",
			fix:         Fix{"Start again. If iss is missing each time, tell the health system that its server promises it.", Stop, ""},
			probe:       ProbeDiscoveryAgain,
			sources:     []string{"RFC 9207 section 2.4"},
		},
		{
			id: "answer-without-code", title: "The server sent the browser back with neither a code nor an error: something on the way lost it.", stages: stages,
			when: []condition{fault("callback-code-missing")}, prior: often(6),
			evidence:    []evidence{fault("callback-code-missing").is(Decisive, "The answer had the right state, and no code.")},
			distinguish: "Another browser, without extensions, shows whether it is the browser or the server's portal.",
			fix:         Fix{"Start again, in another browser. If it stays so, tell the health system that its sign-in returns no code.", Retry, ""},
			sources:     []string{"RFC 6749 section 4.1.2"},
		},
		{
			id: "answer-mangled", title: "The browser's answer is not one that a server makes: something changed it on the way.", stages: stages,
			when: []condition{fault("callback-repeated", "callback-code-invalid", "callback-invalid")}, prior: often(5),
			evidence: []evidence{
				refusedBack("query-too-long", "query-malformed", "state-repeated").is(Decisive, "While the sign-in waited, an answer came that cannot be read."),
				fault("callback-invalid").is(Strong+Fair, "What was handed over is no address of a sign-in that came back."),
				fault("callback-repeated").is(Decisive, "A parameter came more than once."),
				fault("callback-code-invalid").is(Decisive, "The code has characters, or a length, that no code has."),
			},
			distinguish: "A browser extension or a security product that rewrites links does it in one browser only.",
			fix:         Fix{"Start again in another browser. If it happens there too, tell the health system.", ChangeBrowser, ""},
			sources:     []string{"RFC 6749 section 3.1"},
		},
		{
			id: "another-account", title: "Another account signed in than the last time, so Chartkey waits until somebody accepts it.", stages: []Stage{Callback, Token, Launch},
			when: []condition{fault("account-changed")}, prior: often(8),
			evidence:    []evidence{fault("account-changed").is(Decisive, "The patient or user of the new sign-in is not that of the one before.")},
			distinguish: "The browser may have been signed in as somebody else still.",
			fix:         Fix{"If it is meant, accept the account; otherwise sign out at the EHR in the browser, and sign in again.", Reconnect, ""},
			sources:     []string{"RFC 9700 section 4.7", smartLaunch},
		},
		{
			id: "registration-was-changed", title: "The registration was changed or removed here while the sign-in was under way.", stages: []Stage{Callback, Token, Authorize, Local},
			when: []condition{fault("registration-changed")}, prior: often(8),
			evidence:    []evidence{fault("registration-changed").is(Decisive, "What the sign-in began with is no longer what is saved.")},
			distinguish: "No server had a part in it.",
			fix:         Fix{"Connect again with the registration as it is now.", Reconnect, ""},
			sources:     []string{"RFC 9700 section 4.4"},
		},
	}
}
