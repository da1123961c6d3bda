package workstation

import (
	"context"
	"errors"
	"io"
	"iter"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"chartkey/backend/audit"
	"chartkey/backend/fault"
	"chartkey/backend/secret"
	"chartkey/backend/store"
	"chartkey/backend/vault"
)

// auditPage is how many rows of the record are read at a time.
const auditPage = 500

// action is something that goes outward, between its two entries in the
// activity record.
type action struct {
	w       *Workstation
	started audit.Entry
	// seen are the exchanges of the action, where they are observed.
	seen *observation

	mu    sync.Mutex // protects the one below
	ended bool
}

// begin records that an action starts. Where that cannot be written, the
// action must not be done.
func (w *Workstation) begin(ctx context.Context, p store.Profile, e audit.Entry) (*action, error) {
	a := &action{w: w, seen: observationOf(ctx)}
	key := w.recordKey(ctx)
	err := w.store.Update(ctx, func(q *store.Queries) (err error) {
		a.started, err = w.appendEntry(ctx, q, key, w.by(p, e).Started(w.now()))
		return err
	})
	return a, err
}

// patient notes whom the action turned out to concern.
func (a *action) patient(reference string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if reference != "" {
		a.started.Patient = reference
	}
}

// commit makes the deed, and the entry that it is done, durable together.
func (a *action) commit(ctx context.Context, deed func(q *store.Queries) error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := a.w.recordKey(ctx)
	err := a.w.store.Update(ctx, func(q *store.Queries) error {
		if err := deed(q); err != nil || a.ended {
			return err
		}
		_, err := a.w.appendEntry(ctx, q, key, a.started.Ended(a.w.now(), nil))
		return err
	})
	a.ended = a.ended || err == nil
	return err
}

// end records how the action ended, unless that was done before, and gives
// cause on. A success that cannot be recorded is none.
func (a *action) end(ctx context.Context, cause error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.w.keepTrace(ctx, a.started.ProfileID, a.started.RegistrationID, a.seen, cause)
	a.seen = nil
	if a.ended {
		return cause
	}
	a.ended = true
	ctx = context.WithoutCancel(ctx)
	key := a.w.recordKey(ctx)
	err := a.w.store.Update(ctx, func(q *store.Queries) error {
		if cause != nil {
			cause = Fault(cause)
		}
		_, err := a.w.appendEntry(ctx, q, key, a.started.Ended(a.w.now(), cause))
		return err
	})
	if err != nil && cause != nil {
		a.w.log.Warn("the end of a failed action could not be recorded", "error", err)
		return cause
	}
	return errors.Join(cause, err)
}

// recorded does something between its two entries in the activity record.
func (w *Workstation) recorded(ctx context.Context, p store.Profile, e audit.Entry, do func(ctx context.Context, act *action) error) error {
	act, err := w.begin(ctx, p, e)
	if err != nil {
		return err
	}
	return act.end(ctx, do(ctx, act))
}

// record writes one entry, in one transaction with the deed that it tells of;
// deed may be nil. The entry comes first: a deed that also changes something
// outside the database is not done where it cannot be recorded.
func (w *Workstation) record(ctx context.Context, p store.Profile, e audit.Entry, deed func(q *store.Queries) error) error {
	ctx = context.WithoutCancel(ctx)
	key := w.recordKey(ctx)
	e = w.by(p, e)
	e.At = w.now()
	return w.store.Update(ctx, func(q *store.Queries) error {
		if _, err := w.appendEntry(ctx, q, key, e); err != nil || deed == nil {
			return err
		}
		return deed(q)
	})
}

// by completes an entry with who did it, and from where.
func (w *Workstation) by(p store.Profile, e audit.Entry) audit.Entry {
	e.ProfileID, e.ProfileName, e.Role = p.ID, p.Name, p.Role
	if e.Origin == "" {
		e.Origin = w.origin
	}
	return e
}

func registrationEntry(action audit.Action, reg store.Registration) audit.Entry {
	return audit.Entry{Action: action, RegistrationID: reg.ID, RegistrationName: reg.Name, Server: reg.FHIRBaseURL, ClientID: reg.ClientID}
}

// resourceType is the form of a FHIR resource type's name.
var resourceType = regexp.MustCompile(`^[A-Z][A-Za-z]{1,62}$`)

