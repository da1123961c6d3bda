package audit_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"chartkey/backend/audit"
	"chartkey/backend/fault"
	"chartkey/backend/secret"
)

func TestAnEntryThatMakesNoSenseIsNotWritten(t *testing.T) {
	good := added("General")
	good.At = morning
	for name, change := range map[string]func(*audit.Entry){
		"no time":               func(e *audit.Entry) { e.At = time.Time{} },
		"no action":             func(e *audit.Entry) { e.Action = "" },
		"an action of words":    func(e *audit.Entry) { e.Action = "read it" },
		"the unreadable one":    func(e *audit.Entry) { e.Action = audit.Unreadable },
		"a detail of words":     func(e *audit.Entry) { e.Detail = "Added\n" },
		"no origin":             func(e *audit.Entry) { e.Origin = "" },
		"an unknown phase":      func(e *audit.Entry) { e.Phase = "paused" },
		"done without a start":  func(e *audit.Entry) { e.Phase = audit.Done },
		"a start that ends":     func(e *audit.Entry) { e.Phase, e.Ref = audit.Started, 3 },
		"a local one that ends": func(e *audit.Entry) { e.Ref = 3 },
		"failed without fault":  func(e *audit.Entry) { e.Phase, e.Ref = audit.Failed, 3 },
		"done with a fault":     func(e *audit.Entry) { e.Phase, e.Ref, e.Fault = audit.Done, 3, "timeout" },
	} {
		e := good
		change(&e)
		if _, _, err := (*audit.Key)(nil).Append(audit.Head{}, e, nil); fault.Code(err) != "audit-entry-invalid" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := (*audit.Key)(nil).Append(audit.Head{}, good, make([]byte, 5000)); fault.Code(err) != "audit-entry-invalid" {
		t.Errorf("a patient of 5 kB: %v", err)
	}
}

func TestNamesNeverStopAnAction(t *testing.T) {
	long := strings.Repeat("é<\x00\u202e\u2028\xff", 3000)
	e := audit.Entry{At: morning.Add(time.Nanosecond), Action: audit.Read, Detail: audit.DetailResource, Resource: "$export\n", Fault: "Not A Code", Origin: audit.FromLaunch,
		ProfileID: long, ProfileName: long, Role: long, RegistrationID: long, RegistrationName: long, Server: long, ClientID: long, Subject: long,
		Seq: 99, Patient: "Patient/1", Unkeyed: true}
	row, _, err := (*audit.Key)(nil).Append(audit.Head{}, e, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(row.Body) > 32<<10 || bytes.ContainsAny(row.Body, "\x00\n\u202e\u2028") || !utf8.Valid(row.Body) || bytes.Contains(row.Body, []byte("Patient/1")) {
		t.Errorf("body of %d bytes: %q", len(row.Body), row.Body)
	}
	got, err := row.Entry()
	if err != nil {
		t.Fatal(err)
	}
	if got.Seq != 1 || !got.Unkeyed || got.Patient != "" || !got.At.Equal(morning) || got.Resource != "" || got.Fault != "internal" {
		t.Errorf("got %+v", got)
	}
	if len(got.ProfileName) > 200 || !strings.HasSuffix(got.ProfileName, "…") || !strings.HasPrefix(got.ProfileName, "é<\ufffd\ufffd\ufffd\ufffdé<") {
		t.Errorf("name %q", got.ProfileName)
	}
}

func TestTheEndOfAnActionRefersToItsStart(t *testing.T) {
	r := &record{now: morning}
	k := r.newKey(t)
	e := act(atEHR, audit.Connect, "")
	started, err := r.add(t, k, e.Started(morning), nil).Entry()
	if err != nil {
		t.Fatal(err)
	}
	if started.Outcome() != "started" {
		t.Error(started.Outcome())
	}
	for _, c := range []struct {
		err            error
		outcome, fault string
	}{
		{nil, "done", ""},
		{fault.New("access-denied", "", ""), "failed", "access-denied"},
		{context.Canceled, "failed", "internal"},
	} {
		ended, err := r.add(t, k, started.Ended(morning, c.err), nil).Entry()
		if err != nil {
			t.Fatal(err)
		}
		if ended.Ref != started.Seq || ended.Outcome() != c.outcome || ended.Fault != c.fault || ended.RegistrationName != "General Hospital" {
			t.Errorf("%+v", ended)
		}
	}
	wrong := audit.Entry{Action: audit.SignIn, Detail: audit.DetailWrongPasscode, Fault: "passcode-wrong"}
	if wrong.Outcome() != "failed" {
		t.Error(wrong.Outcome())
	}
}

func entriesOf(t testing.TB, rows []audit.Row) iter.Seq2[audit.Entry, error] {
	return func(yield func(audit.Entry, error) bool) {
		for _, row := range rows {
			e, err := row.Entry()
			if len(row.Patient) > 0 {
				e.Patient = strings.Fields(string(row.Patient))[1]
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

func TestActivitiesPutStartAndEndTogether(t *testing.T) {
	r, k := aDay(t)
	open := r.add(t, k, act(atEHR, audit.Refresh, "").Started(r.now), nil)
	var got []audit.Activity
	for a, err := range audit.Activities(entriesOf(t, r.rows[3:])) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, a)
	}
	if len(got) != 4 {
		t.Fatalf("%d activities: %+v", len(got), got)
	}
	read := got[0]
	if read.Seq != 4 || read.EndSeq != 5 || !read.At.Equal(timeOf(t, r.rows[3])) || !read.EndedAt.Equal(timeOf(t, r.rows[4])) ||
		read.Outcome() != "done" || read.Patient != "Patient/1" || read.Ref != 0 || read.Phase != audit.Done || read.RegistrationName != "General" {
		t.Errorf("read %+v", read)
	}
	if got[1].Action != audit.Policy || !got[1].Unkeyed || !got[1].EndedAt.IsZero() || got[2].Outcome() != "failed" {
		t.Errorf("%+v %+v", got[1], got[2])
	}
	if got[3].Seq != open.Seq || got[3].Outcome() != "started" || !got[3].EndedAt.IsZero() {
		t.Errorf("what has not ended: %+v", got[3])
	}
	// The end alone, and the reader that had enough.
	for a, err := range audit.Activities(entriesOf(t, r.rows[4:])) {
		if err != nil || a.Seq != 5 || a.EndSeq != 0 || a.Ref != 4 {
			t.Errorf("the end alone: %+v %v", a, err)
		}
		break
	}
	mixed := []audit.Entry{{Seq: 1, Action: audit.Read, Phase: audit.Started, Unkeyed: true}, {Seq: 2, Action: audit.Connect, Phase: audit.Done, Ref: 1}, {Seq: 3, Action: audit.Read, Phase: audit.Done, Ref: 1}}
	got = got[:0]
	for a, err := range audit.Activities(func(yield func(audit.Entry, error) bool) {
		for _, e := range mixed {
			yield(e, nil)
		}
	}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, a)
	}
	if len(got) != 2 || got[0].Seq != 2 || got[0].EndSeq != 0 || got[1].Seq != 1 || got[1].EndSeq != 3 || !got[1].Unkeyed {
		t.Errorf("an end of another action: %+v", got)
	}
	failed := errors.New("disk")
	for _, err := range audit.Activities(func(yield func(audit.Entry, error) bool) { yield(audit.Entry{}, failed) }) {
		if !errors.Is(err, failed) {
			t.Error(err)
		}
	}
}

func TestNamesCannotForgeLines(t *testing.T) {
	r := &record{now: morning}
	forged := "x\"}\n{\"seq\":9,\"action\":\"read\"}\r\u0085\u2028{\"seq\":10}"
	r.add(t, nil, added(forged), nil)
	r.add(t, nil, act(person, audit.Policy, audit.DetailRetention), nil)
	r.rows[1].Body = []byte(`{"seq":77}` + "\n")
	var out bytes.Buffer
	found := r.verify(t, nil)
	entries := func(yield func(audit.Entry, error) bool) {
		for _, row := range r.rows {
			e, _ := row.Entry() // an entry that was changed is exported as such
			if !yield(e, nil) {
				return
			}
		}
	}
	if err := audit.NDJSON(&out, entries, found); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(out.String(), "\r\u0085\u2028") || strings.Count(out.String(), "\n") != 3 {
		t.Errorf("lines were forged:\n%q", out.String())
	}
	lines := bufio.NewScanner(&out)
	var seqs []float64
	var verification map[string]any
	for lines.Scan() {
		var o map[string]any
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			t.Fatal(err)
		}
		if v, ok := o["verification"]; ok {
			verification = v.(map[string]any)
			continue
		}
		seqs = append(seqs, o["seq"].(float64))
	}
	if len(seqs) != 2 || seqs[0] != 1 || seqs[1] != 2 || verification["bad"] != 2.0 {
		t.Errorf("%v %v", seqs, verification)
	}
}

func TestTheKeyIsKeptAndChecked(t *testing.T) {
	r, k := aDay(t)
	again, err := audit.KeyFrom(secret.New(k.Secret().Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if found := r.verify(t, again); !found.Whole() {
		t.Errorf("%+v", found)
	}
	other, _, err := audit.NewKey(audit.Head{})
	if err != nil {
		t.Fatal(err)
	}
	if found := r.verify(t, other); found.Whole() || found.Bad != 0 {
		t.Errorf("with another key: %+v", found)
	}
	if _, _, err := audit.NewKey(r.head); fault.Code(err) != "audit-has-key" {
		t.Errorf("a second key: %v", err)
	}
	for _, n := range []int{0, 16, 31, 33} {
		if _, err := audit.KeyFrom(secret.New(make([]byte, n))); fault.Code(err) != "audit-key-missing" {
			t.Errorf("a key of %d bytes: %v", n, err)
		}
	}
	// A wiped key is no licence to write without one.
	k.Secret().Wipe()
	e := added("General")
	e.At = morning
	if _, _, err := k.Append(r.head, e, nil); fault.Code(err) != "audit-key-missing" {
		t.Errorf("with a wiped key: %v", err)
	}
	if _, err := audit.Verify(k, r.head, each(r.rows)); fault.Code(err) != "audit-key-missing" {
		t.Errorf("with a wiped key: %v", err)
	}
}
