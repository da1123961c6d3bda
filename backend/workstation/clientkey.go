package workstation

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"

	"chartkey/backend/audit"
	"chartkey/backend/fault"
	"chartkey/backend/secret"
	"chartkey/backend/smart"
	"chartkey/backend/store"
	"chartkey/backend/vault"
)

// ClientKey is a key pair of a registration, as far as it may be seen.
type ClientKey struct {
	// ID is its kid, by which the EHR finds the public half.
	ID        string `json:"kid"`
	Algorithm string `json:"alg"`  // RS384 | ES384
	Kind      string `json:"kind"` // such as "RSA, 3072 bits"
	// Signs tells whether it is the one that is used. The others are published beside it.
	Signs     bool      `json:"signs"`
	CreatedAt time.Time `json:"created_at" ts_type:"string"`
}

// PublicKey is the public half of a key in the forms in which EHRs take it.
type PublicKey struct {
	ClientKey
	JWK json.RawMessage `json:"jwk" ts_type:"any"`
	// PEM is the key alone; Certificate is self-signed around it, as Epic's form takes it.
	PEM         string `json:"pem"`
	Certificate string `json:"certificate"`
	// SHA1 is the certificate's fingerprint, by which Epic's page shows which one it has.
	SHA1 string `json:"certificate_sha1"`
}

func clientKeyBinding(registrationID, kid string) vault.Binding {
	return vault.Binding{Table: "client_key", Column: "private", Row: registrationID + " " + kid}
}

