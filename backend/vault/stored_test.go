package vault_test

import (
	"encoding/base64"
	"encoding/json"
	"testing"

	"chartkey/backend/secret"
	"chartkey/backend/vault"
)

// TestWhatWasStoredOpensStill has rows as they were written when each form was
// new. A change that fails here locks people out of what they have: it needs a
// new version of the form instead.
func TestWhatWasStoredOpensStill(t *testing.T) {
	for name, c := range map[string]struct{ header, key, sealed string }{
		"a key under the master key": {
			`{"version":1,"vault_id":"2a0e1610-1dc1-412d-b4e4-4a7f1c7c8cb3","protection":"passphrase","kdf":{"name":"argon2id","salt":"QCnvMAeI5aR5k066xucDxw==","time":1,"memory_kib":8,"threads":1},"wrapped_master":"bMyZO1joe0feBx4z/vsM7Zv4SMPXnaXMoZx1Omjf9IT2ZCStB0IUqSXYlCT9aro1/K4UBG1fUCvdVO1C","check":"0o9hO6w/gNLBuQhDCW9Y2nmOOZnksacMLEnw61br+G4iFRLkbcbF1iZC"}`,
			`{"wrapped":"EogBV0Fg6ZYHHdlrIiCN+Xjjuhq67VPTXYhzYsorgD06jLO7kqtSBUMjPWhmJz0HFClSkMZiG7BpIoYBUR7ZNJ3jBvBiXenXahDV/bUqAJL6Yr+NjcXDxMetOkUqUI1k99e7RFhJwY/G96QUfffpaB7qEccLvaAcMxna1HCgZjti5TV+ZjcYsUInAg=="}`,
			"AUyPc9tIIXd7pCencaH+HDZoPFqhIpMpIgjUXh6AI7SwKg==",
		},
		"a key under a passcode": {
			`{"version":1,"vault_id":"c93e9815-72cd-4969-b3a0-3ffc26e268f9","protection":"passphrase","kdf":{"name":"argon2id","salt":"My3JHgnDUJmJpMGsd5UiTQ==","time":1,"memory_kib":8,"threads":1},"wrapped_master":"y8OUR90YrvMuKSspFZYsLaG0IP1wll0gkpLFwHOVaBLd67Nuh7fIFHbuyg+poiwebUQG27+JHYMugLt0","check":"dLP2DzOmvtutaxEwzNy6n9JtV4VoEvzKAaxTr+C2lvw8FeLKKf9eXb3i"}`,
			`{"wrapped":"es0RpiAhCXCl4VkL2GWCu89+844LukUParTjVpi6DV7m0WnriHS0uB012cTk3X82EZkW69Kc3OKBQR5lPjb7EU6FEhPaJloRT4xEWpL2yUBzOF7MYI76ms48xbs3v5fNfglJkI2jgxOx3pA59LxvLoCH7u7br35P/f6wD8LFm2sBaKoOvRQiBLKwVzdsFdM/ONCMLCPmSKYPgTZliw910PlDyUM=","kdf":{"name":"argon2id","salt":"Dkg4TTurKtMgyRTsF+nCpA==","time":1,"memory_kib":8,"threads":1}}`,
			"AU20LE1C4z37R2NIKK9kiwnsvRSBrHfqa+KKicG11Ej4Qg==",
		},
	} {
		t.Run(name, func(t *testing.T) {
			h, err := vault.ParseHeader([]byte(c.header))
			if err != nil {
				t.Fatal(err)
			}
			v := restart(t, h)
			var k vault.WrappedKey
			if err := json.Unmarshal([]byte(c.key), &k); err != nil {
				t.Fatal(err)
			}
			sealed, err := base64.StdEncoding.DecodeString(c.sealed)
			if err != nil {
				t.Fatal(err)
			}
			key, err := v.UnlockKey("alice", k, passcode)
			if err != nil {
				t.Fatal(err)
			}
			opens(t, key, sealed, "s")
			if k, err = v.ChangePasscode("alice", k, passcode, secret.New("another one"), cheapest); err != nil {
				t.Fatal(err)
			}
			if key, err = restart(t, h).UnlockKey("alice", k, secret.New("another one")); err != nil {
				t.Fatal(err)
			}
			opens(t, key, sealed, "s")
		})
	}
}
