package simulator

import "net/http"

// revoke ends a token (RFC 7009). A token that is not known is answered as if
// it had been revoked, because for the client the outcome is the same.
func (s *Server) revoke(w http.ResponseWriter, r *http.Request) {
	if s.trait(traitNoRevocation) {
		s.unknownPath(w, r)
		return
	}
	client, oerr := s.clientForm(r, "token", "token_type_hint")
	if oerr == nil && r.PostForm.Get("token") == "" {
		oerr = invalidRequest("token is missing")
	}
	if oerr != nil {
		s.refuseToken(w, r, oerr)
		return
	}
	judge(r, "%s", s.ledger.end(r.PostForm.Get("token"), client.ID))
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
}
