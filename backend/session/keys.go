package session

import (
	"chartkey/backend/secret"
	"chartkey/backend/smart"
	"chartkey/backend/workstation"
)

// NewClientKey makes a key pair for a registration.
func (s *Session) NewClientKey(id string, alg smart.KeyAlgorithm) (workstation.ClientKey, error) {
	defer s.changed()
	return s.w.NewClientKey(s.ctx, id, alg)
}

// ImportClientKey takes an existing private key.
func (s *Session) ImportClientKey(id string, private secret.Value) (workstation.ClientKey, error) {
	defer s.changed()
	defer private.Wipe()
	return s.w.ImportClientKey(s.ctx, id, private)
}

// UseClientKey has another of a registration's keys sign from now on.
func (s *Session) UseClientKey(id, kid string) error {
	defer s.changed()
	return s.w.UseClientKey(s.ctx, id, kid)
}

// RemoveClientKey forgets a key that no longer signs.
func (s *Session) RemoveClientKey(id, kid string) error {
	defer s.changed()
	return s.w.RemoveClientKey(s.ctx, id, kid)
}
