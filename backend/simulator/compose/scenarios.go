package main

type person struct {
	id, family string
	given      []string
	prefix     string
	// text is the whole name where it is more than prefix, given and family.
	text   string
	other  object // a further name, such as one in another script
	gender string
	birth  string
	died   string
	street string
	city   string
	state  string
	zip    string
	lang   [2]string // code, display
}

type condition struct {
	snomed, display, icd, icdDisplay string
	onset                            string
	resolved                         string
}

type medication struct {
	code, display, dosage string
	since                 string
	stopped               bool
	// why is the index of the condition that it treats, or -1.
	why int
}

type allergy struct {
	system, code, display string
	category              string // food, medication, environment
	criticality           string
	reaction              [2]string // SNOMED code, display; empty for none
	severity              string
	since                 string
}

type dose struct{ cvx, date string }

type procedure struct {
	code, display, date string
	// visit is the index of the visit that it was done at, or -1.
	visit int
}

type visit struct {
	start string // local date and time
	// kind is a key of visitKinds.
	kind      string
	clinician string
	reason    string
	// why is the index of the condition that led to it, or -1.
	why  int
	labs []string
	note string
}

type scenario struct {
	person
	height, weight float64
	pressure       [2]float64
	smoker         string // a key of smoking
	// values replace the usual ones of measures, by key.
	values     map[string]float64
	conditions []condition
	meds       []medication
	allergies  []allergy
	doses      []dose
	procedures []procedure
	visits     []visit
}

var english = [2]string{"en", "English"}

var (
	hypertension = func(onset string) condition {
		return condition{"38341003", "Hypertensive disorder", "I10", "Essential (primary) hypertension", onset, ""}
	}
	hyperlipid = func(onset string) condition {
		return condition{"55822004", "Hyperlipidemia", "E78.5", "Hyperlipidemia, unspecified", onset, ""}
	}
	noKnown    = allergy{snomed, "716186003", "No known allergy", "", "", [2]string{}, "", "2024-01-15"}
	penicillin = func(since string) allergy {
		return allergy{rxnorm, "7980", "penicillin G", "medication", "high", [2]string{"247472004", "Wheal"}, "moderate", since}
	}
	lisinopril = func(since string, why int) medication {
		return medication{"314076", "lisinopril 10 MG Oral Tablet", "Take 1 tablet by mouth once a day", since, false, why}
	}
	atorvastatin = func(since string, why int) medication {
		return medication{"617310", "atorvastatin 20 MG Oral Tablet", "Take 1 tablet by mouth at bedtime", since, false, why}
	}
	metformin = func(since string, why int) medication {
		return medication{"861007", "metformin hydrochloride 500 MG Oral Tablet", "Take 1 tablet by mouth twice a day with meals", since, false, why}
	}
	albuterol = func(since string, why int) medication {
		return medication{"745679", "200 ACTUAT albuterol 0.09 MG/ACTUAT Metered Dose Inhaler", "Inhale 2 puffs every 4 to 6 hours as needed", since, false, why}
	}
	acetaminophen = func(since string) medication {
		return medication{"313782", "acetaminophen 325 MG Oral Tablet", "Take 2 tablets by mouth every 6 hours as needed for pain", since, true, -1}
	}
)