// ClientKeys gives the key pairs of a registration: the one that signs, then the latest first.
func (w *Workstation) ClientKeys(ctx context.Context, ref string) ([]ClientKey, error) {
	reg, err := w.registrationRow(ctx, ref)
	if err != nil {
		return nil, err
	}
	rows, err := w.store.ClientKeys(ctx, reg.ID)
	if err != nil {
		return nil, err
	}
	out := make([]ClientKey, len(rows))
	for i, row := range rows {
		if out[i], err = publicKeyOf(row); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func publicKeyOf(row store.ClientKey) (ClientKey, error) {
	var jwk struct {
		Alg string `json:"alg"`
		Kty string `json:"kty"`
		N   string `json:"n"`
		Crv string `json:"crv"`
	}
	if err := json.Unmarshal([]byte(row.Public), &jwk); err != nil {
		return ClientKey{}, fault.New("store-damaged", "A stored public key cannot be read.", "Make a new key and register it at the EHR.").Because(err)
	}
	return ClientKey{ID: row.Kid, Algorithm: jwk.Alg, Kind: kindOf(jwk.Kty, jwk.N, jwk.Crv), Signs: row.Signs, CreatedAt: fromMillis(row.CreatedAt)}, nil
}

// NewClientKey makes a key pair for a registration. The first one signs at
// once; a later one is published beside it until UseClientKey.
// Faults: registration-not-found, not-asymmetric, and those of the vault.
func (w *Workstation) NewClientKey(ctx context.Context, ref string, alg smart.KeyAlgorithm) (k ClientKey, err error) {
	err = w.as(ctx, "NewClientKey", func(ctx context.Context, who *seat) error {
		key, err := smart.GenerateClientKey(alg)
		if err != nil {
			return err
		}
		k, err = w.addClientKey(ctx, who, ref, key, "key-made")
		return err
	})
	return k, err
}

// ImportClientKey takes an existing private key: PEM, a JWK or a JWK set.
// Faults: those of smart.ImportClientKey, client-key-exists.
func (w *Workstation) ImportClientKey(ctx context.Context, ref string, private secret.Value) (k ClientKey, err error) {
	err = w.as(ctx, "ImportClientKey", func(ctx context.Context, who *seat) error {
		key, err := smart.ImportClientKey(private)
		if err != nil {
			return err
		}
		k, err = w.addClientKey(ctx, who, ref, key, "key-imported")
		return err
	})
	return k, err
}

func (w *Workstation) addClientKey(ctx context.Context, who *seat, ref string, key smart.ClientKey, detail string) (ClientKey, error) {
	reg, err := w.registrationRow(ctx, ref)
	if err != nil {
		return ClientKey{}, err
	}
	if smart.ClientType(reg.ClientType) != smart.ConfidentialAsymmetric {
		return ClientKey{}, fault.Newf("not-asymmetric", "Change the client type to confidential-asymmetric, if that is how the app is registered at the EHR.",
			"%s is a %s client, which signs with no key.", reg.Name, reg.ClientType)
	}
	row, err := w.sealClientKey(ctx, reg, key)
	if err != nil {
		return ClientKey{}, err
	}
	entry := registrationEntry(audit.Registration, reg)
	entry.Detail, entry.Subject = detail, row.Kid
	err = w.record(ctx, who.profile, entry, func(q *store.Queries) error { return insertClientKey(ctx, q, &row) })
	if store.IsDuplicate(err) {
		return ClientKey{}, fault.Newf("client-key-exists", "Nothing is to be done.", "%s has the key %s already.", reg.Name, row.Kid)
	}
	if err != nil {
		return ClientKey{}, err
	}
	return publicKeyOf(row)
}

func (w *Workstation) sealClientKey(ctx context.Context, reg store.Registration, key smart.ClientKey) (store.ClientKey, error) {
	private, err := key.Private()
	if err != nil {
		return store.ClientKey{}, err
	}
	defer private.Wipe()
	public, err := key.PublicJWK()
	if err != nil {
		return store.ClientKey{}, err
	}
	certificate, err := key.Certificate(reg.Name, w.now())
	if err != nil {
		return store.ClientKey{}, err
	}
	sealed, err := w.seal(ctx, workstationOwner, clientKeyBinding(reg.ID, key.ID()), private)
	if err != nil {
		return store.ClientKey{}, err
	}
	return store.ClientKey{RegistrationID: reg.ID, Kid: key.ID(), Private: sealed, Public: string(public), CreatedAt: w.now().UnixMilli(), Certificate: certificate.PEM}, nil
}

// insertClientKey stores a key. It signs where no other one does.
func insertClientKey(ctx context.Context, q *store.Queries, row *store.ClientKey) error {
	_, err := q.SigningKey(ctx, row.RegistrationID)
	if err != nil && !errors.Is(err, store.ErrNoRow) {
		return err
	}
	row.Signs = err != nil
	return q.InsertClientKey(ctx, store.InsertClientKeyParams(*row))
}

// UseClientKey has another of a registration's keys sign from now on. The
// earlier one stays published, for assertions of it may still be under way.
// Fault: client-key-not-found.
func (w *Workstation) UseClientKey(ctx context.Context, ref, kid string) error {
	return w.as(ctx, "UseClientKey", func(ctx context.Context, who *seat) error {
		return w.changeClientKey(ctx, who, ref, kid, "key-switched", func(q *store.Queries, reg store.Registration) error {
			if err := q.RetireSigningKey(ctx, reg.ID); err != nil {
				return err
			}
			n, err := q.SignWithKey(ctx, store.SignWithKeyParams{RegistrationID: reg.ID, Kid: kid})
			if err == nil && n == 0 {
				return noClientKey(reg, kid)
			}
			return err
		})
	})
}

// RemoveClientKey forgets a key that no longer signs. Faults:
// client-key-not-found, client-key-in-use.
func (w *Workstation) RemoveClientKey(ctx context.Context, ref, kid string) error {
	return w.as(ctx, "RemoveClientKey", func(ctx context.Context, who *seat) error {
		return w.changeClientKey(ctx, who, ref, kid, "key-removed", func(q *store.Queries, reg store.Registration) error {
			if signing, err := q.SigningKey(ctx, reg.ID); err == nil && signing.Kid == kid {
				return fault.Newf("client-key-in-use", "Have another key sign first.", "%s signs with the key %s.", reg.Name, kid)
			}
			n, err := q.DeleteClientKey(ctx, store.DeleteClientKeyParams{RegistrationID: reg.ID, Kid: kid})
			if err == nil && n == 0 {
				return noClientKey(reg, kid)
			}
			return err
		})
	})
}

func (w *Workstation) changeClientKey(ctx context.Context, who *seat, ref, kid, detail string, deed func(q *store.Queries, reg store.Registration) error) error {
	reg, err := w.registrationRow(ctx, ref)
	if err != nil {
		return err
	}
	entry := registrationEntry(audit.Registration, reg)
	entry.Detail, entry.Subject = detail, kid
	w.backoff.forget(reg.ID) // what was refused for the sake of a key may be tried with another
	return w.record(ctx, who.profile, entry, func(q *store.Queries) error { return deed(q, reg) })
}

func noClientKey(reg store.Registration, kid string) *fault.Error {
	return fault.Newf("client-key-not-found", "List the keys of the registration to see their kid.", "%s has no key %q.", reg.Name, kid)
}

// PublicKey gives one public key of a registration for the EHR's form; kid ""
// is the one that signs. Fault: client-key-not-found.
func (w *Workstation) PublicKey(ctx context.Context, ref, kid string) (PublicKey, error) {
	reg, err := w.registrationRow(ctx, ref)
	if err != nil {
		return PublicKey{}, err
	}
	rows, err := w.store.ClientKeys(ctx, reg.ID)
	if err != nil {
		return PublicKey{}, err
	}
	for _, row := range rows {
		if row.Kid == kid || (kid == "" && row.Signs) {
			return wholePublicKey(row)
		}
	}
	if kid == "" {
		_, err := w.signingKey(ctx, reg)
		return PublicKey{}, err
	}
	return PublicKey{}, noClientKey(reg, kid)
}

func wholePublicKey(row store.ClientKey) (PublicKey, error) {
	key, err := publicKeyOf(row)
	p := PublicKey{ClientKey: key, JWK: json.RawMessage(row.Public), Certificate: row.Certificate}
	block, _ := pem.Decode([]byte(row.Certificate))
	if err != nil || block == nil {
		return p, err
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return p, fault.New("store-damaged", "A stored certificate cannot be read.", "Make a new key and register it at the EHR.").Because(err)
	}
	p.PEM = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: certificate.RawSubjectPublicKeyInfo}))
	p.SHA1 = smart.Fingerprint(certificate.Raw)
	return p, nil
}

