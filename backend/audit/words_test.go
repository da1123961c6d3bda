package audit

import (
	"strings"
	"testing"
)

func TestWords(t *testing.T) {
	for _, test := range []struct {
		entry Entry
		want  string
	}{
		{Entry{Action: Connect}, "Connected"},
		{Entry{Action: Read, Detail: DetailResource, Resource: "Patient"}, "Read Patient"},
		{Entry{Action: Read, Detail: DetailSearch, Resource: "Observation"}, "Searched Observation"},
		{Entry{Action: Read, Detail: DetailResource}, "Read what has no type"},
		{Entry{Action: Profile, Detail: DetailAdded, Subject: "dr.okafor (clinician)"}, "Added dr.okafor (clinician)"},
		{Entry{Action: LaunchDecision, Detail: DetailIssuerApproved, Server: "https://ehr.example/fhir", Subject: "unused"}, "Approved launches from https://ehr.example/fhir"},
		{Entry{Action: Lock, Subject: "idle"}, "Locked Chartkey: idle"},
		{Entry{Action: Policy, Detail: DetailIdleTime, Subject: "1 minutes %v", Server: "not put in"}, "Set the time to the lock to 1 minutes %v"},
		{Entry{Action: Registration, Detail: "new-kind", Subject: "x"}, "registration new-kind x"},
		{Entry{Action: "new-action"}, "new-action"},
	} {
		if got := test.entry.Words(); got != test.want {
			t.Errorf("%+v: %q, want %q", test.entry, got, test.want)
		}
	}
}

func TestWordsHaveEachDetail(t *testing.T) {
	for action, details := range map[Action][]string{
		Read:           {DetailResource, DetailSearch},
		LaunchDecision: {DetailIssuerApproved, DetailIssuerRefused, DetailIssuerWithdrawn, DetailLaunchAccepted, DetailLaunchDiscarded},
		Registration:   {DetailAdded, DetailChanged, DetailRemoved},
		Profile:        {DetailAdded, DetailChanged, DetailRemoved, DetailRole, DetailPasscodeChanged, DetailPasscodeReset},
		SignIn:         {DetailUnlocked, DetailWrongPasscode},
		Vault:          {DetailUnlocked, DetailMade, DetailPassphrase, DetailKeyring, DetailRotated, DetailBackup, DetailRestore},
		Policy:         {DetailIdleTime, DetailRetention},
		Audit:          {DetailExported, DetailCheckpoint, DetailResealed},
	} {
		for _, detail := range details {
			e := Entry{Action: action, Detail: detail}
			if strings.HasPrefix(e.Words(), string(action)+" "+detail) {
				t.Errorf("%s %s has no words", action, detail)
			}
		}
	}
}
