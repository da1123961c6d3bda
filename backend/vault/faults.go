package vault

import "chartkey/backend/fault"

// The faults of this package, each with its words in one place. None of them
// leads to a new key: data that was sealed stays sealed until its own key is back.

func errLocked() *fault.Error {
	return fault.New("vault-locked", "The vault is locked, so stored sign-ins cannot be used.",
		"Unlock the vault and try again.")
}

func errDamaged(message string) *fault.Error {
	return fault.New("vault-damaged", message,
		"Nothing was deleted. Restore the data folder from a backup, or sign in again at the systems concerned.")
}

func errTooNew() *fault.Error {
	return fault.New("vault-too-new", "The vault was written by a newer version of Chartkey.",
		"Install the newest version of Chartkey on this computer.")
}

func errKeyringUnavailable(message, advice string) *fault.Error {
	return fault.New("keyring-unavailable", message, advice)
}

func errKeyringLocked() *fault.Error {
	return fault.New("keyring-locked", "The keyring of this computer is locked.",
		"Unlock it (it usually unlocks when you sign in to the desktop with your password), then try again. "+
			"On a computer without a desktop, protect the vault with a passphrase.").CanRetry()
}

func errKeyringTimeout() *fault.Error {
	return fault.New("keyring-timeout", "The keyring of this computer did not answer in time.",
		"Look for a question from the keyring on the screen and answer it, then try again. "+
			"If it never answers, sign out of the desktop and in again.").CanRetry()
}

func errKeyringEntryMissing() *fault.Error {
	return fault.New("keyring-entry-missing", "The keyring has no key for this vault.",
		"Nothing was deleted. Use the operating system account that the vault was made with, or restore that account's keyring. "+
			"If the key is gone for good, restore a backup that is protected with a passphrase, or start a new data folder and sign in again.")
}

func errKeyringEntryMismatch() *fault.Error {
	return fault.New("keyring-entry-mismatch", "The key in the keyring does not belong to this vault.",
		"Nothing was deleted or overwritten. Restore the data folder and the keyring from the same backup.")
}

func errPassphraseNeeded() *fault.Error {
	return fault.New("passphrase-needed", "The vault needs its passphrase.",
		"Enter the passphrase, or set CHARTKEY_PASSPHRASE_FILE to a file that holds it.")
}

func errPassphraseWrong() *fault.Error {
	return fault.New("passphrase-wrong", "The passphrase does not open the vault.",
		"Check capital letters and the keyboard layout, then try again. There is no way around a forgotten passphrase.")
}

func errPasscodeNeeded() *fault.Error {
	return fault.New("passcode-needed", "This profile needs its passcode.", "Enter the passcode.")
}

func errPasscodeWrong() *fault.Error {
	return fault.New("passcode-wrong", "The passcode does not open this profile.",
		"Check capital letters and the keyboard layout, then try again. There is no way around a forgotten passcode.")
}

func errCancelled(cause error) *fault.Error {
	return fault.New("cancelled", "The request was cancelled before it finished.", "Start it again if you still want it.").Because(cause)
}
