package main

// The code systems used.
const (
	loinc  = "http://loinc.org"
	snomed = "http://snomed.info/sct"
	rxnorm = "http://www.nlm.nih.gov/research/umls/rxnorm"
	cvx    = "http://hl7.org/fhir/sid/cvx"
	icd10  = "http://hl7.org/fhir/sid/icd-10-cm"
	ucum   = "http://unitsofmeasure.org"
	hl7    = "http://terminology.hl7.org/CodeSystem/"
	ours   = "https://sandbox.chartkey.example/"
)

func coding(system, code, display string) object {
	return object{"system": system, "code": code, "display": display}
}

func concept(text string, codings ...object) object {
	c := object{}
	if len(codings) > 0 {
		c["coding"] = codings
	}
	if text != "" {
		c["text"] = text
	}
	return c
}

// measure is a laboratory test or a vital sign with its normal range.
type measure struct {
	key, code, display string
	unit, ucumCode     string
	// usual is a typical value; spread is how far it strays from visit to
	// visit; places are the decimals that are reported.
	usual, spread float64
	places        int
	low, high     float64
}

var vitals = []measure{
	{"heart-rate", "8867-4", "Heart rate", "/min", "/min", 72, 6, 0, 60, 100},
	{"respiratory-rate", "9279-1", "Respiratory rate", "/min", "/min", 15, 2, 0, 12, 20},
	{"temperature", "8310-5", "Body temperature", "Cel", "Cel", 36.8, 0.3, 1, 36.1, 37.5},
	{"oxygen", "59408-5", "Oxygen saturation in Arterial blood by Pulse oximetry", "%", "%", 98, 1, 0, 95, 100},
	{"weight", "29463-7", "Body weight", "kg", "kg", 0, 1.2, 1, 0, 0},
	{"height", "8302-2", "Body height", "cm", "cm", 0, 0, 1, 0, 0},
	{"bmi", "39156-5", "Body mass index (BMI) [Ratio]", "kg/m2", "kg/m2", 0, 0, 1, 18.5, 25},
}

// panel is a laboratory report and what it holds.
type panel struct {
	code, display string
	tests         []measure
}

var panels = map[string]panel{
	"metabolic": {"24320-4", "Basic metabolic 1998 panel - Serum or Plasma", []measure{
		{"glucose", "2345-7", "Glucose [Mass/volume] in Serum or Plasma", "mg/dL", "mg/dL", 92, 6, 0, 70, 99},
		{"urea", "3094-0", "Urea nitrogen [Mass/volume] in Serum or Plasma", "mg/dL", "mg/dL", 14, 3, 0, 7, 20},
		{"creatinine", "2160-0", "Creatinine [Mass/volume] in Serum or Plasma", "mg/dL", "mg/dL", 0.9, 0.08, 2, 0.6, 1.3},
		{"sodium", "2951-2", "Sodium [Moles/volume] in Serum or Plasma", "mmol/L", "mmol/L", 140, 2, 0, 136, 145},
		{"potassium", "2823-3", "Potassium [Moles/volume] in Serum or Plasma", "mmol/L", "mmol/L", 4.2, 0.3, 1, 3.5, 5.1},
		{"chloride", "2075-0", "Chloride [Moles/volume] in Serum or Plasma", "mmol/L", "mmol/L", 102, 2, 0, 98, 107},
		{"calcium", "17861-6", "Calcium [Mass/volume] in Serum or Plasma", "mg/dL", "mg/dL", 9.4, 0.3, 1, 8.5, 10.2},
	}},
	"lipids": {"24331-1", "Lipid 1996 panel - Serum or Plasma", []measure{
		{"cholesterol", "2093-3", "Cholesterol [Mass/volume] in Serum or Plasma", "mg/dL", "mg/dL", 184, 12, 0, 0, 200},
		{"triglyceride", "2571-8", "Triglyceride [Mass/volume] in Serum or Plasma", "mg/dL", "mg/dL", 118, 18, 0, 0, 150},
		{"hdl", "2085-9", "Cholesterol in HDL [Mass/volume] in Serum or Plasma", "mg/dL", "mg/dL", 54, 4, 0, 40, 0},
		{"ldl", "13457-7", "Cholesterol in LDL [Mass/volume] in Serum or Plasma by calculation", "mg/dL", "mg/dL", 106, 10, 0, 0, 130},
	}},
	"blood": {"58410-2", "CBC panel - Blood by Automated count", []measure{
		{"leukocytes", "6690-2", "Leukocytes [#/volume] in Blood by Automated count", "10*3/uL", "10*3/uL", 6.8, 1.1, 1, 4.5, 11},
		{"erythrocytes", "789-8", "Erythrocytes [#/volume] in Blood by Automated count", "10*6/uL", "10*6/uL", 4.6, 0.2, 2, 4.1, 5.6},
		{"hemoglobin", "718-7", "Hemoglobin [Mass/volume] in Blood", "g/dL", "g/dL", 14.1, 0.5, 1, 12, 17.5},
		{"hematocrit", "4544-3", "Hematocrit [Volume Fraction] of Blood by Automated count", "%", "%", 42, 1.5, 1, 36, 50},
		{"platelets", "777-3", "Platelets [#/volume] in Blood by Automated count", "10*3/uL", "10*3/uL", 248, 22, 0, 150, 400},
	}},
}

// single are the tests that are ordered by themselves.
var single = map[string]measure{
	"hba1c":    {"hba1c", "4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood", "%", "%", 5.4, 0.2, 1, 4, 5.6},
	"tsh":      {"tsh", "3016-3", "Thyrotropin [Units/volume] in Serum or Plasma", "m[IU]/L", "m[IU]/L", 2.1, 0.5, 2, 0.4, 4},
	"ferritin": {"ferritin", "2276-4", "Ferritin [Mass/volume] in Serum or Plasma", "ng/mL", "ng/mL", 68, 12, 0, 15, 150},
	"urate":    {"urate", "3084-1", "Urate [Mass/volume] in Serum or Plasma", "mg/dL", "mg/dL", 5.2, 0.5, 1, 3.5, 7.2},
	"inr":      {"inr", "6301-6", "INR in Platelet poor plasma by Coagulation assay", "{INR}", "{INR}", 2.4, 0.3, 1, 2, 3},
	"bnp":      {"bnp", "33762-6", "Natriuretic peptide.B prohormone N-Terminal [Mass/volume] in Serum or Plasma", "pg/mL", "pg/mL", 90, 25, 0, 0, 125},
	"egfr":     {"egfr", "62238-1", "Glomerular filtration rate/1.73 sq M.predicted [Volume Rate/Area] in Serum, Plasma or Blood by Creatinine-based formula (CKD-EPI)", "mL/min/1.73m2", "mL/min/{1.73_m2}", 92, 3, 0, 60, 0},
}

// vaccines are CVX codes with the names that the CDC lists.
var vaccines = map[string]string{
	"08": "Hep B, adolescent or pediatric", "10": "IPV", "03": "MMR", "20": "DTaP", "21": "varicella",
	"33": "pneumococcal polysaccharide PPV23", "83": "Hep A, ped/adol, 2 dose", "113": "Td (adult), 5 Lf tetanus toxoid, preservative free, adsorbed",
	"115": "Tdap", "140": "Influenza, seasonal, injectable, preservative free", "165": "HPV9", "187": "zoster recombinant",
}
