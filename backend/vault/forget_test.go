package vault

import (
	"reflect"
	"runtime"
	"testing"
	"weak"

	"chartkey/backend/fault"
	"chartkey/backend/secret"
)

// TestAKeysetLeavesMemory asks the garbage collector, which knows of references
// that no reader of the code would think of.
func TestAKeysetLeavesMemory(t *testing.T) {
	passcode := secret.New("274-911")
	cheap := Cost{Time: 1, MemoryKiB: 8, Threads: 1}
	kinds := map[string]func(*testing.T, *Vault) *DataKey{
		"made": func(t *testing.T, v *Vault) *DataKey {
			k, _, err := v.NewDataKey("alice")
			if err != nil {
				t.Fatal(err)
			}
			return k
		},
		"made with a passcode": func(t *testing.T, v *Vault) *DataKey {
			k, _, err := v.NewLockedKey("alice", passcode, cheap)
			if err != nil {
				t.Fatal(err)
			}
			return k
		},
		"unlocked": func(t *testing.T, v *Vault) *DataKey {
			k, stored, err := v.NewLockedKey("alice", passcode, cheap)
			if err != nil {
				t.Fatal(err)
			}
			v.Forget(k)
			if k, err = v.UnlockKey("alice", stored, passcode); err != nil {
				t.Fatal(err)
			}
			return k
		},
	}
	ends := map[string]func(*Vault, *DataKey){
		"forgotten": func(v *Vault, k *DataKey) { v.Forget(k) },
		"closed":    func(v *Vault, _ *DataKey) { v.Close() },
	}
	for kind, get := range kinds {
		for end, drop := range ends {
			t.Run(kind+" and "+end, func(t *testing.T) {
				v, err := create("")
				if err != nil {
					t.Fatal(err)
				}
				defer v.Close()
				k := get(t, v)
				if _, err := k.Seal(Binding{Table: "t", Column: "c", Row: "r"}, secret.New("s")); err != nil {
					t.Fatal(err)
				}
				keyset := weak.Make((*byte)(reflect.ValueOf(k.held.key).UnsafePointer()))
				runtime.GC()
				if keyset.Value() == nil {
					t.Fatal("it went while it was in use")
				}
				drop(v, k)
				runtime.GC()
				if keyset.Value() != nil {
					t.Error("something still refers to it")
				}
				// Whoever has the name, or the vault, does not keep the key by it.
				runtime.KeepAlive(k)
				runtime.KeepAlive(v)
			})
		}
	}
}

// An unlocking goes on without the vault's lock, so the vault may be closed when it ends.
func TestAKeyThatIsUnlockedTooLateIsNotKept(t *testing.T) {
	v, err := create("")
	if err != nil {
		t.Fatal(err)
	}
	k, _, err := v.NewDataKey("alice")
	if err != nil {
		t.Fatal(err)
	}
	key := k.held.key
	v.Close()
	if late, err := v.hold("alice", keyID{1}, key); late != nil || fault.Code(err) != "vault-locked" || len(v.keys) != 0 {
		t.Errorf("%v", err)
	}
}

func TestALentKeyOutlivesTheVaultUntilItIsGivenBack(t *testing.T) {
	for name, end := range map[string]func(v *Vault, k *DataKey){
		"forgotten": func(v *Vault, k *DataKey) { v.Forget(k) },
		"closed":    func(v *Vault, _ *DataKey) { v.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			v, err := create("")
			if err != nil {
				t.Fatal(err)
			}
			k, wrapped, err := v.NewDataKey("profile")
			if err != nil {
				t.Fatal(err)
			}
			lent, giveBack, err := k.Lend()
			if err != nil {
				t.Fatal(err)
			}
			end(v, k)
			where := Binding{Table: "grants", Column: "refresh_token", Row: "1"}
			if _, err := k.Seal(where, secret.New("x")); fault.Code(err) != "vault-locked" {
				t.Errorf("the key itself says %v", err)
			}
			if _, _, err := k.Lend(); fault.Code(err) != "vault-locked" {
				t.Errorf("a key that is gone is lent: %v", err)
			}
			sealed, err := lent.Seal(where, secret.New("fresh"))
			if err != nil {
				t.Fatal(err)
			}
			giveBack()
			giveBack()
			if _, err := lent.Seal(where, secret.New("x")); fault.Code(err) != "vault-locked" {
				t.Errorf("given back, it says %v", err)
			}
			if name == "forgotten" { // the same key opens it
				k, err := v.DataKey("profile", wrapped)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := k.Open(where, sealed); err != nil || got.Reveal() != "fresh" {
					t.Errorf("%v", err)
				}
			}
		})
	}
}
