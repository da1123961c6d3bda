package simulator

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// switches are named conditions that are thrown while the server runs.
type switches struct {
	kind  string   // what one is called, for the refusal of a name
	known []string // in the order of their table

	mu sync.RWMutex // protects on
	on map[string]bool
}

func newSwitches(kind string, known []string) *switches {
	return &switches{kind: kind, known: known, on: map[string]bool{}}
}

// set turns exactly these on and all others off. A name that is not known
// changes nothing.
func (s *switches) set(names []string) error {
	on := make(map[string]bool, len(names))
	for _, name := range names {
		if !slices.Contains(s.known, name) {
			return fmt.Errorf("there is no %s %q; there are %s", s.kind, clip(name, 60), strings.Join(s.known, ", "))
		}
		on[name] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.on = on
	return nil
}

func (s *switches) has(name string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.on[name]
}

// names gives those that are on, in the order of the table.
func (s *switches) names() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := []string{}
	for _, name := range s.known {
		if s.on[name] {
			out = append(out, name)
		}
	}
	return out
}
