package workstation

// RightTo tells the tests who may use an exported method: "anybody",
// "signed in" or "admin"; "" is one that the table does not have.
func RightTo(method string) string {
	return map[right]string{anybody: "anybody", signedIn: "signed in", adminOnly: "admin"}[rights[method]]
}

// RightsListed gives the methods that the table has.
func RightsListed() []string {
	var out []string
	for name := range rights {
		out = append(out, name)
	}
	return out
}

// KeysHeld counts the keys in a workstation's memory, the master key among them.
func KeysHeld(w *Workstation) int {
	w.vaultMu.Lock()
	defer w.vaultMu.Unlock()
	n := len(w.keys)
	if w.vault != nil {
		n++
	}
	return n
}
