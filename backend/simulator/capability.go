package simulator

import (
	"maps"
	"slices"
)

// capabilityStatement is built from the same rows that serve the requests.
func (s *Server) capabilityStatement() map[string]any {
	type object = map[string]any
	auth := s.issuer()
	var resources []object
	for _, k := range resourceKinds {
		var params []object
		for _, name := range slices.Sorted(maps.Keys(k.params)) {
			params = append(params, object{"name": name, "type": k.params[name].kind})
		}
		resources = append(resources, object{
			"type":        k.name,
			"interaction": []object{{"code": "read"}, {"code": "search-type"}},
			"versioning":  "no-version",
			"searchParam": params,
		})
	}
	uri := func(name, value string) object { return object{"url": name, "valueUri": value} }
	endpoints := []object{uri("authorize", auth+"/authorize"), uri("token", auth+"/token")}
	if !s.trait(traitNoRevocation) {
		endpoints = append(endpoints, uri("revoke", auth+"/revoke"))
	}
	if !s.trait(traitNoIntrospection) {
		endpoints = append(endpoints, uri("introspect", auth+"/introspect"))
	}
	endpoints = append(endpoints, uri("register", auth+"/register"))
	return object{
		"resourceType": "CapabilityStatement",
		"status":       "active",
		"date":         "2026-09-01",
		"publisher":    "Chartkey",
		"kind":         "instance",
		"software":     object{"name": "Chartkey sandbox"},
		"implementation": object{
			"description": "A simulated EHR with invented patients, on this computer", "url": s.FHIRBaseURL(),
		},
		"fhirVersion":         "4.0.1",
		"format":              []string{fhirJSON, "json"},
		"implementationGuide": []string{"http://hl7.org/fhir/smart-app-launch/ImplementationGuide/hl7.fhir.uv.smart-app-launch"},
		"rest": []object{{
			"mode": "server",
			"security": object{
				"service": []object{{
					"coding": []object{{"system": "http://terminology.hl7.org/CodeSystem/restful-security-service", "code": "SMART-on-FHIR", "display": "SMART-on-FHIR"}},
					"text":   "OAuth2 using SMART-on-FHIR profile (see http://docs.smarthealthit.org)",
				}},
				"extension": []object{{
					"url":       "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris",
					"extension": endpoints,
				}},
			},
			"resource": resources,
		}},
	}
}
