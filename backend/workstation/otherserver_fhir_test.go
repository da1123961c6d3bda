package workstation_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"chartkey/backend/scope"
)

// access is what the authorization server says of a token (RFC 7662 section 2.2).
type access struct {
	Active                   bool
	Scope, Subject, ClientID string
}

// introspect asks the authorization server about an access token, over HTTP
// and with credentials of its own, as a resource server does.
func (s *otherServer) introspect(ctx context.Context, token string) (access, error) {
	status, answer, err := s.postForm(ctx, "/auth/oauth/introspect", url.Values{"token": {token}}, resourceServer, fhirSecret)
	if err != nil {
		return access{}, err
	}
	active, ok := answer["active"].(bool)
	if status != http.StatusOK || !ok {
		return access{}, fmt.Errorf("the introspection answered %d", status)
	}
	text := func(name string) string {
		value, _ := answer[name].(string)
		return value
	}
	return access{active, text("scope"), text("sub"), text("client_id")}, nil
}

// fhir serves patients and practitioners of the sandbox's records to whom the
// authorization server says may have them.
func (s *otherServer) fhir(w http.ResponseWriter, r *http.Request) {
	typ, id := r.PathValue("type"), r.PathValue("id")
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		refuse(w, http.StatusUnauthorized, "login", "no bearer token")
		return
	}
	s.mu.Lock()
	s.seen = append(s.seen, token)
	s.mu.Unlock()
	who, err := s.introspect(r.Context(), token)
	switch {
	case err != nil:
		refuse(w, http.StatusInternalServerError, "exception", err.Error())
		return
	case !who.Active || s.keys.ended(token):
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		refuse(w, http.StatusUnauthorized, "login", "the token is not active")
		return
	}
	need := scope.Search
	if id != "" {
		need = scope.Read
	}
	granted := scope.Grammar(strings.Fields(who.Scope))
	if !granted.Allows("patient", typ, need) && !granted.Allows("user", typ, need) && !granted.Allows("system", typ, need) {
		refuse(w, http.StatusForbidden, "forbidden", "no scope for "+typ)
		return
	}
	records, err := sandboxRecords(typ)
	if err != nil {
		refuse(w, http.StatusNotFound, "not-supported", err.Error())
		return
	}
	entries := []map[string]any{}
	for _, record := range records {
		own := people[s.keys.personOf(who.Subject)].patient
		if typ == "Patient" && own != "" && own != record["id"] {
			continue
		}
		if id == record["id"] {
			writeFHIR(w, http.StatusOK, record)
			return
		}
		entries = append(entries, map[string]any{"fullUrl": fmt.Sprintf("%s/%s/%s", s.FHIRBaseURL(), typ, record["id"]), "resource": record})
	}
	if id != "" {
		refuse(w, http.StatusNotFound, "not-found", "no such record")
		return
	}
	total := len(entries)
	if n, err := strconv.Atoi(r.FormValue("_count")); err == nil && n >= 0 && n < total {
		entries = entries[:n]
	}
	writeFHIR(w, http.StatusOK, map[string]any{"resourceType": "Bundle", "type": "searchset", "total": total, "entry": entries})
}

// metadata names the types that the sandbox has records of.
func (s *otherServer) metadata(w http.ResponseWriter, _ *http.Request) {
	files, err := filepath.Glob(sandboxFile("*"))
	if err != nil || len(files) == 0 {
		refuse(w, http.StatusInternalServerError, "exception", "the sandbox's records are not where they were")
		return
	}
	var types []map[string]any
	for _, f := range files {
		types = append(types, map[string]any{"type": strings.TrimSuffix(filepath.Base(f), ".ndjson"), "interaction": []map[string]string{{"code": "read"}, {"code": "search-type"}}})
	}
	writeFHIR(w, http.StatusOK, map[string]any{
		"resourceType": "CapabilityStatement", "status": "active", "kind": "instance", "fhirVersion": "4.0.1", "format": []string{"json"},
		"software": map[string]string{"name": "Another server"}, "rest": []map[string]any{{"mode": "server", "resource": types}},
	})
}

func sandboxFile(typ string) string {
	return filepath.Join("..", "simulator", "data", typ+".ndjson")
}

func sandboxRecords(typ string) ([]map[string]any, error) {
	if typ != "Patient" && typ != "Practitioner" {
		return nil, errors.New("only Patient and Practitioner are served here")
	}
	f, err := os.Open(sandboxFile(typ))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []map[string]any
	dec := json.NewDecoder(f)
	for {
		var record map[string]any
		if err := dec.Decode(&record); errors.Is(err, io.EOF) {
			return out, nil
		} else if err != nil {
			return nil, err
		}
		out = append(out, record)
	}
}

func refuse(w http.ResponseWriter, status int, code, why string) {
	writeFHIR(w, status, map[string]any{"resourceType": "OperationOutcome", "issue": []map[string]string{{"severity": "error", "code": code, "diagnostics": why}}})
}

func writeFHIR(w http.ResponseWriter, status int, resource any) {
	w.Header().Set("Content-Type", "application/fhir+json")
	writeJSON(w, status, resource)
}
