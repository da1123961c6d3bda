package simulator

import (
	"net/http"
	"time"
)

// controlSettings is Settings in JSON: lives in seconds, 0 for the default.
type controlSettings struct {
	CodeLife            float64 `json:"code_seconds"`
	AccessTokenLife     float64 `json:"access_token_seconds"`
	RefreshTokenLife    float64 `json:"refresh_token_seconds"`
	OnlineLife          float64 `json:"online_seconds"`
	SignInLife          float64 `json:"sign_in_seconds"`
	LaunchLife          float64 `json:"launch_seconds"`
	FixedRefreshTokens  bool    `json:"fixed_refresh_tokens"`
	SignInAtLaunch      bool    `json:"sign_in_at_launch"`
	SkipConsentAtLaunch bool    `json:"skip_consent_at_launch"`
	SignedInAs          string  `json:"signed_in_as"`
	SkipPatientPicker   bool    `json:"skip_patient_picker"`
	SkipEncounterPicker bool    `json:"skip_encounter_picker"`
	SkipConsent         bool    `json:"skip_consent"`
}

func (s *Server) controlSettings() controlSettings {
	now := s.Settings()
	return controlSettings{
		CodeLife: now.CodeLife.Seconds(), AccessTokenLife: now.AccessTokenLife.Seconds(), RefreshTokenLife: now.RefreshTokenLife.Seconds(),
		OnlineLife: now.OnlineLife.Seconds(), SignInLife: now.SignInLife.Seconds(), LaunchLife: now.LaunchLife.Seconds(),
		FixedRefreshTokens: now.FixedRefreshTokens, SignInAtLaunch: now.SignInAtLaunch, SkipConsentAtLaunch: now.SkipConsentAtLaunch,
		SignedInAs: now.SignedInAs, SkipPatientPicker: now.SkipPatientPicker, SkipEncounterPicker: now.SkipEncounterPicker, SkipConsent: now.SkipConsent,
	}
}

// showSettings answers GET /control/settings.
func (s *Server) showSettings(w http.ResponseWriter, r *http.Request) {
	judge(r, "settings listed")
	writeJSON(w, http.StatusOK, s.controlSettings())
}

// takeSettings answers PATCH /control/settings: what is named changes, the rest
// stays. A setting that cannot be is 422 and changes nothing.
func (s *Server) takeSettings(w http.ResponseWriter, r *http.Request) {
	asked := s.controlSettings()
	if !readControl(w, r, &asked) {
		return
	}
	// Seconds beyond a century would overflow what a duration can hold.
	life := func(seconds float64) time.Duration {
		return time.Duration(min(seconds, 100*365*24*3600) * float64(time.Second))
	}
	err := s.Change(Settings{
		CodeLife: life(asked.CodeLife), AccessTokenLife: life(asked.AccessTokenLife), RefreshTokenLife: life(asked.RefreshTokenLife),
		OnlineLife: life(asked.OnlineLife), SignInLife: life(asked.SignInLife), LaunchLife: life(asked.LaunchLife),
		FixedRefreshTokens: asked.FixedRefreshTokens, SignInAtLaunch: asked.SignInAtLaunch, SkipConsentAtLaunch: asked.SkipConsentAtLaunch,
		SignedInAs: asked.SignedInAs, SkipPatientPicker: asked.SkipPatientPicker, SkipEncounterPicker: asked.SkipEncounterPicker, SkipConsent: asked.SkipConsent,
	})
	if err != nil {
		refuseControl(w, r, err)
		return
	}
	judge(r, "settings changed")
	writeJSON(w, http.StatusOK, s.controlSettings())
}