// scenarios are the composed patients. None of them is, or was, a person.
var scenarios = []scenario{
	{
		person: person{id: "amara-nwosu", family: "Nwosu", given: []string{"Amara", "Chidinma"}, gender: "female", birth: "1986-04-17", street: "118 Quarry Lane", city: "Alder Creek", state: "OR", zip: "97001", lang: english},
		height: 168, weight: 71, pressure: [2]float64{118, 74}, smoker: "never",
		values: map[string]float64{"oxygen": 97},
		conditions: []condition{
			{"195967001", "Asthma", "J45.909", "Unspecified asthma, uncomplicated", "2003-09-02", ""},
			{"444814009", "Viral sinusitis", "J01.90", "Acute sinusitis, unspecified", "2025-02-10", "2025-02-24"},
		},
		meds:       []medication{albuterol("2024-03-12", 0), acetaminophen("2025-02-10")},
		allergies:  []allergy{penicillin("1994-06-01")},
		doses:      []dose{{"140", "2024-10-08"}, {"140", "2025-10-14"}, {"115", "2024-03-12"}},
		procedures: []procedure{{"127783003", "Spirometry", "2024-03-12", 0}},
		visits: []visit{
			{"2024-03-12T09:30", "checkup", "nneka-okafor", "Yearly check-up", 0, []string{"metabolic", "lipids", "blood"}, "Asthma well controlled, rescue inhaler about twice a month. Spirometry normal. Continue as is; see again in a year."},
			{"2025-02-10T14:10", "problem", "june-calloway", "Blocked nose and facial pain for six days", 1, nil, "Pressure over both maxillary sinuses, no fever. Viral sinusitis likely; rest, fluids, acetaminophen. Return if worse after ten days."},
			{"2025-11-04T10:00", "followup", "nneka-okafor", "Asthma review", 0, []string{"blood"}, "No exacerbation since last year. Inhaler technique checked. Influenza vaccine given in October."},
			{"2026-06-16T09:00", "checkup", "nneka-okafor", "Yearly check-up", 0, []string{"metabolic", "lipids"}, "Feels well. Runs three times a week. No change to treatment."},
		},
	},
	{
		person: person{id: "daniel-whitlock", family: "Whitlock", given: []string{"Daniel", "Reuben"}, prefix: "Mr.", gender: "male", birth: "1958-11-03", street: "27 Mill Street", city: "Alder Creek", state: "OR", zip: "97001", lang: english},
		height: 179, weight: 98, pressure: [2]float64{142, 86}, smoker: "former",
		values: map[string]float64{"glucose": 154, "hba1c": 7.6, "creatinine": 1.48, "egfr": 51, "ldl": 118, "cholesterol": 205, "triglyceride": 190},
		conditions: []condition{
			{"44054006", "Diabetes mellitus type 2", "E11.9", "Type 2 diabetes mellitus without complications", "2011-05-20", ""},
			hypertension("2008-02-14"), hyperlipid("2011-05-20"),
			{"433144002", "Chronic kidney disease stage 3", "N18.30", "Chronic kidney disease, stage 3 unspecified", "2023-08-30", ""},
		},
		meds:       []medication{metformin("2024-02-06", 0), lisinopril("2024-02-06", 1), atorvastatin("2024-02-06", 2)},
		allergies:  []allergy{{rxnorm, "10831", "sulfamethoxazole / trimethoprim", "medication", "low", [2]string{"271807003", "Eruption of skin"}, "mild", "2015-03-10"}},
		doses:      []dose{{"140", "2024-10-02"}, {"33", "2024-02-06"}, {"187", "2024-05-07"}, {"187", "2024-08-06"}, {"140", "2025-10-01"}},
		procedures: []procedure{{"73761001", "Colonoscopy", "2024-06-18", -1}, {"134395001", "Diabetic retinopathy screening", "2025-03-04", -1}},
		visits: []visit{
			{"2024-02-06T08:40", "followup", "nneka-okafor", "Diabetes review", 0, []string{"metabolic", "lipids", "hba1c", "egfr"}, "HbA1c above target. Diet reviewed, metformin continued. Kidney function stable at stage 3."},
			{"2024-08-06T08:40", "followup", "nneka-okafor", "Diabetes review", 0, []string{"metabolic", "hba1c", "egfr"}, "Walking daily. Home pressures around 140 over 85. Second zoster dose given."},
			{"2025-03-04T09:20", "followup", "nneka-okafor", "Diabetes review", 0, []string{"metabolic", "lipids", "hba1c", "egfr"}, "Eye examination without retinopathy. Feet normal. Continue lisinopril."},
			{"2026-01-20T08:40", "followup", "nneka-okafor", "Diabetes review", 0, []string{"metabolic", "hba1c", "egfr", "blood"}, "Stable. Next review in six months."},
		},
	},
	{
		person: person{id: "sofia-marchetti", family: "Marchetti", given: []string{"Sofia"}, gender: "female", birth: "1991-01-29", street: "5 Orchard Row", city: "Alder Creek", state: "OR", zip: "97001", lang: [2]string{"it", "Italian"}},
		height: 164, weight: 60, pressure: [2]float64{112, 70}, smoker: "never",
		conditions: []condition{{"37796009", "Migraine", "G43.909", "Migraine, unspecified, not intractable, without status migrainosus", "2012-06-11", ""}},
		meds:       []medication{{"313161", "sumatriptan 50 MG Oral Tablet", "Take 1 tablet by mouth at the start of a migraine; may repeat once after 2 hours", "2024-05-21", false, 0}},
		allergies:  []allergy{{snomed, "111088007", "Latex", "environment", "low", [2]string{"271807003", "Eruption of skin"}, "mild", "2016-09-30"}},
		doses:      []dose{{"140", "2024-11-05"}, {"165", "2024-05-21"}},
		procedures: []procedure{{"171149006", "Screening for malignant neoplasm of cervix", "2024-05-21", 0}},
		visits: []visit{
			{"2024-05-21T15:00", "checkup", "june-calloway", "Yearly check-up", 0, []string{"blood"}, "Two migraines a month, sumatriptan helps within the hour. Cervical screening taken."},
			{"2025-06-03T15:00", "checkup", "june-calloway", "Yearly check-up", 0, []string{"metabolic", "blood"}, "Fewer migraines since leaving night shifts. No change."},
			{"2026-05-12T15:30", "followup", "june-calloway", "Migraine review", 0, []string{"blood"}, "About one attack a month. Continue sumatriptan as needed."},
		},
	},
	{
		person: person{id: "luca-marchetti", family: "Marchetti", given: []string{"Luca"}, gender: "male", birth: "2017-07-08", street: "5 Orchard Row", city: "Alder Creek", state: "OR", zip: "97001", lang: english},
		height: 128, weight: 26, pressure: [2]float64{100, 62},
		values: map[string]float64{"heart-rate": 92, "respiratory-rate": 20},
		conditions: []condition{
			{"65363002", "Otitis media", "H66.90", "Otitis media, unspecified, unspecified ear", "2024-12-02", "2024-12-20"},
			{"91935009", "Allergy to peanut", "Z91.010", "Allergy to peanuts", "2019-03-15", ""},
		},
		meds:       []medication{{"308189", "amoxicillin 80 MG/ML Oral Suspension", "Take 10 mL by mouth twice a day for 10 days", "2024-12-02", true, 0}},
		allergies:  []allergy{{snomed, "762952008", "Peanut", "food", "high", [2]string{"39579001", "Anaphylaxis"}, "severe", "2019-03-15"}},
		doses:      []dose{{"03", "2024-09-10"}, {"10", "2024-09-10"}, {"20", "2024-09-10"}, {"21", "2024-09-10"}, {"140", "2025-10-21"}},
		procedures: []procedure{{"395142003", "Allergy screening test", "2025-08-19", 2}},
		visits: []visit{
			{"2024-12-02T11:15", "problem", "samuel-reyes", "Ear pain and fever since last night", 0, nil, "Bulging left drum. Amoxicillin for ten days. Mother advised on fever; carries an epinephrine pen for the peanut allergy."},
			{"2024-12-20T11:15", "followup", "samuel-reyes", "Ear check after otitis media", 0, nil, "Drum normal again, hears well."},
			{"2025-08-19T10:20", "checkup", "samuel-reyes", "School check-up", 1, []string{"blood"}, "Growing along his centile. Emergency plan for the peanut allergy renewed for school."},
			{"2026-08-11T10:20", "checkup", "samuel-reyes", "School check-up", 1, nil, "Well. Plan for school unchanged."},
		},
	},
	{
		person: person{id: "hiroko-tanabe", family: "Tanabe", given: []string{"Hiroko"}, gender: "female", birth: "1949-02-11", other: object{"use": "official", "family": "田辺", "given": []string{"裕子"}, "text": "田辺 裕子"}, street: "402 Harbor View", city: "Port Elsin", state: "WA", zip: "98001", lang: [2]string{"ja", "Japanese"}},
		height: 152, weight: 49, pressure: [2]float64{128, 72}, smoker: "never",
		values: map[string]float64{"tsh": 3.1},
		conditions: []condition{
			{"64859006", "Osteoporosis", "M81.0", "Age-related osteoporosis without current pathological fracture", "2016-10-04", ""},
			{"40930008", "Hypothyroidism", "E03.9", "Hypothyroidism, unspecified", "2005-04-19", ""},
		},
		meds:       []medication{{"966222", "levothyroxine sodium 0.075 MG Oral Tablet", "Take 1 tablet by mouth every morning before breakfast", "2024-04-09", false, 1}},
		allergies:  []allergy{noKnown},
		doses:      []dose{{"140", "2024-09-24"}, {"33", "2024-04-09"}, {"187", "2025-04-08"}},
		procedures: []procedure{{"312681000", "Bone density scan", "2025-04-08", 1}},
		visits: []visit{
			{"2024-04-09T13:00", "followup", "nneka-okafor", "Thyroid review", 1, []string{"tsh", "metabolic"}, "Feels well on levothyroxine. Interpreter present."},
			{"2025-04-08T13:00", "followup", "nneka-okafor", "Bone density result", 0, []string{"tsh", "metabolic"}, "T-score -2.6 at the hip, little changed. Balance training recommended."},
			{"2026-04-14T13:00", "followup", "nneka-okafor", "Thyroid review", 1, []string{"tsh", "blood"}, "No falls in the past year. Continue."},
		},
	},
	{
		person: person{
			id: "maria-etxeberria", family: "Etxeberria-Ibáñez de la Santísima Trinidad y Ruiz de Apodaca",
			given:  []string{"María", "de los Ángeles", "Guadalupe", "Inmaculada", "Concepción", "Françoise", "Zoë", "Þórdís", "Łucja"},
			prefix: "Dña.", text: "Dña. María de los Ángeles Guadalupe Inmaculada Concepción Françoise Zoë Þórdís Łucja Etxeberria-Ibáñez de la Santísima Trinidad y Ruiz de Apodaca",
			other:  object{"use": "nickname", "given": []string{"Marίa 🌻"}, "text": "Marίa 🌻 (ماريا · Мария · 玛丽亚)"},
			gender: "female", birth: "1978-12-31", street: "1 Calle de la Constitución del Año Mil Novecientos Setenta y Ocho, Escalera Ñ, Piso 3º Izquierda", city: "Port Elsin", state: "WA", zip: "98001", lang: [2]string{"es", "Spanish"},
		},
		height: 160, weight: 68, pressure: [2]float64{124, 80}, smoker: "current",
		conditions: []condition{{"235595009", "Gastroesophageal reflux disease", "K21.9", "Gastro-esophageal reflux disease without esophagitis", "2020-01-13", ""}},
		meds:       []medication{{"198051", "omeprazole 20 MG Delayed Release Oral Capsule", "Take 1 capsule by mouth once a day before breakfast", "2024-07-02", false, 0}},
		allergies:  []allergy{{rxnorm, "1191", "aspirin", "medication", "low", [2]string{"422587007", "Nausea"}, "mild", "2010-01-01"}},
		doses:      []dose{{"140", "2024-10-15"}, {"113", "2024-07-02"}},
		procedures: []procedure{{"76009000", "Esophagogastroduodenoscopy", "2024-07-30", -1}},
		visits: []visit{
			{"2024-07-02T16:20", "problem", "june-calloway", "Heartburn after meals", 0, []string{"blood", "metabolic"}, "«Ardor» after meals, worse lying down. Omeprazole started; endoscopy arranged. Wishes help to stop smoking."},
			{"2025-01-21T16:20", "followup", "june-calloway", "Reflux review", 0, nil, "Endoscopy without Barrett's mucosa. Symptoms ¾ better."},
			{"2026-02-17T16:20", "checkup", "june-calloway", "Yearly check-up", 0, []string{"lipids", "metabolic"}, "Smoking five a day, down from twenty."},
		},
	},
	{
		person: person{id: "gregory-abara", family: "Abara", given: []string{"Gregory"}, gender: "male", birth: "1962-08-25", street: "77 Foundry Road", city: "Alder Creek", state: "OR", zip: "97002", lang: english},
		height: 174, weight: 66, pressure: [2]float64{132, 78}, smoker: "current",
		values:     map[string]float64{"oxygen": 93, "respiratory-rate": 19, "hematocrit": 48.5, "hemoglobin": 16.4},
		conditions: []condition{{"13645005", "Chronic obstructive lung disease", "J44.9", "Chronic obstructive pulmonary disease, unspecified", "2018-03-06", ""}},
		meds:       []medication{albuterol("2024-01-23", 0), {"312615", "prednisone 20 MG Oral Tablet", "Take 2 tablets by mouth once a day for 5 days", "2025-01-09", true, 0}},
		allergies:  []allergy{{rxnorm, "2670", "codeine", "medication", "low", [2]string{"422587007", "Nausea"}, "moderate", "2019-11-18"}},
		doses:      []dose{{"140", "2024-10-22"}, {"33", "2024-01-23"}},
		procedures: []procedure{{"127783003", "Spirometry", "2024-01-23", 0}, {"399208008", "Plain X-ray of chest", "2025-01-09", 1}},
		visits: []visit{
			{"2024-01-23T10:40", "followup", "nneka-okafor", "Lung disease review", 0, []string{"blood"}, "FEV1 58% of predicted. Not ready to stop smoking. Pneumococcal vaccine given."},
			{"2025-01-09T02:35", "emergency", "henrik-lindqvist", "Short of breath since the evening", 0, []string{"blood", "metabolic", "bnp"}, "Exacerbation of COPD. Improved with bronchodilator and steroid. Home with prednisone."},
			{"2025-01-16T10:40", "followup", "nneka-okafor", "After the emergency visit", 0, nil, "Back to his usual breathlessness. Has set a date to stop smoking."},
			{"2026-03-10T10:40", "followup", "nneka-okafor", "Lung disease review", 0, []string{"blood"}, "Smokes less. FEV1 55% of predicted."},
		},
	},
	{
		person: person{id: "ruth-adeyemi", family: "Adeyemi-Stone", given: []string{"Ruth", "Olufunke"}, prefix: "Dr.", gender: "female", birth: "1963-05-02", street: "9 College Hill", city: "Port Elsin", state: "WA", zip: "98002", lang: english},
		height: 171, weight: 76, pressure: [2]float64{126, 79}, smoker: "never",
		conditions: []condition{
			{"254837009", "Malignant neoplasm of breast", "C50.919", "Malignant neoplasm of unspecified site of unspecified female breast", "2021-02-24", "2022-01-10"},
			{"35489007", "Depressive disorder", "F32.A", "Depression, unspecified", "2021-06-15", ""},
		},
		meds:       []medication{{"312941", "sertraline 50 MG Oral Tablet", "Take 1 tablet by mouth once a day", "2024-02-27", false, 1}},
		allergies:  []allergy{{snomed, "227493005", "Cashew nuts", "food", "high", [2]string{"39579001", "Anaphylaxis"}, "severe", "1998-07-12"}},
		doses:      []dose{{"140", "2024-10-03"}, {"140", "2025-10-07"}, {"187", "2024-02-27"}},
		procedures: []procedure{{"24623002", "Screening mammography", "2025-02-25", 1}, {"392021009", "Lumpectomy of breast", "2021-03-30", -1}},
		visits: []visit{
			{"2024-02-27T09:00", "followup", "nneka-okafor", "Review after breast cancer", 0, []string{"blood", "metabolic"}, "Three years after surgery, no sign of recurrence. Mood steady on sertraline."},
			{"2025-02-25T09:00", "followup", "nneka-okafor", "Review after breast cancer", 0, []string{"blood", "metabolic", "lipids"}, "Mammography without suspicious findings."},
			{"2026-02-24T09:00", "followup", "nneka-okafor", "Review after breast cancer", 0, []string{"blood"}, "Five years clear. Discharged to yearly screening."},
		},
	},
	{
		person: person{id: "tomasz-zielinski", family: "Zieliński", given: []string{"Tomasz"}, gender: "male", birth: "1980-09-19", street: "64 Station Road", city: "Alder Creek", state: "OR", zip: "97002", lang: [2]string{"pl", "Polish"}},
		height: 183, weight: 104, pressure: [2]float64{146, 92}, smoker: "former",
		values:     map[string]float64{"urate": 8.4, "triglyceride": 210},
		conditions: []condition{hypertension("2019-04-02"), {"90560007", "Gout", "M10.9", "Gout, unspecified", "2021-12-27", ""}},
		meds: []medication{
			{"197361", "amlodipine 5 MG Oral Tablet", "Take 1 tablet by mouth once a day", "2024-05-14", false, 0},
			{"197319", "allopurinol 100 MG Oral Tablet", "Take 1 tablet by mouth once a day", "2024-05-14", false, 1},
		},
		allergies:  []allergy{noKnown},
		doses:      []dose{{"140", "2025-11-11"}, {"115", "2024-05-14"}},
		procedures: []procedure{{"29303009", "Electrocardiographic procedure", "2024-05-14", 0}},
		visits: []visit{
			{"2024-05-14T17:00", "followup", "henrik-lindqvist", "High blood pressure", 0, []string{"metabolic", "lipids", "urate"}, "Pressure above target on two readings. Amlodipine started. ECG normal."},
			{"2025-05-20T17:00", "followup", "henrik-lindqvist", "High blood pressure", 0, []string{"metabolic", "lipids", "urate"}, "Better at home. One attack of gout in winter, allopurinol continued."},
			{"2026-05-19T17:00", "followup", "june-calloway", "Gout review", 1, []string{"urate", "metabolic"}, "No attack for fourteen months."},
		},
	},
	{
		person: person{id: "priya-raghunathan", family: "Raghunathan", given: []string{"Priya"}, gender: "female", birth: "1999-03-26", other: object{"use": "official", "text": "பிரியா ரகுநாதன்"}, street: "210 Elm Court", city: "Port Elsin", state: "WA", zip: "98002", lang: english},
		height: 159, weight: 52, pressure: [2]float64{106, 66}, smoker: "never",
		values:     map[string]float64{"hemoglobin": 10.6, "hematocrit": 33, "ferritin": 8, "erythrocytes": 3.9},
		conditions: []condition{{"87522002", "Iron deficiency anemia", "D50.9", "Iron deficiency anemia, unspecified", "2025-01-28", ""}},
		meds:       []medication{{"310325", "ferrous sulfate 325 MG Oral Tablet", "Take 1 tablet by mouth every other day", "2025-01-28", false, 0}},
		allergies:  []allergy{{snomed, "227037002", "Fish", "food", "low", [2]string{"271807003", "Eruption of skin"}, "mild", "2007-05-05"}},
		doses:      []dose{{"165", "2024-08-13"}, {"140", "2025-10-28"}},
		procedures: []procedure{{"76009000", "Esophagogastroduodenoscopy", "2025-03-18", -1}},
		visits: []visit{
			{"2024-08-13T12:00", "checkup", "june-calloway", "First visit", -1, []string{"blood"}, "New to the practice, moved for work. Tired of late."},
			{"2025-01-28T12:00", "problem", "june-calloway", "Tiredness for months", 0, []string{"blood", "ferritin", "tsh"}, "Iron deficiency. Iron every other day; endoscopy arranged as the cause is not clear."},
			{"2026-01-27T12:00", "followup", "june-calloway", "Anemia review", 0, []string{"blood", "ferritin"}, "Less tired. Endoscopy was normal. Continue iron for three months."},
		},
	},
	{
		person: person{id: "walter-eriksen", family: "Eriksen", given: []string{"Walter", "Johan"}, prefix: "Mr.", gender: "male", birth: "1937-06-30", died: "2026-02-11T04:40:00-08:00", street: "Larch House, 3 Church Lane", city: "Alder Creek", state: "OR", zip: "97001", lang: [2]string{"nb", "Norwegian Bokmål"}},
		height: 176, weight: 81, pressure: [2]float64{108, 64}, smoker: "former",
		values: map[string]float64{"bnp": 2850, "creatinine": 1.62, "oxygen": 94, "heart-rate": 88},
		conditions: []condition{
			{"49436004", "Atrial fibrillation", "I48.91", "Unspecified atrial fibrillation", "2014-10-22", ""},
			{"84114007", "Heart failure", "I50.9", "Heart failure, unspecified", "2019-01-17", ""},
		},
		meds: []medication{
			{"855332", "warfarin sodium 5 MG Oral Tablet", "Take as told by the anticoagulation clinic", "2024-03-05", true, 0},
			{"313988", "furosemide 40 MG Oral Tablet", "Take 1 tablet by mouth every morning", "2024-03-05", true, 1},
		},
		allergies:  []allergy{penicillin("1962-01-01")},
		doses:      []dose{{"140", "2024-09-30"}, {"33", "2024-03-05"}, {"140", "2025-09-29"}},
		procedures: []procedure{{"40701008", "Echocardiography", "2024-03-19", -1}, {"180325003", "Electrical cardioversion", "2015-02-09", -1}},
		visits: []visit{
			{"2024-03-05T10:00", "followup", "henrik-lindqvist", "Heart failure review", 1, []string{"metabolic", "bnp", "inr"}, "NYHA class III. Ejection fraction 35%. Furosemide continued."},
			{"2025-04-22T10:00", "followup", "henrik-lindqvist", "Heart failure review", 1, []string{"metabolic", "bnp", "inr"}, "Two pillows at night. Weight stable."},
			{"2026-02-02T19:45", "inpatient", "henrik-lindqvist", "Breathless at rest", 1, []string{"metabolic", "bnp", "inr", "blood"}, "Admitted with decompensated heart failure. Comfort care agreed with the family."},
		},
	},
	{
		person: person{id: "jordan-pike", family: "Pike", given: []string{"Jordan"}, gender: "other", birth: "2003-12-05", street: "Unit 12, 500 Lakeside", city: "Port Elsin", state: "WA", zip: "98003", lang: english},
		height: 172, weight: 63, pressure: [2]float64{114, 70}, smoker: "never",
		conditions: []condition{{"44465007", "Sprain of ankle", "S93.409A", "Sprain of unspecified ligament of unspecified ankle, initial encounter", "2025-06-21", "2025-08-01"}},
		meds:       []medication{{"197806", "ibuprofen 600 MG Oral Tablet", "Take 1 tablet by mouth three times a day with food for 5 days", "2025-06-21", true, 0}},
		allergies:  []allergy{noKnown},
		doses:      []dose{{"140", "2025-10-30"}, {"165", "2024-09-17"}},
		procedures: []procedure{{"19490002", "Ankle X-ray", "2025-06-21", 1}},
		visits: []visit{
			{"2024-09-17T14:30", "checkup", "june-calloway", "College entry check-up", -1, []string{"blood"}, "Healthy. Rows for the college."},
			{"2025-06-21T18:05", "emergency", "samuel-reyes", "Twisted ankle on a run", 0, nil, "No fracture on X-ray. Ankle brace, ibuprofen, rest."},
			{"2025-08-01T14:30", "followup", "june-calloway", "Ankle review", 0, nil, "Full range of movement, may run again."},
		},
	},
}
