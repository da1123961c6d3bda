package simulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// Register adds a client while the server runs, or puts it in place of the one
// with the same client ID. It fails, in a sentence, as LoadClients does.
func (s *Server) Register(c Client) error {
	if err := c.check(); err != nil {
		return err
	}
	s.clients.put(c)
	return nil
}

func (b *clientBook) put(c Client) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.list[c.ID] = c.clone()
}

// registerFromControl takes a client as it stands in a clients file, and
// answers {"client_id": "…"}. A refusal is 422 with "error": "client_refused".
func (s *Server) registerFromControl(w http.ResponseWriter, r *http.Request) {
	var c Client
	if !readControl(w, r, &c) {
		return
	}
	identify(r, c.ID)
	if err := s.Register(c); err != nil {
		judge(r, "not registered: %v", err)
		writeJSON(w, http.StatusUnprocessableEntity, map[string]string{"error": "client_refused", "error_description": sentence(err)})
		return
	}
	judge(r, "%s was registered", c.ID)
	writeJSON(w, http.StatusOK, map[string]string{"client_id": c.ID})
}

// keysFromPortal takes the portal's form for the public keys of an asymmetric
// client. Its fields are client_id and either jwks or jwks_uri.
func (s *Server) keysFromPortal(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		s.errorPage(w, r, http.StatusBadRequest, "The form cannot be read", "It is malformed or too long.")
		return
	}
	id := r.PostForm.Get("client_id")
	identify(r, id)
	if err := s.takeKeys(id, strings.TrimSpace(r.PostForm.Get("jwks")), strings.TrimSpace(r.PostForm.Get("jwks_uri"))); err != nil {
		judge(r, "keys refused: %v", err)
		s.renderHome(w, r, http.StatusUnprocessableEntity, s.launchForm(r.URL.Query()), sentence(err))
		return
	}
	judge(r, "keys of %s were registered", id)
	http.Redirect(w, r, "/#clients", http.StatusSeeOther)
}

func (s *Server) takeKeys(id, set, address string) error {
	client, ok := s.client(id)
	switch {
	case !ok || client.Type != ConfidentialAsymmetric:
		return fmt.Errorf("no %s client has the client ID %q", ConfidentialAsymmetric, clip(id, 100))
	case (set == "") == (address == ""):
		return errors.New("give the key set or its address, one of the two")
	}
	client.JWKS, client.JWKSURI = nil, address
	if set != "" {
		client.JWKS = &jose.JSONWebKeySet{}
		if err := json.Unmarshal([]byte(set), client.JWKS); err != nil {
			return errors.New("this is no JSON Web Key Set, which begins with {\"keys\": [")
		}
	}
	return s.Register(client)
}
