package simulator

import "testing"

// TestDatePrefixes follows FHIR R4 search, 3.1.1.4.7.
func TestDatePrefixes(t *testing.T) {
	period := func(start, end string) map[string]any {
		m := map[string]any{}
		if start != "" {
			m["start"] = start
		}
		if end != "" {
			m["end"] = end
		}
		return m
	}
	for _, test := range []struct {
		have  any
		query string
		want  bool
	}{
		{"2024-03-12", "2024-03-12", true},
		{"2024-03-12", "2024-03", true},
		{"2024-03", "2024-03-12", false},
		{"2024-03-12T23:59:59Z", "2024-03-12", true},
		{"2024-03-12T23:59:59-08:00", "2024-03-12", false}, // the next day in UTC
		{"2024-03-12T10:00:00Z", "2024-03-12T10:00", true},
		{"2024-03-12T10:00:00.250Z", "2024-03-12T10:00:00Z", true},
		{"2024-03-12", "ne2024-03-12", false},
		{"2024-03-13", "ne2024-03-12", true},
		{"2024-03-12", "gt2024-03-12", false},
		{"2024-03-12", "gt2024-03-11", true},
		{"2024-03", "gt2024-03-12", true},
		{"2024-03-12", "lt2024-03-12", false},
		{"2024-03", "lt2024-03-12", true},
		{"2024-03-12", "ge2024-03-12", true},
		{"2024-03-11", "ge2024-03-12", false},
		{"2024-03-12", "le2024-03-12", true},
		{"2024-03-13", "le2024-03-12", false},
		{"2024-03-12T00:00:00Z", "le2024-03-12", true},
		{"2024-03-13", "sa2024-03-12", true},
		{"2024-03-12", "sa2024-03-12", false},
		{"2024-03-11", "eb2024-03-12", true},
		{"2024-03-12", "eb2024-03-12", false},
		{period("2024-03-11", "2024-03-20"), "2024-03", true},
		{period("2024-03-11", "2024-04-20"), "2024-03", false},
		{period("2024-03-11", ""), "ge2030", true},
		{period("2024-03-11", ""), "lt2024-03-11", false},
		{period("", "2024-03-11"), "lt1900", true},
		{period("", ""), "ge1900", false},
		{period("nonsense", ""), "ge1900", false},
		{"nonsense", "ge1900", false},
		{true, "ge1900", false},
	} {
		match, err := dateMatcher(test.query)
		if err != nil {
			t.Fatal(err)
		}
		have, ok := spanOf(test.have)
		if got := ok && match(have); got != test.want {
			t.Errorf("%v %s: %v", test.have, test.query, got)
		}
	}
	for _, bad := range []string{"", "ge", "24-01-01", "2024-1-1", "2024-02-30", "xx2024", "ap2024", "2024-03-12T25:00:00Z", "ge ge2024"} {
		if _, err := dateMatcher(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
