package vault_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"chartkey/backend/fault"
	"chartkey/backend/secret"
	"chartkey/backend/vault"
)

// cheap keeps tests that are not about the cost of a passphrase quick.
var cheap = vault.Cost{Time: 1, MemoryKiB: 64, Threads: 1}

var passphrase = secret.New("correct horse battery")

func create(t testing.TB) (*vault.Vault, vault.Header) {
	t.Helper()
	v, h, err := vault.CreateWithPassphrase("", passphrase, cheap)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v, h
}

func TestAHeaderOpensTheSameVaultAgain(t *testing.T) {
	v, h := create(t)
	key, wrapped, err := v.NewDataKey("workstation")
	if err != nil {
		t.Fatal(err)
	}
	place := vault.Binding{Vault: v.ID(), Table: "t", Column: "c", Row: "r"}
	sealed, err := key.Seal(place, secret.New("s"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	v.Close()

	if h, err = vault.ParseHeader(b); err != nil {
		t.Fatal(err)
	}
	u, err := vault.UnlockWithPassphrase(h, passphrase)
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	again, err := u.DataKey("workstation", wrapped)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := again.Open(place, sealed); err != nil || s.Reveal() != "s" {
		t.Errorf("%v", err)
	}

	// Another passphrase: the old header is worthless for the new one and the other way round.
	other := secret.New("another long passphrase")
	changed, err := u.ProtectWithPassphrase(other, cheap)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := vault.UnlockWithPassphrase(changed, passphrase); fault.Code(err) != "passphrase-wrong" {
		t.Errorf("the old passphrase: %v", err)
	}
	w, err := vault.UnlockWithPassphrase(changed, other)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if again, err = w.DataKey("workstation", wrapped); err != nil {
		t.Fatal(err)
	}
	if _, err := again.Open(place, sealed); err != nil {
		t.Error(err)
	}
}

func TestAClosedVaultIsLocked(t *testing.T) {
	v, _ := create(t)
	key, wrapped, err := v.NewDataKey("p")
	if err != nil {
		t.Fatal(err)
	}
	place := vault.Binding{Table: "t", Column: "c", Row: "r"}
	sealed, err := key.Seal(place, secret.New("s"))
	if err != nil {
		t.Fatal(err)
	}
	v.Close()
	v.Close()
	var none *vault.Vault
	var noKey *vault.DataKey
	none.Close()
	for name, f := range map[string]func() error{
		"seal":       func() error { _, err := key.Seal(place, secret.New("s")); return err },
		"open":       func() error { _, err := key.Open(place, sealed); return err },
		"data key":   func() error { _, err := v.DataKey("p", wrapped); return err },
		"new key":    func() error { _, _, err := v.NewDataKey("p"); return err },
		"passphrase": func() error { _, err := v.ProtectWithPassphrase(passphrase, cheap); return err },
		"keyring": func() error {
			_, err := v.ProtectWithKeyring(t.Context(), vault.NewKeyring(vault.KeyringOptions{}))
			return err
		},
		"nil vault": func() error { _, err := none.DataKey("p", wrapped); return err },
		"nil key":   func() error { _, err := noKey.Open(place, sealed); return err },
	} {
		if err := f(); fault.Code(err) != "vault-locked" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestClosingWhileOthersWork(t *testing.T) {
	v, _ := create(t)
	_, wrapped, err := v.NewDataKey("p")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				key, err := v.DataKey("p", wrapped)
				if err == nil {
					_, err = key.Seal(vault.Binding{Table: "t", Column: "c", Row: "r"}, secret.New("s"))
				}
				if err != nil && fault.Code(err) != "vault-locked" {
					t.Errorf("%v", err)
				}
			}
		})
	}
	time.Sleep(2 * time.Millisecond)
	v.Close()
	wg.Wait()
}

