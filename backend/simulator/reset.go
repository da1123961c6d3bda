package simulator

import (
	"net/http"
	"time"
)

// Reset forgets what came up since the server was made: sign-ins under way,
// launches, grants and every token, clients that registered themselves, the
// key sets that were fetched and the request log. Clients, settings and the
// patients stay.
func (s *Server) Reset() {
	s.ledger.forget()
	s.launches.forget()
	s.clients.forget()
	s.keySets.forget()
	s.seen.forget()
	s.log.forget()
}

func (l *ledger) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	// Emptied and not replaced: a grant that a request under way still holds is in none of them afterwards.
	clear(l.sessions)
	clear(l.codes)
	clear(l.grants)
	clear(l.access)
	clear(l.ended)
	clear(l.refresh)
	l.order, l.swept = nil, time.Time{}
}

func (l *requestLog) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept = nil
}

// resetFromControl takes {} and answers {"reset": true}.
func (s *Server) resetFromControl(w http.ResponseWriter, r *http.Request) {
	var nothing struct{}
	if !readControl(w, r, &nothing) {
		return
	}
	s.Reset()
	judge(r, "everything was forgotten: grants, launches, self-registered clients and the log")
	writeJSON(w, http.StatusOK, map[string]bool{"reset": true})
}
