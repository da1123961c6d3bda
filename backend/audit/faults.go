package audit

import "chartkey/backend/fault"

// The faults of this package, each with its words in one place.

func errSeal() *fault.Error {
	return fault.New("audit-damaged", "The seal of the activity record was changed or is missing.",
		"Somebody or something changed the database. Keep a copy of the data folder, find out what happened, "+
			"and reseal the record: what was damaged stays marked.")
}

func errUnreadable() *fault.Error {
	return fault.New("audit-unreadable", "An entry of the activity record is not readable.",
		"Verify the activity record: it names the first entry that was changed.")
}

func errKeyMissing() *fault.Error {
	return fault.New("audit-key-missing", "The key of the activity record is not at hand.", "Unlock the vault and try again.")
}

func errHasKey() *fault.Error {
	return fault.New("audit-has-key", "The activity record has a key already.", "Unlock the vault and try again.")
}

func errSealedTooLong() *fault.Error {
	return fault.New("audit-entry-invalid", "The patient's reference is too long for the activity record.",
		"This is a mistake in Chartkey. Report it with the steps that led here.")
}
