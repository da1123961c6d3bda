// Command compose writes the records of the sandbox, backend/simulator/data.
//
// Some are HL7's published R4 examples, cleaned and moved to recent years; the
// others are composed from the tables here. The output depends on nothing but
// these files and the examples, so that running it twice changes nothing:
//
//	npm pack hl7.fhir.r4.examples@4.0.1 && tar xzf hl7.fhir.r4.examples-4.0.1.tgz
//	go run ./backend/simulator/compose -examples package -out backend/simulator/data
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// object is a resource, or a part of one, while it is composed.
type object = map[string]any

func main() {
	examples := flag.String("examples", "", "the unpacked npm package hl7.fhir.r4.examples")
	out := flag.String("out", "", "where the NDJSON files go")
	flag.Parse()
	if *examples == "" || *out == "" {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(*examples, *out); err != nil {
		fmt.Fprintln(os.Stderr, "compose:", err)
		os.Exit(1)
	}
}

func run(examples, out string) error {
	resources := staff()
	for _, s := range scenarios {
		resources = append(resources, s.compose()...)
	}
	adapted, err := adaptExamples(examples)
	if err != nil {
		return err
	}
	resources = append(resources, adapted...)

	files := map[string]*bytes.Buffer{}
	for _, r := range resources {
		kind, _ := r["resourceType"].(string)
		if files[kind] == nil {
			files[kind] = &bytes.Buffer{}
		}
		enc := json.NewEncoder(files[kind])
		enc.SetEscapeHTML(false)
		if err := enc.Encode(r); err != nil {
			return err
		}
	}
	old, err := filepath.Glob(filepath.Join(out, "*.ndjson"))
	if err != nil {
		return err
	}
	for _, f := range old {
		if _, kept := files[strings.TrimSuffix(filepath.Base(f), ".ndjson")]; !kept {
			if err := os.Remove(f); err != nil {
				return err
			}
		}
	}
	for kind, b := range files {
		if err := os.WriteFile(filepath.Join(out, kind+".ndjson"), b.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}
