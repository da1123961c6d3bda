package vault_test

import (
	"testing"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/vault"
)

func TestWithoutABusThereIsNoKeyring(t *testing.T) {
	for name, address := range map[string]string{
		"not set":            "",
		"disabled":           "disabled:",
		"to be started":      "autolaunch:",
		"nobody listens":     "unix:path=/nonexistent/bus",
		"nonsense":           "nonsense",
		"no known transport": "launchd:env=X",
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("DBUS_SESSION_BUS_ADDRESS", address)
			t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
			began := time.Now()
			k := vault.NewKeyring(vault.KeyringOptions{})
			if state := k.State(t.Context()); state != vault.KeyringNone {
				t.Errorf("state %s", state)
			}
			v, _, err := vault.CreateWithKeyring(t.Context(), k.Prompting(), "")
			if v != nil || fault.Code(err) != "keyring-unavailable" || fault.From(err).Advice == "" {
				t.Errorf("%v", err)
			}
			if d := time.Since(began); d > time.Second {
				t.Errorf("it took %v", d)
			}
		})
	}
}
