package diagnose

import "strings"

// StageOf gives the stage that a fault's code belongs to. during is the stage
// that was under way, for the codes that can come up anywhere.
func StageOf(code string, during Stage) Stage {
	for _, s := range stagePrefixes {
		if strings.HasPrefix(code, s.prefix) {
			return s.stage
		}
	}
	if s, ok := stageCodes[code]; ok {
		return s
	}
	return during
}

var stagePrefixes = []struct {
	prefix string
	stage  Stage
}{
	{"discovery-", Discovery}, {"base-url-", Discovery}, {"callback-", Callback}, {"id-token-", IDToken}, {"fhir-", FHIR},
	{"revocation-", Revoke}, {"introspection-", Revoke}, {"registration-re", Register}, {"registration-unsupported", Register}, {"registration-invalid", Register},
	{"registration-auth", Register}, {"registration-grant", Register}, {"registration-keys", Register}, {"registration-method", Register}, {"registration-token", Register}, {"registration-not-allowed", Register},
	{"vault-", Local}, {"keyring-", Local}, {"passphrase-", Local}, {"passcode-", Local}, {"audit-", Local}, {"store-", Local}, {"data-folder-", Local},
	{"ca-bundle-", Local}, {"port", Local}, {"redirect-uri-", Local}, {"invalid-", Local}, {"user-", Local}, {"client-key-", Local}, {"launch-port-", Local},
	{"launch-", Launch},
}

var stageCodes = map[string]Stage{
	"sign-in-timeout": Authorize, "denied": Authorize, "authorization-request-refused": Authorize, "authorization-refused": Authorize,
	"response-type-unsupported": Authorize, "sign-in-needed": Authorize, "sign-in-expired": Callback, "no-sign-in-waits": Callback, "state-reused": Callback, "server-changed": Callback,
	"code-refused": Token, "token-request-refused": Token, "grant-type-unsupported": Token, "token-not-json": Token, "token-redirect": Token,
	"token-missing": Token, "token-invalid": Token, "token-type-unsupported": Token, "backend-client-type": Token, "backend-scope": Token,
	"grant-ended": Refresh, "no-refresh-token": Refresh, "not-refreshable": Refresh, "needs-reconnect": Refresh, "refresh-busy": Refresh,
	"issuer-not-found": Launch, "issuer-claimed": Launch, "account-changed": Callback, "token-type-not-revocable": Revoke, "no-access-token": Revoke,
	"cancelled": Local, "client-id-missing": Local, "client-secret-missing": Local, "client-type-unknown": Local, "scopes-missing": Local,
	"role-needed": Local, "internal": Local, "not-connected": Local,
}
