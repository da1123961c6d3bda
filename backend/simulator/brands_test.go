package simulator

import (
	"testing"
)

func TestBrands(t *testing.T) {
	r := start(t, Options{})
	_, doc := r.get(".well-known/smart-configuration", "", nil)
	address := word(doc["user_access_brand_bundle"])
	resp, bundle := r.do(mustRequest(t, address))
	etag := resp.Header.Get("ETag")
	if resp.StatusCode != 200 || etag == "" || bundle["resourceType"] != "Bundle" || bundle["timestamp"] == nil {
		t.Fatalf("%d %v", resp.StatusCode, bundle)
	}
	byURL := map[string]any{}
	for _, e := range bundle["entry"].([]any) {
		entry := e.(map[string]any)
		res := entry["resource"].(map[string]any)
		byURL[word(res["resourceType"])+"/"+word(res["id"])] = res
	}
	org := byURL["Organization/alder-creek-health"]
	if first(doc["user_access_brand_identifier"], "value") != first(org, "identifier.value") || first(doc["user_access_brand_identifier"], "system") != first(org, "identifier.system") {
		t.Errorf("the identifier of the configuration is not the bundle's")
	}
	// What the brand refers to is in the bundle, and leads here.
	for _, path := range []string{"endpoint.reference", "extension.extension.valueReference.reference"} {
		if endpoint := byURL[first(org, path)]; first(endpoint, "address") != r.FHIRBaseURL() {
			t.Errorf("%s leads to %v", path, endpoint)
		}
	}
	for sent, status := range map[string]int{etag: 304, "W/" + etag: 304, `"x", ` + etag: 304, "*": 304, `"x"`: 200} {
		req := mustRequest(t, address)
		req.Header.Set("If-None-Match", sent)
		if resp, _ := r.do(req); resp.StatusCode != status || resp.Header.Get("ETag") != etag {
			t.Errorf("If-None-Match %s: %d", sent, resp.StatusCode)
		}
	}
}
