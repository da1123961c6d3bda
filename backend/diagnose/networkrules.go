package diagnose

import (
	"slices"
	"strings"
	"time"
)

// everywhere is every stage at which a server is asked.
var everywhere = []Stage{Discovery, Authorize, Callback, Token, Refresh, IDToken, FHIR, Launch, Revoke, Register}

// networkRules are about the way to a server, and about servers that do not work.
func networkRules() []rule {
	otherHostsFail := seen("other servers do not answer either", func(v *view) bool { return v.Network.OthersAnswer == "no" })
	otherHostsWork := seen("other servers answer", func(v *view) bool { return v.Network.OthersAnswer == "yes" })
	noAnswer := seen("no answer began", func(v *view) bool { return v.HTTP.Status == 0 })
	someAnswer := seen("an answer began", func(v *view) bool { return v.HTTP.Status > 0 })
	withCertificate := seen("a client certificate is set", func(v *view) bool { return v.Network.ClientCertificate })
	unreached := fault("timeout", "host-not-found", "connection-refused", "connection-failed")
	return []rule{
		{
			id: "offline", title: "This workstation has no way to the internet, or not to this part of it.", stages: everywhere,
			when: []condition{unreached}, prior: often(4),
			evidence:    []evidence{otherHostsFail.is(Strong+Fair, "Other servers could not be reached at the same time.")},
			against:     []evidence{otherHostsWork.is(Strong, "Other servers answered at the same time.")},
			distinguish: "Open any web page: if that fails too, it is the network and not {host}.",
			fix:         Fix{"Check the cable, Wi-Fi or VPN of this workstation, and try again.", CheckNetwork, ""},
			sources:     []string{"RFC 1034 section 5.2.3"},
		},
		{
			id: "host-misspelled", title: "The host name of the FHIR base URL is misspelled or no longer exists: {host} cannot be found.", stages: everywhere,
			when: []condition{fault("host-not-found")}, prior: often(7),
			evidence: []evidence{
				all(fault("host-not-found"), neverWorked).is(Strong, "The name {host} is not known, and no sign-in with this registration has worked yet."),
				all(fault("host-not-found"), edited("fhir_base_url")).is(Strong, "The FHIR base URL was edited since it last worked."),
			},
			against:     []evidence{workedAsIs.is(Strong, "The same address worked {since-success} ago.")},
			distinguish: "A misspelled name fails on every network; one that needs a VPN is found as soon as the VPN is on.",
			fix:         Fix{"Compare the host with the address that the health system or open.epic.com publishes, letter by letter.", ChangeBaseURL, "{better-base}"},
			sources:     []string{"RFC 2308 section 2.1", "https://open.epic.com/Endpoints/R4"},
		},
		{
			id: "name-needs-vpn", title: "{host} is known only inside the health system's network.", stages: everywhere,
			when: []condition{fault("host-not-found", "timeout", "connection-failed")}, prior: often(4),
			evidence: []evidence{
				all(fault("host-not-found"), workedAsIs).is(Strong, "The same address worked {since-success} ago, and now its name is not known here."),
				all(fault("host-not-found"), otherHostsWork).is(Slight, "Other servers answer."),
			},
			distinguish: "With the health system's VPN on, or on its own network, the name is found.",
			fix:         Fix{"Connect this workstation to the health system's network or VPN, and try again.", CheckNetwork, ""},
			sources:     []string{"RFC 6762 appendix G"},
		},
		{
			id: "port-closed", title: "Nothing listens at this port of {host}, or a firewall refuses the connection.", stages: everywhere,
			when: []condition{fault("connection-refused")}, prior: often(5),
			evidence:    []evidence{fault("connection-refused").is(Strong, "The connection to {host} was refused at once.")},
			distinguish: "A wrong port is refused every time; a server that is restarted answers again within minutes.",
			fix:         Fix{"Check the port of the FHIR base URL, and that the server is running; then try again.", ChangeBaseURL, ""},
			sources:     []string{"RFC 9293 section 3.5.2"},
		},
		{
			id: "server-slow", title: "{host} takes long to answer.", stages: everywhere,
			when: []condition{fault("timeout"), all(seen("nothing failed", (*view).quiet), took(2*time.Second))}, prior: often(6),
			evidence: []evidence{
				fault("timeout").is(Strong, "No answer came within the time that Chartkey waits."),
				all(seen("nothing failed", (*view).quiet), took(2*time.Second)).is(Strong, "It worked, and took {elapsed}."),
			},
			against:     []evidence{all(fault("timeout"), neverWorked, noAnswer, behindProxy).is(Slight, "It has not answered through this proxy before.")},
			distinguish: "A slow server answers at a quieter hour; a firewall that swallows the request never does.",
			fix:         Fix{"Try again. If it stays slow, ask the health system whether the server is up.", Retry, ""},
			sources:     []string{"RFC 9110 section 15.6.5"},
		},
		{
			id: "firewall-drops", title: "A firewall on the way swallows the requests to {host}.", stages: everywhere,
			when: []condition{fault("timeout", "connection-failed")}, prior: often(4),
			evidence: []evidence{
				all(fault("timeout"), neverWorked, noAnswer).is(Fair, "{host} has never answered this workstation."),
				all(fault("timeout"), otherHostsWork).is(Fair, "Other servers answered at the same time."),
			},
			against:     []evidence{workedToday.is(Fair, "It worked {since-success} ago."), someAnswer.is(Strong, "An answer began.")},
			distinguish: "From another network (a phone's, for instance) the same address answers at once.",
			fix:         Fix{"Ask your IT department to let this workstation reach {host} on port 443, or to name the proxy to use.", CheckNetwork, ""},
			sources:     []string{"RFC 2979 section 3.1.1"},
		},
		{
			id: "connection-cut", title: "The connection to {host} was cut before an answer came, as firewalls and restarting servers do.", stages: everywhere,
			when: []condition{fault("connection-failed")}, prior: often(6),
			evidence: []evidence{
				all(fault("connection-failed"), noAnswer).is(Strong, "The connection ended without an answer."),
			},
			against:     []evidence{otherHostsFail.is(Fair, "Other servers could not be reached either."), someAnswer.is(Strong, "An answer began.")},
			distinguish: "If the next try works, it was a passing fault; if every try is cut, something on the way refuses it.",
			fix:         Fix{"Try again. If it is cut each time, ask your IT department about a firewall or proxy before {host}.", Retry, ""},
			sources:     []string{"RFC 9293 section 3.5.2", "RFC 9110 section 9.2.2"},
		},
		{
			id: "answer-cut", title: "The answer of {host} broke off in the middle.", stages: everywhere,
			when: []condition{fault("connection-failed")}, prior: often(5),
			evidence:    []evidence{all(fault("connection-failed"), someAnswer).is(Strong+Fair, "An answer began ({status}) and ended before it was whole.")},
			distinguish: "What was asked may have been done: a code or a refresh token may be used up all the same.",
			fix:         Fix{"Try again. If it happens again at the same place, ask your IT department about a proxy that limits the size of answers.", Retry, ""},
			sources:     []string{"RFC 9112 section 8"},
		},
		{
			id: "inspecting-proxy", title: "A proxy inspects the connection to {host} and shows a certificate of its own.", stages: everywhere,
			when: []condition{fault("tls-untrusted")}, prior: often(6),
			evidence: []evidence{
				ours("looks like a proxy that inspects").is(Decisive, "The certificate is signed by a product that inspects connections."),
				all(fault("tls-untrusted"), behindProxy).is(Fair, "The connection went through {proxy}."),
				all(fault("tls-untrusted"), seen("extra authorities are set", func(v *view) bool { return v.Network.ExtraAuthorities })).is(Slight, "Authorities were added here before, as for a network that inspects connections."),
				all(fault("tls-untrusted"), isEpic).is(Slight, "Epic's servers have certificates of public authorities, so an unknown one is probably the network's."),
			},
			against:     []evidence{ours("is signed by itself").is(Strong, "The certificate is signed by itself, and not by a proxy's authority.")},
			distinguish: "Open {base} in the browser and look who issued its certificate: a public authority, or your own organisation.",
			fix:         Fix{"Ask your IT department for the certificate (PEM) of the proxy's authority, and add it to Chartkey's extra authorities.", AddAuthority, ""},
			sources:     []string{"RFC 8446 section 4.4.2.4", "https://github.com/openfga/js-sdk/issues/126"},
		},
		{
			id: "private-authority", title: "The certificate of {host} is signed by an authority that this workstation does not trust.", stages: everywhere,
			when: []condition{fault("tls-untrusted")}, prior: often(5),
			evidence: []evidence{
				all(fault("tls-untrusted"), not(isEpic)).is(Fair, "The server is not one with a public address of a large vendor."),
			},
			against:     []evidence{ours("is signed by itself").is(Fair, "The certificate is signed by itself.")},
			distinguish: "A private authority is the health system's own, on every network; a proxy's shows on this network alone.",
			fix:         Fix{"Ask the health system for the certificate (PEM) of its authority, and add it to Chartkey's extra authorities.", AddAuthority, ""},
			sources:     []string{"RFC 5280 section 6.1"},
		},
		{
			id: "self-signed", title: "The certificate of {host} is signed by itself, so anybody could have made it.", stages: everywhere,
			when: []condition{ours("is signed by itself")}, prior: often(5),
			evidence:    []evidence{ours("is signed by itself").is(Decisive, "The certificate is its own issuer.")},
			distinguish: "A test server's certificate is the same each time; ask its operator for the fingerprint.",
			fix:         Fix{"If it is a test server that you know, add its certificate to Chartkey's extra authorities. Otherwise do not go on, and tell the health system.", AddAuthority, ""},
			sources:     []string{"RFC 5280 section 3.2", "https://github.com/smart-on-fhir/client-py/issues/118", "https://github.com/onc-healthit/inferno-community/issues/489"},
		},
		{
			id: "certificate-other-host", title: "The certificate of {host} is for another name.", stages: everywhere,
			when: []condition{fault("tls-wrong-host")}, prior: often(7),
			evidence:    []evidence{fault("tls-wrong-host").is(Decisive, "The names in the certificate do not include {host}.")},
			distinguish: "Where the address has an IP number or an alias, the name in the certificate is usually the right address.",
			fix:         Fix{"Correct the host in the FHIR base URL to the name that the certificate has; if it is right, tell the health system.", ChangeBaseURL, ""},
			sources:     []string{"RFC 9525 section 6"},
		},
		{
			id: "certificate-expired", title: "The certificate of {host} has run out.", stages: everywhere,
			when: []condition{fault("tls-expired")}, prior: often(6),
			evidence:    []evidence{fault("tls-expired").is(Strong+Fair, "The certificate does not count at the time that this workstation's clock shows.")},
			against:     []evidence{found(ProbeClock, ClockAhead).is(Strong, "This workstation's clock is ahead."), clockOff(24*time.Hour).is(Strong, "This workstation's clock is {clock}.")},
			distinguish: "If the browser complains about other sites as well, it is this workstation's clock.",
			fix:         Fix{"Tell the health system that the certificate has run out. Check this workstation's date and time all the same.", AskHealthSystem, ""},
			probe:       ProbeClock,
			sources:     []string{"RFC 5280 section 4.1.2.5"},
		},
		{
			id: "clock-wrong", title: "This workstation's clock is not the server's: it is {clock}.", stages: everywhere,
			when: []condition{clockOff(2 * time.Minute), fault("tls-expired", "id-token-issued-later", "id-token-expired", "id-token-not-yet")}, prior: often(4),
			evidence: []evidence{
				ours("clock is behind the server").is(Strong+Fair, "What the server signed is dated later than this workstation's clock."),
				clockOff(2*time.Minute).is(Strong, "The Date header of {host} and this workstation's clock differ by {offset}."),
				found(ProbeClock, ClockAhead).is(Decisive, "The clock was compared with the server's: it is ahead."),
				found(ProbeClock, ClockBehind).is(Decisive, "The clock was compared with the server's: it is behind."),
				all(fault("id-token-issued-later", "id-token-not-yet"), clockOff(time.Minute)).is(Strong, "What the server signed is dated by its own clock."),
				all(fault("id-token-expired"), seen("this workstation's clock is ahead by a minute or more", func(v *view) bool { return v.Clock.Known && v.Clock.Offset <= -time.Minute })).is(Strong, "What the server signed has run out by this workstation's clock, and not by the server's."),
			},
			against:     []evidence{found(ProbeClock, ClockRight).is(Decisive, "The clock was compared with the server's: it is right."), seen("the two clocks agree", func(v *view) bool { return v.Clock.Known && v.Clock.Offset.Abs() < time.Minute }).is(Strong, "The server's clock and this one agree.")},
			distinguish: "Compare this workstation's clock with a phone's. If it is right, the server's is wrong.",
			fix:         Fix{"Set this workstation's clock, and turn network time on; then try again.", SetClock, ""},
			probe:       ProbeClock,
			sources:     []string{"OpenID Connect Core 1.0 section 3.1.3.7", "RFC 7519 section 4.1.4", "RFC 9110 section 6.6.1"},
		},
		{
			id: "server-clock-wrong", title: "The server's clock is wrong.", stages: everywhere,
			when: []condition{clockOff(2 * time.Minute)}, prior: often(1),
			evidence:    []evidence{found(ProbeClock, ClockRight).is(Slight, "This workstation's clock was found right.")},
			distinguish: "A phone's clock tells which of the two is wrong.",
			fix:         Fix{"If this workstation's clock is right, tell the health system that its server's is off by {offset}.", AskHealthSystem, ""},
			probe:       ProbeClock,
			sources:     []string{"RFC 9110 section 6.6.1"},
		},
		{
			id: "tls-old", title: "{host} offers only versions of TLS that are too old to be safe.", stages: everywhere,
			when: []condition{fault("tls-too-old")}, prior: often(6),
			evidence:    []evidence{fault("tls-too-old").is(Decisive, "No version from TLS 1.2 on was offered.")},
			distinguish: "An old proxy on the way looks the same; from another network it would not show.",
			fix:         Fix{"Tell the health system that SMART App Launch asks for TLS 1.2 or later.", AskHealthSystem, ""},
			sources:     []string{"https://hl7.org/fhir/smart-app-launch/app-launch.html#app-protection", "RFC 8996"},
		},
		{
			id: "not-https", title: "The address is one of plain http, or of another service, where https is expected.", stages: everywhere,
			when: []condition{fault("tls-failed")}, prior: often(6),
			evidence:    []evidence{fault("tls-failed").is(Strong, "No TLS connection could be made at this port."), ours("answers http, and not https").is(Strong, "The port answers plain http.")},
			distinguish: "A wrong port fails in each browser too.",
			fix:         Fix{"Check the port and the https at the beginning of the FHIR base URL.", ChangeBaseURL, ""},
			sources:     []string{"RFC 9110 section 4.2.2"},
		},
		{
			id: "client-certificate-missing", title: "{host} asks for a client certificate, and none was shown.", stages: everywhere,
			when: []condition{fault("client-certificate-required")}, prior: often(7),
			evidence:    []evidence{fault("client-certificate-required").is(Decisive, "The server asked for a certificate and ended the connection when it got none.")},
			distinguish: "The health system knows whether it gives certificates to apps (mutual TLS) for this address, or has another address without.",
			fix:         Fix{"Ask the health system for a client certificate (PKCS#12 or PEM), and add it to this registration.", AddCertificate, ""},
			sources:     []string{"RFC 8446 section 4.3.2", "RFC 8705 section 2"},
		},
		{
			id: "client-certificate-refused", title: "{host} does not accept the client certificate that it was shown.", stages: everywhere,
			when: []condition{fault("client-certificate-refused"), all(fault("tls-failed", "connection-failed"), withCertificate)}, prior: often(4),
			evidence:    []evidence{all(fault("tls-failed", "connection-failed"), withCertificate).is(Slight, "A client certificate is set for this server, and the connection ended early."), fault("client-certificate-refused").is(Decisive, "The server ended the connection after it had seen the certificate.")},
			distinguish: "An expired one shows its date; a wrong one is for another environment or app.",
			fix:         Fix{"Check that the certificate is the one for this environment and still counts; ask the health system for a new one otherwise.", AddCertificate, ""},
			sources:     []string{"RFC 8446 section 6.2", "RFC 8705 section 2"},
		},
		{
			id: "proxy-wants-sign-in", title: "{proxy} wants a user name and password.", stages: everywhere,
			when: []condition{fault("proxy-sign-in"), status(407)}, prior: often(7),
			evidence:    []evidence{either(fault("proxy-sign-in"), status(407)).is(Decisive, "The proxy answered that it wants a sign-in (407).")},
			distinguish: "Browsers sign in to such a proxy with the account of the system, so that a web page opens all the same.",
			fix:         Fix{"Enter the proxy's user name and password in Chartkey's network settings; ask your IT department for them.", SetProxy, "{proxy}"},
			sources:     []string{"RFC 9110 section 15.5.8"},
		},
		{
			id: "proxy-wrong", title: "{proxy}, which is set here, cannot be used.", stages: everywhere,
			when: []condition{fault("proxy-not-found", "proxy-unreachable", "proxy-invalid", "proxy-failed")}, prior: often(7),
			evidence:    []evidence{fault("proxy-not-found", "proxy-unreachable", "proxy-invalid", "proxy-failed").is(Strong+Fair, "The connection failed at the proxy, before {host} was asked.")},
			distinguish: "Without the proxy (on another network) the server answers.",
			fix:         Fix{"Compare the proxy's address with what your IT department gives, or remove the setting if no proxy is needed here.", SetProxy, "{proxy}"},
			sources:     []string{"RFC 9110 section 7.3.2"},
		},
		{
			id: "proxy-refuses", title: "{proxy} does not let this workstation reach {host}.", stages: everywhere,
			when: []condition{fault("proxy-refused")}, prior: often(7),
			evidence:    []evidence{fault("proxy-refused").is(Decisive, "The proxy answered the request for a connection with a refusal.")},
			distinguish: "The proxy's own page, in a browser, says why.",
			fix:         Fix{"Ask your IT department to allow {host} at the proxy.", SetProxy, "{proxy}"},
			sources:     []string{"RFC 9110 section 9.3.6"},
		},
		{
			id: "captive-portal", title: "The network answers in the place of {host} with a sign-in page of its own.", stages: everywhere,
			when: []condition{webPage, fault("discovery-not-json", "token-not-json", "fhir-bad-answer", "token-redirect", "redirect-refused", "registration-invalid", "tls-untrusted")}, prior: prior{3, 3, 4, 4},
			evidence: []evidence{
				all(webPage, seen("HTTP 200", func(v *view) bool { return v.HTTP.Status == 200 }), at(Token, Refresh, FHIR)).is(Strong, "A web page came in the place of {host}'s answer, with HTTP 200."),
				all(webPage, workedAsIs).is(Strong, "The same address worked {since-success} ago, and now gives a web page."),
				fault("token-not-json").is(Fair, "The token endpoint answered with something else than JSON."),
				fault("fhir-bad-answer").is(Fair, "The FHIR server answered with something else than a resource."),
				status(511).is(Decisive, "HTTP 511 means that a network wants a sign-in."),
			},
			against: []evidence{otherHostsWork.is(Fair, "Other servers answered as they should.")},
			phrases: []phrase{
				{"guest network", "", ""},
				{"accept the terms of this network", "", ""},
				{"captive portal", "", ""},
				{"wi-fi login", "", ""},
				{"network login", "", ""},
			},
			distinguish: "Open a web page with http, such as http://neverssl.com: a captive network shows its own page.",
			fix:         Fix{"Open a web page in the browser, sign in to the network or accept its terms, and try again.", SignInToNetwork, ""},
			sources:     []string{"RFC 8952 section 1", "RFC 6585 section 6"},
		},
		{
			id: "web-firewall", title: "A web application firewall before {host} refused the request.", stages: everywhere,
			when: []condition{all(status(403, 406), webPage)}, prior: often(5),
			evidence: []evidence{
				all(status(403, 406), webPage).is(Strong, "{status} came with a web page, and not in the server's own form."),
				all(status(403, 406), seen("the header Server names a gateway's product", func(v *view) bool {
					server := strings.ToLower(v.HTTP.Server)
					return slices.ContainsFunc([]string{"cloudflare", "akamai", "big-ip", "bigip", "imperva", "incapsula", "cloudfront", "awselb", "barracuda", "fortiweb"}, func(product string) bool { return strings.Contains(server, product) })
				})).is(Fair, "The header Server names a product that stands before servers."),
			},
			phrases: []phrase{
				{"the requested url was rejected. please consult with your administrator", "", ""},
				{"attention required! | cloudflare", "", ""},
				{"access denied…reference #", "", ""},
				{"incapsula incident id", "", ""},
			},
			distinguish: "The page has a support or reference number that the firewall's operator can look up.",
			fix:         Fix{"Send the health system the time and the number on the page, and ask that its firewall let Chartkey through.", AskHealthSystem, ""},
			sources:     []string{"RFC 9110 section 15.5.4"},
		},
		{
			id: "moved", title: "{host} sends requests on to another place.", stages: everywhere,
			when: []condition{fault("redirect-refused", "token-redirect")}, prior: often(6),
			evidence: []evidence{
				fault("redirect-refused").is(Strong, "The address answered with a redirect to another host."),
				fault("token-redirect").is(Strong+Fair, "The token endpoint answered with a redirect, which is not followed: it would give secrets away."),
			},
			distinguish: "If the health system has moved its server, its list of endpoints has the new address; a redirect to a page of the network is a sign-in there.",
			fix:         Fix{"Look up the FHIR base URL that the health system publishes now, and enter it.", ChangeBaseURL, ""},
			probe:       ProbeDiscoveryAgain,
			sources:     []string{"RFC 9700 section 4.12", "RFC 9110 section 15.4"},
		},
		{
			id: "not-a-fhir-answer", title: "{host} answers with far more than such an answer has, so it is probably another service.", stages: everywhere,
			when: []condition{fault("answer-too-large")}, prior: often(6),
			evidence:    []evidence{fault("answer-too-large").is(Strong+Fair, "The answer was larger than Chartkey reads.")},
			distinguish: "At FHIR, a search for fewer records is answered; a wrong address gives the same whatever is asked.",
			fix:         Fix{"Check that the FHIR base URL is that of the FHIR server. For a search, ask for fewer records at a time (_count).", ChangeBaseURL, ""},
			sources:     []string{"https://hl7.org/fhir/R4/http.html#paging"},
		},
		{
			id: "server-maintenance", title: "{host} is down for maintenance or overloaded, and comes back.", stages: everywhere,
			when: []condition{status(503), oauth("temporarily_unavailable"), fault("server-unavailable"), issueCode("transient", "lock-error", "timeout")}, prior: often(6),
			evidence: []evidence{
				status(503).is(Decisive, "The answer was HTTP 503."),
				oauth("temporarily_unavailable").is(Decisive, "The error is temporarily_unavailable."),
				all(fault("server-unavailable"), not(status(429, 502, 504))).is(Strong, "The server says that it is busy or down for now."),
				found(ProbeDiscoveryAgain, DiscoveryFails).is(Fair, "Its SMART configuration cannot be read now either."),
				seen("Retry-After", func(v *view) bool { return v.HTTP.RetryAfter > 0 && v.HTTP.Status != 429 }).is(Slight, "It asks to wait {wait}."),
			},
			distinguish: "It passes by itself, and others meet it as well.",
			fix:         Fix{"Wait {wait} and try again. If it lasts for hours, ask the health system.", Wait, "{wait}"},
			sources:     []string{"RFC 9110 section 15.6.4", "RFC 6749 section 4.1.2.1"},
		},
		{
			id: "gateway-fails", title: "A gateway before {host} could not reach the server behind it.", stages: everywhere,
			when: []condition{status(502, 504)}, prior: often(6),
			evidence:    []evidence{status(502, 504).is(Decisive, "The answer was {status}, which a gateway gives.")},
			distinguish: "The request did not reach the server, so nothing of what was sent is at fault.",
			fix:         Fix{"Wait a few minutes and try again. If it lasts, tell the health system.", Wait, "{wait}"},
			sources:     []string{"RFC 9110 section 15.6.3"},
		},
		{
			id: "server-fault", title: "{host} has a fault of its own.", stages: everywhere,
			when: []condition{status(500, 501), oauth("server_error"), fault("server-error", "fhir-server-error", "discovery-failed"), issueCode("exception", "no-store", "incomplete")}, prior: often(6),
			evidence: []evidence{
				status(500, 501).is(Strong+Fair, "The answer was {status}, which says nothing of what was sent."),
				oauth("server_error").is(Strong+Fair, "The error is server_error."),
			},
			against: []evidence{
				all(status(500), at(Token), isEpic, neverWorked).is(Slight, "No sign-in with this registration has worked yet."),
			},
			phrases: []phrase{
				{"an unexpected error has occurred. please try this operation again later", "athenahealth", "https://github.com/athenahealth/apiserver-athenaFlex/issues/93"},
				{"we can't process your request at this time", "CMS Blue Button", "https://github.com/jwilleke/yourphr/issues/408"},
				{"aadsts90033", "Microsoft Entra", entraCodes},
				{"aadsts90006", "Microsoft Entra", entraCodes},
				{"an internal server error has occurred", "Keycloak", keycloakWords},
			},
			distinguish: "If the same thing worked before with the same values, it is the server; if it never did, something that was sent may have brought it about.",
			fix:         Fix{"Try again in a few minutes. If it lasts, give the health system the time and the trace.", Retry, ""},
			sources:     []string{"RFC 9110 section 15.6.1", "RFC 6749 section 4.1.2.1"},
		},
		{
			id: "asked-too-often", title: "{host} was asked too often.", stages: everywhere,
			when: []condition{status(429), fault("rate-limited", "fhir-rate-limited"), oauth("slow_down"), issueCode("throttled"), epicCode("4135")}, prior: often(7),
			evidence: []evidence{
				status(429).is(Decisive, "The answer was HTTP 429."),
				fault("rate-limited", "fhir-rate-limited").is(Strong, "The server refused because of how often it was asked."),
				epicCode("4135").is(Decisive, "Epic's code 4135 means that the day's limit for documents is reached."),
			},
			phrases: []phrase{
				{"aadsts90055", "Microsoft Entra", entraCodes},
				{"aadsts50196", "Microsoft Entra", entraCodes},
			},
			distinguish: "It passes by itself; asking on makes it longer.",
			fix:         Fix{"Wait {wait} before the next request. With Epic's code 4135, try again tomorrow.", Wait, "{wait}"},
			sources:     []string{"RFC 6585 section 4", "https://fhir.epic.com/Specifications"},
		},
		{
			id: "cancelled", title: "It was cancelled here.", stages: Stages(),
			when: []condition{fault("cancelled", "sign-in-abandoned", "receiver-closed")}, prior: often(5),
			evidence:    []evidence{fault("cancelled", "sign-in-abandoned", "receiver-closed").is(Decisive, "Somebody, or the end of the program, cancelled it.")},
			distinguish: "No server had a part in it.",
			fix:         Fix{"Start again when you are ready.", Retry, ""},
			sources:     []string{"https://pkg.go.dev/context#Canceled"},
		},
	}
}
