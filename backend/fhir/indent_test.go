package fhir_test

import (
	"encoding/json"
	"strings"
	"testing"

	"chartkey/backend/fhir"
)

func TestIndent(t *testing.T) {
	if got := string(fhir.Indent(json.RawMessage(`{"text":{"div":"<div>[{\\"\"</div>"}}`))); got != "{\n  \"text\": {\n    \"div\": \"<div>[{\\\\\"\\\"</div>\"\n  }\n}" && !strings.Contains(got, "<div>") {
		t.Errorf("%s", got)
	}
	deep := strings.Repeat("[", 9000) + strings.Repeat("]", 9000)
	if got := fhir.Indent(json.RawMessage(deep)); len(got) != len(deep) {
		t.Errorf("a deep answer of %d bytes became %d", len(deep), len(got))
	}
	inText := `{"a":"` + strings.Repeat("[", 9000) + `"}`
	if got := string(fhir.Indent(json.RawMessage(inText))); !strings.HasPrefix(got, "{\n  ") {
		t.Error("brackets in a text counted as depth")
	}
}