func TestAHeaderThatMakesNoSenseIsRefused(t *testing.T) {
	_, good := create(t)
	change := func(f func(*vault.Header)) vault.Header {
		h := good
		kdf := *good.KDF
		h.KDF = &kdf
		f(&h)
		return h
	}
	for name, c := range map[string]struct {
		h    vault.Header
		code string
	}{
		"newer":                {change(func(h *vault.Header) { h.Version = 2 }), "vault-too-new"},
		"no version":           {change(func(h *vault.Header) { h.Version = 0 }), "vault-damaged"},
		"no id":                {change(func(h *vault.Header) { h.VaultID = "" }), "vault-damaged"},
		"another spelling":     {change(func(h *vault.Header) { h.VaultID = strings.ToUpper("{" + h.VaultID + "}") }), "vault-damaged"},
		"no check":             {change(func(h *vault.Header) { h.Check = nil }), "vault-damaged"},
		"unknown protection":   {change(func(h *vault.Header) { h.Protection = "none" }), "vault-damaged"},
		"keyring with a KDF":   {change(func(h *vault.Header) { h.Protection = vault.ByKeyring }), "vault-damaged"},
		"no KDF":               {change(func(h *vault.Header) { h.KDF = nil }), "vault-damaged"},
		"no key":               {change(func(h *vault.Header) { h.WrappedMaster = nil }), "vault-damaged"},
		"100 GB":               {change(func(h *vault.Header) { h.KDF.MemoryKiB = 100 << 20 }), "vault-damaged"},
		"for years":            {change(func(h *vault.Header) { h.KDF.Time = 1 << 31 }), "vault-damaged"},
		"no time":              {change(func(h *vault.Header) { h.KDF.Time = 0 }), "vault-damaged"},
		"no threads":           {change(func(h *vault.Header) { h.KDF.Threads = 0 }), "vault-damaged"},
		"200 threads":          {change(func(h *vault.Header) { h.KDF.Threads = 200 }), "vault-damaged"},
		"no memory":            {change(func(h *vault.Header) { h.KDF.MemoryKiB = 1 }), "vault-damaged"},
		"a short salt":         {change(func(h *vault.Header) { h.KDF.Salt = []byte("salt") }), "vault-damaged"},
		"another function":     {change(func(h *vault.Header) { h.KDF.Name = "md5" }), "vault-damaged"},
		"of another vault":     {change(func(h *vault.Header) { h.VaultID = uuid.NewString() }), "passphrase-wrong"},
		"another salt":         {change(func(h *vault.Header) { h.KDF.Salt = bytes.Repeat([]byte{1}, 16) }), "passphrase-wrong"},
		"another cost":         {change(func(h *vault.Header) { h.KDF.Time = 2 }), "passphrase-wrong"},
		"another wrapped key":  {change(func(h *vault.Header) { h.WrappedMaster = bytes.Repeat([]byte{1}, 60) }), "passphrase-wrong"},
		"a short wrapped key":  {change(func(h *vault.Header) { h.WrappedMaster = []byte{1} }), "passphrase-wrong"},
		"another check":        {change(func(h *vault.Header) { h.Check = bytes.Repeat([]byte{1}, 42) }), "vault-damaged"},
		"nothing wrong at all": {good, ""},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			v, err := vault.UnlockWithPassphrase(c.h, passphrase)
			if fault.Code(err) != c.code || (v != nil) != (c.code == "") {
				t.Errorf("%v", err)
			}
			if d := time.Since(began); d > 2*time.Second {
				t.Errorf("it took %v", d)
			}
			v.Close()
		})
	}
	if _, err := vault.UnlockWithKeyring(t.Context(), vault.NewKeyring(vault.KeyringOptions{}), good); fault.Code(err) != "passphrase-needed" {
		t.Errorf("a passphrase vault by keyring: %v", err)
	}
	byKeyring := vault.Header{Version: 1, VaultID: uuid.NewString(), Protection: vault.ByKeyring, Check: []byte("x")}
	if _, err := vault.UnlockWithPassphrase(byKeyring, passphrase); fault.Code(err) != "keyring-protected" {
		t.Errorf("a keyring vault by passphrase: %v", err)
	}
	if _, _, err := vault.CreateWithPassphrase("not-a-uuid", passphrase, cheap); fault.Code(err) != "vault-id" {
		t.Errorf("%v", err)
	}
}

func FuzzParseHeader(f *testing.F) {
	_, h := create(f)
	b, err := json.Marshal(h)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"version":1,"vault_id":"7f0c3f0e-0f4e-4c0e-9c39-2f3c2c9f2a11","protection":"keyring","check":"eA=="}`))
	f.Add([]byte(`{"version":1}{}`))
	f.Add([]byte(`{"version":1e9}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := vault.ParseHeader(b)
		if err != nil {
			if c := fault.Code(err); c != "vault-damaged" && c != "vault-too-new" {
				t.Fatalf("%v", err)
			}
			return
		}
		// What is accepted survives storage, and never asks for much.
		out, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		again, err := vault.ParseHeader(out)
		if err != nil || again.VaultID != h.VaultID || again.Protection != h.Protection {
			t.Fatalf("%s: %v", out, err)
		}
		if h.KDF != nil && (h.KDF.MemoryKiB > 512<<10 || h.KDF.Time > 16 || h.KDF.Threads > 16) {
			t.Fatalf("%+v", h.KDF)
		}
	})
}
