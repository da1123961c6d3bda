package diagnose

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"chartkey/backend/scope"
)

// Addresses that several rules cite.
const (
	smartLaunch = "https://hl7.org/fhir/smart-app-launch/app-launch.html"
	smartScopes = "https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html"
	// Where servers' words and codes are published.
	keycloakWords       = "https://github.com/keycloak/keycloak/blob/main/themes/src/main/resources/theme/base/login/messages/messages_en.properties"
	entraCodes          = "https://learn.microsoft.com/en-us/entra/identity-platform/reference-error-codes"
	cernerAuthorization = "https://github.com/cerner/fhir.cerner.com/blob/main/content/authorization.md"
	epicOAuth           = "https://fhir.epic.com/Documentation?docId=oauth2"
	epicTrouble         = "https://fhir.epic.com/Documentation?docId=troubleshooting"
	myChartError4       = "https://github.com/cfu288/mere-medical/issues/256"
	myChartError4b      = "https://github.com/cfu288/mere-medical/issues/283"
)

// The times within which EHRs make a new or changed registration known (Epic on FHIR).
const (
	sandboxSync    = time.Hour
	productionSync = 12 * time.Hour
)

// The conditions about a registration at an EHR.
var (
	young       = seen("registered here less than the EHR's time to make it known ago (1 hour in a sandbox, 12 hours in production)", func(v *view) bool { return v.tooEarly(v.History.Age) })
	justChanged = seen("what the EHR has to know was edited here within that time", func(v *view) bool {
		// Which fields were edited may not be known.
		known := len(v.History.Edited) > 0
		return v.tooEarly(v.History.SinceEdit) && (known && edited("client_id", "client_secret", "client_type", "client_key", "redirect_uris").holds(v) || !known && v.History.SinceEdit < v.History.Age)
	})
	oddEpicID = seen("at Epic the client ID is no UUID", func(v *view) bool {
		return v.epic && v.Registration.ClientID != "" && !uuidForm.MatchString(v.Registration.ClientID)
	})
	publicSandbox = seen("the host is Epic's public sandbox", func(v *view) bool { return strings.HasPrefix(v.baseHost(), "fhir.epic.com") })
	wrongSide     = either(
		all(publicSandbox, environment("production")),
		all(isEpic, not(publicSandbox), environment("sandbox"), seen("the host does not look like a test system's", func(v *view) bool { return !looksLikeTest(v.Registration.FHIRBaseURL) })),
	)
	plainRedirect = seen("the redirect URI is plain http", func(v *view) bool { return strings.HasPrefix(v.redirect(), "http://") })
	laterPort     = seen("the redirect URI in use is not the first of the registration", func(v *view) bool {
		return v.Request.RedirectURI != "" && len(v.Registration.RedirectURIs) > 1 && v.Request.RedirectURI != v.Registration.RedirectURIs[0]
	})
	pastedEcho = func(what string, differ func(*view) bool) condition {
		return seen("the pasted address has another "+what+" than the registration", differ)
	}
	echoClient = pastedEcho("client ID", func(v *view) bool {
		return v.Pasted.ClientID != "" && v.Registration.ClientID != "" && v.Pasted.ClientID != v.Registration.ClientID
	})
	echoRedirect = pastedEcho("redirect URI", func(v *view) bool {
		if v.Pasted.RedirectURI == "" || len(v.Registration.RedirectURIs) == 0 {
			return false
		}
		kind, _ := redirectDifference(v.Registration.RedirectURIs, v.Pasted.RedirectURI)
		return kind != ""
	})
	echoAud   = pastedEcho("aud", func(v *view) bool { return v.Pasted.Aud != "" && v.aud() != "" && v.Pasted.Aud != v.aud() })
	echoNoAud = seen("the pasted address shows what was sent, without aud", func(v *view) bool {
		return v.Pasted.Echo && v.Pasted.Aud == "" && (v.Pasted.ClientID != "" || v.Pasted.RedirectURI != "")
	})
	echoSame = seen("the pasted address has the client ID, redirect URI and aud of the registration", func(v *view) bool {
		return v.Pasted.ClientID != "" && v.Pasted.RedirectURI != "" && v.Pasted.Aud != "" && v.differences() == ""
	})
	relativeRedirect = seen("the pasted address has a redirect URI that is not a whole address", func(v *view) bool {
		u, err := url.Parse(v.Pasted.RedirectURI)
		return v.Pasted.RedirectURI != "" && (err != nil || u.Scheme == "" || u.Host == "")
	})
	error4 = seen("the pasted address is MyChart's error page with error=4", func(v *view) bool {
		return v.Pasted.ErrorNumber == "4" && strings.Contains(v.text, "/oauth/start")
	})
)

// tooEarly tells that an EHR may not know something yet that was made so long ago.
func (v *view) tooEarly(ago time.Duration) bool {
	if v.sandbox {
		return ago > 0 && ago < sandboxSync
	}
	return ago > 0 && ago < productionSync
}

func (v *view) baseHost() string { return hostOf(v.Registration.FHIRBaseURL) }

func looksLikeTest(address string) bool {
	host := strings.ToLower(hostOf(address) + address)
	for _, w := range []string{"sandbox", "test", "dev", "stage", "staging", "poc", "sup", "nonprod", "non-prod", "npr", "tst", "uat", "localhost", "127.0.0.1", "demo", "trn", "train"} {
		if strings.Contains(host, w) {
			return true
		}
	}
	return false
}