func (w *Workstation) openClientKey(ctx context.Context, row store.ClientKey) (smart.ClientKey, error) {
	private, err := w.open(ctx, workstationOwner, clientKeyBinding(row.RegistrationID, row.Kid), row.Private)
	if err != nil {
		return smart.ClientKey{}, err
	}
	return smart.ImportClientKey(private)
}

// KeySet gives the public keys of a registration as a JWK set (RFC 7517
// section 5), as it is uploaded or published. It is empty where there is none.
func (w *Workstation) KeySet(ctx context.Context, ref string) (json.RawMessage, error) {
	reg, err := w.registrationRow(ctx, ref)
	if err != nil {
		return nil, err
	}
	rows, err := w.store.ClientKeys(ctx, reg.ID)
	if err != nil {
		return nil, err
	}
	var public []string
	for _, row := range rows {
		public = append(public, row.Public)
	}
	return keySet(public)
}

// keySet makes a JWK set of public JWKs.
func keySet(public []string) (json.RawMessage, error) {
	keys := make([]json.RawMessage, len(public))
	for i, k := range public {
		keys[i] = json.RawMessage(k)
	}
	return json.Marshal(struct {
		Keys []json.RawMessage `json:"keys"`
	}{keys})
}

// signingKey gives the key with which a registration's client signs. Fault: client-key-missing.
func (w *Workstation) signingKey(ctx context.Context, reg store.Registration) (store.ClientKey, error) {
	row, err := w.store.SigningKey(ctx, reg.ID)
	if errors.Is(err, store.ErrNoRow) {
		err = fault.Newf("client-key-missing", "Make or import a key for the registration, and register its public half at the EHR.", "%s has no key to sign with.", reg.Name)
	}
	return row, err
}

// keyAuth completes how a client shows who it is with the key that signs.
func (w *Workstation) keyAuth(ctx context.Context, reg store.Registration, auth smart.ClientAuth) (smart.ClientAuth, error) {
	row, err := w.signingKey(ctx, reg)
	if err != nil {
		return auth, err
	}
	if auth.Key, err = w.openClientKey(ctx, row); err != nil {
		return auth, err
	}
	if readsKeySet(reg) {
		// The server may have the keys in another way, so this is no reason to stop.
		if err := w.publishKeys(ctx, row.Public); err != nil {
			w.log.Info("the public keys are not published", "code", fault.Code(err))
		}
	}
	return auth, nil
}

// kindOf tells people what a public key is.
func kindOf(kty, n, crv string) string {
	if kty == "EC" {
		return "EC, " + crv
	}
	modulus, err := base64.RawURLEncoding.DecodeString(n)
	if err != nil {
		return kty
	}
	return fmt.Sprintf("%s, %d bits", kty, new(big.Int).SetBytes(modulus).BitLen())
}

// firstKey gives the key of a client that is to sign and has none yet, or nil: the
// one that it was registered with, or a new one.
func (w *Workstation) firstKey(ctx context.Context, reg store.Registration, key smart.ClientKey) (_ *store.ClientKey, err error) {
	if smart.ClientType(reg.ClientType) != smart.ConfidentialAsymmetric {
		return nil, nil
	}
	if _, err := w.store.SigningKey(ctx, reg.ID); !errors.Is(err, store.ErrNoRow) {
		return nil, err
	}
	if key.IsZero() {
		// Every EHR takes RS384; Epic takes no other key by upload.
		if key, err = smart.GenerateClientKey(smart.RS384); err != nil {
			return nil, err
		}
	}
	row, err := w.sealClientKey(ctx, reg, key)
	return &row, err
}
