package simulator

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// The identifier of the sandbox's own brand.
const (
	brandSystem = "urn:ietf:rfc:3986"
	brandValue  = "https://alder-creek-health.example"
)

const brandLogo = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" width="256" height="256"><path d="M4 12h4l2-6 4 12 2-6h4" fill="none" stroke="#1c5d99" stroke-width="2" stroke-linecap="round" stroke-linejoin="round"/></svg>`

// brandBundle is the sandbox's own User-access Brand Bundle (SMART App Launch
// 2.2, "User-access Brands and Endpoints"): one organisation, one portal, one endpoint.
func (s *Server) brandBundle() map[string]any {
	type object = map[string]any
	const when = "2026-09-01T00:00:00Z"
	logo := "data:image/svg+xml;base64," + base64.StdEncoding.EncodeToString([]byte(brandLogo))
	endpoint := object{"reference": "Endpoint/sandbox", "display": "FHIR R4 endpoint of the Chartkey sandbox"}
	text := func(name, value string) object { return object{"url": name, "valueString": value} }
	link := func(name, value string) object { return object{"url": name, "valueUrl": value} }
	return object{
		"resourceType": "Bundle", "id": "sandbox-brands", "type": "collection", "timestamp": when,
		"meta": object{"lastUpdated": when, "profile": []string{"http://hl7.org/fhir/smart-app-launch/StructureDefinition/user-access-brands-bundle"}},
		"entry": []object{
			{"fullUrl": s.FHIRBaseURL() + "/Organization/alder-creek-health", "resource": object{
				"resourceType": "Organization", "id": "alder-creek-health",
				"meta":       object{"lastUpdated": when, "profile": []string{"http://hl7.org/fhir/smart-app-launch/StructureDefinition/user-access-brand"}},
				"identifier": []object{{"system": brandSystem, "value": brandValue}}, "active": true, "name": "Alder Creek Health", "alias": []string{"Chartkey sandbox"},
				"type":    []object{{"coding": []object{{"system": "http://terminology.hl7.org/CodeSystem/organization-type", "code": "prov", "display": "Healthcare Provider"}}}},
				"telecom": []object{{"system": "url", "value": brandValue}}, "address": []object{{"city": "Alder Creek", "state": "OR", "postalCode": "97001", "country": "US"}},
				"endpoint": []object{endpoint},
				"extension": []object{
					{"url": "http://hl7.org/fhir/StructureDefinition/organization-brand", "extension": []object{link("brandLogo", logo)}},
					{"url": "http://hl7.org/fhir/StructureDefinition/organization-portal", "extension": []object{
						text("portalName", "Alder Creek patient portal"), link("portalUrl", s.PortalURL()), link("portalLogo", logo), {"url": "portalEndpoint", "valueReference": endpoint},
					}},
				},
			}},
			{"fullUrl": s.FHIRBaseURL() + "/Endpoint/sandbox", "resource": object{
				"resourceType": "Endpoint", "id": "sandbox",
				"meta":      object{"lastUpdated": when, "profile": []string{"http://hl7.org/fhir/smart-app-launch/StructureDefinition/user-access-endpoint"}},
				"extension": []object{{"url": "http://hl7.org/fhir/StructureDefinition/endpoint-fhir-version", "valueCode": "4.0.1"}},
				"status":    "active", "address": s.FHIRBaseURL(), "name": "FHIR R4 endpoint of the Chartkey sandbox",
				"contact":        []object{{"system": "url", "value": s.PortalURL()}},
				"connectionType": object{"system": "http://terminology.hl7.org/CodeSystem/endpoint-connection-type", "code": "hl7-fhir-rest"},
				"payloadType":    []object{{"coding": []object{{"system": "http://terminology.hl7.org/CodeSystem/endpoint-payload-type", "code": "none"}}}},
			}},
		},
	}
}

// brands answers with an ETag, so that a directory need not be fetched twice.
func (s *Server) brands(w http.ResponseWriter, r *http.Request) {
	raw, err := json.Marshal(s.brandBundle())
	if err != nil {
		http.Error(w, "The bundle cannot be written.", http.StatusInternalServerError)
		return
	}
	sum := sha256.Sum256(raw)
	etag := `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	cacheable(w)
	w.Header().Set("ETag", etag)
	w.Header().Set("Content-Type", fhirJSON)
	asked := strings.Split(strings.ReplaceAll(r.Header.Get("If-None-Match"), " ", ""), ",")
	if slices.Contains(asked, etag) || slices.Contains(asked, "W/"+etag) || slices.Contains(asked, "*") {
		judge(r, "brands unchanged")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	judge(r, "brands handed out")
	_, _ = w.Write(raw)
}
