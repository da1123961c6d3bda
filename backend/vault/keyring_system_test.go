//go:build linux && system

package vault_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/google/uuid"
	keyring "github.com/zalando/go-keyring"

	"chartkey/backend/fault"
	"chartkey/backend/secret"
	"chartkey/backend/vault"
	"chartkey/backend/vault/secretservicetest"
)

// patient is for tests in which the keyring is expected to answer, on a machine that is busy.
func patient() *vault.Keyring {
	return vault.NewKeyring(vault.KeyringOptions{Timeout: 10 * time.Second})
}

func TestTheStateOfARealSession(t *testing.T) {
	for _, c := range []struct {
		name  string
		kind  secretservicetest.Kind
		state vault.State
		code  string
	}{
		{"unlocked", secretservicetest.Unlocked, vault.KeyringAvailable, ""},
		{"locked", secretservicetest.Locked, vault.KeyringLocked, "keyring-locked"},
		{"started on demand, without a collection", secretservicetest.NotSetUp, vault.KeyringNone, "keyring-unavailable"},
		{"a bus without a keyring", secretservicetest.BusOnly, vault.KeyringNone, "keyring-unavailable"},
		{"no bus", secretservicetest.NoBus, vault.KeyringNone, "keyring-unavailable"},
	} {
		t.Run(c.name, func(t *testing.T) {
			secretservicetest.Start(t, c.kind)
			began := time.Now()
			state, err := patient().Check(t.Context())
			t.Logf("%s after %v", state, time.Since(began))
			if state != c.state || fault.Code(err) != c.code {
				t.Errorf("state %s, error %v; want %s, %q", state, err, c.state, c.code)
			}
			if c.code == "" {
				return
			}
			if fault.From(err).Advice == "" {
				t.Error("no advice")
			}
			// No key is made, and nobody is asked, wherever the keyring is of no use.
			began = time.Now()
			v, _, err := vault.CreateWithKeyring(t.Context(), vault.NewKeyring(vault.KeyringOptions{}), "")
			if v != nil || err == nil {
				t.Error("a vault was made")
			}
			if d := time.Since(began); d > time.Second {
				t.Errorf("it took %v to say so", d)
			}
		})
	}
}

