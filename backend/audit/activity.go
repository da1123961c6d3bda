package audit

import (
	"iter"
	"maps"
	"slices"
	"time"
)

// Activity is one line for people: an action with its beginning and its end.
type Activity struct {
	// Entry is the started entry, completed by what was known at the end. Its
	// Seq and At are those of the beginning, its Phase and Fault those of the end.
	Entry
	// EndedAt is when it ended. It is zero for what happened at once on this
	// computer, and for what has not ended: a started action whose process died stays so.
	EndedAt time.Time `json:"ended_at,omitzero" ts_type:"string"`
	// EndSeq is the entry that tells of the end.
	EndSeq int64 `json:"end_seq,omitzero"`
}

// Activities puts started entries and their ends together. They come in the
// order in which they ended, and what has not ended last. An end whose beginning
// is not among entries is a line of its own.
func Activities(entries iter.Seq2[Entry, error]) iter.Seq2[Activity, error] {
	return func(yield func(Activity, error) bool) {
		open := map[int64]Entry{}
		for e, err := range entries {
			if err != nil {
				yield(Activity{}, err)
				return
			}
			a := Activity{Entry: e}
			if e.Phase == Started {
				open[e.Seq] = e
				continue
			}
			if start, ok := open[e.Ref]; ok && start.Action == e.Action {
				delete(open, e.Ref)
				a = joined(start, e)
			}
			if !yield(a, nil) {
				return
			}
		}
		for _, seq := range slices.Sorted(maps.Keys(open)) {
			if !yield(Activity{Entry: open[seq]}, nil) {
				return
			}
		}
	}
}

func joined(start, end Entry) Activity {
	e := end
	e.Seq, e.At, e.Ref = start.Seq, start.At, 0
	e.Unkeyed = start.Unkeyed || end.Unkeyed
	for field, first := range map[*string]string{
		&e.ProfileID: start.ProfileID, &e.ProfileName: start.ProfileName, &e.Role: start.Role, &e.Detail: start.Detail,
		&e.RegistrationID: start.RegistrationID, &e.RegistrationName: start.RegistrationName, &e.Server: start.Server,
		&e.ClientID: start.ClientID, &e.Resource: start.Resource, &e.Subject: start.Subject, &e.Patient: start.Patient,
	} {
		if *field == "" {
			*field = first
		}
	}
	return Activity{Entry: e, EndedAt: end.At, EndSeq: end.Seq}
}
