package diagnose

import "time"

const oidcValidation = "OpenID Connect Core 1.0 section 3.1.3.7"

// identityRules are about the id_token: who signed in.
func identityRules() []rule {
	stages := []Stage{IDToken, Token}
	one := func(id, title, code, evidenceText, distinguish, fix string, action Action, sources ...string) rule {
		return rule{
			id: id, title: title, stages: stages, when: []condition{fault(code)}, prior: often(6),
			evidence: []evidence{fault(code).is(Strong+Fair, evidenceText)}, distinguish: distinguish,
			fix: Fix{fix, action, ""}, probe: ProbeDiscoveryAgain, sources: append([]string{oidcValidation}, sources...),
		}
	}
	return []rule{
		one("id-token-of-another-issuer", "The id_token was issued by another server.", "id-token-issuer", "Its iss is not the issuer in the server's metadata.",
			"A server that was renamed has its new name in its metadata; test the registration to read it anew.",
			"Do not go on. Test the registration and sign in again; if it still differs, tell the health system.", Stop),
		one("id-token-for-another-app", "The id_token was made for another app.", "id-token-audience", "Its aud is not this client ID.",
			"A server with several client IDs for one app mixes them up each time; a stolen token comes once.",
			"Do not go on. Sign in again; if it happens again, tell the health system that aud has to be the client ID.", Stop),
		one("id-token-for-several-apps", "The id_token names another app as the one that it was given to.", "id-token-azp", "Its azp is not this client ID.",
			"A server that puts several names into aud has to name this app in azp.",
			"Do not go on. Sign in again; if it happens again, tell the health system.", Stop),
		one("id-token-replayed", "The id_token belongs to another sign-in.", "id-token-nonce", "Its nonce is not that of this sign-in.",
			"A server that drops the nonce does it each time; a replayed token comes once.",
			"Do not go on. Close old sign-in tabs and sign in again; if it happens again, tell the health system.", Stop, "OpenID Connect Core 1.0 section 15.5.2"),
		one("id-token-unsigned", "The id_token is signed with an algorithm that proves nothing here, or not at all.", "id-token-algorithm", "Its alg is not one that a published key verifies.",
			"none and HS256 are what the server's operator has to change; an honest server says so in its metadata.",
			"Do not go on. Tell the health system that the id_token has to be signed with RS256 or ES256 or stronger.", Stop, "RFC 8725 section 3.1"),
		one("id-token-malformed", "The id_token is none that can be read.", "id-token-malformed", "It is not a signed token of three parts, or its claims cannot be read.",
			"It is the server's mistake for every app.", "Sign in again. If it happens again, show the health system the trace.", AskHealthSystem, "RFC 7519 section 7.2"),
		one("id-token-without-subject", "The id_token does not say who signed in.", "id-token-subject", "It has no sub.",
			"It is the server's mistake for every app.", "Tell the health system that sub is missing from its id_tokens.", AskHealthSystem, "OpenID Connect Core 1.0 section 2"),
		one("id-token-with-other-token", "The id_token came with another access token than it was made for.", "id-token-access-token", "Its at_hash does not fit the access token.",
			"A proxy that replaces tokens does it each time.", "Do not go on. Sign in again; if it happens again, tell the health system.", Stop, "OpenID Connect Core 1.0 section 3.1.3.8"),
		{
			id: "id-token-signature-wrong", title: "The id_token's signature is by none of the keys that the server publishes.", stages: stages,
			when: []condition{fault("id-token-signature")}, prior: often(6),
			evidence:    []evidence{fault("id-token-signature").is(Strong+Fair, "No published key verifies it.")},
			distinguish: "If the server has just replaced its keys, the next sign-in works; if not, the token was changed or the keys are another server's.",
			fix:         Fix{"Do not go on with this one. Sign in again in a few minutes; if it happens again, tell the health system.", Stop, ""},
			probe:       ProbeDiscoveryAgain,
			sources:     []string{oidcValidation, "OpenID Connect Core 1.0 section 10.1.1"},
		},
		{
			id: "keys-were-replaced", title: "The server has replaced its signing keys, and still publishes the old ones for a while.", stages: stages,
			when: []condition{fault("id-token-signature")}, prior: often(5),
			evidence:    []evidence{all(fault("id-token-signature"), workedAsIs).is(Fair, "It worked {since-success} ago.")},
			distinguish: "Within minutes the new keys are there, and the next sign-in works.",
			fix:         Fix{"Wait a few minutes and sign in again.", Wait, ""},
			probe:       ProbeDiscoveryAgain,
			sources:     []string{"OpenID Connect Core 1.0 section 10.1.1"},
		},
		{
			id: "server-keys-not-readable", title: "The server's public keys could not be fetched, so who signed in cannot be verified.", stages: []Stage{IDToken, Token, Discovery},
			when: []condition{fault("id-token-keys", "keys-unreadable")}, prior: often(7),
			evidence:    []evidence{fault("id-token-keys", "keys-unreadable").is(Strong+Fair, "The address that the metadata names (jwks_uri) gave no keys.")},
			distinguish: "Opened in a browser, the jwks_uri shows JSON with keys, or what is wrong. It may be on another host, which a proxy has to allow as well.",
			fix:         Fix{"Sign in again in a few minutes. If it lasts, ask your IT department to allow the host of jwks_uri, or tell the health system.", Retry, ""},
			probe:       ProbeDiscoveryAgain,
			sources:     []string{oidcValidation, smartConformance},
		},
		{
			id: "id-token-from-the-past", title: "The server gave an id_token that had run out already.", stages: stages,
			when: []condition{fault("id-token-expired")}, prior: often(6),
			evidence: []evidence{
				fault("id-token-expired").is(Strong, "Its exp is in the past."),
				all(fault("id-token-expired"), seen("the two clocks agree", func(v *view) bool { return v.Clock.Known && v.Clock.Offset.Abs() < time.Minute })).is(Strong, "The server's clock and this one agree, so it is not the clock."),
			},
			distinguish: "If this workstation's clock is right, the server sends an old one or dates it wrong.",
			fix:         Fix{"Check this workstation's clock, and sign in again. If the clock is right, tell the health system.", AskHealthSystem, ""},
			probe:       ProbeClock,
			sources:     []string{oidcValidation},
		},
		{
			id: "id-token-from-the-future", title: "The id_token is dated in the future, so this workstation's clock is behind or the server's is ahead.", stages: stages,
			when: []condition{fault("id-token-issued-later", "id-token-not-yet")}, prior: often(5),
			evidence:    []evidence{fault("id-token-issued-later", "id-token-not-yet").is(Fair, "Its iat or nbf has not come yet by this workstation's clock.")},
			against:     []evidence{clockOff(time.Minute).is(Slight, "The clocks differ by {offset}, which is told as a cause of its own.")},
			distinguish: "A phone's clock tells which of the two is wrong.",
			fix:         Fix{"Compare this workstation's clock with a phone's, and set it; if it is right, tell the health system.", SetClock, ""},
			probe:       ProbeClock,
			sources:     []string{oidcValidation, "RFC 7519 section 4.1.5"},
		},
	}
}
