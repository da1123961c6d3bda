package diagnose

import (
	"net/url"
	"slices"
	"strings"
)

const smartConformance = "https://hl7.org/fhir/smart-app-launch/conformance.html"

// discoveryRules are about the FHIR base URL and what a server says of itself.
func discoveryRules() []rule {
	stages := []Stage{Discovery}
	oldPath := seen("the base URL's path names DSTU2 or STU3", func(v *view) bool {
		path := strings.ToLower(v.Registration.FHIRBaseURL)
		return strings.Contains(path, "/dstu2") || strings.Contains(path, "/stu3")
	})
	oddCase := seen("the path's FHIR part is not in its usual case", func(v *view) bool {
		path := v.Registration.FHIRBaseURL
		return v.epic && strings.Contains(strings.ToLower(path), "/api/fhir/r4") && !strings.Contains(path, "/api/FHIR/R4")
	})
	noR4Path := seen("at Epic the path does not end in /api/FHIR/R4", func(v *view) bool {
		return v.epic && !strings.HasSuffix(strings.TrimSuffix(strings.ToLower(v.Registration.FHIRBaseURL), "/"), "/api/fhir/r4")
	})
	notFound := fault("discovery-not-found", "discovery-not-json", "discovery-invalid", "discovery-incomplete", "discovery-not-allowed", "discovery-failed")
	notR4 := seen("the server speaks another FHIR version than R4", func(v *view) bool {
		return v.Discovery.FHIRVersion != "" && !strings.HasPrefix(v.Discovery.FHIRVersion, "4.")
	})
	return []rule{
		{
			id: "base-url-wrong-path", title: "The path of the FHIR base URL is wrong, so {host} answers as it does for any unknown page.", stages: stages,
			when: []condition{notFound}, prior: atEpic(8, 6),
			evidence: []evidence{
				all(fault("discovery-not-json"), isEpic).is(Fair, "Epic's servers answer an unknown path with HTTP 200 and a web page, and that is what came."),
				fault("discovery-not-found").is(Strong, "{host} has nothing at {base}."),
				oddCase.is(Strong, "The path of {base} is in another case than Epic's usual /api/FHIR/R4, and paths are case-sensitive."),
				noR4Path.is(Fair, "At Epic an R4 base URL ends in /api/FHIR/R4."),
				found(ProbeBaseURLVariants, BaseInOtherCase).is(Decisive, "The same address in the usual case has a SMART configuration."),
				edited("fhir_base_url").is(Fair, "The FHIR base URL was edited since it last worked."),
				all(neverWorked, fault("discovery-not-json", "discovery-invalid")).is(Slight, "It has never worked."),
			},
			against: []evidence{
				workedAsIs.is(Strong, "The same address worked {since-success} ago."),
				found(ProbeBaseURLVariants, BaseNoneWorks).is(Slight, "No variant of the address has a SMART configuration."),
				oldPath.is(Fair, "The path names another FHIR version, which is a cause of its own."),
			},
			distinguish: "Open {base}/metadata in a browser: a FHIR server gives a CapabilityStatement there, whoever asks.",
			fix:         Fix{"Compare the FHIR base URL with the published one, letter by letter and in case. At Epic it ends in /api/FHIR/R4.", ChangeBaseURL, "{better-base}"},
			probe:       ProbeBaseURLVariants,
			sources:     []string{smartConformance, "https://open.epic.com/Endpoints/R4"},
		},
		{
			id: "base-url-not-r4", title: "The FHIR base URL is that of another FHIR version, and Chartkey reads R4.", stages: []Stage{Discovery, FHIR, Token},
			when: []condition{oldPath, notR4, fault("base-url-version")}, prior: often(6),
			evidence: []evidence{
				oldPath.is(Strong+Fair, "The path of {base} names DSTU2 or STU3."),
				notR4.is(Strong+Fair, "The server says that it speaks another version than 4."),
				fault("base-url-version").is(Decisive, "The address was refused for the version in its path."),
				found(ProbeBaseURLVariants, BaseAsR4).is(Decisive, "The same address with R4 in its path has a SMART configuration."),
			},
			distinguish: "The R4 address differs in one step of the path.",
			fix:         Fix{"Enter the R4 base URL of the same server; at Epic, put R4 in the place of DSTU2 or STU3.", ChangeBaseURL, "{better-base}"},
			probe:       ProbeBaseURLVariants,
			sources:     []string{"https://hl7.org/fhir/R4/versions.html", "https://open.epic.com/Endpoints/R4"},
		},
		{
			id: "base-url-slash", title: "The server is particular about the slash at the end of the FHIR base URL.", stages: []Stage{Discovery, Authorize, Token},
			when: []condition{fault("discovery-not-found")}, prior: often(2),
			evidence: []evidence{
				found(ProbeBaseURLVariants, BaseWithSlash).is(Decisive, "With a slash at the end it works."),
				found(ProbeBaseURLVariants, BaseWithoutSlash).is(Decisive, "Without the slash at the end it works."),
			},
			distinguish: "Only the slash has to be changed, and nothing else.",
			fix:         Fix{"Enter the FHIR base URL exactly as the health system publishes it, with or without the slash at its end.", ChangeBaseURL, ""},
			probe:       ProbeBaseURLVariants,
			sources:     []string{"https://hl7.org/fhir/smart-app-launch/app-launch.html#obtain-authorization-code"},
		},
		{
			id: "base-url-other-address", title: "What was entered is another address of the server, and not its FHIR base URL.", stages: []Stage{Discovery, Local},
			when: []condition{faultFamily("base-url-")}, prior: often(6),
			evidence: []evidence{
				fault("base-url-well-known", "base-url-metadata", "base-url-oauth").is(Decisive, "The address is that of a document or of the sign-in service."),
				fault("base-url-missing", "base-url-no-scheme", "base-url-not-a-url", "base-url-not-https", "base-url-scheme", "base-url-user-info", "base-url-fragment", "base-url-query", "base-url-dot-segments", "base-url-white-space").is(Strong+Fair, "The address has a form that a FHIR base URL cannot have."),
				faultFamily("base-url-").is(Strong, "The FHIR base URL was refused as it was entered."),
			},
			distinguish: "A FHIR base URL is what stands before the resource types, such as …/R4 before /Patient.",
			fix:         Fix{"Enter the FHIR base URL: https, the host, and the path up to where the resource types begin.", ChangeBaseURL, "{better-base}"},
			sources:     []string{"https://hl7.org/fhir/R4/http.html#general"},
		},
		{
			id: "not-a-smart-server", title: "{host} is a FHIR server without SMART App Launch, or does not tell of it.", stages: stages,
			when: []condition{fault("discovery-not-found", "discovery-incomplete")}, prior: prior{1, 1, 5, 5},
			evidence: []evidence{
				fault("discovery-incomplete").is(Strong, "The server's document names no authorization or token endpoint."),
				found(ProbeBaseURLVariants, BaseNoneWorks).is(Fair, "No variant of the address has a SMART configuration."),
			},
			against:     []evidence{isEpic.is(Strong, "Epic's servers have SMART."), workedAsIs.is(Strong, "It worked {since-success} ago.")},
			distinguish: "Its CapabilityStatement (…/metadata) then has no security extension with OAuth addresses.",
			fix:         Fix{"Ask the health system for the FHIR base URL of a server with SMART App Launch; some have a second address for apps.", AskHealthSystem, ""},
			probe:       ProbeBaseURLVariants,
			sources:     []string{smartConformance},
		},
		{
			id: "discovery-protected", title: "{host} shows its SMART configuration only to some, such as those on its own network.", stages: stages,
			when: []condition{fault("discovery-not-allowed"), status(401, 403)}, prior: often(6),
			evidence:    []evidence{either(fault("discovery-not-allowed"), status(401, 403)).is(Strong, "The document, which is meant for everybody, was refused.")},
			distinguish: "On the health system's network or VPN it is answered; a wrong path would not be.",
			fix:         Fix{"Connect to the health system's network or VPN, or ask whether this workstation's address has to be allowed.", CheckNetwork, ""},
			sources:     []string{smartConformance + "#using-well-known"},
		},
		{
			id: "discovery-broken", title: "What the server says of itself is not valid.", stages: stages,
			when: []condition{fault("discovery-invalid", "discovery-incomplete")}, prior: often(5),
			evidence:    []evidence{fault("discovery-invalid").is(Strong, "The document is not the JSON that it should be."), fault("discovery-incomplete").is(Fair, "Something that it must have is missing.")},
			distinguish: "It is broken for every app, and others have met it.",
			fix:         Fix{"Send the health system the address of the document and the test report.", AskHealthSystem, ""},
			sources:     []string{smartConformance + "#metadata"},
		},
		{
			id: "endpoint-unsafe", title: "The server names an address for the sign-in to which nothing secret may be sent.", stages: []Stage{Discovery, Authorize, Token, Refresh, Revoke},
			when: []condition{fault("discovery-endpoint-insecure")}, prior: often(6),
			evidence:    []evidence{fault("discovery-endpoint-insecure").is(Decisive, "An endpoint is not https, or points to this workstation.")},
			distinguish: "An honest server has a mistake in its configuration; a dishonest one wants the code.",
			fix:         Fix{"Do not go on. Check that the FHIR base URL is really the health system's, and tell them what the test says.", Stop, ""},
			probe:       ProbeDiscoveryAgain,
			sources:     []string{"https://hl7.org/fhir/smart-app-launch/app-launch.html#app-protection", "RFC 6749 section 3.1"},
		},
		{
			id: "issuer-of-another", title: "The server claims to be the issuer of another registration here.", stages: []Stage{Discovery, Authorize, Launch, Callback},
			when: []condition{fault("issuer-claimed")}, prior: often(6),
			evidence:    []evidence{fault("issuer-claimed").is(Decisive, "Its document names an issuer that belongs to another server.")},
			distinguish: "Two registrations at one health system have the same issuer at the same host; here the hosts differ.",
			fix:         Fix{"Do not go on. Check the FHIR base URLs of the two registrations; one of them may be an imitation.", Stop, ""},
			sources:     []string{"RFC 9207 section 4", "RFC 9700 section 4.4"},
		},
		{
			id: "server-changed", title: "The server's addresses have changed since they were read.", stages: []Stage{Discovery, Authorize, Callback, Token, Refresh, FHIR},
			when: []condition{fault("server-changed")}, prior: often(6),
			evidence: []evidence{
				fault("server-changed").is(Strong+Fair, "What the server says of itself is no longer what the sign-in began with."),
				found(ProbeDiscoveryAgain, DiscoveryChanged).is(Decisive, "Read anew, its document names other addresses."),
			},
			against:     []evidence{found(ProbeDiscoveryAgain, DiscoverySame).is(Strong, "Read anew, its document says the same.")},
			distinguish: "After a move, the new addresses stay the same from now on.",
			fix:         Fix{"Test the registration, so that the addresses are read anew, and sign in again.", DiscoverAgain, ""},
			probe:       ProbeDiscoveryAgain,
			sources:     []string{"RFC 9700 section 4.4", smartConformance},
		},
		{
			id: "server-of-smart-1", title: "The server has no SMART configuration, and tells its addresses in the CapabilityStatement alone.", stages: []Stage{Discovery, Token, Authorize},
			when: []condition{all(seen("discovery came from the CapabilityStatement", func(v *view) bool { return v.Discovery.FromMetadata }), seen("nothing failed", (*view).quiet))}, prior: often(5),
			evidence:    []evidence{seen("discovery came from the CapabilityStatement", func(v *view) bool { return v.Discovery.FromMetadata }).is(Strong, "The addresses came from the CapabilityStatement, which names neither issuer nor keys.")},
			distinguish: "Signing in works; who signed in cannot be verified.",
			fix:         Fix{"Nothing has to be done. Ask for scopes in version 1 (.read) if the server refuses others.", UseScopeVersion, "v1"},
			sources:     []string{"https://www.hl7.org/fhir/smart-app-launch/1.0.0/conformance/index.html"},
		},
	}
}

