package simulator

import "net/url"

// LaunchOption is one entry of a list in a launch form.
type LaunchOption struct {
	Value    string `json:"value"`
	Label    string `json:"label"`
	Selected bool   `json:"selected"`
}

// LaunchChoices are what a launch can be made of, as the launch portal offers it.
type LaunchChoices struct {
	Users      []LaunchOption `json:"users"`
	Patients   []LaunchOption `json:"patients"`
	Encounters []LaunchOption `json:"encounters"`
	Clients    []LaunchOption `json:"clients"`
	Styles     []LaunchOption `json:"styles"`
	// More tells how many patients are not listed.
	More int `json:"more"`
}

// LaunchChoices gives the choices for a user and a patient: the patients whom
// the user may see, and the encounters of the patient. find narrows the
// patients. Empty values take what the portal offers first.
func (s *Server) LaunchChoices(user, patient, find string) LaunchChoices {
	chosen := url.Values{"user": {user}, "find": {find}}
	if patient != "" {
		chosen.Set("patient", patient)
	}
	f := s.launchForm(chosen)
	return LaunchChoices{
		Users: published(f.Users), Patients: published(f.Patients), Encounters: published(f.Encounters), Clients: published(f.Clients), Styles: published(f.Styles), More: f.More,
	}
}

func published(options []option) []LaunchOption {
	out := make([]LaunchOption, len(options))
	for i, o := range options {
		out[i] = LaunchOption(o)
	}
	return out
}
