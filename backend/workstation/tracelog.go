package workstation

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"strconv"

	"chartkey/backend/audit"
	"chartkey/backend/fault"
	"chartkey/backend/secret"
	"chartkey/backend/smart"
	"chartkey/backend/store"
	"chartkey/backend/trace"
	"chartkey/backend/vault"
)

// keptTraces is how many traces are kept of one registration and profile.
const keptTraces = 20

// Traced is the redacted trace of one operation.
type Traced struct {
	ID             int64  `json:"id"`
	RegistrationID string `json:"registration_id"`
	Registration   string `json:"registration"`
	trace.Trace
	// Sequence are its messages as arrows.
	Sequence []trace.Arrow `json:"sequence"`
}

// record begins the trace of an operation, if its exchanges are observed.
func (o *observation) record(w *Workstation, operation audit.Action, reg store.Registration, cfg *smart.Configuration) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.recorder != nil {
		return
	}
	var endpoints []string
	if cfg != nil {
		endpoints = []string{cfg.AuthorizationEndpoint, cfg.TokenEndpoint, cfg.JWKSURI, cfg.RevocationEndpoint, cfg.IntrospectionEndpoint, cfg.RegistrationEndpoint}
	}
	o.recorder = trace.NewRecorder(trace.Options{
		Operation: string(operation), Program: "Chartkey " + w.version, Now: w.now, FHIRBaseURL: reg.FHIRBaseURL, Endpoints: endpoints,
		ErrorCode: func(err error) string { return fault.Code(Fault(err)) },
	})
}

// recording gives the recorder, or nil.
func (o *observation) recording() *trace.Recorder {
	if o == nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.recorder
}

// note keeps a step that the browser did.
func (o *observation) note(step, address string, values url.Values) {
	if r := o.recording(); r != nil {
		r.Note(step, address, values)
	}
}

func traceBinding(id int64) vault.Binding {
	return vault.Binding{Table: "trace", Column: "trace", Row: strconv.FormatInt(id, 10)}
}

// keepTrace stores the trace of an operation that has ended. It may say no more
// than what the person can see anyway; where the profile's key is gone, it is dropped.
func (w *Workstation) keepTrace(ctx context.Context, profileID, registrationID string, o *observation, cause error) {
	r := o.recording()
	if r == nil || registrationID == "" || w.heldDataKey(profileID) == nil {
		return
	}
	if cause != nil {
		cause = Fault(cause)
	}
	r.End(cause)
	t := r.Trace()
	if len(t.Exchanges) == 0 && len(t.Notes) == 0 {
		return
	}
	text, err := json.Marshal(t)
	if err != nil {
		w.log.Warn("a trace could not be kept", "error", err)
		return
	}
	ctx = context.WithoutCancel(ctx)
	err = w.store.Update(ctx, func(q *store.Queries) error {
		id, err := q.AddTrace(ctx, store.AddTraceParams{RegistrationID: registrationID, ProfileID: profileID, Trace: []byte{}, At: w.now().UnixMilli()})
		if err != nil {
			return err
		}
		sealed, err := w.seal(ctx, profileID, traceBinding(id), secret.Own(text))
		if err != nil {
			return err
		}
		if err := q.SealTrace(ctx, store.SealTraceParams{Trace: sealed, ID: id}); err != nil {
			return err
		}
		return q.DropOldTraces(ctx, store.DropOldTracesParams{RegistrationID: registrationID, ProfileID: profileID, Kept: keptTraces})
	})
	if err != nil {
		w.log.Info("a trace could not be kept", "code", fault.Code(Fault(err)))
	}
}

// Traces gives the traces of the profile's latest operations, the latest first:
// of one registration, or of all where ref is "".
func (w *Workstation) Traces(ctx context.Context, ref string, last int) (out []Traced, err error) {
	err = w.as(ctx, "Traces", func(ctx context.Context, who *seat) error {
		out, err = w.traces(ctx, who, ref, last)
		return err
	})
	return out, err
}

func (w *Workstation) traces(ctx context.Context, who *seat, ref string, last int) ([]Traced, error) {
	regs, err := w.store.Registrations(ctx)
	if err != nil {
		return nil, err
	}
	names := make(map[string]string, len(regs))
	for _, r := range regs {
		names[r.ID] = r.Name
	}
	var rows []store.Trace
	if ref == "" {
		rows, err = w.store.Traces(ctx, store.TracesParams{ProfileID: who.profile.ID, Limit: int64(last)})
	} else {
		reg, findErr := w.registrationRow(ctx, ref)
		if findErr != nil {
			return nil, findErr
		}
		rows, err = w.store.TracesOf(ctx, store.TracesOfParams{ProfileID: who.profile.ID, RegistrationID: reg.ID, Limit: int64(last)})
	}
	if err != nil {
		return nil, err
	}
	out := make([]Traced, 0, len(rows))
	for _, row := range rows {
		t, err := w.openTrace(ctx, row)
		if err != nil {
			return nil, err
		}
		t.Registration = names[row.RegistrationID]
		out = append(out, t)
	}
	return out, nil
}

func (w *Workstation) openTrace(ctx context.Context, row store.Trace) (Traced, error) {
	t := Traced{ID: row.ID, RegistrationID: row.RegistrationID}
	text, err := w.open(ctx, row.ProfileID, traceBinding(row.ID), row.Trace)
	if err != nil {
		return t, err
	}
	if err := json.Unmarshal(text.Bytes(), &t.Trace); err != nil {
		return t, fault.New("vault-damaged", "A stored trace cannot be read.", "Do the operation again for a new one.").Because(err)
	}
	t.Sequence = trace.Sequence(t.Trace)
	return t, nil
}

// The formats of a trace.
const (
	TraceHAR      = "har"
	TraceMarkdown = "markdown"
)

// WriteTrace writes one trace for a support ticket: as HAR or as Markdown. What
// it writes is what the window shows. Faults: trace-not-found, invalid-format.
func (w *Workstation) WriteTrace(ctx context.Context, id int64, format string, out io.Writer) error {
	return w.as(ctx, "WriteTrace", func(ctx context.Context, who *seat) error {
		row, err := w.store.FindTrace(ctx, store.FindTraceParams{ID: id, ProfileID: who.profile.ID})
		if errors.Is(err, store.ErrNoRow) {
			return fault.New("trace-not-found", "There is no such trace any more.", "List the traces; only the latest are kept.")
		}
		if err != nil {
			return err
		}
		t, err := w.openTrace(ctx, row)
		if err != nil {
			return err
		}
		switch format {
		case TraceHAR:
			return trace.HAR(out, t.Trace)
		case TraceMarkdown:
			return trace.Markdown(out, t.Trace)
		}
		return fault.Newf("invalid-format", "Choose har or markdown.", "%q is no format of a trace.", format)
	})
}
