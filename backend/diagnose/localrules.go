package diagnose

// localRules are about this workstation. No server has a part in them, so the
// fault tells what it is, and its family is enough to find the cause.
func localRules() []rule {
	anywhere := Stages()
	local := func(id, title string, when condition, saw, distinguish, fix string, action Action, sources ...string) rule {
		return rule{
			id: id, title: title, stages: anywhere, when: []condition{when}, prior: often(6),
			evidence: []evidence{when.is(Strong+Fair, saw)}, distinguish: distinguish, fix: Fix{fix, action, ""}, sources: sources,
		}
	}
	const security = "docs/security.md"
	const commands = "docs/cli.md"
	return []rule{
		local("vault-locked", "The vault is locked, so stored secrets and connections cannot be read.",
			fault("vault-locked", "passphrase-needed", "keyring-locked"), "The key to the vault is not at hand.",
			"After unlocking, the same works.", "Unlock the vault: enter the passphrase, or unlock the system's keyring.", UnlockVault, security),
		local("keyring-unusable", "The system's keyring cannot be used, or does not answer.",
			fault("keyring-unavailable", "keyring-timeout", "keyring-protected"), "The keyring was asked and gave no answer that can be used.",
			"Other programs that store passwords have the same trouble.", "Start or unlock the keyring, or guard the vault by a passphrase instead.", UnlockVault, security),
		local("vault-key-missing", "The key to the vault is not in this account's keyring, or is another one.",
			fault("keyring-entry-missing", "keyring-entry-mismatch", "audit-key-missing"), "A vault is there, and its key is not.",
			"A data folder that was copied from another computer or account has its key there.", "Use the account and computer where the vault was made, or restore a backup with its passphrase.", RestoreBackup, security),
		local("passphrase-wrong", "The passphrase or passcode is wrong or missing.",
			fault("passphrase-wrong", "passcode-wrong", "passcode-needed", "passcode-delayed", "passcode-changed"), "What was entered does not open the key.",
			"Look at caps lock and the keyboard's language.", "Enter it again. An administrator can reset a passcode, which ends that profile's connections.", SignInHere, security),
		local("passphrase-unsuitable", "The passphrase or passcode cannot be used as it is.",
			fault("passphrase-too-short", "passphrase-unusable", "passphrase-cost", "passcode-too-short", "passcode-unusable", "passcode-exists", "passcode-not-set"), "It was refused before anything was stored.",
			"The message says what is wrong with it.", "Choose one that is long enough and has characters that you can type.", CorrectInput, security),
		local("stored-data-damaged", "What is stored on this computer is damaged, or was changed by another program.",
			fault("vault-damaged", "store-damaged", "audit-damaged", "audit-unreadable", "audit-entry-invalid", "audit-anchor-invalid", "audit-has-key", "vault-binding", "vault-owner", "vault-id", "vault-exists", "vault-busy", "backup-damaged"),
			"A check of the stored data failed.", "A backup that still opens shows when it was good.", "Do not remove anything. Restore a backup, and look into the activity record for what happened before.", RestoreBackup, security),
		local("data-folder-unusable", "The data folder cannot be used: no space, no right to write, or a newer Chartkey has changed it.",
			fault("data-folder-unusable", "vault-too-new", "store-newer", "store-busy", "store-unavailable", "disk-full", "file-not-written"), "Reading or writing there failed.",
			"chartkey doctor says what is wrong with the folder.", "Free space, give this account the right to the folder, or install the newer Chartkey.", CorrectInput, commands),
		local("port-taken", "The port that the browser comes back to, or that launches come to, is taken by another program.",
			fault("ports-taken", "port-taken", "launch-port-taken", "keys-not-published"), "The port could not be opened.",
			"chartkey doctor lists which ports are taken.", "End the program that holds the port (often another Chartkey), or register another redirect URI.", FreePort, "RFC 8252 section 7.3"),
		local("redirect-uri-unusable", "The redirect URI is one that Chartkey cannot listen at.",
			fault("redirect-uri-invalid", "redirect-uri-unsupported", "redirect-uri-port", "redirect-uri-missing"), "It was refused before the browser opened.",
			"An address on this computer, with a port of 1024 or more, can be listened at.", "Enter an address such as http://localhost:18320/callback, and register the same at the EHR.", ChangeRedirect, "RFC 8252 section 7.3"),
		local("keys-of-client-missing", "The registration has no usable key or secret to authenticate with.",
			either(fault("client-secret-missing", "client-key-missing", "client-key-not-found", "client-type-unknown", "not-asymmetric", "client-jwks-url"), faultFamily("client-key-")), "What the client type needs is not stored.",
			"The registration's page says set or none.", "Enter the secret, or make a key and register its public half at the EHR.", RegisterKey, smartAsymmetric),
		local("certificate-file-unusable", "The certificate file that was given cannot be used.",
			either(faultFamily("ca-bundle-", "client-certificate-un", "client-certificate-pass", "client-certificate-sev", "client-certificate-no", "client-certificate-key", "client-certificate-too", "client-certificate-mis", "client-certificate-exp"), fault("system-roots-unreadable")),
			"It was refused as it was read.", "The message says what is wrong with the file.", "Ask for the file again (PEM, or PKCS#12 with its passphrase), and add it anew.", AddCertificate, "RFC 7468 section 5"),
		local("proxy-setting-invalid", "The proxy that was entered is no address that can be used.",
			either(fault("invalid-proxy", "proxy-invalid", "proxy-user-without-url"), faultFamily("proxy-url-")), "It was refused as it was read.",
			"A proxy's address has a host and a port.", "Enter it as http://proxy.example.org:8080, with user name and password in their own fields.", SetProxy, "RFC 9110 section 7.3.2"),
		local("localhost-https-not-ready", "This computer has no usable authority for its https redirect or launch URL.",
			either(faultFamily("localhost-authority-"), fault("browser-store-missing", "certutil-missing", "certutil-failed")), "The certificate for this computer cannot be made, or not be made known to the browser.",
			"chartkey https show says what there is.", "Make one (chartkey https enable) and let the browser trust it (chartkey https trust).", UseHTTPSRedirect, "RFC 8252 section 8.3", security),
		local("browser-not-opened", "The system's browser could not be opened from here.",
			fault("browser-not-opened", "link-refused", "clipboard"), "Opening or copying the address failed.",
			"The same address works when it is pasted into a browser on this computer.", "Copy the address, and open it in a browser on this computer.", ChangeBrowser, commands),
		local("sandbox-or-listener-off", "The sandbox or the launch listener is off.",
			fault("sandbox-off", "sandbox-failed", "listener-off"), "It does not run.",
			"The place Sandbox, or Launches, shows its switch.", "Switch it on, and try again.", Retry, "docs/simulator.md"),
		local("input-invalid", "Something that was entered cannot be used.",
			either(faultFamily("invalid-"), fault("client-id-missing", "scopes-missing", "user-exists", "own-profile", "url-invalid", "issuer-not-found", "registration-not-found", "trace-not-found", "client-key-exists", "login-not-found", "user-not-found", "no-failure", "no-such-fix", "nothing-pasted", "sign-in-not-needed", "sign-in-not-offered")), "It was refused before anything was asked of a server.",
			"The message names the field.", "Correct what the message names.", CorrectInput, commands),
		local("role-needed", "This profile may not do that.",
			fault("role-needed"), "It takes another role.",
			"A profile with the role of an administrator can.", "Ask an administrator of this workstation to do it, or to change the role.", SignInHere, security),
		local("inside-chartkey", "Something went wrong inside Chartkey.",
			fault("internal"), "The failure has no name of its own.",
			"If it happens each time with the same steps, it is a mistake in the program.", "Try again. If it happens again, report it with the steps that led here.", Retry, "docs/development.md"),
	}
}
