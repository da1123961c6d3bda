package simulator

import (
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"chartkey/backend/scope"
)

const fhirJSON = "application/fhir+json"

// fhir routes everything under the FHIR base URL (FHIR R4, "RESTful API").
func (s *Server) fhir(w http.ResponseWriter, r *http.Request) {
	path := strings.Trim(strings.TrimPrefix(r.URL.Path, "/fhir"), "/")
	if !acceptsJSON(r) {
		s.outcome(w, r, http.StatusNotAcceptable, "not-supported", "Only JSON is served. Ask for application/fhir+json.")
		return
	}
	if path == "metadata" {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			s.onlyReads(w, r, "GET")
			return
		}
		judge(r, "CapabilityStatement handed out")
		cacheable(w)
		writeResource(w, http.StatusOK, s.statement(r))
		return
	}
	a, ok := s.bearer(w, r)
	if !ok {
		return
	}
	identify(r, a.clientID)

	parts := strings.Split(path, "/")
	if path == "" {
		s.outcome(w, r, http.StatusNotFound, "not-supported", "This is the FHIR base URL. Add a resource type to it, or metadata.")
		return
	}
	kind, known := kindOf(parts[0])
	if !known {
		s.outcome(w, r, http.StatusNotFound, "not-supported", "The resource type "+clip(parts[0], 60)+" is not served here.")
		return
	}
	switch {
	case len(parts) == 2 && parts[1] == "_search":
		if r.Method != http.MethodPost {
			s.onlyReads(w, r, "POST")
			return
		}
		media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil || media != "application/x-www-form-urlencoded" {
			s.outcome(w, r, http.StatusUnsupportedMediaType, "invalid", "A search by POST is a form (application/x-www-form-urlencoded).")
			return
		}
		if err := r.ParseForm(); err != nil {
			s.outcome(w, r, http.StatusBadRequest, "invalid", "The search form cannot be read.")
			return
		}
		s.search(w, r, a, kind, r.Form)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		s.onlyReads(w, r, "GET")
	case len(parts) == 1:
		query, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			s.outcome(w, r, http.StatusBadRequest, "invalid", "The query string cannot be read.")
			return
		}
		s.search(w, r, a, kind, query)
	case len(parts) == 2 && !strings.HasPrefix(parts[1], "$") && !strings.HasPrefix(parts[1], "_"):
		s.read(w, r, a, kind, parts[1])
	default:
		s.outcome(w, r, http.StatusNotFound, "not-supported", "Only read and search are served here: no history, no operations.")
	}
}

// read answers one resource.
func (s *Server) read(w http.ResponseWriter, r *http.Request, a access, kind resourceKind, id string) {
	may, ok := a.permitted(kind.name, scope.Read)
	if !ok {
		s.insufficient(w, r, "no granted scope lets this token read "+kind.name)
		return
	}
	rec, exists := s.records.get(kind.name, id)
	switch {
	case !exists:
		s.outcome(w, r, http.StatusNotFound, "not-found", kind.name+"/"+clip(id, 64)+" is not known.")
	case may.allows(rec):
		judge(r, "%s/%s read", kind.name, id)
		w.Header().Set("ETag", `W/"1"`)
		w.Header().Set("Cache-Control", "no-store")
		writeResource(w, http.StatusOK, rec.json())
	case may.within(rec):
		s.insufficient(w, r, "the granted scopes are limited to another part of "+kind.name)
	default:
		// Not to tell whose records exist, another patient's is answered as if there were none.
		s.outcome(w, r, http.StatusNotFound, "not-found", kind.name+"/"+clip(id, 64)+" is not known.")
		judge(r, "not found on purpose: %s/%s is another patient's", kind.name, id)
	}
}

