package smart_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"chartkey/backend/secret"
	"chartkey/backend/smart"
)

func TestASecretNeverShows(t *testing.T) {
	const canary = "canary-7f3a"
	s := secret.New(canary)
	type hidden struct{ s secret.Value } // unexported: fmt does not ask its methods
	type shown struct{ S secret.Value }
	var out strings.Builder
	for _, v := range []any{s, &s, hidden{s}, &hidden{s}, shown{s}, []secret.Value{s}, map[string]secret.Value{"k": s}, smart.TokenResponse{AccessToken: s}, smart.ClientAuth{Secret: s}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v)
	}
	for _, form := range []string{canary, fmt.Sprintf("%x", canary), strings.ToUpper(fmt.Sprintf("%x", canary))} {
		if strings.Contains(out.String(), form) {
			t.Errorf("%q shows", form)
		}
	}
	if !strings.Contains(out.String(), "‹secret›") || s.Reveal() != canary || s.IsEmpty() {
		t.Error("the mark or the text is lost")
	}
	if z := secret.New(""); !z.IsEmpty() || z.Reveal() != "" {
		t.Error("an empty secret is not empty")
	}
}
