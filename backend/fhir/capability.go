package fhir

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"chartkey/backend/fault"
	"chartkey/backend/network"
)

// Capability is what a server's CapabilityStatement says, as far as it is used.
type Capability struct {
	FHIRVersion     string
	Software        string
	SoftwareVersion string
	Implementation  string
	// Formats are those that the server lists, as it writes them ("json", "application/fhir+json", …).
	Formats []string
	// Resources maps each resource type to its interactions ("read", "search-type", …).
	Resources map[string][]string
	// SearchParams maps each resource type to the names of its search parameters.
	SearchParams map[string][]string
}

// Can tells whether the server lists an interaction for a resource type.
func (c Capability) Can(typ, interaction string) bool {
	return slices.Contains(c.Resources[typ], interaction)
}

// IsR4 tells whether the server speaks FHIR R4 (4.0.x) or R4B (4.3.x).
func (c Capability) IsR4() bool {
	return strings.HasPrefix(c.FHIRVersion, "4.0") || strings.HasPrefix(c.FHIRVersion, "4.3")
}

// Capability reads {base}/metadata, without the token: it is public.
func (c *Client) Capability(ctx context.Context) (Capability, error) {
	address, err := c.resolve("metadata")
	if err != nil {
		return Capability{}, err
	}
	r, err := c.get(ctx, address, false)
	if err != nil {
		return Capability{}, err
	}
	return ParseCapability(r.Raw)
}

// ParseCapability reads a CapabilityStatement. Fault: fhir-bad-answer.
func ParseCapability(body []byte) (Capability, error) {
	var s struct {
		Type        string   `json:"resourceType"`
		FHIRVersion string   `json:"fhirVersion"`
		Format      []string `json:"format"`
		Software    struct {
			Name    string `json:"name"`
			Version string `json:"version"`
		} `json:"software"`
		Implementation struct {
			Description string `json:"description"`
		} `json:"implementation"`
		Rest []struct {
			Mode     string `json:"mode"`
			Resource []struct {
				Type        string `json:"type"`
				Interaction []struct {
					Code string `json:"code"`
				} `json:"interaction"`
				SearchParam []struct {
					Name string `json:"name"`
				} `json:"searchParam"`
			} `json:"resource"`
		} `json:"rest"`
	}
	if err := json.Unmarshal(body, &s); err != nil || s.Type != "CapabilityStatement" {
		shown := "something else"
		if s.Type != "" && s.Type != "CapabilityStatement" {
			shown = "a " + network.Clean(s.Type, 60)
		}
		return Capability{}, fault.Newf("fhir-bad-answer", "Check the FHIR base URL.", "The server shows %s at /metadata and no CapabilityStatement that can be read.", shown).Because(err)
	}
	out := Capability{
		FHIRVersion: network.Clean(s.FHIRVersion, 20), Software: network.Clean(s.Software.Name, 100), SoftwareVersion: network.Clean(s.Software.Version, 100),
		Implementation: network.Clean(s.Implementation.Description, 200), Resources: map[string][]string{}, SearchParams: map[string][]string{},
	}
	for _, format := range s.Format {
		out.Formats = append(out.Formats, network.Clean(format, 60))
	}
	for _, rest := range s.Rest {
		if rest.Mode != "server" {
			continue
		}
		for _, res := range rest.Resource {
			codes := []string{}
			for _, i := range res.Interaction {
				codes = append(codes, i.Code)
			}
			out.Resources[res.Type] = codes
			for _, param := range res.SearchParam {
				out.SearchParams[res.Type] = append(out.SearchParams[res.Type], param.Name)
			}
		}
	}
	return out, nil
}
