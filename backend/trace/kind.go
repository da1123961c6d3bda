package trace

import "strings"

// Kind is what a marked value is, in the words of its mark.
type Kind string

// The kinds of secrets and identifiers.
const (
	AccessToken       Kind = "access token"
	RefreshToken      Kind = "refresh token"
	IDToken           Kind = "id_token"
	SomeToken         Kind = "token" // one whose type is not told
	RegistrationToken Kind = "registration token"
	Code              Kind = "code"
	Verifier          Kind = "code verifier"
	Challenge         Kind = "code challenge"
	State             Kind = "state"
	Nonce             Kind = "nonce"
	ClientSecret      Kind = "client secret"
	Assertion         Kind = "assertion"
	LaunchValue       Kind = "launch"
	Statement         Kind = "software statement"
	Cookie            Kind = "cookie"
	Password          Kind = "password"
	Credentials       Kind = "credentials"
	TokenID           Kind = "token id"
	Session           Kind = "session"
	PrivateKey        Kind = "private key"

	Patient      Kind = "patient"
	Encounter    Kind = "encounter"
	Practitioner Kind = "practitioner"
	Subject      Kind = "subject"
	User         Kind = "user"
	Person       Kind = "name"

	// The values of which nothing is known; their marks tell the length.
	somePlain  Kind = "text"
	someWords  Kind = "words" // longer, and nothing that a vocabulary has
	someOpaque Kind = "opaque text"
)

func (k Kind) class() class {
	switch k {
	case somePlain:
		return plain
	case someWords, Patient, Encounter, Practitioner, Subject, User, Person:
		return identifying
	}
	if strings.HasSuffix(string(k), idSuffix) && k != TokenID {
		return identifying
	}
	return opaque
}

// named tells whether there is more to say of a value than its length.
func (k Kind) named() bool { return k != somePlain && k != someWords && k != someOpaque }

const idSuffix = " id"

// idOf is the kind of a resource's id.
func idOf(resourceType string) Kind {
	switch resourceType {
	case "Patient":
		return Patient
	case "Encounter":
		return Encounter
	case "Practitioner":
		return Practitioner
	}
	return Kind(resourceType + idSuffix)
}

// isType tells whether a word is the name of a FHIR resource type.
func isType(word string) bool { return resourceTypes[word] }

var resourceTypes = func() map[string]bool {
	out := map[string]bool{}
	// FHIR R4, and what R5 adds.
	for word := range strings.FieldsSeq(`
Account ActivityDefinition AdverseEvent AllergyIntolerance Appointment AppointmentResponse AuditEvent Basic Binary BiologicallyDerivedProduct BodyStructure
Bundle CapabilityStatement CarePlan CareTeam CatalogEntry ChargeItem ChargeItemDefinition Claim ClaimResponse ClinicalImpression CodeSystem Communication
CommunicationRequest CompartmentDefinition Composition ConceptMap Condition Consent Contract Coverage CoverageEligibilityRequest CoverageEligibilityResponse
DetectedIssue Device DeviceDefinition DeviceMetric DeviceRequest DeviceUseStatement DiagnosticReport DocumentManifest DocumentReference EffectEvidenceSynthesis
Encounter Endpoint EnrollmentRequest EnrollmentResponse EpisodeOfCare EventDefinition Evidence EvidenceVariable ExampleScenario ExplanationOfBenefit
FamilyMemberHistory Flag Goal GraphDefinition Group GuidanceResponse HealthcareService ImagingStudy Immunization ImmunizationEvaluation
ImmunizationRecommendation ImplementationGuide InsurancePlan Invoice Library Linkage List Location Measure MeasureReport Media Medication
MedicationAdministration MedicationDispense MedicationKnowledge MedicationRequest MedicationStatement MessageDefinition MessageHeader MolecularSequence
NamingSystem NutritionOrder Observation ObservationDefinition OperationDefinition OperationOutcome Organization OrganizationAffiliation Parameters Patient
PaymentNotice PaymentReconciliation Person PlanDefinition Practitioner PractitionerRole Procedure Provenance Questionnaire QuestionnaireResponse RelatedPerson
RequestGroup ResearchDefinition ResearchElementDefinition ResearchStudy ResearchSubject RiskAssessment RiskEvidenceSynthesis Schedule SearchParameter
ServiceRequest Slot Specimen SpecimenDefinition StructureDefinition StructureMap Subscription Substance SupplyDelivery SupplyRequest Task
TerminologyCapabilities TestReport TestScript ValueSet VerificationResult VisionPrescription
ActorDefinition AdministrableProductDefinition ArtifactAssessment BiologicallyDerivedProductDispense Citation ClinicalUseDefinition ConditionDefinition
DeviceAssociation DeviceDispense DeviceUsage EncounterHistory EvidenceReport FormularyItem GenomicStudy ImagingSelection Ingredient InventoryItem
InventoryReport ManufacturedItemDefinition MedicinalProductDefinition NutritionIntake NutritionProduct PackagedProductDefinition Permission
RegulatedAuthorization RequestOrchestration Requirements SubscriptionStatus SubscriptionTopic SubstanceDefinition TestPlan Transport`) {
		out[word] = true
	}
	return out
}()
