package diagnose

// ProbeID names something that can be asked to tell causes apart.
type ProbeID string

// The probes. Whoever runs one puts its result into Facts.Probes and diagnoses again.
const (
	ProbeClientKnown        ProbeID = "client-known"
	ProbeRedirectRegistered ProbeID = "redirect-registered"
	ProbeOtherEnvironment   ProbeID = "sandbox-id-on-production"
	ProbeClock              ProbeID = "clock"
	ProbeDiscoveryAgain     ProbeID = "discovery-again"
	ProbeBaseURLVariants    ProbeID = "base-url-variants"
	ProbeJWKSReachable      ProbeID = "jwks-reachable"
)

// The results of probes. NotTold is the one that every probe can have: the
// answer does not tell.
const (
	NotTold = "not-told"

	ClientKnown       = "known"
	ClientUnknown     = "unknown"
	RedirectAccepted  = "accepted"
	RedirectRefused   = "refused"
	KnownElsewhere    = "known-there"
	UnknownElsewhere  = "unknown-there"
	ClockRight        = "right"
	ClockAhead        = "ahead"  // this workstation's
	ClockBehind       = "behind" // this workstation's
	DiscoverySame     = "same"
	DiscoveryChanged  = "changed"
	DiscoveryFails    = "fails"
	BaseWithSlash     = "works-with-slash"
	BaseWithoutSlash  = "works-without-slash"
	BaseAsR4          = "works-as-r4"
	BaseInOtherCase   = "works-in-other-case"
	BaseNoneWorks     = "none-works"
	KeysReachable     = "reachable"
	KeysUnreachable   = "unreachable"
	KeysLackOurs      = "lacks-our-key"
	KeysNotASet       = "not-a-key-set"
	KeysAskForSignIn  = "wants-sign-in"
	KeysOnlyLocalHost = "only-from-here" // the address is one that nobody else can reach
)

// Probe is something that can be asked once, without changing anything anywhere.
type Probe struct {
	ID    ProbeID `json:"id"`
	Title string  `json:"title"`
	// Asks says exactly what is sent to whom, for whoever writes or judges the probe.
	Asks string `json:"asks"`
	// Safe says why it does no harm.
	Safe string `json:"safe"`
	// Results are what it can find, each with what that means.
	Results []ProbeResult `json:"results"`
}

// ProbeResult is something that a probe can find.
type ProbeResult struct {
	Result string `json:"result"`
	Means  string `json:"means"`
}

// Probes gives every probe. A probe is run at most once a diagnosis, with a
// deadline, without following redirects to another host, and only against
// addresses that the registration or its discovery names.
func Probes() []Probe {
	notTold := ProbeResult{NotTold, "The answers do not tell."}
	return []Probe{
		{
			ProbeClientKnown, "Does the server know this client ID?",
			"GET the authorization endpoint twice without a browser and without cookies, with the same parameters as a sign-in and a throw-away state and challenge: once with the client ID, once with a made-up one of the same form. Compare status, the host and path of Location, and the page's title.",
			"Nobody signs in, no code is issued, and the state belongs to no sign-in.",
			[]ProbeResult{
				{ClientKnown, "The two answers differ: the real one leads to a sign-in page."},
				{ClientUnknown, "Both are answered with the same error: the server does not know the client ID."},
				notTold,
			},
		},
		{
			ProbeRedirectRegistered, "Does the server know this redirect URI?",
			"GET the authorization endpoint twice, as in client-known, with the client ID and once the redirect URI in use, once the same with another path. Compare as there.",
			"As for client-known.",
			[]ProbeResult{
				{RedirectAccepted, "The redirect URI in use leads to a sign-in page, and the other does not."},
				{RedirectRefused, "Both are answered with the same error: the redirect URI in use is not registered."},
				notTold,
			},
		},
		{
			ProbeOtherEnvironment, "Does the other environment know this client ID?",
			"POST to the token endpoint of the other environment (at Epic in production, that of the public sandbox; in the sandbox, that of a production registration which is saved here): grant_type=authorization_code, a code that cannot be one, the redirect URI and the client ID. Never a secret or an assertion, as it is another server.",
			"The code is invalid, so nothing is granted; a client ID is no secret.",
			[]ProbeResult{
				{KnownElsewhere, "invalid_grant: the client ID is known there, so it is that environment's."},
				{UnknownElsewhere, "invalid_client, with 401 or 400: it is not known there, or is known as a confidential client."},
				notTold,
			},
		},
		{
			ProbeClock, "Is this workstation's clock right?",
			"GET the smart-configuration, and compare the Date header with the clock at the middle of the exchange.",
			"It is a public document.",
			[]ProbeResult{
				{ClockRight, "Within two minutes."}, {ClockAhead, "This workstation's clock is ahead by more."}, {ClockBehind, "It is behind by more."}, notTold,
			},
		},
		{
			ProbeDiscoveryAgain, "Does the server still say the same of itself?",
			"GET the smart-configuration anew, past every cache, and compare issuer, endpoints and capabilities with what was used.",
			"It is a public document.",
			[]ProbeResult{
				{DiscoverySame, "Nothing of it has changed."}, {DiscoveryChanged, "An endpoint, the issuer or the capabilities have changed."},
				{DiscoveryFails, "It cannot be read now."}, notTold,
			},
		},
		{
			ProbeBaseURLVariants, "Would a slightly different FHIR base URL work?",
			"GET the smart-configuration under up to four variants of the base URL on the same host: with and without the slash at the end, with R4 in the place of DSTU2 or STU3, with the path's FHIR part in the usual case (/api/FHIR/R4). A variant works where it answers with a SMART configuration.",
			"They are public documents on the same host.",
			[]ProbeResult{
				{BaseWithSlash, "It works with a slash at the end."}, {BaseWithoutSlash, "It works without the slash at the end."},
				{BaseAsR4, "It works with R4 in the path."}, {BaseInOtherCase, "It works with the path in another case."},
				{BaseNoneWorks, "None works."}, notTold,
			},
		},
		{
			ProbeJWKSReachable, "Can the server fetch the app's public keys?",
			"GET the JWKS URL that is registered for the app, without authentication, and look for the key in use. From here it shows what a stranger would get; whether the EHR can reach it as well, it cannot show.",
			"The keys are public.",
			[]ProbeResult{
				{KeysReachable, "It is answered with a key set that has the key in use."}, {KeysLackOurs, "The key set does not have the key in use."},
				{KeysNotASet, "It is answered with something else than a key set."}, {KeysAskForSignIn, "It is answered with 401, 403 or a sign-in page."},
				{KeysUnreachable, "It is not answered."}, {KeysOnlyLocalHost, "The address is on this computer or a private network, where an EHR does not reach."}, notTold,
			},
		},
	}
}
