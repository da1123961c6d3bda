package workstation

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"chartkey/backend/smart"
	"chartkey/backend/store"
)

// Kit is what to type into the EHR's own registration page.
type Kit struct {
	ClientType   string   `json:"client_type"`
	RedirectURIs []string `json:"redirect_uris"`
	LaunchURL    string   `json:"launch_url"`
	Scopes       []string `json:"scopes"`
	Audience     string   `json:"audience"`
	// JWKS has the public keys of a client that signs, as a JWK set (RFC 7517 section 5); others have none.
	JWKS json.RawMessage `json:"jwks,omitempty" ts_type:"any"`
	// JWKSURL is where a server of this computer reads them; "" for any other server, which cannot.
	JWKSURL string `json:"jwks_url"`
	// PublicKeys are the same keys in the other forms that EHRs take. The first one signs.
	PublicKeys []PublicKey `json:"public_keys"`
	Notes      []string    `json:"notes"`
}

// Kit gives what to enter at the EHR for a registration.
func (w *Workstation) Kit(ctx context.Context, ref string) (Kit, error) {
	row, err := w.registrationRow(ctx, ref)
	if err != nil {
		return Kit{}, err
	}
	reg, err := w.registration(ctx, row)
	if err != nil {
		return Kit{}, err
	}
	k := kitOf(reg)
	if smart.ClientType(reg.ClientType) == smart.ConfidentialAsymmetric {
		err = w.addKeys(ctx, &k, row)
	}
	return k, err
}

func kitOf(reg Registration) Kit {
	k := Kit{ClientType: reg.ClientType, RedirectURIs: reg.RedirectURIs, LaunchURL: reg.LaunchURL, Scopes: reg.Scopes, Audience: reg.Audience, PublicKeys: []PublicKey{}}
	if reg.Kind == KindBackend {
		k.Notes = serviceNotes(reg)
		return k
	}
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

func serviceNotes(reg Registration) []string {
	if reg.EHR != "epic" {
		return []string{"Register it as a backend service (client_credentials), with the scopes and the public key. It has no redirect URI and no launch URL."}
	}
	return []string{
		"On the app's page at Epic, choose Backend Systems as the audience. There is no redirect URI and no launch URL.",
		"Epic decides access by the APIs chosen in the app's registration: choose the read and search APIs of each resource type in the scopes. At a site, the app is mapped to a user of theirs.",
		"Epic has one client ID for non-production and another for production.",
		"Since February 2026 Epic has a backend service at a site read its keys from a JWKS URL; a key that was uploaded before stays good. The sandbox takes an upload.",
	}
}

// addKeys tells how the public keys get to the EHR.
func (w *Workstation) addKeys(ctx context.Context, k *Kit, reg store.Registration) error {
	rows, err := w.store.ClientKeys(ctx, reg.ID)
	if err != nil {
		return err
	}
	public := make([]string, len(rows))
	for i, row := range rows {
		public[i] = row.Public
		key, err := wholePublicKey(row)
		if err != nil {
			return err
		}
		k.PublicKeys = append(k.PublicKeys, key)
	}
	if k.JWKS, err = keySet(public); err != nil {
		return err
	}
	if len(rows) == 0 {
		k.Notes = append(k.Notes, "There is no key yet: make or import one, then register its public half.")
		return nil
	}
	k.Notes = append(k.Notes, "The private key never leaves this workstation: only what stands here goes to the EHR.")
	if len(rows) > 1 {
		k.Notes = append(k.Notes, "There are several keys, as one replaces the other. Register all of them, have the new one sign once the EHR knows it, then remove the old.")
	}
	switch {
	case readsKeySet(reg):
		k.JWKSURL = w.keySetURL
		k.Notes = append(k.Notes, "A server on this computer reads the keys at the JWKS URL, while Chartkey talks to it.")
	case reg.EHR == "epic":
		k.Notes = append(k.Notes, epicKeyNotes(k.PublicKeys[0], reg.Environment)...)
	default:
		k.Notes = append(k.Notes, "Upload the JWK set, or the public key or certificate in PEM, whichever the EHR takes. If it takes a JWKS URL alone, publish the JWK set at an https address that the EHR can reach.")
	}
	return nil
}

// epicKeyNotes tell what to do with the key at Epic, which takes RSA keys by
// upload, and others by URL only.
func epicKeyNotes(signs PublicKey, environment string) []string {
	which := "non-production"
	if environment == "production" {
		which = "production"
	}
	if signs.Algorithm != string(smart.RS384) {
		return []string{fmt.Sprintf("Epic takes an EC key such as %s by a JWKS URL only: publish the JWK set at an https address that Epic can reach and enter it on the app's page, or make a key for RS384 instead.", signs.ID)}
	}
	return []string{
		fmt.Sprintf("On the app's page at Epic, upload the certificate as the public key for %s: save it to a file (chartkey registration key export --format certificate). Epic takes the key out of it and shows its SHA-1, which must be %s.", which, signs.SHA1),
		"Epic takes up to an hour in the sandbox, and up to 12 hours at sites, to know a new key.",
	}
}
