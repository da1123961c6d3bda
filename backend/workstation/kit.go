package workstation

import (
	"context"
	"slices"

	"chartkey/backend/smart"
)

// Kit is what to type into the EHR's own registration page.
type Kit struct {
	ClientType   string   `json:"client_type"`
	RedirectURIs []string `json:"redirect_uris"`
	LaunchURL    string   `json:"launch_url"`
	Scopes       []string `json:"scopes"`
	Audience     string   `json:"audience"`
	Notes        []string `json:"notes"`
}

// Kit gives what to enter at the EHR for a registration.
func (w *Workstation) Kit(ctx context.Context, ref string) (Kit, error) {
	reg, err := w.Registration(ctx, ref)
	if err != nil {
		return Kit{}, err
	}
	return kitOf(reg), nil
}

func kitOf(reg Registration) Kit {
	k := Kit{ClientType: reg.ClientType, RedirectURIs: reg.RedirectURIs, LaunchURL: reg.LaunchURL, Scopes: reg.Scopes, Audience: reg.Audience}
	k.Notes = append(k.Notes, "Register every redirect URI letter by letter: servers compare case, port, path and final slash.")
	k.Notes = append(k.Notes, "For launches from the EHR, allow the scope launch too; it stands in place of launch/patient there.")
	switch {
	case slices.Contains(reg.Scopes, "offline_access"):
		k.Notes = append(k.Notes, "For access that outlasts the sign-in, allow refresh tokens (offline_access, or persistent access) for the app.")
	case reg.EHR == "epic" && reg.ClientType == string(smart.Public) && reg.OfflineAccess:
		k.Notes = append(k.Notes, "For access that outlasts the sign-in, register the app at Epic as a confidential client: a public one gets no refresh token.")
	}
	if reg.EHR == "epic" {
		k.Notes = append(k.Notes,
			"Epic decides access by the APIs chosen in the app's registration: choose the read and search APIs of each resource type in the scopes.",
			"Epic has one client ID for non-production and another for production.")
		if reg.Environment == "production" {
			k.Notes = append(k.Notes, "Epic accepts http redirect URIs for development and testing only; in production it asks for https.")
		}
	}
	return k
}