// bearer checks the access token (RFC 6750). It answers 401 itself.
func (s *Server) bearer(w http.ResponseWriter, r *http.Request) (access, bool) {
	header := r.Header.Get("Authorization")
	challenge, reason := `Bearer realm="`+s.FHIRBaseURL()+`"`, "no access token was sent"
	if scheme, secret, _ := strings.Cut(header, " "); header != "" {
		if !strings.EqualFold(scheme, "Bearer") || strings.TrimSpace(secret) == "" {
			reason = "the Authorization header is not of the form Bearer <token>"
		} else {
			s.spend(r, "", strings.TrimSpace(secret))
			a, problem := s.ledger.bearer(strings.TrimSpace(secret))
			if problem == "" {
				return a, true
			}
			reason = problem
			challenge += `, error="invalid_token", error_description="` + problem + `"`
		}
	}
	w.Header().Set("WWW-Authenticate", challenge)
	s.outcome(w, r, http.StatusUnauthorized, "login", strings.ToUpper(reason[:1])+reason[1:]+".")
	return access{}, false
}

// insufficient answers 403 with RFC 6750's code beside FHIR's.
func (s *Server) insufficient(w http.ResponseWriter, r *http.Request, reason string) {
	w.Header().Set("WWW-Authenticate", `Bearer realm="`+s.FHIRBaseURL()+`", error="insufficient_scope"`)
	s.outcome(w, r, http.StatusForbidden, "forbidden", strings.ToUpper(reason[:1])+reason[1:]+".")
}

func (s *Server) onlyReads(w http.ResponseWriter, r *http.Request, allow string) {
	w.Header().Set("Allow", allow)
	s.outcome(w, r, http.StatusMethodNotAllowed, "not-supported", "The method "+clip(r.Method, 20)+" is not served here; the sandbox only reads.")
}

type outcomeIssue struct {
	Severity    string          `json:"severity"`
	Code        string          `json:"code"`
	Details     *outcomeDetails `json:"details,omitempty"`
	Diagnostics string          `json:"diagnostics,omitempty"`
}

type operationOutcome struct {
	ResourceType string         `json:"resourceType"`
	Issue        []outcomeIssue `json:"issue"`
}

func newOutcome(severity, code string, diagnostics ...string) operationOutcome {
	o := operationOutcome{ResourceType: "OperationOutcome"}
	for _, d := range diagnostics {
		o.Issue = append(o.Issue, outcomeIssue{Severity: severity, Code: code, Diagnostics: d})
	}
	return o
}

// outcome answers an error as FHIR does. code is of the value set issue-type.
func (s *Server) outcome(w http.ResponseWriter, r *http.Request, status int, code, diagnostics string) {
	judge(r, "%s", strings.TrimSuffix(diagnostics, "."))
	w.Header().Set("Cache-Control", "no-store")
	writeResource(w, status, s.refusal(status, code, diagnostics))
}

func writeResource(w http.ResponseWriter, status int, resource any) {
	w.Header().Set("Content-Type", fhirJSON+"; charset=utf-8")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	// A client that hung up is no concern of the server's.
	_ = enc.Encode(resource)
}

// jsonTypes are the media types that mean FHIR in JSON.
var jsonTypes = []string{fhirJSON, "application/json", "application/json+fhir", "text/json", "application/*", "*/*"}

// acceptsJSON honours _format before Accept (FHIR R4 http, 3.1.0.1.11).
func acceptsJSON(r *http.Request) bool {
	if format := r.URL.Query().Get("_format"); format != "" {
		media, _, err := mime.ParseMediaType(strings.ReplaceAll(format, " ", "+"))
		return format == "json" || (err == nil && slices.Contains(jsonTypes[:4], media))
	}
	accept := strings.Join(r.Header.Values("Accept"), ",")
	if strings.TrimSpace(accept) == "" {
		return true
	}
	for part := range strings.SplitSeq(accept, ",") {
		media, params, err := mime.ParseMediaType(strings.TrimSpace(part))
		if err == nil && slices.Contains(jsonTypes, media) && params["q"] != "0" {
			return true
		}
		// A browser that opens an address is shown the JSON.
		if err == nil && media == "text/html" {
			return true
		}
	}
	return false
}
