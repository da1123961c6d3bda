package simulator

import (
	"crypto/sha256"
	"crypto/subtle"
	"slices"
	"strings"
)

// The kinds of account.
const (
	PatientAccount      = "patient"
	PractitionerAccount = "practitioner"
)

// Account is one published test sign-in.
type Account struct {
	Username string `json:"username"`
	Password string `json:"password"`
	// Name is the person's, as the pages show it.
	Name string `json:"name"`
	// Kind is "patient" or "practitioner".
	Kind string `json:"kind"`
	// FHIRUser is the person's own resource, such as "Patient/amara-nwosu".
	FHIRUser string `json:"fhir_user"`
	// Proxies maps the ID of another patient whose record this account may open
	// to the resource that the person is then, such as a RelatedPerson.
	Proxies map[string]string `json:"proxies,omitempty"`

	subject string
}

// The passwords of the published sign-ins. They guard nothing but invented patients.
const (
	patientPassword      = "patient-pass1"
	practitionerPassword = "clinician-pass1"
)

// publishedAccounts is the whole list; the first patient and the first
// practitioner are the ones that scripts use.
func publishedAccounts() []Account {
	patient := func(username, name, id string) Account {
		return Account{Username: username, Password: patientPassword, Name: name, Kind: PatientAccount, FHIRUser: "Patient/" + id, subject: "sandbox-" + username}
	}
	practitioner := func(username, name, id string) Account {
		return Account{Username: username, Password: practitionerPassword, Name: name, Kind: PractitionerAccount, FHIRUser: "Practitioner/" + id, subject: "sandbox-" + username}
	}
	sofia := patient("sofia", "Sofia Marchetti", "sofia-marchetti")
	sofia.Proxies = map[string]string{"luca-marchetti": "RelatedPerson/sofia-for-luca"}
	return []Account{
		patient("amara", "Amara Nwosu", "amara-nwosu"),
		patient("daniel", "Daniel Whitlock", "daniel-whitlock"),
		sofia,
		patient("peter", "Peter James Chalmers", "peter-chalmers"),
		patient("maria", "María de los Ángeles Etxeberria", "maria-etxeberria"),
		practitioner("dr.okafor", "Dr. Nneka Okafor", "nneka-okafor"),
		practitioner("dr.lindqvist", "Dr. Henrik Lindqvist", "henrik-lindqvist"),
		practitioner("np.calloway", "June Calloway, NP", "june-calloway"),
	}
}

// findAccount checks a sign-in. The user name is compared without case, as people type it.
func findAccount(username, password string) (Account, bool) {
	accounts := publishedAccounts()
	i := slices.IndexFunc(accounts, func(a Account) bool { return strings.EqualFold(a.Username, strings.TrimSpace(username)) })
	var want Account
	if i >= 0 {
		want = accounts[i]
	}
	a, b := sha256.Sum256([]byte(want.Password)), sha256.Sum256([]byte(password))
	return want, subtle.ConstantTimeCompare(a[:], b[:]) == 1 && i >= 0
}

// patients gives the IDs of the records that the account may open, its own
// first; all is true for a practitioner, who may open every one.
func (a Account) patients() (ids []string, all bool) {
	if a.Kind == PractitionerAccount {
		return nil, true
	}
	ids = []string{strings.TrimPrefix(a.FHIRUser, "Patient/")}
	others := make([]string, 0, len(a.Proxies))
	for id := range a.Proxies {
		others = append(others, id)
	}
	slices.Sort(others)
	return append(ids, others...), false
}

// mayOpen tells whether the account may open a patient's record.
func (a Account) mayOpen(patient string) bool {
	ids, all := a.patients()
	return all || slices.Contains(ids, patient)
}

// as gives the resource that the person is with regard to a patient: who
// opens a child's record does it as a related person.
func (a Account) as(patient string) string {
	if ref, ok := a.Proxies[patient]; ok {
		return ref
	}
	return a.FHIRUser
}