// betterBase makes the base URL that was probably meant, or "".
func (v *view) betterBase() string {
	u, err := url.Parse(v.Registration.FHIRBaseURL)
	if err != nil || hostOf(u.Host) == "" || !slices.Contains([]string{"http", "https"}, u.Scheme) {
		return ""
	}
	path := u.Path
	lower := strings.ToLower(path)
	for _, end := range []string{"/.well-known", "/metadata"} {
		if i := strings.Index(lower, end); i >= 0 {
			path, lower = path[:i], lower[:i]
		}
	}
	for _, old := range []string{"/dstu2", "/stu3"} {
		if i := strings.Index(lower, old); i >= 0 && (i+len(old) == len(path) || path[i+len(old)] == '/') {
			path = path[:i] + "/R4" + path[i+len(old):]
			lower = strings.ToLower(path)
		}
	}
	if i := strings.Index(lower, "/api/fhir/r4"); i >= 0 && v.epic {
		path = path[:i] + "/api/FHIR/R4" + path[i+len("/api/fhir/r4"):]
	}
	if path == u.Path && v.Probes[ProbeBaseURLVariants] == BaseWithSlash {
		path = strings.TrimSuffix(path, "/") + "/"
	}
	if path == u.Path && v.Probes[ProbeBaseURLVariants] == BaseWithoutSlash {
		path = strings.TrimSuffix(path, "/")
	}
	if path == u.Path {
		return ""
	}
	return address((&url.URL{Scheme: u.Scheme, Host: u.Host, Path: path}).String())
}
