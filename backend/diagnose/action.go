package diagnose

// Action is what mends a cause, as a word for programs.
type Action string

// The actions. Param of Fix is what stands in brackets.
const (
	TrimSecret        Action = "trim-secret"
	ReplaceSecret     Action = "replace-secret"
	DecodeSecret      Action = "decode-secret"
	ChangeClientID    Action = "change-client-id"
	SwitchEnvironment Action = "switch-environment" // (the environment to switch to)
	ChangeClientType  Action = "change-client-type" // (the type)
	ChangeAudience    Action = "change-audience"    // (patient or provider)
	ChangeBaseURL     Action = "change-base-url"    // (the address, where it can be told)
	ActivateApp       Action = "activate-app"
	RegisterRedirect  Action = "register-redirect-uri" // (the redirect URI)
	ChangeRedirect    Action = "change-redirect-uri"   // (the redirect URI)
	ChangePort        Action = "change-redirect-port"  // (the port)
	UseHTTPSRedirect  Action = "use-https-redirect"
	RegisterKey       Action = "register-key"
	PublishKeys       Action = "publish-keys"
	DropScope         Action = "drop-scope"        // (the scopes)
	AddScope          Action = "add-scope"         // (the scope)
	UseScopeVersion   Action = "use-scope-version" // (v1 or v2)
	SelectAPIs        Action = "select-apis"       // (the resource type)
	ChoosePatient     Action = "choose-patient"
	Reconnect         Action = "reconnect"
	Retry             Action = "retry"
	Wait              Action = "wait" // (for how long)
	SetClock          Action = "set-clock"
	AddAuthority      Action = "add-authority"
	AddCertificate    Action = "add-client-certificate"
	SetProxy          Action = "set-proxy" // (the proxy)
	SignInToNetwork   Action = "sign-in-to-network"
	CheckNetwork      Action = "check-network"
	ChangeBrowser     Action = "change-browser"
	DiscoverAgain     Action = "discover-again"
	RelaunchFromEHR   Action = "relaunch-from-ehr"
	ApproveIssuer     Action = "approve-issuer"
	OpenInEHR         Action = "open-in-ehr"
	ChangeRequest     Action = "change-request"
	SearchAgain       Action = "search-again"
	EndAccessAtEHR    Action = "end-access-at-ehr"
	FreePort          Action = "free-port" // (the port)
	UnlockVault       Action = "unlock-vault"
	RestoreBackup     Action = "restore-backup"
	CorrectInput      Action = "correct-input"
	SignInHere        Action = "sign-in-here"
	TestAgain         Action = "test-again"
	Stop              Action = "stop" // do not go on: it may be an attack
	AskHealthSystem   Action = "ask-health-system"
)

// Actions gives every action.
func Actions() []Action {
	return []Action{
		TrimSecret, ReplaceSecret, DecodeSecret, ChangeClientID, SwitchEnvironment, ChangeClientType, ChangeAudience, ChangeBaseURL, ActivateApp,
		RegisterRedirect, ChangeRedirect, ChangePort, UseHTTPSRedirect, RegisterKey, PublishKeys, DropScope, AddScope, UseScopeVersion, SelectAPIs,
		ChoosePatient, Reconnect, Retry, Wait, SetClock, AddAuthority, AddCertificate, SetProxy, SignInToNetwork, CheckNetwork, ChangeBrowser,
		DiscoverAgain, RelaunchFromEHR, ApproveIssuer, OpenInEHR, ChangeRequest, SearchAgain, EndAccessAtEHR, FreePort, UnlockVault, RestoreBackup,
		CorrectInput, SignInHere, TestAgain, Stop, AskHealthSystem,
	}
}
