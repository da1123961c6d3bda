package workstation

import (
	"context"
	"fmt"
	"slices"

	"chartkey/backend/audit"
	"chartkey/backend/fault"
	"chartkey/backend/scope"
	"chartkey/backend/secret"
	"chartkey/backend/smart"
)

// clientName is what a server that registers the app may show to people.
const clientName = "Chartkey"

// RegisterApp registers this app at a server that lets apps do so themselves (RFC
// 7591), and saves a registration with the client ID, and the secret where there
// is one, that the server gave. in has neither. initialAccessToken is empty where
// the server registers anybody.
//
// Faults: invalid-registration, and those of discovery, of smart.Register and of the vault.
func (w *Workstation) RegisterApp(ctx context.Context, in RegistrationInput, initialAccessToken secret.Value) (reg Registration, problems []FieldProblem, err error) {
	err = w.as(ctx, "RegisterApp", func(ctx context.Context, who *seat) error {
		reg, problems, err = w.registerApp(w.watched(ctx), who, in, initialAccessToken)
		return err
	})
	return reg, problems, err
}

// given is what a server gave, or was given, when it registered an app.
type given struct {
	key    smart.ClientKey // zero where none was sent
	method smart.AuthMethod
}

func (w *Workstation) registerApp(ctx context.Context, who *seat, in RegistrationInput, token secret.Value) (Registration, []FieldProblem, error) {
	asked, problems, err := w.examineUnregistered(ctx, in)
	if err != nil {
		return Registration{}, nil, err
	}
	if hasErrors(problems) {
		return Registration{}, nil, invalid(problems)
	}
	// What could not be kept later must not be got now.
	if smart.ClientType(asked.ClientType) != smart.Public {
		if _, err := w.dataKey(ctx, workstationOwner); err != nil {
			return Registration{}, nil, err
		}
	}
	var cfg smart.Configuration
	var own given
	var registered smart.RegisteredClient
	entry := audit.Entry{Action: audit.Registration, Detail: audit.DetailRegistering, Server: asked.FHIRBaseURL}
	if err := w.recorded(ctx, who.profile, entry, func(ctx context.Context, _ *action) (err error) {
		if cfg, err = w.discover(ctx, asked.FHIRBaseURL); err != nil {
			return err
		}
		var metadata smart.ClientMetadata
		if metadata, own, err = w.clientMetadata(ctx, asked, cfg); err != nil {
			return err
		}
		way, err := w.to(ctx, asked.FHIRBaseURL)
		if err != nil {
			return err
		}
		registered, err = way.smart.Register(ctx, cfg, metadata, token)
		return err
	}); err != nil {
		return Registration{}, nil, alreadyThere(err, registered.ClientID)
	}
	own.method = registered.AuthMethod
	in.ClientType, in.ClientID = string(registered.Type), registered.ClientID
	if !registered.Secret.IsEmpty() {
		in.ClientSecretAction, in.ClientSecret = SecretReplace, registered.Secret.Reveal()
	}
	notices := noticesOf(registered)
	scopes := effectiveScopesOf(asked, cfg)
	if less := scopes.Without(registered.Scopes); len(less) > 0 {
		in.Scopes = slices.DeleteFunc(slices.Clone(scopes), func(s scope.Scope) bool { return !registered.Scopes.Covers(s) }).Strings()
		notices = append(notices, FieldProblem{"scopes", "notice", fmt.Sprintf("The server did not register the app for %s.", less), "Ask the health system, if it is needed."})
	}
	reg, saved, err := w.saveRegistrationAs(ctx, who, "", in, own)
	if err != nil {
		return Registration{}, nil, alreadyThere(err, registered.ClientID)
	}
	return reg, slices.Concat(notices, saved), nil
}

// examineUnregistered tells what saving would say of an input that has no client
// ID and no secret yet, and gives it completed.
func (w *Workstation) examineUnregistered(ctx context.Context, in RegistrationInput) (RegistrationInput, []FieldProblem, error) {
	in.ClientID, in.ClientSecret, in.ClientSecretAction = "to-be-registered", "", ""
	if smart.ClientType(in.ClientType) == smart.ConfidentialSymmetric {
		in.ClientSecret = "to-be-given"
	}
	in, _, problems, err := w.examine(ctx, "", in)
	return in, slices.DeleteFunc(problems, func(p FieldProblem) bool {
		return p.Field == "client_id" || p.Field == "client_secret" || p.Level != "error"
	}), err
}

// clientMetadata is what the app says of itself.
func (w *Workstation) clientMetadata(ctx context.Context, in RegistrationInput, cfg smart.Configuration) (smart.ClientMetadata, given, error) {
	m := smart.ClientMetadata{ClientName: clientName, SoftwareVersion: w.version, RedirectURIs: in.RedirectURIs, Scopes: effectiveScopesOf(in, cfg)}
	if in.Kind == KindBackend {
		m.GrantTypes = []string{"client_credentials"}
	} else {
		listener, err := w.LaunchSettings(ctx)
		if err != nil {
			return m, given{}, err
		}
		m.LaunchURL = listener.URL
		m.GrantTypes = []string{"authorization_code", "refresh_token"}
		if !m.Scopes.Has("launch") { // for launches from the EHR
			m.Scopes = append(slices.Clone(m.Scopes), scope.Grammar([]string{"launch"})...)
		}
	}
	var own given
	switch smart.ClientType(in.ClientType) {
	case smart.ConfidentialSymmetric:
		m.AuthMethod = smart.AuthBasic
		if methods := cfg.TokenEndpointAuthMethodsSupported; slices.Contains(methods, string(smart.AuthPost)) && !slices.Contains(methods, string(smart.AuthBasic)) {
			m.AuthMethod = smart.AuthPost
		}
	case smart.ConfidentialAsymmetric:
		key, err := smart.GenerateClientKey(smart.RS384)
		if err != nil {
			return m, own, err
		}
		own.key, m.AuthMethod, m.Keys = key, smart.AuthPrivateKeyJWT, []smart.ClientKey{key}
	default:
		m.AuthMethod = smart.AuthNone
	}
	return m, own, nil
}

func noticesOf(registered smart.RegisteredClient) []FieldProblem {
	var out []FieldProblem
	for _, sentence := range registered.Warnings {
		out = append(out, FieldProblem{"client_id", "notice", sentence, "Tell the health system, if sign-ins fail."})
	}
	if !registered.SecretExpiresAt.IsZero() {
		out = append(out, FieldProblem{"client_secret", "notice", "The client secret runs out on " + readable(registered.SecretExpiresAt.UnixMilli()) + ".", "Register the app once more before that."})
	}
	return out
}

// alreadyThere says with a failure that the server has registered a client all the same.
func alreadyThere(err error, clientID string) error {
	if clientID == "" {
		return err
	}
	f := Fault(err)
	return fault.New(f.Code, f.Message+" The server has registered the app as "+clientID+" all the same.", f.Advice).Because(err)
}
