package cli

import (
	"fmt"
	"io"

	"chartkey/backend/fault"
	"chartkey/backend/workstation"

	"github.com/spf13/cobra"
)

// surveyEnd is the last line of a survey.
type surveyEnd struct {
	Event            string `json:"event"`
	RegistrationID   string `json:"registration_id"`
	RegistrationName string `json:"registration_name"`
	FHIRBaseURL      string `json:"fhir_base_url"`
	StartedAt        string `json:"started_at"`
	OK               bool   `json:"ok"`
	Pass             int    `json:"pass"`
	Warning          int    `json:"warning"`
	Fail             int    `json:"fail"`
	Info             int    `json:"info"`
}

func (r *run) registrationSurvey() *cobra.Command {
	return &cobra.Command{
		Use: "survey REG", Short: "Look at what the server declares and does, and what that means for a registration", Args: exactArgs("a registration"),
		Long: "Compare what the server declares of itself with what it really answers and with what the\n" +
			"registration needs. It sends no secret, client ID or token, and changes nothing there.",
		Example: "  chartkey registration survey Sandbox\n  chartkey registration survey Sandbox --json",
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.desk(cmd.Context(), func(w *workstation.Workstation) error {
				var unprinted error
				survey, err := w.Survey(cmd.Context(), args[0], func(i workstation.SurveyItem) {
					if err := r.out.print(i, func(out io.Writer) { surveyItem(out, i) }); err != nil {
						unprinted = err
					}
				})
				if err != nil {
					return err
				}
				if unprinted != nil {
					return unprinted
				}
				return r.surveyed(survey)
			})
		},
	}
}

// surveyed prints the end of a survey, and gives the fault of one with failures.
func (r *run) surveyed(survey workstation.Survey) error {
	count := map[workstation.Result]int{}
	var first *workstation.SurveyItem
	for _, i := range survey.Items {
		count[i.Result]++
		if i.Result == workstation.Fail && first == nil {
			first = &i
		}
	}
	end := surveyEnd{
		"survey", survey.RegistrationID, survey.RegistrationName, survey.FHIRBaseURL, when(&survey.StartedAt), survey.OK,
		count[workstation.Pass], count[workstation.Warning], count[workstation.Fail], count[workstation.Info],
	}
	if err := r.out.print(end, func(out io.Writer) {
		fmt.Fprintf(out, "%d passed, %d with a warning, %d failed, %d to know.\n", end.Pass, end.Warning, end.Fail, end.Info)
	}); err != nil || first == nil {
		return err
	}
	return fault.New("survey-failed", "The survey found what keeps a connection from working: "+first.Seen, first.Advice)
}

func surveyItem(w io.Writer, i workstation.SurveyItem) {
	mark, known := marks[i.Result]
	if !known {
		mark = "· info"
	}
	fmt.Fprintf(w, "%-10s %s\n", mark, i.Title)
	line := func(label, text string) {
		if text != "" {
			fmt.Fprintf(w, "           %-9s %s\n", label, text)
		}
	}
	line("Declared:", i.Declared)
	line("Seen:", i.Seen)
	if i.Result != workstation.Pass {
		line("Means:", i.Meaning)
		line("→", i.Advice)
	}
}
