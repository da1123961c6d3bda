package workstation

import (
	"chartkey/backend/fault"
)

// right is who may use a use-case.
type right int

const (
	// anybody: it answers while the workstation is locked too, and shows no patient then.
	anybody right = iota + 1
	// signedIn: the profile that has shown its passcode, for what is its own.
	signedIn
	// adminOnly: a signed-in admin.
	adminOnly
)

// The roles of a profile.
const (
	RoleAdmin     = "admin"
	RoleClinician = "clinician"
)

// rights names who may use each exported method of a Workstation. One that is
// missing here is refused, and a test fails.
var rights = map[string]right{
	"Home": anybody, "Watch": anybody, "Close": anybody, "Doctor": anybody,

	"Registrations": anybody, "Registration": anybody, "Kit": anybody, "ScopeAdvice": anybody, "CheckRegistration": anybody,
	"SaveRegistration": adminOnly, "RemoveRegistration": adminOnly, "RegisterApp": adminOnly,

	"Statuses": anybody, "Status": anybody, "LaunchStatuses": anybody, "LatestReport": anybody,
	"BeginConnect": signedIn, "Login": anybody, "DeliverCallback": anybody, "LoginOf": anybody, "AcceptConnection": signedIn,
	"Traces": signedIn, "WriteTrace": signedIn, "Diagnose": signedIn, "RecognizePage": signedIn, "ApplyFix": adminOnly,
	"Test": signedIn, "Survey": signedIn, "Refresh": signedIn, "RefreshDue": signedIn, "Disconnect": signedIn, "Read": signedIn, "ReadPages": signedIn,

	"ClientKeys": anybody, "KeySet": anybody, "PublicKey": anybody,
	"NewClientKey": adminOnly, "ImportClientKey": adminOnly, "UseClientKey": adminOnly, "RemoveClientKey": adminOnly,

	"LaunchSettings": anybody, "SaveLaunchSettings": signedIn, "ListenForLaunches": anybody, "CallbackURLs": anybody,
	"Issuers": anybody, "ApproveIssuer": adminOnly, "RefuseIssuer": adminOnly, "WithdrawIssuer": adminOnly, "InspectIssuer": adminOnly,

	"VaultStatus": anybody, "OpenVault": signedIn, "CreateVault": adminOnly, "ProtectVault": adminOnly,

	"ActAs": anybody, "Seat": anybody, "Profiles": anybody, "Profile": anybody, "Unlock": anybody, "Lock": anybody, "LockEverywhere": anybody, "LockedElsewhere": anybody, "FollowLock": anybody,
	"AddProfile": adminOnly, "RemoveProfile": adminOnly, "ResetPasscode": adminOnly, "RevokeConnections": adminOnly, "ChangePasscode": anybody,

	"LocalHTTPS": anybody, "EnableLocalHTTPS": adminOnly, "TrustLocalHTTPS": adminOnly, "DisableLocalHTTPS": adminOnly,
	"NetworkSettings": anybody, "Route": signedIn, "SetProxy": adminOnly, "SetAuthorities": adminOnly, "SetClientCertificate": adminOnly,
	"Policy": anybody, "SetPolicy": adminOnly,
	"AuditLog": adminOnly, "VerifyAudit": adminOnly, "ExportAudit": adminOnly, "Retain": adminOnly, "ResealAudit": adminOnly,
}

// checkRole refuses what a profile's role does not allow. Fault: role-needed.
func checkRole(role, use string) error {
	switch rights[use] {
	case anybody, signedIn:
		return nil
	case adminOnly:
		if role == RoleAdmin {
			return nil
		}
		return fault.New("role-needed", "This needs the role of an admin, and you are signed in as a clinician.",
			"Ask an admin of this workstation, or switch to an admin's profile.")
	}
	return fault.Newf("internal", "Report this: it is a mistake in Chartkey.", "Nothing says who may use %s.", use)
}
