package simulator

import (
	"errors"
	"net/http"
)

// The control endpoints change what the server does while it runs. They are
// the simulator's own and no part of any standard:
//
//	GET /control/faults  gives {"faults": [{"name", "sentence", "on"}]}
//	PUT /control/faults  takes {"on": ["token-503", …]}: these and no others
//	GET /control/traits  gives {"profile": "epic", "traits": [{"name", "sentence", "epic", "on"}]}
//	PUT /control/traits  takes {"profile": "epic"} or {"on": ["opaque-errors", …]}
//	POST /control/launch  takes a LaunchRequest and gives {"launch_url": "…"} (portal.go)
//	POST /control/client  takes a client as in a clients file (keys.go)
//	POST /control/reset   takes {} and forgets grants, launches and the log (reset.go)
//	GET, PATCH /control/settings  give and change Settings, in seconds (settings.go)
//
// A PUT answers like the GET; a name that is not known is 422 and changes
// nothing. The guard checks the Host header, sameOrigin refuses pages of other
// sites, and no fault touches these paths.

// faultState is a fault and whether it is on.
type faultState struct {
	Fault
	On bool `json:"on"`
}

type traitState struct {
	Trait
	On bool `json:"on"`
}

func (s *Server) showFaults(w http.ResponseWriter, r *http.Request) {
	judge(r, "faults listed")
	s.writeFaults(w)
}

func (s *Server) takeFaults(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		On []string `json:"on"`
	}
	if !readControl(w, r, &asked) {
		return
	}
	if err := s.SetFaults(asked.On...); err != nil {
		refuseControl(w, r, err)
		return
	}
	judge(r, "%d faults are on", len(s.Faults()))
	s.writeFaults(w)
}

func (s *Server) writeFaults(w http.ResponseWriter) {
	states := []faultState{}
	for _, f := range Faults() {
		states = append(states, faultState{f, s.faults.has(f.Name)})
	}
	writeJSON(w, http.StatusOK, map[string]any{"faults": states})
}

func (s *Server) showTraits(w http.ResponseWriter, r *http.Request) {
	judge(r, "traits listed")
	s.writeTraits(w)
}

func (s *Server) takeTraits(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Profile string    `json:"profile"`
		On      *[]string `json:"on"`
	}
	if !readControl(w, r, &asked) {
		return
	}
	var err error
	switch {
	case asked.Profile != "" && asked.On != nil:
		err = errors.New("give profile or on, as a profile is a set of traits")
	case asked.On != nil:
		err = s.SetTraits(*asked.On...)
	default:
		err = s.SetProfile(asked.Profile)
	}
	if err != nil {
		refuseControl(w, r, err)
		return
	}
	judge(r, "%d traits are on", len(s.Traits()))
	s.writeTraits(w)
}

func (s *Server) writeTraits(w http.ResponseWriter) {
	states := []traitState{}
	for _, t := range Traits() {
		states = append(states, traitState{t, s.trait(t.Name)})
	}
	writeJSON(w, http.StatusOK, map[string]any{"profile": s.Profile(), "traits": states})
}

func refuseControl(w http.ResponseWriter, r *http.Request, err error) {
	judge(r, "refused: %v", err)
	writeJSON(w, http.StatusUnprocessableEntity, map[string]string{"error": "refused", "error_description": sentence(err)})
}
