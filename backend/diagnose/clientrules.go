package diagnose

import (
	"slices"
	"time"
)

const (
	smartAsymmetric = "https://hl7.org/fhir/smart-app-launch/client-confidential-asymmetric.html"
	smartSymmetric  = "https://hl7.org/fhir/smart-app-launch/client-confidential-symmetric.html"
	smartBackend    = "https://hl7.org/fhir/smart-app-launch/backend-services.html"
	epicBackend     = "https://fhir.epic.com/Documentation?docId=oauth2&section=BackendOAuth2Guide"
)

// clientRules are about a client that the token endpoint does not accept:
// invalid_client, which Epic says without a word more.
func clientRules() []rule {
	stages := []Stage{Token, Refresh, Revoke}
	shape := func(words string, is func(SecretFacts) bool) condition {
		return seen("the client secret "+words, func(v *view) bool {
			return v.Registration.ClientType == symmetric && v.Registration.Secret.Set && is(v.Registration.Secret)
		})
	}
	space := shape("has white space in it", func(s SecretFacts) bool { return s.Space })
	isID := shape("is the client ID", func(s SecretFacts) bool { return s.IsClientID })
	likeID := shape("has the form of a client ID", func(s SecretFacts) bool { return s.LikeClientID && !s.IsClientID })
	encoded := shape("has percent-encoded characters", func(s SecretFacts) bool { return s.Encoded })
	special := shape("has characters that HTTP Basic encodes", func(s SecretFacts) bool { return s.Special })
	hash := shape("looks like a hash or a masked secret", func(s SecretFacts) bool { return s.Hash })
	inQuotes := shape("stands in quotation marks", func(s SecretFacts) bool { return s.Quoted })
	short := shape("is very short", func(s SecretFacts) bool { return s.Short })
	oddShape := either(space, isID, likeID, encoded, hash, inQuotes, short)
	refusedBasic := all(someSecret, lacksAuthMethod("client_secret_basic"), not(lacksAuthMethod("client_secret_post")))
	notAllowed := either(fault("client-not-allowed"), oauth("unauthorized_client"))
	mayHaveSecret := clientType("", symmetric)
	mayHaveKey := clientType("", asymmetric)
	badAssertion := either(badClient, all(someKey, badGrant), all(someKey, oauth("invalid_request")))
	return []rule{
		{
			id: "secret-wrong", title: "The client secret is not the one that counts: it was replaced at the EHR, or mistyped here.", stages: stages,
			when: []condition{all(badClient, someSecret)}, needs: mayHaveSecret, prior: prior{6, 6, 7, 7},
			evidence: []evidence{
				all(badClient, edited("client_secret")).is(Strong, "The client secret was edited here since it last worked."),
				all(badClient, someSecret, at(Refresh)).is(Fair, "The client ID was accepted when the connection was made, so it is the secret that has changed."),
				all(badClient, someSecret, found(ProbeClientKnown, ClientKnown)).is(Strong, "The server knows the client ID."),
				all(badClient, someSecret, oddShape).is(Slight, "The secret has an unusual form."),
			},
			against: []evidence{workedToday.is(Strong, "The same secret worked {since-success} ago.")},
			phrases: []phrase{
				{"aadsts7000215", "Microsoft Entra", entraCodes},
				{"aadsts7000222", "Microsoft Entra", entraCodes},
				{"aadsts70002:", "Microsoft Entra", entraCodes},
				{"invalid client or invalid client credentials", "", ""},
				{"invalid client secret", "", ""},
				{"client secret is invalid", "", ""},
				{"client secret supplied…is invalid", "", ""},
				{"invalid client credentials", "", ""},
				{"bad client credentials", "", ""},
				{"client authentication failed", "", ""},
			},
			distinguish: "EHRs show a secret once; a new one, made at the EHR and pasted here, tells for certain.",
			fix:         Fix{"Make a new client secret on the app's page at the EHR, copy it whole, and put it here. At Epic, a new one takes time to become known.", ReplaceSecret, ""},
			sources:     []string{"RFC 6749 section 5.2", smartSymmetric, epicOAuth},
		},
		{
			id: "changed-at-the-ehr", title: "Something about the app was changed at the EHR since it last worked: a new secret or key, another client type, or the app was retired.", stages: []Stage{Token, Refresh, Revoke, Authorize},
			when: []condition{all(either(badClient, notAllowed, fault("scope-refused", "authorization-request-refused")), workedAsIs)}, prior: often(4),
			evidence: []evidence{
				all(either(badClient, notAllowed, fault("scope-refused", "authorization-request-refused")), workedAsIs).is(Fair, "The same values worked {since-success} ago, and nothing was edited here since."),
				all(badClient, workedAsIs, seen("it has failed more than once", func(v *view) bool { return v.History.Failures > 1 })).is(Slight, "It fails each time now."),
			},
			distinguish: "Whoever has access to the app's page at the EHR knows what was changed, and when.",
			fix:         Fix{"Look at the app's page at the EHR for what was changed (secret, key, type, APIs, whether it is active), and enter the same here.", AskHealthSystem, ""},
			sources:     []string{"RFC 6749 section 5.2", epicOAuth},
		},
		{
			id: "secret-with-space", title: "The client secret has white space or an invisible character in it, probably from copying.", stages: stages,
			when: []condition{all(badClient, space)}, prior: often(7),
			evidence:    []evidence{all(badClient, space).is(Strong+Fair, "The stored secret has white space or an invisible character.")},
			against:     []evidence{workedToday.is(Strong, "The same secret worked {since-success} ago.")},
			distinguish: "Without it, the same secret works.",
			fix:         Fix{"Paste the client secret again without spaces or line ends.", TrimSecret, ""},
			sources:     []string{"RFC 6749 appendix A.2"},
		},
		{
			id: "secret-is-client-id", title: "The client ID, or another ID, was put where the client secret belongs.", stages: stages,
			when: []condition{all(badClient, either(isID, likeID))}, prior: often(6),
			evidence: []evidence{
				all(badClient, isID).is(Decisive, "The stored secret is the client ID."),
				all(badClient, likeID, isEpic).is(Strong, "The stored secret is a UUID, as Epic's client IDs are and its secrets are not."),
				all(badClient, likeID, not(isEpic)).is(Slight, "The stored secret is a UUID, as many client IDs are."),
				all(badClient, says("aadsts7000215")).is(Fair, "Entra says that the secret's ID was sent in the place of its value."),
			},
			against:     []evidence{workedToday.is(Strong, "The same secret worked {since-success} ago.")},
			distinguish: "A secret is a longer, irregular text.",
			fix:         Fix{"Copy the client secret's value, and not an ID, from the app's page at the EHR.", ReplaceSecret, ""},
			sources:     []string{"RFC 6749 section 2.3.1", "https://learn.microsoft.com/en-us/entra/identity-platform/reference-error-codes"},
		},
		{
			id: "secret-is-a-hash", title: "What is stored is a hash, a masked or a quoted secret, and not the secret itself.", stages: stages,
			when: []condition{all(badClient, either(hash, inQuotes, short))}, prior: often(5),
			evidence: []evidence{
				all(badClient, hash).is(Decisive, "The stored secret looks like a hash, or is made of dots."),
				all(badClient, inQuotes).is(Strong, "The stored secret begins and ends with a quotation mark."),
				all(badClient, short).is(Strong, "The stored secret has fewer than eight characters."),
			},
			against:     []evidence{workedToday.is(Strong, "The same secret worked {since-success} ago.")},
			distinguish: "Epic shows a hash on the app's page afterwards; the secret itself was shown once, when it was made.",
			fix:         Fix{"Make a new client secret at the EHR, and paste what is shown then.", ReplaceSecret, ""},
			sources:     []string{epicOAuth, "RFC 6749 section 2.3.1"},
		},
		{
			id: "secret-encoded", title: "The client secret was pasted in its percent-encoded form.", stages: stages,
			when: []condition{all(badClient, encoded)}, prior: often(5),
			evidence:    []evidence{all(badClient, encoded).is(Strong, "The stored secret has percent signs followed by hexadecimal digits.")},
			against:     []evidence{workedToday.is(Strong, "The same secret worked {since-success} ago.")},
			distinguish: "The decoded form, without the percent signs, works.",
			fix:         Fix{"Paste the client secret as the EHR shows it; a secret that was copied out of an address has to be decoded first.", DecodeSecret, ""},
			sources:     []string{"RFC 6749 appendix B"},
		},
		{
			id: "secret-in-other-encoding", title: "The server reads the client secret in HTTP Basic in another encoding than it was sent in.", stages: stages,
			when: []condition{all(badClient, special)}, prior: often(4),
			evidence: []evidence{
				all(badClient, special, seen("the secret was sent in HTTP Basic", func(v *view) bool {
					return v.Request.AuthMethod == "" || v.Request.AuthMethod == "client_secret_basic"
				})).is(Fair, "The secret has characters that differ with and without form encoding."),
			},
			against:     []evidence{workedToday.is(Strong, "The same secret worked {since-success} ago."), all(encoded).is(Slight, "The secret is encoded as it is.")},
			distinguish: "Chartkey tries both encodings; a secret of letters and digits alone is the same in both.",
			fix:         Fix{"Make a new client secret at the EHR that has letters and digits alone, if it lets you, and put it here.", ReplaceSecret, ""},
			sources:     []string{"RFC 6749 section 2.3.1"},
		},
		{
			id: "secret-way-not-offered", title: "The server does not take a client secret in the way that it was sent.", stages: stages,
			when: []condition{all(badClient, refusedBasic), all(either(badClient, notAllowed), someSecret, lacksAuthMethod("client_secret_basic", "client_secret_post"))}, prior: often(4),
			evidence: []evidence{
				all(badClient, refusedBasic).is(Strong, "The server lists client_secret_post, and not client_secret_basic."),
				all(someSecret, lacksAuthMethod("client_secret_basic", "client_secret_post")).is(Strong+Fair, "The server lists no way for client secrets."),
			},
			phrases: []phrase{
				{"unsupported_client_authentication", "", ""},
				{"client authentication method…not supported", "", ""},
				{"token_endpoint_auth_method", "", ""},
			},
			distinguish: "The server's metadata lists the ways (token_endpoint_auth_methods_supported).",
			fix:         Fix{"Choose a client type that the server offers, here and at the EHR: public, or confidential with a key.", ChangeClientType, "confidential-asymmetric"},
			sources:     []string{smartConformance, "OpenID Connect Core 1.0 section 9"},
		},
		{
			id: "registered-as-confidential", title: "The app is registered at the EHR as confidential, and here as public, so nothing authenticates it.", stages: stages,
			when: []condition{all(badClient, publicClient), all(notAllowed, publicClient), all(fault("token-request-refused"), publicClient)}, needs: not(someKey), prior: prior{7, 7, 6, 6},
			evidence: []evidence{
				all(badClient, publicClient).is(Fair, "No secret was sent, and the server wants the client to authenticate."),
				all(badClient, publicClient, found(ProbeClientKnown, ClientKnown)).is(Strong, "The server knows the client ID."),
				all(publicClient, lacksAuthMethod("none"), not(isEpic)).is(Fair, "The server does not list public clients (none) among its ways to authenticate."),
				all(edited("client_type"), publicClient).is(Strong, "The client type was edited here since it last worked."),
			},
			against: []evidence{workedAsIs.is(Strong, "It worked as a public client {since-success} ago.")},
			phrases: []phrase{
				{"must contain the following parameter: 'client_assertion' or 'client_secret'", "Microsoft Entra", "https://github.com/MicrosoftDocs/azure-docs/issues/89499"},
				{"aadsts7000218", "Microsoft Entra", entraCodes},
				{"client_secret…required", "", ""},
				{"client secret not provided in request", "", ""},
				{"missing client credentials", "", ""},
				{"client credentials…missing", "", ""},
			},
			distinguish: "The app's page at the EHR says whether it has a secret or a key.",
			fix:         Fix{"Choose confidential here and enter the secret (or the key), or register the app as public at the EHR.", ChangeClientType, "confidential-symmetric"},
			sources:     []string{"RFC 6749 section 5.2", "https://hl7.org/fhir/smart-app-launch/app-launch.html#support-for-public-and-confidential-apps"},
		},
		{
			id: "registered-as-public", title: "The app is registered at the EHR as public, and here as confidential, so its credentials are refused.", stages: stages,
			when: []condition{all(badClient, clientType(symmetric, asymmetric))}, prior: prior{3, 3, 4, 4},
			evidence: []evidence{
				all(edited("client_type"), clientType(symmetric, asymmetric)).is(Strong, "The client type was edited here since it last worked."),
			},
			against: []evidence{workedAsIs.is(Strong, "It worked as a confidential client {since-success} ago.")},
			phrases: []phrase{
				{"aadsts700025", "Microsoft Entra", entraCodes},
				{"client…is public", "", ""},
			},
			distinguish: "The app's page at the EHR says whether it has a secret or a key.",
			fix:         Fix{"Choose public here, or register the app as confidential at the EHR.", ChangeClientType, "public"},
			sources:     []string{"RFC 6749 section 2.1", "https://hl7.org/fhir/smart-app-launch/app-launch.html#support-for-public-and-confidential-apps"},
		},
		{
			id: "key-not-registered", title: "The public half of {key} is not registered at the EHR for this app and environment.", stages: stages,
			when: []condition{all(badAssertion, someKey)}, needs: mayHaveKey, prior: prior{7, 7, 7, 7},
			evidence: []evidence{
				all(badAssertion, someKey, neverWorked).is(Fair, "This key has never been accepted there."),
				all(badAssertion, someKey, edited("client_key")).is(Strong, "The key was changed since it last worked."),
				found(ProbeJWKSReachable, KeysLackOurs).is(Strong, "The published key set does not have the key in use."),
			},
			against: []evidence{workedToday.is(Strong, "The same key worked {since-success} ago.")},
			phrases: []phrase{
				{"unable to load public key", "Keycloak", "https://github.com/keycloak/keycloak/issues/20847"},
				{"aadsts700027", "Microsoft Entra", entraCodes},
				{"no matching key", "", ""},
				{"unable to find…key", "", ""},
				{"invalid signature", "", ""},
				{"signature…verif…fail", "", ""},
				{"kid…not found", "", ""},
				{"public key not found", "", ""},
			},
			distinguish: "The EHR's page shows the registered key; its kid, or its fingerprint, has to be that of {key}.",
			fix:         Fix{"Register the public half of {key} on the app's page at the EHR, for {environment}.", RegisterKey, ""},
			probe:       ProbeJWKSReachable,
			sources:     []string{smartAsymmetric + "#registering-a-client-communicating-public-keys", epicBackend},
		},
		{
			id: "keys-not-reachable", title: "The EHR cannot fetch the app's public keys from their JWKS URL.", stages: stages,
			when: []condition{all(badAssertion, someKey, seen("the keys are published at a URL", func(v *view) bool { return v.Registration.JWKSURL != "" }))}, needs: mayHaveKey, prior: often(6),
			evidence: []evidence{
				found(ProbeJWKSReachable, KeysUnreachable).is(Decisive, "The JWKS URL is not answered."),
				found(ProbeJWKSReachable, KeysNotASet).is(Decisive, "The JWKS URL is not answered with a key set."),
				found(ProbeJWKSReachable, KeysAskForSignIn).is(Decisive, "The JWKS URL asks for a sign-in, and an EHR has none."),
				found(ProbeJWKSReachable, KeysOnlyLocalHost).is(Decisive, "The JWKS URL is on this computer or a private network, where an EHR does not reach."),
				all(badAssertion, someKey, youngerThan(24*time.Hour), seen("the keys are published at a URL", func(v *view) bool { return v.Registration.JWKSURL != "" })).is(Slight, "The registration is new; an EHR fetches the keys some time after."),
			},
			against: []evidence{found(ProbeJWKSReachable, KeysReachable).is(Strong, "From here, the JWKS URL is answered with the key in use."), workedToday.is(Fair, "It worked {since-success} ago.")},
			phrases: []phrase{
				{"requesting the remote jwks returned an error", "SMART Health IT's bulk data server", "https://github.com/smart-on-fhir/bulk-data-server/issues/23"},
				{"jwks…unreachable", "", ""},
				{"unable to retrieve…jwks", "", ""},
				{"failed to…jwks", "", ""},
				{"error fetching jwks", "", ""},
			},
			distinguish: "Open the JWKS URL from another network (a phone's): it has to show the keys without a sign-in.",
			fix:         Fix{"Publish the key set at an https address that the EHR can reach without signing in, or upload the public key at the EHR.", PublishKeys, ""},
			probe:       ProbeJWKSReachable,
			sources:     []string{smartAsymmetric + "#registering-a-client-communicating-public-keys", epicBackend},
		},
		{
			id: "assertion-out-of-time", title: "The server finds the signed assertion out of date, because this workstation's clock differs from its own.", stages: stages,
			when: []condition{all(badAssertion, someKey)}, needs: mayHaveKey, prior: often(3),
			evidence: []evidence{all(badAssertion, someKey, clockOff(time.Minute)).is(Strong+Fair, "The clocks differ by {offset}, and an assertion counts for five minutes.")},
			against:  []evidence{seen("the two clocks agree", func(v *view) bool { return v.Clock.Known && v.Clock.Offset.Abs() < time.Minute }).is(Strong, "The server's clock and this one agree.")},
			phrases: []phrase{
				{"client assertion is not within its valid time range", "", ""},
				{"jwt expired", "", ""},
				{"assertion…expired", "", ""},
				{"jwt…not active", "", ""},
				{"exp…too far in the future", "", ""},
				{"iat…future", "", ""},
				{"jwt not yet valid", "", ""},
			},
			distinguish: "With the right time the same key works.",
			fix:         Fix{"Set this workstation's clock, and turn network time on; then try again.", SetClock, ""},
			probe:       ProbeClock,
			sources:     []string{smartAsymmetric + "#authenticating-to-the-token-endpoint", "RFC 7523 section 3"},
		},
		{
			id: "assertion-wrong-audience", title: "The server expects another audience (aud) in the signed assertion than its token endpoint as it names it.", stages: stages,
			when: []condition{all(badAssertion, someKey)}, needs: mayHaveKey, prior: often(3),
			evidence: []evidence{found(ProbeDiscoveryAgain, DiscoveryChanged).is(Strong, "The server's addresses have changed since they were read.")},
			against:  []evidence{workedAsIs.is(Fair, "It was accepted {since-success} ago.")},
			phrases: []phrase{
				{"invalid token audience", "", ""},
				{"audience claim is missing or invalid", "", ""},
				{"aud claim", "", ""},
				{"wrong audience", "", ""},
			},
			distinguish: "Some servers want their issuer, and others the token endpoint with another host or port, as they see it behind a proxy.",
			fix:         Fix{"Test the registration, so that the addresses are read anew. If it stays so, show the health system the trace: SMART has aud be the token endpoint.", DiscoverAgain, ""},
			probe:       ProbeDiscoveryAgain,
			sources:     []string{smartAsymmetric + "#authenticating-to-the-token-endpoint", "RFC 7523 section 3"},
		},
		{
			id: "assertion-used-before", title: "The server has seen the assertion's jti before, as after a request that was sent twice on the way.", stages: stages,
			when: nil, needs: mayHaveKey, prior: often(2),
			phrases: []phrase{
				{"token reuse detected", "", ""},
				{"jti…already…used", "", ""},
				{"jti has been used", "", ""},
				{"jti…unique", "", ""},
				{"client_assertion…replay", "", ""},
			},
			distinguish: "The next try has a new jti and works.",
			fix:         Fix{"Try again. If it happens again, look for a proxy that repeats requests.", Retry, ""},
			sources:     []string{"RFC 7523 section 3", smartAsymmetric},
		},
		{
			id: "assertion-algorithm", title: "The server does not take the algorithm with which the assertion is signed.", stages: stages,
			when: nil, needs: mayHaveKey, prior: often(2),
			phrases: []phrase{
				{"invalid signature algorithm", "", ""},
				{"unsupported…algorithm", "", ""},
				{"algorithm…not supported", "", ""},
				{"alg…not allowed", "", ""},
				{"invalid algorithm", "", ""},
			},
			distinguish: "The server's metadata lists what it takes (token_endpoint_auth_signing_alg_values_supported).",
			fix:         Fix{"Make a key for an algorithm that the server takes, RS384 or ES384, and register its public half.", RegisterKey, ""},
			sources:     []string{smartAsymmetric + "#registering-a-client-communicating-public-keys", "RFC 7518 section 3.1"},
		},
		{
			id: "key-way-not-offered", title: "The server does not take clients that sign with a key.", stages: stages,
			when: []condition{all(either(badClient, notAllowed, oauth("invalid_request")), someKey, either(lacksAuthMethod("private_key_jwt"), lacksCapability("client-confidential-asymmetric")))}, prior: often(3),
			evidence: []evidence{
				all(someKey, lacksAuthMethod("private_key_jwt")).is(Strong, "The server lists its ways to authenticate, and private_key_jwt is not among them."),
				all(someKey, lacksCapability("client-confidential-asymmetric")).is(Fair, "The server does not list client-confidential-asymmetric."),
			},
			distinguish: "The server's metadata lists the ways (token_endpoint_auth_methods_supported).",
			fix:         Fix{"Register the app with a client secret, or as public, and choose the same here.", ChangeClientType, "confidential-symmetric"},
			sources:     []string{smartConformance},
		},
		{
			id: "not-a-backend-service", title: "The app is not registered as a backend service, or the site has not mapped it to a user.", stages: stages,
			when: []condition{all(asksService, either(badClient, notAllowed, oauth("unsupported_grant_type"), fault("grant-type-unsupported"))), fault("backend-client-type", "backend-scope")}, prior: prior{7, 7, 5, 5},
			evidence: []evidence{
				all(asksService, notAllowed).is(Strong, "The server does not let this app have tokens without a person."),
				all(asksService, either(oauth("unsupported_grant_type"), fault("grant-type-unsupported"))).is(Strong, "The server does not offer client_credentials to it."),
				fault("backend-client-type", "backend-scope").is(Strong+Fair, "A backend service needs a key and system/ scopes."),
			},
			phrases: []phrase{
				{"client not enabled to retrieve service account", "", ""},
				{"grant type 'client_credentials' not allowed for the client", "", ""},
				{"client_credentials…not…allowed", "", ""},
			},
			distinguish: "An app for people signs in; the same app as a service has its own page or setting.",
			fix:         Fix{"Register the app as a backend service (at Epic, with Backend Systems as its users), and ask the site to map it to a user.", ActivateApp, ""},
			sources:     []string{epicBackend, smartBackend},
		},
		{
			id: "refresh-not-allowed", title: "The app's registration at the EHR does not include staying connected (refresh).", stages: []Stage{Refresh, Token},
			when: []condition{all(at(Refresh), either(notAllowed, oauth("unsupported_grant_type"), fault("grant-type-unsupported")))}, prior: often(6),
			evidence: []evidence{
				all(at(Refresh), notAllowed).is(Strong, "The server does not let this app use a refresh token."),
				all(at(Refresh), either(oauth("unsupported_grant_type"), fault("grant-type-unsupported"))).is(Strong, "The server does not offer refresh_token to it."),
				seen("the server lists grant types without refresh_token", func(v *view) bool {
					return len(v.Discovery.GrantTypes) > 0 && !slices.Contains(v.Discovery.GrantTypes, "refresh_token")
				}).is(Fair, "The server lists grant types, and refresh_token is not among them."),
			},
			against:     []evidence{workedAsIs.is(Slight, "It worked {since-success} ago.")},
			distinguish: "The app's page at the EHR has a setting for persistent access or offline access.",
			fix:         Fix{"Allow persistent access (offline_access) on the app's page at the EHR, and sign in again.", ActivateApp, ""},
			sources:     []string{"RFC 6749 section 6", epicOAuth},
		},
		{
			id: "instance-not-registered", title: "The server no longer knows this copy of the app, which registered itself.", stages: stages,
			when: []condition{fault("instance-client-type"), all(badClient, says("dynamic client")), seen("the app's page names DynamicClient", func(v *view) bool { return v.asked.Has("system/DynamicClient.register") && badClient.holds(v) })}, prior: often(3),
			evidence:    []evidence{fault("instance-client-type").is(Strong, "This registration is not of a kind that registers copies.")},
			distinguish: "Registered anew, it works at once.",
			fix:         Fix{"Sign in with the scope system/DynamicClient.register and register this copy of the app again.", AddScope, "system/DynamicClient.register"},
			sources:     []string{"RFC 7591 section 3.2.1", epicOAuth},
		},
	}
}
