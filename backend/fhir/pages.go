package fhir

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"

	"chartkey/backend/fault"
	"chartkey/backend/network"
)

// maxPages ends a search whose pages never do.
const maxPages = 1000

type bundle struct {
	ResourceType string       `json:"resourceType"`
	Type         string       `json:"type"`
	Total        *int         `json:"total"`
	Link         []bundleLink `json:"link"`
	Entry        []struct {
		Resource json.RawMessage `json:"resource"`
	} `json:"entry"`
}

type bundleLink struct {
	Relation string `json:"relation"`
	URL      string `json:"url"`
}

// Pages reads a search page by page and hands over each entry's resource, at
// most max of them (0 means all). OperationOutcome entries are handed over
// too: they tell that something was left out. It stops at the first error of each.
//
// The next page is fetched with the token only from the origin of the base
// URL; a link elsewhere, a page that comes twice, and more than 1000 pages are
// faults, so that nobody takes part of an answer for the whole.
func (c *Client) Pages(ctx context.Context, path string, max int, each func(entry json.RawMessage) error) error {
	address, err := c.resolve(path)
	if err != nil {
		return err
	}
	base, err := c.base()
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for given := 0; ; {
		if seen[address.String()] {
			return fault.New("fhir-paging-loop", "The server's pages lead back to one that was read before.", "Narrow the search so that it fits one page, and tell the health system.")
		}
		if len(seen) == maxPages {
			return fault.Newf("fhir-paging-endless", "Narrow the search.", "The search has more than %d pages.", maxPages)
		}
		seen[address.String()] = true
		r, err := c.get(ctx, address, true)
		if err != nil {
			return err
		}
		var b bundle
		if r.Type != "Bundle" || json.Unmarshal(r.Raw, &b) != nil {
			return fault.Newf("fhir-not-a-bundle", "Read a single resource without paging.", "The server answered with a %s where a Bundle was expected.", network.Clean(r.Type, 60))
		}
		for _, e := range b.Entry {
			if len(e.Resource) == 0 {
				continue
			}
			if err := each(e.Resource); err != nil {
				return err
			}
			if given++; given == max {
				return nil
			}
		}
		next := nextLink(b.Link)
		if next == "" {
			return nil
		}
		if address, err = nextPage(base, address, next); err != nil {
			return err
		}
	}
}

func nextLink(links []bundleLink) string {
	for _, l := range links {
		if l.Relation == "next" {
			return l.URL
		}
	}
	return ""
}

// nextPage checks the link to the next page. A relative one stands in
// relation to the base, as the specification has it for Bundle.link.
func nextPage(base, current *url.URL, link string) (*url.URL, error) {
	elsewhere := func() *fault.Error {
		return fault.New("fhir-next-elsewhere", "The next page of the search is on another server, which the access token must not reach.",
			"Narrow the search so that it fits one page, and tell the health system that its page links are wrong.")
	}
	if strings.ContainsFunc(link, func(r rune) bool { return r <= 0x20 || r == 0x7f }) || strings.Contains(link, `\`) {
		return nil, elsewhere()
	}
	ref, err := url.Parse(link)
	if err != nil || ref.Opaque != "" {
		return nil, elsewhere()
	}
	from := *base
	from.Path += "/"
	if from.RawPath != "" {
		from.RawPath += "/"
	}
	if strings.HasPrefix(link, "?") {
		from = *current
	}
	u := from.ResolveReference(ref)
	u.Fragment, u.RawFragment = "", ""
	if !network.SameOrigin(u, base) || !network.MaySend(u) {
		return nil, elsewhere()
	}
	return u, nil
}