// readEntry tells what a read concerns: the type, and the patient where the
// path or the grant names one. The parameters of a search may say more of a
// person than the record should keep.
func readEntry(reg store.Registration, c grantContext, path string) audit.Entry {
	e := registrationEntry(audit.Read, reg)
	e.Detail = audit.DetailResource
	e.Patient = patientPath(c.Patient)
	before, query, search := strings.Cut(strings.TrimPrefix(path, strings.TrimSuffix(reg.FHIRBaseURL, "/")), "?")
	typ, id, _ := strings.Cut(strings.Trim(before, "/"), "/")
	if resourceType.MatchString(typ) {
		e.Resource = typ
	}
	if search || id == "" || strings.HasPrefix(id, "_search") {
		e.Detail = audit.DetailSearch
	}
	if typ == "Patient" && id != "" {
		id, _, _ = strings.Cut(id, "/")
		e.Patient = "Patient/" + id
	}
	if q, err := url.ParseQuery(query); err == nil {
		for _, name := range []string{"patient", "subject"} {
			if ref := q.Get(name); ref != "" {
				e.Patient = "Patient/" + strings.TrimPrefix(ref, "Patient/")
			}
		}
	}
	return e
}

func auditBinding(seq int64) vault.Binding {
	return vault.Binding{Table: "audit", Column: "patient", Row: strconv.FormatInt(seq, 10)}
}

// appendEntry chains an entry to the record, inside a transaction.
func (w *Workstation) appendEntry(ctx context.Context, q *store.Queries, key *audit.Key, e audit.Entry) (audit.Entry, error) {
	head, err := readHead(ctx, q)
	if err != nil {
		return e, err
	}
	var patient []byte
	if e.Patient != "" {
		// Where the vault was locked meanwhile, the entry that began the action has named the patient.
		if k := w.heldDataKey(workstationOwner); k != nil {
			if patient, err = k.Seal(auditBinding(head.Next()), secret.New(e.Patient)); err != nil && fault.Code(err) != "vault-locked" {
				return e, err
			}
		}
	}
	row, head, err := key.Append(head, e, patient)
	if err != nil {
		return e, err
	}
	if err := q.AppendAudit(ctx, store.AppendAuditParams{Seq: row.Seq, Body: row.Body, Patient: row.Patient, MAC: row.MAC, Keyed: row.Keyed}); err != nil {
		return e, err
	}
	if err := q.SaveAuditHead(ctx, string(head.Bytes())); err != nil {
		return e, err
	}
	written, err := row.Entry()
	written.Patient = e.Patient
	return written, err
}

func readHead(ctx context.Context, q *store.Queries) (audit.Head, error) {
	chain, err := q.AuditChain(ctx)
	if err != nil && !errors.Is(err, store.ErrNoRow) {
		return audit.Head{}, err
	}
	return audit.ParseHead([]byte(chain.Head))
}

// recordKey gives the key that chains the activity record, making it once there
// is a vault. It is nil where the vault cannot be opened now: what is recorded
// then is sealed by the next entry that has the key.
func (w *Workstation) recordKey(ctx context.Context) *audit.Key {
	w.vaultMu.Lock()
	key := w.auditKey
	w.vaultMu.Unlock()
	if key != nil {
		w.openPatientsKey(ctx)
		return key
	}
	key, err := w.loadRecordKey(ctx)
	if err != nil {
		w.log.Info("the activity record is written without its key for now", "code", fault.Code(err))
		return nil
	}
	return key
}

// openPatientsKey has the key at hand that seals whom an entry concerns. A lock
// takes it out of memory, and leaves the one that chains the record.
func (w *Workstation) openPatientsKey(ctx context.Context) {
	if !w.vaultOpen() || w.heldDataKey(workstationOwner) != nil {
		return
	}
	if _, err := w.dataKey(ctx, workstationOwner); err != nil {
		w.log.Info("the activity record is written without whom it concerns for now", "code", fault.Code(err))
	}
}

func recordKeyBinding() vault.Binding {
	return vault.Binding{Table: "audit_chain", Column: "key", Row: "1"}
}

func (w *Workstation) loadRecordKey(ctx context.Context) (*audit.Key, error) {
	if _, exists, err := w.readHeader(ctx); err != nil || !exists {
		return nil, err
	}
	if err := w.unlockedQuietly(ctx); err != nil {
		return nil, err
	}
	seal, err := w.dataKey(ctx, workstationOwner)
	if err != nil {
		return nil, err
	}
	var key *audit.Key
	open := func(sealed []byte) error {
		text, err := seal.Open(recordKeyBinding(), sealed)
		if err == nil {
			key, err = audit.KeyFrom(text)
		}
		return err
	}
	chain, err := w.store.AuditChain(ctx)
	if err != nil && !errors.Is(err, store.ErrNoRow) {
		return nil, err
	}
	if chain.Key != nil {
		err = open(chain.Key)
	} else {
		err = w.store.Update(ctx, func(q *store.Queries) error {
			chain, err := q.AuditChain(ctx)
			if err == nil && chain.Key != nil { // another process was first
				return open(chain.Key)
			}
			head, err := readHead(ctx, q)
			if err != nil {
				return err
			}
			if key, head, err = audit.NewKey(head); err != nil {
				return err
			}
			sealed, err := seal.Seal(recordKeyBinding(), key.Secret())
			if err != nil {
				return err
			}
			if err := q.SaveAuditHead(ctx, string(head.Bytes())); err != nil {
				return err
			}
			_, err = q.SetAuditKey(ctx, sealed)
			return err
		})
	}
	if err != nil {
		return nil, err
	}
	w.vaultMu.Lock()
	defer w.vaultMu.Unlock()
	w.auditKey = key
	return key, nil
}

