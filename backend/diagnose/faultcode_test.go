package diagnose_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"chartkey/backend/diagnose"
)

// outOfReach are packages whose faults come before or beside any connection:
// the command line's own usage, the simulated EHR, and this one.
var outOfReach = []string{"cli", "simulator", "diagnose", "fault"}

// faultCodes reads the codes of faults out of the program's own source: the
// first argument of fault.New and of the helpers around it, and the constants
// that are named as codes.
func faultCodes(t *testing.T) map[string]string {
	t.Helper()
	kebab, hyphened := regexp.MustCompile(`^[a-z]+(-[a-z0-9]+)*$`), regexp.MustCompile(`^[a-z]+(-[a-z0-9]+)+$`)
	out := map[string]string{}
	note := func(e ast.Expr, where string, form *regexp.Regexp) {
		lit, ok := e.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			return
		}
		if code, err := strconv.Unquote(lit.Value); err == nil && form.MatchString(code) {
			out[code] = where
		}
	}
	name := func(e ast.Expr) string {
		switch f := e.(type) {
		case *ast.Ident:
			return f.Name
		case *ast.SelectorExpr:
			if x, ok := f.X.(*ast.Ident); ok {
				return x.Name + "." + f.Sel.Name
			}
		}
		return ""
	}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains(outOfReach, d.Name()) {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				switch name(n.Fun) {
				case "fault.New", "fault.Newf":
					note(n.Args[0], path, kebab)
				case "refuse", "say": // helpers of that name may be for something else
					if len(n.Args) > 1 {
						note(n.Args[0], path, hyphened)
					}
				}
			case *ast.CompositeLit:
				// Problem{…}, or an element of []Problem{{…}}, whose type is left out.
				if id, ok := n.Type.(*ast.Ident); (n.Type == nil || ok && id.Name == "Problem") && len(n.Elts) == 3 {
					note(n.Elts[0], path, hyphened)
				}
			case *ast.ValueSpec:
				for i, id := range n.Names {
					if strings.HasPrefix(strings.ToLower(id.Name), "code") && len(id.Name) > len("code") && i < len(n.Values) {
						note(n.Values[i], path, kebab)
					}
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestEveryFaultOfTheProgramHasACause(t *testing.T) {
	codes := faultCodes(t)
	for _, known := range []string{"client-refused", "tls-untrusted", "id-token-nonce", "fhir-forbidden", "vault-locked", "sign-in-timeout", "base-url-oauth"} {
		if codes[known] == "" {
			t.Fatalf("%s is not found in the source, so the search is wrong", known)
		}
	}
	t.Logf("%d codes", len(codes))
	for code, where := range codes {
		stage := diagnose.StageOf(code, diagnose.Token)
		d := diagnose.Diagnose(diagnose.Facts{Stage: stage, Fault: diagnose.FaultFacts{Code: code}})
		if d.Causes[0].ID == "unknown-failure" {
			t.Errorf("no rule knows %s (%s), taken for the stage %s: name it in the rule that it belongs to (localrules.go, if no server has a part in it)", code, where, stage)
		}
	}
}
