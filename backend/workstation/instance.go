package workstation

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"chartkey/backend/audit"
	"chartkey/backend/fault"
	"chartkey/backend/scope"
	"chartkey/backend/secret"
	"chartkey/backend/smart"
	"chartkey/backend/store"
	"chartkey/backend/vault"
)

// instance is the client that this workstation registered for itself at a
// sign-in, as a copy of the app (Epic, "Offline Access for Native and
// Browser-Based Applications"). Its key renews the access in the place of a
// refresh token, and belongs to one grant.
type instance struct {
	clientID string
	key      smart.ClientKey
}

// sealedInstance is the form in which an instance is sealed.
type sealedInstance struct {
	ClientID string          `json:"client_id"`
	Key      json.RawMessage `json:"key"` // the private JWK
}

func (i *instance) seal(k *vault.DataKey, grantID string) ([]byte, error) {
	if i == nil {
		return nil, nil
	}
	private, err := i.key.Private()
	if err != nil {
		return nil, err
	}
	defer private.Wipe()
	text, err := json.Marshal(sealedInstance{i.clientID, private.Bytes()})
	if err != nil {
		return nil, err
	}
	plain := secret.Own(text)
	defer plain.Wipe()
	return k.Seal(grantBinding("instance", grantID), plain)
}

func (w *Workstation) openInstance(ctx context.Context, g store.Grant) (*instance, error) {
	plain, err := w.open(ctx, g.ProfileID, grantBinding("instance", g.ID), g.Instance)
	if err != nil {
		return nil, err
	}
	defer plain.Wipe()
	var sealed sealedInstance
	if err := json.Unmarshal(plain.Bytes(), &sealed); err != nil {
		return nil, fault.New("vault-damaged", "The stored key of a connection cannot be read.", "Disconnect and connect again.")
	}
	key, err := smart.ImportClientKey(secret.Own(sealed.Key))
	if err != nil {
		return nil, err
	}
	return &instance{sealed.ClientID, key}, nil
}

// renewable tells whether a grant's access can be renewed without a sign-in.
func renewable(g store.Grant) bool { return len(g.RefreshToken) > 0 || len(g.Instance) > 0 }

// grantAuth gives who a grant's tokens were issued to: the registration's client,
// or the one that the workstation registered for itself. The latter proves itself
// at the token endpoint alone; elsewhere it is a public client.
func (w *Workstation) grantAuth(ctx context.Context, reg store.Registration, g store.Grant) (smart.ClientAuth, error) {
	if len(g.Instance) == 0 {
		return w.clientAuth(ctx, reg)
	}
	i, err := w.openInstance(ctx, g)
	if err != nil {
		return smart.ClientAuth{}, err
	}
	return smart.ClientAuth{Type: smart.Public, ClientID: i.clientID}, nil
}

// registerInstance registers this workstation as a client of its own, where the
// sign-in was granted that. The server ends the sign-in's access token with it,
// so there is none in the answer that is given on: the key gets the first one.
//
// A failure leaves the sign-in as good as it is without, and says so.
func (w *Workstation) registerInstance(ctx context.Context, in signIn, client *smart.Client, answer smart.TokenResponse) (*instance, smart.TokenResponse) {
	if !answer.Scopes.Has(smart.RegisterScope) || in.kind != standalone {
		return nil, answer
	}
	i, registered, err := w.newInstance(ctx, in, client, answer.AccessToken)
	if err != nil {
		f := Fault(err)
		w.log.Info("the workstation could not register itself", "code", f.Code)
		answer.Warnings = append(slices.Clone(answer.Warnings), "This workstation could not register itself with the EHR, so access is not renewed by a key of its own. "+f.Message)
		return nil, answer
	}
	answer.AccessToken, answer.RefreshToken = secret.Value{}, secret.Value{}
	answer.Scopes = withoutRegister(answer.Scopes)
	answer.ExpiresAt, answer.AuthMethod = w.now(), ""
	answer.Warnings = slices.Concat(answer.Warnings, registered.Warnings)
	return i, answer
}

func withoutRegister(set scope.Set) scope.Set {
	return slices.DeleteFunc(slices.Clone(set), func(s scope.Scope) bool { return s.Text == smart.RegisterScope })
}

func (w *Workstation) newInstance(ctx context.Context, in signIn, client *smart.Client, token secret.Value) (*instance, smart.RegisteredClient, error) {
	var registered smart.RegisteredClient
	if endpoint := in.cfg.InstanceRegistrationEndpoint(); endpoint != "" {
		if err := (grantOrigin{TokenEndpoint: in.cfg.TokenEndpoint}).sameServer(endpoint); err != nil {
			return nil, registered, err
		}
	}
	key, err := smart.GenerateClientKey(smart.RS384)
	if err != nil {
		return nil, registered, err
	}
	if registered, err = client.RegisterInstance(ctx, in.cfg, in.reg.ClientID, key, token); err != nil {
		return nil, registered, err
	}
	entry := registrationEntry(audit.Registration, in.reg)
	entry.Detail, entry.Subject = audit.DetailInstance, registered.ClientID
	return &instance{registered.ClientID, key}, registered, w.record(ctx, in.who.profile, entry, nil)
}

// firstInstanceToken takes up, with the key of a grant that was just stored, what
// the person allowed. Where that fails, the grant's status tells why, and the
// next use tries again.
func (w *Workstation) firstInstanceToken(ctx context.Context, who *seat, connectionID string) {
	ctx = context.WithValue(ctx, observationKey{}, nil) // it is a renewal, and no part of the sign-in
	reg, g, err := w.connection(ctx, who, connectionID)
	if err == nil && g.Accepted {
		_, err = w.renew(ctx, reg, g, asked)
	}
	if err != nil {
		w.log.Info("a registered workstation got no token yet", "code", fault.Code(err))
	}
}

// instanceEnded tells whether a server's answer to a registered copy means that
// it, or what the person allowed it, is no more.
func instanceEnded(err error) bool {
	return slices.Contains([]string{smart.CodeGrantEnded, smart.CodeClientRefused}, fault.Code(err))
}

// send asks for a new access token: by the refresh token, or by the key of the
// client that the workstation registered for itself (RFC 7523 section 2.1).
func (r renewal) send(ctx context.Context) (smart.TokenResponse, error) {
	granted := scope.Grammar(strings.Fields(r.g.ScopesGranted))
	if r.instance != nil {
		return r.client.JWTBearer(ctx, r.cfg, r.auth, granted)
	}
	return r.client.Refresh(ctx, r.cfg, r.auth, r.token, granted)
}

// granted gives the scopes of a renewed grant. What a key gets is for access
// alone: what the sign-in told of the person and of the context stays granted.
func (r renewal) granted(answer smart.TokenResponse) scope.Set {
	out := slices.Clone(answer.Scopes)
	if r.instance == nil {
		return out
	}
	for _, s := range scope.Grammar(strings.Fields(r.g.ScopesGranted)) {
		if (s.Kind == scope.Identity || s.Kind == scope.Launch) && !out.Covers(s) {
			out = append(out, s)
		}
	}
	return out
}
