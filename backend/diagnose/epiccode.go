package diagnose

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
)

//go:embed epic/error-codes.json
var epicCodeFile []byte

// epicCodes gives the texts of Epic's published codes; the file names its source.
var epicCodes = sync.OnceValue(func() map[string]string {
	var list struct {
		Codes []struct{ Code, Text string } `json:"codes"`
	}
	// The file is part of the program, and a test reads it.
	_ = json.Unmarshal(epicCodeFile, &list)
	out := map[string]string{}
	for _, c := range list.Codes {
		out[c.Code] = c.Text
	}
	return out
})

// epicWords tells the codes of Epic's that came, in Epic's published words.
func (v *view) epicWords() string {
	var told []string
	for _, code := range v.epicCodes {
		text, published := epicCodes()[code]
		if word := fmt.Sprintf("%s (“%s”)", code, text); published && !slices.Contains(told, word) {
			told = append(told, word)
		}
	}
	switch len(told) {
	case 0:
		return "a code of its own"
	case 1:
		return "code " + told[0]
	}
	return "codes " + told[0] + " and " + told[1]
}