// authorizeRules are about what ends, or never comes back, while the browser is
// out. Most EHRs show a page of their own for it and send nothing
// (RFC 6749 section 4.1.2.1).
func authorizeRules() []rule {
	stages := []Stage{Authorize}
	epicPage := says("something went wrong trying to authorize the client", "the request is invalid")
	mixed := seen("patient/ and user/ scopes are asked for at once", func(v *view) bool { return v.asked.Mixed() })
	wildcard := seen("a wildcard scope is asked for", func(v *view) bool {
		return v.someScope(func(s scope.Scope) bool { return s.Kind == scope.Resource && s.Type == "*" })
	})
	system := seen("system/ scopes are asked for in a sign-in", func(v *view) bool {
		return !v.Request.Service && v.someScope(func(s scope.Scope) bool { return s.Kind == scope.Resource && s.Context == "system" })
	})
	unlisted := seen("a scope is asked for that the server does not list", func(v *view) bool { return v.someScope(v.unlisted) })
	malformed := seen("a scope is asked for that cannot be read", func(v *view) bool { return len(v.malformed) > 0 })
	v2Unsupported := seen("version 2 scopes are asked of a server that lists permission-v1 alone", func(v *view) bool {
		has := func(c string) bool { return slices.Contains(v.Discovery.Capabilities, c) }
		return has("permission-v1") && !has("permission-v2") && v.someScope(func(s scope.Scope) bool { return s.Kind == scope.Resource && s.Version == scope.V2 })
	})
	launchWithout := seen("the scope launch is asked for without an EHR launch", func(v *view) bool {
		return !v.Request.EHRLaunch && v.asked.Has("launch")
	})
	badScope := either(fault("scope-refused"), oauth("invalid_scope"))
	unknownClient := either(fault("client-not-allowed"), oauth("unauthorized_client"))
	return []rule{
		{
			id: "registration-not-known-yet", title: "The EHR does not know the new or changed registration yet.", stages: []Stage{Authorize, Token},
			when: []condition{silence, badClient, unknownClient, error4, epicPage}, prior: prior{7, 7, 2, 2},
			evidence: []evidence{
				all(isEpic, young).is(Strong, "It was registered here {age} ago; Epic takes up to an hour in its sandbox and up to 12 hours at sites."),
				all(not(isEpic), young).is(Fair, "It was registered here {age} ago."),
				justChanged.is(Fair, "It was edited here {since-edit} ago; if it was changed at the EHR at about that time, the change may not be known yet."),
				all(error4, neverWorked).is(Fair, "MyChart's error 4 was seen with apps that are not active yet."),
			},
			against: []evidence{
				workedAsIs.is(Strong, "It worked with the same values {since-success} ago."),
				seen("registered more than a day ago", func(v *view) bool { return v.History.Age > 24*time.Hour }).is(Fair, "It was registered here {age} ago."),
			},
			distinguish: "It passes by itself within the time that the EHR names; a wrong value does not.",
			fix:         Fix{"Wait (Epic: an hour in the sandbox, 12 hours at a site, from the last change of the app), then try again with nothing changed.", Wait, ""},
			probe:       ProbeClientKnown,
			sources:     []string{epicTrouble, epicOAuth, myChartError4},
		},
		{
			id: "client-id-of-other-environment", title: "The client ID is that of another environment: {swapped}.", stages: []Stage{Authorize, Token},
			when: []condition{silence, badClient, unknownClient, fault("authorization-request-refused"), error4, epicPage}, prior: prior{8, 8, 3, 4},
			evidence: []evidence{
				wrongSide.is(Strong, "The host {host} and the environment that is chosen here do not fit."),
				found(ProbeOtherEnvironment, KnownElsewhere).is(Decisive, "The {other-environment} server knows this client ID."),
				found(ProbeClientKnown, ClientUnknown).is(Fair, "The server answers as for a made-up client ID."),
				edited("environment", "client_id", "fhir_base_url").is(Fair, "Environment, client ID or base URL was edited since it last worked."),
				all(otherWorks, neverWorked).is(Slight, "Another registration at {host} works."),
			},
			against: []evidence{
				workedAsIs.is(Strong, "The same client ID worked {since-success} ago."),
				found(ProbeOtherEnvironment, UnknownElsewhere).is(Fair, "The {other-environment} server does not know the client ID either."),
				found(ProbeClientKnown, ClientKnown).is(Strong, "The server knows the client ID."),
				oddEpicID.is(Slight, "Both of Epic's client IDs would be UUIDs."),
			},
			distinguish: "The app's page at the EHR shows both; at Epic they are named Client ID and Non-Production Client ID.",
			fix:         Fix{"Copy the client ID for {environment} from the app's page at the EHR, or choose {other-environment} and its base URL here.", SwitchEnvironment, "{other-environment}"},
			probe:       ProbeOtherEnvironment,
			sources:     []string{epicOAuth, epicTrouble},
		},
		{
			id: "client-id-unknown", title: "The server does not know the client ID {client}.", stages: []Stage{Authorize, Token, Refresh},
			when: []condition{silence, badClient, fault("authorization-request-refused"), unknownClient, error4}, prior: prior{4, 4, 6, 6},
			evidence: []evidence{
				found(ProbeClientKnown, ClientUnknown).is(Strong+Fair, "The server answers as for a made-up client ID."),
				oddEpicID.is(Strong, "Epic's client IDs are UUIDs, and this is none."),
				edited("client_id").is(Strong, "The client ID was edited since it last worked."),
				echoClient.is(Decisive, "The page's address shows another one. {pasted-difference}"),
				says("invalid parameter: redirect_uri").is(Strong, "Some versions of Keycloak complain of the redirect URI where they do not know the client ID."),
			},
			against: []evidence{
				workedAsIs.is(Strong, "The same client ID worked {since-success} ago."), found(ProbeClientKnown, ClientKnown).is(Decisive, "The server knows the client ID."),
				at(Refresh).is(Slight, "The server knew it when the connection was made."),
			},
			phrases: []phrase{
				{"client not found", "Keycloak", keycloakWords},
				{"unknown login requester", "Keycloak", keycloakWords},
				{"aadsts700016", "Microsoft Entra", "https://github.com/MicrosoftDocs/azure-docs/issues/31125"},
				{"aadsts700011", "Microsoft Entra", entraCodes},
				{"unknown client", "athenahealth", "https://github.com/athenahealth/apiserver-athenaFlex/issues/7"},
				{"invalid client_id:…contact fhir server administrator", "athenahealth", "https://github.com/athenahealth/apiserver-athenaFlex/issues/383"},
				{"oauth2:grant:unknown-client", "Oracle Health", "https://github.com/cerner/smart-on-fhir-tutorial/issues/123"},
				{"does not correspond to any registered applications", "Oracle Health", "https://github.com/cerner/smart-on-fhir-tutorial/issues/123"},
				{"invalid client id", "", ""},
				{"unknown or invalid client", "", ""},
				{"client id is invalid", "", ""},
			},
			distinguish: "A client ID with a typing mistake is unknown in each environment; one of the other environment is known there.",
			fix:         Fix{"Copy the client ID from the app's page at the EHR again, and save it here.", ChangeClientID, ""},
			probe:       ProbeClientKnown,
			sources:     []string{"RFC 6749 section 4.1.2.1", "RFC 6749 section 5.2", "https://github.com/keycloak/keycloak/issues/14615"},
		},
		{
			id: "redirect-not-registered", title: "{redirect} is not registered at the EHR, to the letter, as a redirect URI.", stages: []Stage{Authorize, Token},
			when: []condition{silence, fault("authorization-request-refused", "code-refused", "token-request-refused"), error4, epicPage}, prior: prior{7, 7, 7, 7},
			evidence: []evidence{
				all(laterPort, at(Authorize)).is(Strong, "The first port was taken, so {redirect} was used; EHRs match the port, too."),
				edited("redirect_uris").is(Strong, "The redirect URIs were edited since it last worked."),
				found(ProbeRedirectRegistered, RedirectRefused).is(Decisive, "The server answers as for a made-up redirect URI."),
				echoRedirect.is(Decisive, "The page's address shows another one. {pasted-difference}"),
				relativeRedirect.is(Strong, "What the server got is not a whole address."),
				all(at(Authorize), says("client authentication failed")).is(Strong+Fair, "Before any secret is sent, OpenEMR says “Client authentication failed” where the redirect URI is not the registered one."),
				all(error4, neverWorked).is(Slight, "MyChart's error 4 was seen with such redirect URIs."),
			},
			against: []evidence{
				workedAsIs.is(Strong, "It worked with the same values {since-success} ago."),
				found(ProbeRedirectRegistered, RedirectAccepted).is(Decisive, "The server accepts the redirect URI."),
				at(Token).is(Fair, "The authorization endpoint let it pass."),
			},
			phrases: []phrase{
				{"invalid parameter: redirect_uri", "Keycloak", "https://github.com/keycloak/keycloak/issues/10528"},
				{"invalid redirect uri", "Keycloak", keycloakWords},
				{"callback url mismatch", "Auth0", "https://github.com/auth0-samples/auth0-nodejs-webapp-sample/issues/80"},
				{"aadsts50011:", "Microsoft Entra", entraCodes},
				{"aadsts70004", "Microsoft Entra", entraCodes},
				{"redirect_uri' parameter must be a login redirect uri", "Okta", "https://github.com/Colin-b/httpx_auth/issues/110"},
				{"redirect_uri' parameter must be an absolute uri that is whitelisted", "Okta", "https://github.com/oktadev/okta-spring-boot-react-crud-example/issues/7"},
				{"unable to validate the redirect_uri passed in", "Okta's SMART sample", "https://github.com/oktadev/okta-smartfhir-demo/issues/61"},
				{"redirect uri…specified in the request does not match", "athenahealth", "https://github.com/athenahealth/apiserver-athenaFlex/issues/242"},
				{"invalid redirect_uri", "", ""},
				{"redirect uri mismatch", "", ""},
				{"redirect_uri_mismatch", "", ""},
				{"redirect_uri…not…registered", "", ""},
			},
			distinguish: "The server's page, or its address, often shows what it got: compare letter by letter, with port, case and slash.",
			fix:         Fix{"Register {redirect} at the EHR exactly like that, or put here what is registered there.", RegisterRedirect, "{redirect}"},
			probe:       ProbeRedirectRegistered,
			sources:     []string{"RFC 6749 section 3.1.2.3", "RFC 9700 section 2.1", myChartError4, epicOAuth, "https://github.com/openemr/openemr/issues/6644"},
		},
		{
			id: "redirect-other-port", title: "The first redirect port was taken, and the one that was used instead, {port}, is not registered at the EHR.", stages: stages,
			when: []condition{all(silence, laterPort)}, prior: often(6),
			evidence: []evidence{
				laterPort.is(Strong, "{redirect} was used, and not the first of the registration."),
				all(laterPort, isEpic).is(Fair, "Epic matches the port of a redirect URI, too."),
				all(laterPort, workedAsIs).is(Fair, "It worked before with the first port."),
			},
			against:     []evidence{found(ProbeRedirectRegistered, RedirectAccepted).is(Decisive, "The server accepts the redirect URI.")},
			distinguish: "With the other program ended, and port {first-port} free again, it works.",
			fix:         Fix{"End the program that holds port {first-port}, or register {redirect} at the EHR as well.", ChangePort, "{first-port}"},
			probe:       ProbeRedirectRegistered,
			sources:     []string{"RFC 8252 section 7.3", epicOAuth},
		},
		{
			id: "redirect-needs-https", title: "The EHR takes no plain http redirect URI in production.", stages: []Stage{Authorize, Register},
			when: []condition{all(silence, plainRedirect, environment("production")), fault("registration-redirect-uri")}, prior: prior{1, 6, 1, 4},
			evidence: []evidence{
				all(plainRedirect, environment("production"), isEpic, neverWorked).is(Fair, "Epic accepts http redirect URIs for development and testing; in production it asks for https or a scheme of the app's own."),
				fault("registration-redirect-uri").is(Strong, "The server did not register the redirect URI."),
			},
			against: []evidence{workedAsIs.is(Strong, "It worked with the same redirect URI {since-success} ago.")},
			phrases: []phrase{
				{"redirect_uri…must…https", "", ""},
				{"redirect uri…not secure", "", ""},
			},
			distinguish: "The EHR's registration page refuses to save such an address for production.",
			fix:         Fix{"Register an https redirect URI on this computer, and let Chartkey answer it by https.", UseHTTPSRedirect, ""},
			sources:     []string{epicOAuth, "RFC 8252 section 8.3"},
		},
		{
			id: "aud-wrong", title: "The aud that was sent is not the FHIR base URL as the server writes it.", stages: []Stage{Authorize, Token},
			when: []condition{silence, fault("authorization-request-refused"), error4, epicPage}, prior: prior{4, 4, 4, 4},
			evidence: []evidence{
				echoAud.is(Decisive, "The page's address shows another aud. {pasted-difference}"),
				echoNoAud.is(Strong+Fair, "The page's address shows what was sent, and there is no aud."),
				edited("fhir_base_url").is(Fair, "The FHIR base URL was edited since it last worked."),
				found(ProbeBaseURLVariants, BaseWithSlash).is(Fair, "With a slash at the end, the base URL works as well."),
			},
			against: []evidence{workedAsIs.is(Strong, "It worked with the same base URL {since-success} ago.")},
			phrases: []phrase{
				{"an invalid audience was specified", "Okta's SMART sample", "https://github.com/oktadev/okta-smartfhir-demo/issues/60"},
				{"invalid audience parameter", "athenahealth", "https://github.com/athenahealth/apiserver-athenaFlex/issues/383"},
				{"bad_audience", "SMART Health IT's launcher", "https://github.com/onc-healthit/inferno-community/issues/155"},
				{"bad audience value", "SMART Health IT's launcher", "https://github.com/onc-healthit/inferno-community/issues/155"},
				{"the audience value is invalid", "Inferno's reference server", "https://github.com/onc-healthit/inferno-program/issues/460"},
				{"aadsts500011", "Microsoft Entra", "https://github.com/microsoft/fhir-server/issues/3275"},
				{"aadsts650057", "Microsoft Entra", "https://github.com/MicrosoftDocs/azure-docs/issues/34131"},
				{"aadsts50001:", "Microsoft Entra", entraCodes},
				{"authorizeinputfilter", "Azure's SMART sample", "https://github.com/Azure-Samples/azure-health-data-and-ai-samples/issues/41"},
				{"invalid aud", "", ""},
				{"missing aud", "", ""},
				{"aud parameter…invalid", "", ""},
			},
			distinguish: "Servers compare aud as a string: with or without the slash at the end, and in case.",
			fix:         Fix{"Enter the FHIR base URL exactly as the health system publishes it.", ChangeBaseURL, "{better-base}"},
			probe:       ProbeBaseURLVariants,
			sources:     []string{smartLaunch + "#obtain-authorization-code", myChartError4b},
		},
		{
			id: "app-not-activated", title: "The app is not ready for use at this health system: not marked ready, not activated by the site, or retired.", stages: []Stage{Authorize, Token},
			when: []condition{silence, badClient, unknownClient, error4, epicPage}, prior: prior{3, 7, 2, 3},
			evidence: []evidence{
				all(isEpic, environment("production"), neverWorked, at(Authorize)).is(Fair, "No sign-in at this site has worked yet, and each site has to have the app activated."),
				all(error4, neverWorked).is(Fair, "MyChart's error 4 was seen with apps that are not active."),
				unknownClient.is(Fair, "The error is unauthorized_client."),
				all(error4, echoSame).is(Slight, "What was sent has a whole redirect URI and an aud, so the other two reasons that are known for this page do not hold."),
			},
			against: []evidence{workedAsIs.is(Fair, "It worked with the same values {since-success} ago."), publicSandbox.is(Fair, "In Epic's public sandbox no site has to activate it."), at(Token).is(Slight, "The authorization endpoint let it pass.")},
			phrases: []phrase{
				{"client disabled", "Keycloak", keycloakWords},
				{"login requester not enabled", "Keycloak", keycloakWords},
				{"aadsts7000112", "Microsoft Entra", entraCodes},
				{"aadsts70001:", "Microsoft Entra", entraCodes},
				{"client is disabled", "", ""},
				{"application…is disabled", "", ""},
				{"client is not enabled", "", ""},
				{"client…is not active", "", ""},
			},
			distinguish: "The EHR's list of sites shows where the app is active; others' apps work at the same site.",
			fix:         Fix{"Mark the app as ready at the EHR, and ask the health system to activate it for {environment}.", ActivateApp, ""},
			sources:     []string{epicOAuth, myChartError4},
		},
		{
			id: "tenant-unknown", title: "The sign-in server does not know the organisation (tenant) in its address, or not for this app.", stages: []Stage{Authorize, Token},
			when: nil, prior: often(3),
			phrases: []phrase{
				{"unknown-tenant", "Oracle Health", "https://github.com/jwilleke/yourphr/issues/338"}, {"aadsts90002", "Microsoft Entra", "https://github.com/Azure-Samples/azure-health-data-and-ai-samples/issues/114"},
				{"aadsts50059", "Microsoft Entra", entraCodes}, {"aadsts500021", "Microsoft Entra", entraCodes}, {"realm not enabled", "Keycloak", keycloakWords},
			},
			distinguish: "At Oracle Health an app for version 2 of SMART is not known under the addresses of version 1, and the other way round.",
			fix:         Fix{"Check the part of the FHIR base URL that names the organisation, and that the app is registered for it and for the version of SMART that the server offers.", ChangeBaseURL, "{better-base}"},
			probe:       ProbeDiscoveryAgain,
			sources:     []string{"https://github.com/jwilleke/yourphr/issues/338", entraCodes},
		},
		{
			id: "wrong-kind-of-user", title: "The app is registered for another kind of user than {audience} sign-ins.", stages: []Stage{Authorize, Token},
			when: []condition{silence, unknownClient, fault("denied"), error4, epicPage}, prior: prior{5, 5, 3, 3},
			evidence: []evidence{
				edited("audience").is(Strong, "The audience was edited since it last worked."),
				unknownClient.is(Fair, "The server does not let this app sign in this way."),
				all(audience("provider"), seen("the asked scopes are all patient/ ones", func(v *view) bool { return v.onlyContext("patient") })).is(Fair, "A provider's sign-in asks for patient/ scopes alone."),
				all(audience("patient"), seen("the asked scopes are all user/ ones", func(v *view) bool { return v.onlyContext("user") })).is(Fair, "A patient's sign-in asks for user/ scopes alone."),
			},
			against: []evidence{workedAsIs.is(Strong, "It worked with the same values {since-success} ago.")},
			phrases: []phrase{
				{"client-persona-mismatch", "Oracle Health", "https://github.com/jwilleke/yourphr/issues/338"},
				{"bearer-only applications are not allowed", "Keycloak", keycloakWords},
			},
			distinguish: "At Epic the app's page says Patients, Clinicians, Staff or Administrative Users, or Backend Systems.",
			fix:         Fix{"Compare the app's users at the EHR with the audience here ({audience}), and change one of them.", ChangeAudience, "{other-audience}"},
			sources:     []string{epicOAuth, "RFC 6749 section 4.1.2.1"},
		},
		{
			id: "scope-not-allowed", title: "The app asks for scopes that it is not registered for: {scopes}.", stages: []Stage{Authorize, Token, Refresh},
			when: []condition{badScope, all(silence, either(unlisted, edited("scopes"))), all(epicPage, unlisted)}, prior: prior{5, 5, 6, 6},
			evidence: []evidence{
				badScope.is(Strong, "The server refuses the scopes."),
				unlisted.is(Fair, "The server does not list {scopes}."),
				edited("scopes").is(Strong, "The scopes were edited since it last worked."),
			},
			against: []evidence{workedAsIs.is(Fair, "The same scopes were accepted {since-success} ago.")},
			phrases: []phrase{
				{"one or more scopes are not configured", "Okta", "https://github.com/Netflix/consoleme/issues/9075"},
				{"requested scope not authorized", "athenahealth", "https://github.com/athenahealth/apiserver-athenaFlex/issues/314"},
				{"aadsts70011:", "Microsoft Entra", entraCodes},
				{"aadsts28002", "Microsoft Entra", entraCodes},
				{"invalid scope", "", ""},
				{"requested scope is invalid", "", ""},
				{"scope…is not allowed", "", ""},
				{"scope…not…registered", "", ""},
			},
			distinguish: "With openid fhirUser launch/patient alone the sign-in works, and each scope added shows which one is refused.",
			fix:         Fix{"Leave {scopes} out, or select the matching APIs and scopes on the app's page at the EHR, and sign in again.", DropScope, "{scopes}"},
			sources:     []string{"RFC 6749 section 4.1.2.1", smartScopes, "https://github.com/smart-on-fhir/sample-apps/issues/1"},
		},
		{
			id: "scopes-of-both-kinds", title: "The app asks for patient/ and user/ scopes at once, which the server refuses.", stages: []Stage{Authorize, Token},
			when: []condition{all(badScope, mixed), all(silence, mixed), all(fault("authorization-request-refused"), mixed)}, prior: prior{6, 6, 4, 4},
			evidence: []evidence{
				all(badScope, mixed).is(Strong+Fair, "The server refuses the scopes, and they are of both kinds."),
				all(silence, mixed).is(Strong, "The scopes are of both kinds, and nothing came back."),
			},
			against: []evidence{workedAsIs.is(Strong, "The same scopes were accepted {since-success} ago.")},
			phrases: []phrase{
				{"mix…patient…user", "", ""},
			},
			distinguish: "With the scopes of one kind alone it works.",
			fix:         Fix{"Ask for patient/ scopes in a patient's sign-in and for user/ scopes in a clinician's, and not for both.", DropScope, "{scopes}"},
			sources:     []string{smartScopes, "https://github.com/microsoft/fhir-server/pull/5717"},
		},
		{
			id: "scope-wildcard", title: "The server takes no wildcard in a scope.", stages: []Stage{Authorize, Token},
			when: []condition{all(badScope, wildcard)}, prior: often(5),
			evidence: []evidence{all(badScope, wildcard).is(Strong, "The server refuses the scopes, and {scopes} has a wildcard.")},
			phrases: []phrase{
				{"wildcard scope", "", ""},
			},
			distinguish: "With the types named one by one it works.",
			fix:         Fix{"Name the kinds of data one by one in the place of the wildcard.", DropScope, "{scopes}"},
			sources:     []string{smartScopes + "#wildcard-scopes"},
		},
		{
			id: "scope-malformed", title: "A scope is written in a form that no server knows: {scopes}.", stages: []Stage{Authorize, Token},
			when: []condition{all(either(badScope, silence), malformed)}, prior: often(6),
			evidence:    []evidence{malformed.is(Strong+Fair, "{scopes} follows neither version of the scope grammar.")},
			distinguish: "The test of the registration names the scope and what is wrong with it.",
			fix:         Fix{"Correct or leave out {scopes}.", DropScope, "{scopes}"},
			sources:     []string{smartScopes},
		},
		{
			id: "scopes-in-wrong-version", title: "The scopes are written in a version that the server or the registration does not have.", stages: []Stage{Authorize, Token},
			when: []condition{all(either(badScope, silence), v2Unsupported), all(badScope, seen("the asked scopes have a version", func(v *view) bool { return v.someScope(func(s scope.Scope) bool { return s.Kind == scope.Resource }) }))}, prior: often(4),
			evidence:    []evidence{v2Unsupported.is(Strong+Fair, "The server lists permission-v1 and not permission-v2, and version 2 scopes (.rs) were asked for.")},
			against:     []evidence{all(hasCapability("permission-v1"), hasCapability("permission-v2")).is(Slight, "The server lists both versions.")},
			distinguish: "At Epic the version is a setting of the app's registration.",
			fix:         Fix{"Write the scopes in the version that the app is registered for: .read in version 1, .rs in version 2.", UseScopeVersion, "v1"},
			sources:     []string{smartScopes + "#scopes-for-requesting-fhir-resources", epicOAuth},
		},
		{
			id: "scope-of-a-service", title: "A sign-in asks for system/ scopes, which are for services without a person.", stages: []Stage{Authorize, Token},
			when: []condition{all(either(badScope, silence), system)}, prior: often(5),
			evidence:    []evidence{system.is(Strong+Fair, "system/ scopes were asked for in a sign-in.")},
			distinguish: "Backend services ask for them without a browser.",
			fix:         Fix{"Leave the system/ scopes out of the sign-in.", DropScope, "{scopes}"},
			sources:     []string{"https://hl7.org/fhir/smart-app-launch/backend-services.html#scopes"},
		},
		{
			id: "launch-scope-without-launch", title: "The scope launch is asked for outside an EHR launch.", stages: []Stage{Authorize, Token},
			when: []condition{all(either(badScope, silence, fault("authorization-request-refused")), launchWithout)}, prior: often(5),
			evidence: []evidence{launchWithout.is(Strong, "launch was asked for, and no launch value was sent.")},
			phrases: []phrase{
				{"launch…is required", "", ""},
			},
			distinguish: "A sign-in from outside the EHR asks for launch/patient.",
			fix:         Fix{"Leave launch out, and ask for launch/patient in its place.", DropScope, "launch"},
			sources:     []string{smartScopes + "#scopes-for-requesting-context-data"},
		},
		{
			id: "user-declined", title: "The person declined, or chose Cancel.", stages: stages,
			when: []condition{fault("denied"), oauth("access_denied")}, prior: often(8),
			evidence: []evidence{oauth("access_denied").is(Fair, "The error is access_denied."), fault("denied").is(Slight, "The server says that access was not given.")},
			phrases: []phrase{
				{"aadsts65004", "Microsoft Entra", entraCodes},
				{"user denied", "", ""},
				{"user cancelled", "", ""},
				{"resource owner denied", "", ""},
			},
			distinguish: "Whoever did allow it was refused by the server: then it is the account, or the app.",
			fix:         Fix{"Sign in again and allow the access on each page.", Reconnect, ""},
			sources:     []string{"RFC 6749 section 4.1.2.1"},
		},
		{
			id: "account-may-not", title: "The account that signed in may not use this app, or has no record that it may open.", stages: []Stage{Authorize, Token},
			when: []condition{fault("denied"), oauth("access_denied")}, prior: atEpic(6, 5),
			evidence: []evidence{
				seen("it took less than five seconds", func(v *view) bool { return v.Elapsed > 0 && v.Elapsed < 5*time.Second }).is(Slight, "It was refused within {elapsed}, before a person could decline."),
			},
			phrases: []phrase{
				{"oauth2:grant:denied-by-server", "Oracle Health", cernerAuthorization},
				{"error=invalid_user", "athenahealth", "https://github.com/athenahealth/apiserver-athenaFlex/issues/314"},
				{"aadsts50105", "Microsoft Entra", entraCodes},
				{"aadsts50020", "Microsoft Entra", entraCodes},
				{"aadsts50034", "Microsoft Entra", entraCodes},
				{"aadsts53003", "Microsoft Entra", entraCodes},
				{"user is not assigned to the client application", "", ""},
				{"not authorized to access this client", "", ""},
			},
			distinguish: "With another account (at Epic's sandbox, a published test one) it works.",
			fix:         Fix{"Sign in with an account that has access, or ask the health system to give this one access to the app.", AskHealthSystem, ""},
			sources:     []string{"RFC 6749 section 4.1.2.1", epicOAuth},
		},
		{
			id: "consent-by-admin", title: "An administrator has to allow the app before people can.", stages: []Stage{Authorize, Token},
			when: []condition{oauth("consent_required")}, prior: often(4),
			evidence: []evidence{oauth("consent_required").is(Fair, "The error is consent_required.")},
			phrases: []phrase{
				{"aadsts65001", "Microsoft Entra", entraCodes},
				{"aadsts90094", "Microsoft Entra", entraCodes},
				{"aadsts90008", "Microsoft Entra", entraCodes},
				{"need admin approval", "", ""},
				{"only an admin can grant", "", ""},
			},
			distinguish: "The page names the organisation whose administrator is asked for.",
			fix:         Fix{"Ask the health system's administrator to grant consent to the app, then sign in again.", ActivateApp, ""},
			sources:     []string{"https://learn.microsoft.com/en-us/entra/identity-platform/reference-error-codes"},
		},
		{
			id: "sign-in-not-finished", title: "Nobody finished the sign-in in the browser in time.", stages: []Stage{Authorize, Callback},
			when: []condition{silence, fault("sign-in-expired", "sign-in-needed"), oauth("login_required", "interaction_required")}, prior: prior{6, 6, 6, 6},
			evidence: []evidence{
				all(silence, workedAsIs).is(Strong, "It worked with the same values {since-success} ago, so the values are right."),
				all(silence, workedToday).is(Slight, "It worked within a day."),
				fault("sign-in-expired").is(Strong+Fair, "The browser came back after the ten minutes that a sign-in may take."),
				oauth("login_required", "interaction_required").is(Strong, "The server wants a person to sign in."),
				fault("sign-in-needed").is(Strong, "The server wants a person to sign in anew."),
			},
			against:     []evidence{seen("an error page was pasted", func(v *view) bool { return v.Pasted.Text != "" }).is(Strong, "The browser shows an error.")},
			distinguish: "The browser still shows the EHR's sign-in or consent page; an error page means something else.",
			fix:         Fix{"Start the sign-in again and finish it within ten minutes, in the tab that opens.", Reconnect, ""},
			sources:     []string{"RFC 6749 section 4.1", "OpenID Connect Core 1.0 section 3.1.2.6"},
		},
		{
			id: "browser-does-not-return", title: "The browser does not come back to this computer: it blocks http://localhost, makes it https, or runs on another computer.", stages: stages,
			when: []condition{silence}, prior: prior{3, 3, 4, 4},
			evidence: []evidence{
				seen("the pasted address is on this computer and has no error", func(v *view) bool { return v.Pasted.Callback && v.OAuth.Error == "" }).is(Strong+Fair, "The address in the browser is the one that it comes back to, so the EHR did send it back."),
				all(silence, workedAsIs).is(Slight, "The values worked {since-success} ago."),
			},
			phrases: []phrase{
				{"localhost refused to connect", "", ""},
				{"127.0.0.1 refused to connect", "", ""},
				{"unable to connect…localhost", "", ""},
				{"err_connection_refused", "", ""},
				{"err_ssl_protocol_error", "", ""},
				{"can't connect to the server “localhost”", "", ""},
				{"err_blocked_by_client", "", ""},
				{"this site can’t be reached", "", ""},
				{"safari can't open the page", "", ""},
			},
			distinguish: "The browser's address bar then begins with the redirect URI, with https or an error of the browser's own.",
			fix:         Fix{"Use another browser on this computer, or allow http://localhost in it (no HTTPS-only mode, no blocking extension), and start again.", ChangeBrowser, ""},
			sources:     []string{"RFC 8252 section 8.3"},
		},
		{
			id: "callback-of-another-sign-in", title: "The browser brought an answer that belongs to no sign-in here: an old tab, another program, or a forged one.", stages: []Stage{Authorize, Callback},
			when: []condition{fault("callback-state-mismatch", "state-reused", "no-sign-in-waits")}, prior: often(5),
			evidence: []evidence{
				refusedBack("state-unknown", "state-used").is(Decisive, "While the sign-in waited, an answer came with another state, or with one that was used before."),
				fault("no-sign-in-waits").is(Decisive, "An answer came for which no sign-in waits."),
				fault("callback-state-mismatch", "state-reused").is(Decisive, "The answer's state is not that of this sign-in, or was used before."),
			},
			distinguish: "An old tab explains it once; if it happens each time, something changes the answer on the way.",
			fix:         Fix{"Close old sign-in tabs, start again, and use the tab that opens. Should it go on, do not sign in, and tell the health system.", Stop, ""},
			sources:     []string{"RFC 6749 section 10.12", smartLaunch + "#considerations-for-pkce-support"},
		},
		{
			id: "callback-without-state", title: "The browser's answer came without state, so nothing ties it to a sign-in.", stages: []Stage{Authorize, Callback},
			when: []condition{fault("callback-state-missing")}, prior: often(5),
			evidence: []evidence{
				refusedBack("state-missing").is(Decisive, "While the sign-in waited, an answer came that had no state."),
				fault("callback-state-missing").is(Decisive, "The answer has no state."),
			},
			distinguish: "A portal that loses parameters does it each time.",
			fix:         Fix{"Start again in another browser. If state is missing each time, tell the health system that its server must return it.", Stop, ""},
			sources:     []string{"RFC 6749 section 4.1.2"},
		},
		{
			id: "callback-at-another-path", title: "The browser came back to this computer, but to another path or host than the sign-in waits at.", stages: []Stage{Authorize, Callback},
			when: nil, prior: often(5),
			evidence:    []evidence{refusedBack("path", "host").is(Decisive, "While the sign-in waited, a request came to another path, or under another name of this computer.")},
			distinguish: "The browser's address bar shows where it came to: compare it with {redirect}, letter by letter.",
			fix:         Fix{"Register {redirect} at the EHR exactly like that, with localhost or 127.0.0.1 as it is there.", RegisterRedirect, "{redirect}"},
			sources:     []string{"RFC 6749 section 3.1.2.3", "RFC 8252 section 8.3"},
		},
		{
			id: "callback-by-post", title: "The server sends its answer as a form (POST), and not in the address.", stages: []Stage{Authorize, Callback},
			when: nil, prior: often(3),
			evidence:    []evidence{refusedBack("method", "body").is(Decisive, "While the sign-in waited, a request came by another method than GET.")},
			distinguish: "The app's page at the EHR may have a setting for the response mode.",
			fix:         Fix{"Set the response mode to query on the app's page at the EHR, or tell the health system that RFC 6749 has the answer in the query.", AskHealthSystem, ""},
			sources:     []string{"RFC 6749 section 4.1.2", "https://openid.net/specs/oauth-v2-form-post-response-mode-1_0.html"},
		},
		{
			id: "localhost-certificate-not-trusted", title: "The browser does not trust this computer's certificate for the https redirect URI.", stages: []Stage{Authorize, Callback, Launch},
			when: nil, prior: often(5),
			evidence: []evidence{refusedBack("certificate-refused").is(Decisive, "The browser came back and ended the connection when it saw the certificate.")},
			phrases: []phrase{
				{"err_cert_authority_invalid", "", ""}, {"sec_error_unknown_issuer", "", ""}, {"your connection is not private", "", ""}, {"warning: potential security risk ahead", "", ""}, {"this connection is not private", "", ""},
			},
			distinguish: "The browser shows a warning about localhost in the place of Chartkey's page.",
			fix:         Fix{"Let the browser trust Chartkey's authority for this computer (chartkey https trust), start the browser anew, and sign in again.", ChangeBrowser, ""},
			sources:     []string{"RFC 5280 section 6.1", "docs/security.md"},
		},
		{
			id: "callback-by-other-scheme", title: "The browser came back by http where the redirect URI is https, or the other way round.", stages: []Stage{Authorize, Callback},
			when: nil, prior: often(4),
			evidence:    []evidence{refusedBack("not-https").is(Decisive, "A request came by plain http to the port that answers https.")},
			distinguish: "The browser's address bar shows the scheme that it used.",
			fix:         Fix{"Register {redirect} at the EHR with exactly this scheme, and switch off what rewrites http to https, or back, in the browser.", RegisterRedirect, "{redirect}"},
			sources:     []string{"RFC 6749 section 3.1.2.3", "RFC 8252 section 7.3"},
		},
		{
			id: "request-refused-by-server", title: "The server finds the sign-in request incomplete or wrong.", stages: stages,
			when: []condition{fault("authorization-request-refused", "authorization-refused"), oauth("invalid_request", "invalid_request_object", "request_not_supported", "invalid_request_uri", "request_uri_not_supported", "registration_not_supported", "invalid_target")}, prior: often(5),
			evidence:    []evidence{oauth("invalid_request").is(Fair, "The error is invalid_request."), fault("authorization-refused").is(Fair, "The server has an error of its own for it.")},
			against:     []evidence{workedAsIs.is(Fair, "The same request was accepted {since-success} ago.")},
			distinguish: "Its words say which parameter it means.",
			fix:         Fix{"Compare client ID, redirect URI and FHIR base URL with the app's page at the EHR, letter by letter.", CorrectInput, ""},
			probe:       ProbeClientKnown,
			sources:     []string{"RFC 6749 section 4.1.2.1", "OpenID Connect Core 1.0 section 3.1.2.6"},
		},
		{
			id: "pkce-not-taken", title: "The server does not take PKCE with S256, or not from this app.", stages: []Stage{Authorize, Token},
			when: []condition{seen("the server lists challenge methods without S256", func(v *view) bool {
				return len(v.Discovery.ChallengeMethods) > 0 && !slices.Contains(v.Discovery.ChallengeMethods, "S256")
			})}, prior: often(2),
			evidence: []evidence{
				seen("the server lists challenge methods without S256", func(v *view) bool {
					return len(v.Discovery.ChallengeMethods) > 0 && !slices.Contains(v.Discovery.ChallengeMethods, "S256")
				}).is(Strong, "The server lists challenge methods, and S256 is not among them."),
			},
			phrases: []phrase{
				{"aadsts501491", "Microsoft Entra", entraCodes},
				{"aadsts50147", "Microsoft Entra", entraCodes},
				{"code_challenge_method…not supported", "", ""},
				{"invalid code_challenge_method", "", ""},
				{"transform algorithm not supported", "", ""},
				{"missing parameter: code_challenge_method", "", ""},
			},
			distinguish: "Another SMART 2 app fails there in the same way.",
			fix:         Fix{"Tell the health system that SMART App Launch 2 asks for PKCE with S256.", AskHealthSystem, ""},
			sources:     []string{"RFC 7636 section 4.4.1", smartLaunch + "#considerations-for-pkce-support"},
		},
		{
			id: "code-flow-not-allowed", title: "The server, or the app's registration, does not have sign-in with an authorization code.", stages: []Stage{Authorize, Token},
			when: []condition{fault("response-type-unsupported"), oauth("unsupported_response_type"), all(unknownClient, not(at(Refresh)))}, prior: often(3),
			evidence: []evidence{
				either(fault("response-type-unsupported"), oauth("unsupported_response_type")).is(Strong, "The server does not take response_type=code."),
				seen("the server lists grant types without authorization_code", func(v *view) bool {
					return len(v.Discovery.GrantTypes) > 0 && !slices.Contains(v.Discovery.GrantTypes, "authorization_code")
				}).is(Strong, "The server lists grant types, and authorization_code is not among them."),
			},
			phrases: []phrase{
				{"standard flow is disabled", "Keycloak", keycloakWords},
				{"the response type is not supported by the authorization server", "Okta", "https://github.com/oktadev/okta-node-express-typescript-react-example/issues/12"},
				{"aadsts70005", "Microsoft Entra", entraCodes},
				{"grant type 'authorization_code' not allowed for the client", "", ""},
			},
			distinguish: "A backend service's registration has no sign-in at all.",
			fix:         Fix{"On the app's page at the EHR, allow the authorization code flow, or register an app for people.", ActivateApp, ""},
			sources:     []string{"RFC 6749 section 4.1.2.1", "RFC 6749 section 5.2"},
		},
		{
			id: "standalone-not-offered", title: "The server lets apps be opened from the EHR only, and not from outside.", stages: stages,
			when: []condition{all(silence, lacksCapability("launch-standalone")), all(fault("authorization-request-refused"), lacksCapability("launch-standalone"), not(ehrLaunch))}, prior: often(4),
			evidence: []evidence{all(lacksCapability("launch-standalone"), not(ehrLaunch)).is(Strong, "The server lists its capabilities, and launch-standalone is not among them.")},
			phrases: []phrase{
				{"launch parameter is required", "", ""},
				{"missing launch", "", ""},
			},
			distinguish: "Launched from within the EHR, the app works.",
			fix:         Fix{"Register the launch URL at the EHR, switch the launch listener on, and open the app from within the EHR.", RelaunchFromEHR, ""},
			sources:     []string{smartConformance + "#capability-sets", smartLaunch},
		},
		{
			id: "session-lost-at-ehr", title: "The EHR's sign-in page lost its session: cookies are blocked, or the page was open too long.", stages: stages,
			when: nil, prior: often(3),
			phrases: []phrase{
				{"cookie not found. please make sure cookies are enabled", "Keycloak", keycloakWords},
				{"your login attempt timed out", "Keycloak", keycloakWords},
				{"page has expired", "Keycloak", keycloakWords},
				{"this page is no longer valid, please go back to your application", "Keycloak", keycloakWords},
				{"you are already logged in", "Keycloak", keycloakWords},
				{"an error occurred, please login again through your application", "Keycloak", keycloakWords},
				{"aadsts50058", "Microsoft Entra", entraCodes},
				{"aadsts50089", "Microsoft Entra", entraCodes},
				{"session has expired", "", ""},
				{"session timed out", "", ""},
			},
			distinguish: "A private window, with nothing else open, starts afresh.",
			fix:         Fix{"Close the tab, allow cookies for the EHR's site, and start the sign-in again.", Reconnect, ""},
			sources:     []string{"RFC 6265 section 7"},
		},
	}
}

func (v *view) someScope(is func(scope.Scope) bool) bool {
	for _, s := range v.asked {
		if is(s) {
			return true
		}
	}
	return false
}

// onlyContext tells that there are resource scopes, and all are of one context.
func (v *view) onlyContext(context string) bool {
	n := 0
	for _, s := range v.asked {
		if s.Kind == scope.Resource {
			if s.Context != context {
				return false
			}
			n++
		}
	}
	return n > 0
}