func rowOf(row store.Audit) audit.Row {
	return audit.Row{Seq: row.Seq, Body: row.Body, Patient: row.Patient, MAC: row.MAC, Keyed: row.Keyed}
}

// auditRows gives the rows of the record in order.
func auditRows(ctx context.Context, q *store.Queries) iter.Seq2[audit.Row, error] {
	return func(yield func(audit.Row, error) bool) {
		for after := int64(math.MinInt64); ; {
			page, err := q.AuditAfter(ctx, store.AuditAfterParams{Seq: after, Limit: auditPage})
			if err != nil {
				yield(audit.Row{}, err)
				return
			}
			for _, row := range page {
				if !yield(rowOf(row), nil) {
					return
				}
				after = row.Seq
			}
			if len(page) < auditPage {
				return
			}
		}
	}
}

// auditEntries gives the entries of the record in order, with their patients.
func (w *Workstation) auditEntries(rows iter.Seq2[audit.Row, error], open *vault.DataKey) iter.Seq2[audit.Entry, error] {
	return func(yield func(audit.Entry, error) bool) {
		for row, err := range rows {
			var e audit.Entry
			if err == nil {
				e, err = openEntry(row, open)
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

func openEntry(row audit.Row, open *vault.DataKey) (audit.Entry, error) {
	e, err := row.Entry()
	if fault.Code(err) == "audit-unreadable" {
		err = nil // the entry says so itself, and verification tells of it
	}
	if err != nil || len(row.Patient) == 0 || open == nil {
		return e, err
	}
	patient, err := open.Open(auditBinding(row.Seq), row.Patient)
	if fault.Code(err) == "vault-damaged" {
		return e, nil // verification tells of it; the rest of the record is to be seen all the same
	}
	e.Patient = patient.Reveal()
	return e, err
}

// AuditLog gives the latest activities, the newest first, at most limit.
func (w *Workstation) AuditLog(ctx context.Context, limit int) (out []audit.Activity, err error) {
	err = w.as(ctx, "AuditLog", func(ctx context.Context, _ *seat) error {
		open := w.patientsKey(ctx)
		// Twice as many entries as lines, as most actions have two.
		page, err := w.store.AuditBefore(ctx, store.AuditBeforeParams{Seq: 1<<63 - 1, Limit: int64(2*limit + 1)})
		if err != nil {
			return err
		}
		slices.Reverse(page)
		rows := func(yield func(audit.Row, error) bool) {
			for _, row := range page {
				if !yield(rowOf(row), nil) {
					return
				}
			}
		}
		for a, err := range audit.Activities(w.auditEntries(rows, open)) {
			if err != nil {
				return err
			}
			out = append(out, a)
		}
		slices.Reverse(out)
		out = out[:min(limit, len(out))]
		return nil
	})
	return out, err
}

// patientsKey gives the key that opens the patients of the record, or nil.
func (w *Workstation) patientsKey(ctx context.Context) *vault.DataKey {
	if _, exists, err := w.readHeader(ctx); err != nil || !exists {
		return nil
	}
	k, err := w.dataKey(ctx, workstationOwner)
	if err != nil {
		return nil
	}
	return k
}

// VerifyAudit checks the whole activity record, against anchors of it that were
// kept elsewhere too. A record that is not whole is no error: the result says so.
func (w *Workstation) VerifyAudit(ctx context.Context, anchors ...audit.Anchor) (found audit.Result, err error) {
	err = w.as(ctx, "VerifyAudit", func(ctx context.Context, _ *seat) error {
		// The key is asked for here, which recordKey does not.
		if err := w.unlocked(ctx); err != nil {
			return err
		}
		key := w.recordKey(ctx)
		return w.store.View(ctx, func(q *store.Queries) error {
			found, err = verifyRecord(ctx, q, key, anchors...)
			return err
		})
	})
	return found, err
}

func verifyRecord(ctx context.Context, q *store.Queries, key *audit.Key, anchors ...audit.Anchor) (audit.Result, error) {
	head, err := readHead(ctx, q)
	if err != nil {
		return audit.Result{Problem: "The end of the record cannot be read: " + Fault(err).Message}, nil
	}
	return audit.Verify(key, head, auditRows(ctx, q), anchors...)
}

// The formats of an export.
const (
	ExportNDJSON = "ndjson"
	ExportFHIR   = "fhir"
)

// ExportAudit writes the whole activity record: as NDJSON, or as FHIR R4
// AuditEvents. The export is itself recorded. Fault: invalid-format.
func (w *Workstation) ExportAudit(ctx context.Context, format string, out io.Writer) error {
	return w.as(ctx, "ExportAudit", func(ctx context.Context, who *seat) error {
		if format != ExportNDJSON && format != ExportFHIR {
			return fault.Newf("invalid-format", "Choose ndjson or fhir.", "%q is no format of the activity record.", format)
		}
		if err := w.record(ctx, who.profile, audit.Entry{Action: audit.Audit, Detail: audit.DetailExported, Subject: format}, nil); err != nil {
			return err
		}
		open, key := w.patientsKey(ctx), w.recordKey(ctx)
		return w.store.View(ctx, func(q *store.Queries) error {
			entries := w.auditEntries(auditRows(ctx, q), open)
			if format == ExportFHIR {
				owner, err := w.ensureOwner(ctx)
				if err != nil {
					return err
				}
				return audit.FHIR(out, audit.Workstation{ID: owner.ID, Name: w.hostName, Version: w.version}, audit.Activities(entries))
			}
			found, err := verifyRecord(ctx, q, key)
			if err != nil {
				return err
			}
			return audit.NDJSON(out, entries, found)
		})
	})
}

// ResealAudit lets a damaged activity record go on, after an admin has looked at
// it. Nothing is removed; the record says for good that nothing vouches for what
// it had until then.
func (w *Workstation) ResealAudit(ctx context.Context) error {
	return w.as(ctx, "ResealAudit", func(ctx context.Context, who *seat) error {
		key := w.recordKey(ctx)
		if key == nil {
			return errLocked()
		}
		now := w.now()
		return w.store.Update(ctx, func(q *store.Queries) error {
			chain, err := q.AuditChain(ctx)
			if err != nil && !errors.Is(err, store.ErrNoRow) {
				return err
			}
			head, err := audit.ParseHead([]byte(chain.Head))
			if err != nil {
				head = audit.Head{} // it cannot be read, so nothing of it is kept
			}
			if head, err = key.Reseal(head, auditRows(ctx, q), now); err != nil {
				return err
			}
			if err := q.SaveAuditHead(ctx, string(head.Bytes())); err != nil {
				return err
			}
			e := w.by(who.profile, audit.Entry{At: now, Action: audit.Audit, Detail: audit.DetailResealed})
			_, err = w.appendEntry(ctx, q, key, e)
			return err
		})
	})
}

// Retain removes from the activity record what is older than the policy says,
// and leaves a signed checkpoint in its place.
func (w *Workstation) Retain(ctx context.Context) error {
	return w.as(ctx, "Retain", func(ctx context.Context, who *seat) error { return w.retain(ctx, who) })
}

func (w *Workstation) retain(ctx context.Context, who *seat) error {
	policy, err := w.Policy(ctx)
	if err != nil {
		return err
	}
	key := w.recordKey(ctx)
	if key == nil {
		return nil // nothing is removed that could not be vouched for
	}
	now := w.now()
	return w.store.Update(ctx, func(q *store.Queries) error {
		head, err := readHead(ctx, q)
		if err != nil {
			return err
		}
		shorter, err := key.Prune(head, auditRows(ctx, q), now.Add(-time.Duration(policy.AuditDays)*24*time.Hour), now)
		if err != nil || shorter.Checkpoint.Last.Seq == head.Checkpoint.Last.Seq {
			return err
		}
		removed, err := q.DropAuditThrough(ctx, shorter.Checkpoint.Last.Seq)
		if err != nil {
			return err
		}
		if err := q.SaveAuditHead(ctx, string(shorter.Bytes())); err != nil {
			return err
		}
		e := w.by(who.profile, audit.Entry{At: now, Action: audit.Audit, Detail: audit.DetailCheckpoint, Subject: strconv.FormatInt(removed, 10), Origin: audit.FromBackground})
		_, err = w.appendEntry(ctx, q, key, e)
		return err
	})
}
