//go:build linux && system

package cli_test

import (
	"os"
	"testing"

	"chartkey/backend/vault/secretservicetest"

	"github.com/rogpeppe/go-internal/testscript"
	keyring "github.com/zalando/go-keyring"
)

// TestKeyring runs scripts against a real Secret Service in each state that a
// desktop or a server may have it in.
func TestKeyring(t *testing.T) {
	for _, c := range []struct {
		kind secretservicetest.Kind
		dir  string
	}{
		{secretservicetest.Unlocked, "unlocked"}, {secretservicetest.Unlocked, "forgetful"}, {secretservicetest.Locked, "locked"}, {secretservicetest.NotSetUp, "notsetup"},
	} {
		t.Run(c.dir, func(t *testing.T) {
			session := secretservicetest.Start(t, c.kind)
			p := scripts("testdata/keyring/" + c.dir)
			p.Setup = func(env *testscript.Env) error {
				env.Setenv("DBUS_SESSION_BUS_ADDRESS", session.Address)
				env.Setenv("XDG_RUNTIME_DIR", os.Getenv("XDG_RUNTIME_DIR"))
				return withHome(env)
			}
			p.Cmds = map[string]func(*testscript.TestScript, bool, []string){
				"lock":   func(*testscript.TestScript, bool, []string) { session.Lock() },
				"forget": func(ts *testscript.TestScript, _ bool, _ []string) { ts.Check(keyring.DeleteAll("chartkey")) },
			}
			for name, do := range scriptCommands {
				p.Cmds[name] = do
			}
			testscript.Run(t, p)
		})
	}
}