func TestAVaultInARealKeyring(t *testing.T) {
	secretservicetest.Start(t, secretservicetest.Unlocked)
	k := patient()
	began := time.Now()
	v, h, err := vault.CreateWithKeyring(t.Context(), k, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("created in %v", time.Since(began))
	key, wrapped, err := v.NewDataKey("workstation")
	if err != nil {
		t.Fatal(err)
	}
	place := vault.Binding{Table: "grant", Column: "refresh_token", Row: "1"}
	sealed, err := key.Seal(place, secret.New("token"))
	if err != nil {
		t.Fatal(err)
	}
	v.Close()

	stored, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	if h, err = vault.ParseHeader(stored); err != nil {
		t.Fatal(err)
	}
	began = time.Now()
	v, err = vault.UnlockWithKeyring(t.Context(), k, h)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("unlocked in %v", time.Since(began))
	opens := func(v *vault.Vault) {
		t.Helper()
		key, err := v.DataKey("workstation", wrapped)
		if err != nil {
			t.Fatal(err)
		}
		if s, err := key.Open(place, sealed); err != nil || s.Reveal() != "token" {
			t.Fatalf("%v", err)
		}
	}
	opens(v)

	t.Run("to a passphrase and back", func(t *testing.T) {
		pass := secret.New("correct horse battery")
		byPass, err := v.ProtectWithPassphrase(pass, cheap)
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Delete(t.Context(), h.VaultID); err != nil {
			t.Fatal(err)
		}
		if _, err := vault.UnlockWithKeyring(t.Context(), k, h); fault.Code(err) != "keyring-entry-missing" {
			t.Errorf("after the entry was deleted: %v", err)
		}
		if _, err := keyring.Get("chartkey", h.VaultID); !errors.Is(err, keyring.ErrNotFound) {
			t.Errorf("looking for the entry made one: %v", err)
		}
		u, err := vault.UnlockWithPassphrase(byPass, pass)
		if err != nil {
			t.Fatal(err)
		}
		opens(u)
		again, err := u.ProtectWithKeyring(t.Context(), k)
		if err != nil {
			t.Fatal(err)
		}
		u.Close()
		if u, err = vault.UnlockWithKeyring(t.Context(), k, again); err != nil {
			t.Fatal(err)
		}
		opens(u)
		// A second time is no mistake: the same key is there already.
		if _, err := u.ProtectWithKeyring(t.Context(), k); err != nil {
			t.Error(err)
		}
		u.Close()
	})

	t.Run("another key in the entry", func(t *testing.T) {
		for name, value := range map[string]string{"of another vault": strings.Repeat("A", 43) + "=", "not a key": "hunter2"} {
			if err := keyring.Set("chartkey", h.VaultID, value); err != nil {
				t.Fatal(err)
			}
			if _, err := vault.UnlockWithKeyring(t.Context(), k, h); fault.Code(err) != "keyring-entry-mismatch" {
				t.Errorf("%s: %v", name, err)
			}
			if _, err := v.ProtectWithKeyring(t.Context(), k); fault.Code(err) != "keyring-entry-mismatch" {
				t.Errorf("%s: protecting: %v", name, err)
			}
			if _, _, err := vault.CreateWithKeyring(t.Context(), k, h.VaultID); fault.Code(err) != "keyring-entry-mismatch" {
				t.Errorf("%s: creating: %v", name, err)
			}
			if got, _ := keyring.Get("chartkey", h.VaultID); got != value {
				t.Errorf("%s: the entry was overwritten", name)
			}
		}
	})
}

func TestALockedKeyringIsNeitherAskedNorReset(t *testing.T) {
	s := secretservicetest.Start(t, secretservicetest.Unlocked)
	v, h, err := vault.CreateWithKeyring(t.Context(), patient(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	s.Lock()

	if _, err := vault.UnlockWithKeyring(t.Context(), patient(), h); fault.Code(err) != "keyring-locked" {
		t.Errorf("without asking: %v", err)
	}
	// Asked for, the keyring wants to prompt. No desktop is here to show the
	// prompt, so it is dismissed or stays: either way it ends by the deadline.
	asking := vault.NewKeyring(vault.KeyringOptions{Timeout: 5 * time.Second, PromptTimeout: time.Second}).Prompting()
	began := time.Now()
	_, err = vault.UnlockWithKeyring(t.Context(), asking, h)
	if code := fault.Code(err); code != "keyring-locked" && code != "keyring-timeout" && code != "keyring-unavailable" {
		t.Errorf("asking: %v", err)
	}
	t.Logf("asking ended as %s after %v", fault.Code(err), time.Since(began))
	if d := time.Since(began); d > 7*time.Second {
		t.Errorf("asking took %v", d)
	}
}

// silent owns the Secret Service's name and answers nothing, as a keyring does
// that hangs or waits for a person.
func silent(t *testing.T, address string) {
	conn, err := dbus.Connect(address, dbus.WithHandler(deaf{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if r, err := conn.RequestName("org.freedesktop.secrets", 0); err != nil || r != dbus.RequestNameReplyPrimaryOwner {
		t.Fatal(r, err)
	}
}

type deaf struct{}

func (deaf) LookupObject(dbus.ObjectPath) (dbus.ServerObject, bool) { return deafObject{}, true }

type deafObject struct{}

func (deafObject) LookupInterface(string) (dbus.Interface, bool) { return deafInterface{}, true }

type deafInterface struct{}

func (deafInterface) LookupMethod(string) (dbus.Method, bool) { return deafMethod{}, true }

type deafMethod struct{}

func (deafMethod) Call(...any) ([]any, error) { select {} }
func (deafMethod) NumArguments() int          { return 0 }
func (deafMethod) NumReturns() int            { return 0 }
func (deafMethod) ArgumentValue(int) any      { return nil }
func (deafMethod) ReturnValue(int) any        { return nil }
func (deafMethod) DecodeArguments(*dbus.Conn, string, *dbus.Message, []any) ([]any, error) {
	return nil, nil
}

func TestASilentKeyringEndsByTheDeadline(t *testing.T) {
	s := secretservicetest.Start(t, secretservicetest.BusOnly)
	silent(t, s.Address)
	k := vault.NewKeyring(vault.KeyringOptions{})
	h := vault.Header{Version: 1, VaultID: uuid.NewString(), Protection: vault.ByKeyring, Check: []byte("x")}
	for range 6 { // more often than calls may be under way
		began := time.Now()
		_, err := vault.UnlockWithKeyring(t.Context(), k, h)
		if fault.Code(err) != "keyring-timeout" || !fault.From(err).Retryable {
			t.Fatalf("%v", err)
		}
		if d := time.Since(began); d > time.Second {
			t.Fatalf("it took %v", d)
		}
	}
	if state := k.State(t.Context()); state != vault.KeyringSlow {
		t.Errorf("state %s", state)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := k.Get(ctx, "x"); fault.Code(err) != "cancelled" {
		t.Errorf("cancelled: %v", err)
	}
}

// asker is a Secret Service whose collection wants a prompt that nobody answers.
type asker struct {
	locked   bool
	prompted chan struct{}
}

func (a asker) Get(_, property string) (dbus.Variant, *dbus.Error) {
	if property == "Locked" {
		return dbus.MakeVariant(a.locked), nil
	}
	return dbus.MakeVariant([]dbus.ObjectPath{"/org/freedesktop/secrets/collection/login"}), nil
}

func (asker) Unlock([]dbus.ObjectPath) ([]dbus.ObjectPath, dbus.ObjectPath, *dbus.Error) {
	return nil, "/org/freedesktop/secrets/prompt/1", nil
}

func (a asker) Prompt(string) *dbus.Error {
	close(a.prompted)
	return nil
}

func (a asker) start(t *testing.T, address string) *dbus.Conn {
	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	for path, iface := range map[dbus.ObjectPath]string{
		"/org/freedesktop/secrets":                  "org.freedesktop.Secret.Service",
		"/org/freedesktop/secrets/prompt/1":         "org.freedesktop.Secret.Prompt",
		"/org/freedesktop/secrets/collection/login": "org.freedesktop.DBus.Properties",
	} {
		if err := conn.Export(a, path, iface); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.Export(a, "/org/freedesktop/secrets", "org.freedesktop.DBus.Properties"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.RequestName("org.freedesktop.secrets", 0); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestAPromptThatNobodyAnswersEnds(t *testing.T) {
	for _, c := range []struct {
		name   string
		locked bool
		prompt bool
		asked  bool
		code   string
	}{
		{"locked, nobody may be asked", true, false, false, "keyring-locked"},
		{"locked, the person may be asked", true, true, true, "keyring-timeout"},
		{"it said it was open, then asks", false, false, true, "keyring-timeout"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := secretservicetest.Start(t, secretservicetest.BusOnly)
			a := asker{locked: c.locked, prompted: make(chan struct{})}
			a.start(t, s.Address)
			k := vault.NewKeyring(vault.KeyringOptions{Timeout: time.Second, PromptTimeout: time.Second, Prompt: c.prompt})
			began := time.Now()
			_, _, err := vault.CreateWithKeyring(t.Context(), k, "")
			if fault.Code(err) != c.code {
				t.Errorf("%v", err)
			}
			if d := time.Since(began); d > 3*time.Second {
				t.Errorf("it took %v", d)
			}
			asked := false
			select {
			case <-a.prompted:
				asked = true
			default:
			}
			if asked != c.asked {
				t.Errorf("the person was asked: %v", asked)
			}
		})
	}
}

func TestABusThatGoesAwayDuringAPromptIsNoCrash(t *testing.T) {
	s := secretservicetest.Start(t, secretservicetest.BusOnly)
	a := asker{locked: true, prompted: make(chan struct{})}
	a.start(t, s.Address)
	go func() {
		<-a.prompted
		s.Stop()
	}()
	k := vault.NewKeyring(vault.KeyringOptions{Timeout: 10 * time.Second, PromptTimeout: 10 * time.Second, Prompt: true})
	if _, err := k.Get(t.Context(), "x"); fault.Code(err) != "keyring-unavailable" {
		t.Errorf("%v", err)
	}
}

func TestTheBusInTheRuntimeFolderIsFound(t *testing.T) {
	s := secretservicetest.Start(t, secretservicetest.Unlocked)
	if err := os.Symlink(strings.TrimPrefix(s.Address, "unix:path="), filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "bus")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
	if state, err := patient().Check(t.Context()); state != vault.KeyringAvailable {
		t.Errorf("%s: %v", state, err)
	}
}
