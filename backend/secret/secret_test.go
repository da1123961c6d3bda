package secret_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"chartkey/backend/secret"
)

func TestASecretShowsNothing(t *testing.T) {
	s := secret.New("hunter2-hunter2")
	type holder struct {
		Open   secret.Value
		hidden secret.Value
		list   []secret.Value
		byName map[string]secret.Value
	}
	h := holder{s, s, []secret.Value{s}, map[string]secret.Value{"x": s}}
	var seen strings.Builder
	for _, v := range []any{s, &s, h, &h, []any{s, h}, fmt.Errorf("with %v", s)} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%c", "%p", "%T"} {
			fmt.Fprintf(&seen, verb+"\n", v)
		}
		b, err := json.Marshal(v)
		fmt.Fprintln(&seen, string(b), err)
	}
	fmt.Fprint(&seen, s, h)
	slog.New(slog.NewTextHandler(&seen, nil)).Info("text", "s", s, "h", h)
	slog.New(slog.NewJSONHandler(&seen, nil)).Info("json", "s", s, "h", h)
	var b bytes.Buffer
	_ = gob.NewEncoder(&b).Encode(h)
	seen.Write(b.Bytes())

	for _, form := range []string{"hunter2", fmt.Sprintf("%x", "hunter2"), fmt.Sprintf("%X", "hunter2"), fmt.Sprint([]byte("hunter2"))[1:] /* without "[" */} {
		if strings.Contains(seen.String(), strings.TrimSuffix(form, "]")) {
			t.Errorf("the secret is seen as %q in\n%s", form, seen.String())
		}
	}
	if !strings.Contains(seen.String(), "‹secret›") {
		t.Error("the mark is missing")
	}
}

func TestASecretIsWipedInAllItsCopies(t *testing.T) {
	given := []byte("token")
	s := secret.New(given)
	clear(given)
	if s.Reveal() != "token" {
		t.Fatal("the secret shares its caller's bytes")
	}
	c := s
	if !c.Equal(secret.New("token")) || c.Equal(secret.New("tokem")) || c.Equal(secret.Value{}) {
		t.Error("comparison is wrong")
	}
	s.Wipe()
	if !c.IsEmpty() || c.Reveal() != "" || !(secret.Value{}).IsEmpty() {
		t.Error("a copy kept the value")
	}
	secret.Value{}.Wipe()
}
