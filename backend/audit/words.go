package audit

import (
	"cmp"
	"strings"
)

// words say what was done, by action and detail. %r stands for the resource,
// %s for the subject, and %v for the server or issuer.
var words = map[Action]map[string]string{
	Connect:    {"": "Connected", "account-accepted": "Accepted another account"},
	Refresh:    {"": "Renewed the access"},
	Test:       {"": "Tested", "configuration": "Tested the configuration", "live": "Tested the connection", "all": "Tested the configuration and the connection"},
	Read:       {"": "Read", DetailResource: "Read %r", DetailSearch: "Searched %r"},
	Disconnect: {"": "Disconnected"},
	Launch:     {"": "Launched by the EHR"},
	LaunchDecision: {
		DetailIssuerApproved: "Approved launches from %v", DetailIssuerRefused: "Refused launches from %v", DetailIssuerWithdrawn: "Withdrew the decision on launches from %v",
		DetailLaunchAccepted: "Accepted a launch", DetailLaunchDiscarded: "Discarded a launch",
	},
	Registration: {DetailAdded: "Added the registration", DetailChanged: "Changed the registration", DetailRemoved: "Removed the registration", "network": "Changed the way to the server"},
	Profile: {
		DetailAdded: "Added %s", DetailChanged: "Changed %s", DetailRemoved: "Removed %s", DetailRole: "Changed the role of %s",
		DetailPasscodeChanged: "Changed the passcode of %s", DetailPasscodeReset: "Reset the passcode of %s",
	},
	SignIn: {DetailUnlocked: "Unlocked Chartkey", DetailWrongPasscode: "Gave a wrong passcode"},
	Lock:   {"": "Locked Chartkey: %s"},
	Vault: {
		DetailMade: "Made the vault", DetailUnlocked: "Unlocked the vault", DetailPassphrase: "Put the vault under a passphrase", DetailKeyring: "Put the vault's key into the keyring",
		DetailRotated: "Made new keys for the vault", DetailBackup: "Backed the vault up", DetailRestore: "Restored the vault",
	},
	Policy: {
		DetailIdleTime: "Set the time to the lock to %s", DetailRetention: "Set the time that the activity record is kept to %s",
		"launch-listener-on": "Switched the launch listener on at %s", "launch-listener-off": "Switched the launch listener off", "network": "Changed the way to the servers",
		"localhost-authority-made": "Made the authority for https on this computer", "localhost-authority-removed": "Removed the authority for https on this computer",
		"localhost-authority-trusted": "Had the browsers trust the authority for https on this computer", "localhost-authority-untrusted": "Had the browsers forget the authority for https on this computer",
	},
	Audit: {
		DetailExported: "Exported the activity record as %s", DetailCheckpoint: "Removed %s entries that were older than the policy says", DetailResealed: "Resealed the damaged activity record",
	},
	Unreadable: {"": "An entry that cannot be read"},
}

// Words say in a few words what was done. Where it was done, by whom, and how
// it ended is not among them.
func (e Entry) Words() string {
	text, ok := words[e.Action][e.Detail]
	if !ok {
		return strings.Join(nonEmpty(string(e.Action), e.Detail, e.Resource, e.Subject), " ")
	}
	return strings.NewReplacer("%r", cmp.Or(e.Resource, "what has no type"), "%s", e.Subject, "%v", e.Server).Replace(text)
}

func nonEmpty(all ...string) (some []string) {
	for _, s := range all {
		if s != "" {
			some = append(some, s)
		}
	}
	return some
}
