package simulator

import (
	"time"

	"chartkey/backend/scope"
)

// backendTokenLife is the longest that SMART recommends for a backend
// service's token.
const backendTokenLife = 5 * time.Minute

// serviceGrant is SMART's Backend Services: a client that acts for itself. Its
// token is short and never renewed, as it can ask again at any time.
func (s *Server) serviceGrant(client Client, asked string) (issue, []string, *oauthError) {
	scopes, dropped, oerr := s.offered(client, asked, "system")
	if oerr != nil {
		return issue{}, nil, oerr
	}
	var system scope.Set
	for _, sc := range scopes {
		if sc.Kind == scope.Resource && sc.Context == "system" {
			system = append(system, sc)
		} else {
			dropped = append(dropped, sc.Text)
		}
	}
	if len(system) == 0 {
		return issue{}, nil, refuse("invalid_scope", "a backend service can be granted system/ scopes only")
	}
	settings := s.Settings()
	settings.AccessTokenLife = min(settings.AccessTokenLife, backendTokenLife)
	return s.ledger.grantDirectly(grant{clientID: client.ID, scopes: system, signedIn: s.now()}, settings), dropped, nil
}
