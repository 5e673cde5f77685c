package emulator

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strings"
	"time"
)

// A Listing is what lists say of an order. The zero value is what the order's items say: it runs until all have
// ended, and ended then. In JSON, durations are texts such as "5s", and "never".
type Listing struct {
	Phase    string `json:"phase,omitzero"`     // while it runs; default running
	EndPhase string `json:"end_phase,omitzero"` // when it has ended; default successed, partialSuccessed or failed, as its items end
	// EndAfter is when it ends, on the order's clock, whatever its items do. 0: with the last of them; Never: it
	// does not.
	EndAfter time.Duration `json:"end_after,omitzero"`
	// CreatedBefore is how long before the start of its clock it was created.
	CreatedBefore time.Duration `json:"created_before,omitzero"`
	Workspace     string        `json:"workspace,omitzero"` // default 0, the one that is listed where none is named
	OrderID       string        `json:"order_id,omitzero"`  // of the bill; default one such as CS2304191748WNW2R
	Resource      string        `json:"resource,omitzero"`  // default the name of its first item
}

// A RowFault is what is wrong with all rows of a list. In JSON, durations are texts such as "5s", and "never".
type RowFault struct {
	Shuffled bool          `json:"shuffled,omitzero"`  // they do not stand in the order of their creation
	Shift    int           `json:"shift,omitzero"`     // pages after the first begin so many rows later than they should; under 0: earlier
	AnyPhase bool          `json:"any_phase,omitzero"` // the filter for a phase is ignored
	Early    time.Duration `json:"early,omitzero"`     // orders end so long before they do;
	Late     time.Duration `json:"late,omitzero"`      // so long after; Never: they do not
	NoEnd    bool          `json:"no_end,omitzero"`    // the time of the end is 0, whatever the phase
}

// phases are the words for phases, and what each means.
var phases = map[string]string{
	"pending": "pending", "running": "running", "processing": "running",
	"successed": "successed", "completed": "successed", "partialSuccessed": "partialSuccessed", "failed": "failed",
}

// A row is what lists say of an order. It is worked out when the order's clock starts, so that lists of many orders
// are made fast. Times are nanoseconds since 1970, that of the creation in whole milliseconds as it is shown; far is
// what never comes.
type row struct {
	name                    string
	known                   int64 // when ShowOrder knows the order
	created, began, ended   int64
	phase, endPhase         string
	runs, ends              string // what the phases mean
	workspace, resource, id string
	timestamps              Timestamps
}

const far = math.MaxInt64

func newRow(name string, s *script) row {
	at := func(after time.Duration) int64 {
		if after == Never {
			return far
		}
		return s.start.Add(after).UnixNano()
	}
	l := s.List
	began, ended, outcome := s.span()
	r := row{
		name: name, known: at(s.NotFoundFor), workspace: cmp.Or(l.Workspace, "0"), resource: l.Resource, id: l.OrderID, timestamps: s.Timestamps,
		created: s.start.Add(-l.CreatedBefore).Truncate(time.Millisecond).UnixNano(), began: at(began), ended: at(cmp.Or(l.EndAfter, ended)),
		phase: cmp.Or(l.Phase, "running"), endPhase: cmp.Or(l.EndPhase, outcome),
	}
	r.runs, r.ends = phases[r.phase], phases[r.endPhase]
	if r.resource == "" && len(s.Items) > 0 {
		r.resource = s.Items[0].ResourceName
	}
	if r.id == "" {
		r.id = fmt.Sprintf("CS%s%05X", time.Unix(0, r.created).UTC().Format("0601021504"), spread(name)&0xFFFFF)
	}
	return r
}

// spread returns a number that is always the same for a name, and says nothing of when the order was created.
func spread(name string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(name))
	return h.Sum32()
}

// span returns when the first item appears and when the last one ends, Never where none does, and the phase that
// follows from how they end.
func (s *script) span() (began, ended time.Duration, phase string) {
	began = Never
	failed, others := 0, 0
	for _, i := range s.Items {
		if i.AppearAfter == Never {
			continue
		}
		began, ended = min(began, i.AppearAfter), max(ended, i.AppearAfter, i.EndAfter)
		switch strings.ToLower(cmp.Or(i.Status, "succeed")) {
		case "failed":
			failed++
		case "succeed":
			others++
		default: // the API's page does not say that such an item has ended
			others, ended = others+1, Never
		}
	}
	switch {
	case failed+others == 0:
		return Never, Never, "successed"
	case failed == 0:
		return began, ended, "successed"
	case others == 0:
		return began, ended, "failed"
	}
	return began, ended, "partialSuccessed"
}

// ending returns the row with the end that a fault makes of it.
func (r *row) ending(f RowFault) *row {
	if r.ended == far || f.Early == 0 && f.Late == 0 {
		return r
	}
	moved := *r
	moved.ended += int64(f.Late - f.Early)
	if f.Late == Never {
		moved.ended = far
	}
	return &moved
}

// over reports whether the order has ended.
func (r *row) over(now int64) bool { return now >= r.ended }

// in returns what the order's phase means.
func (r *row) in(now int64) string {
	if r.over(now) {
		return r.ends
	}
	return r.runs
}

// A listedRow is an order as the page of ListOrders writes it.
type listedRow struct {
	Order     string `json:"orderName"`
	ID        string `json:"orderId"`
	Resource  string `json:"resourceName"`
	Workspace string `json:"workspaceId"`
	Phase     string `json:"phase"`
	CreatedAt any    `json:"creationTimestamp,omitempty"`
	BeganAt   any    `json:"beginTimestamp,omitempty"` // 0: it has not begun
	EndedAt   any    `json:"endTimestamp,omitempty"`   // 0: it has not ended
}

func (r *row) listed(now int64, noEnd bool) listedRow {
	shown := listedRow{Order: r.name, ID: r.id, Resource: r.resource, Workspace: r.workspace, Phase: r.phase}
	var began, ended int64
	if now >= r.began {
		began = r.began
	}
	if r.over(now) {
		shown.Phase = r.endPhase
		if !noEnd {
			ended = r.ended
		}
	}
	shown.CreatedAt, shown.BeganAt, shown.EndedAt = r.timestamp(r.created), r.timestamp(began), r.timestamp(ended)
	return shown
}

func (r *row) timestamp(at int64) any { return r.timestamps.write(at / int64(time.Millisecond)) }

// rows are those of a project, the oldest first.
type rows []row

func (all rows) place(r row) (at int, found bool) {
	return slices.BinarySearchFunc(all, r, func(a, b row) int {
		return cmp.Or(cmp.Compare(a.created, b.created), strings.Compare(a.name, b.name))
	})
}

// with returns the rows with one more, of an order whose clock has started.
func (all rows) with(name string, s *script) rows {
	r := newRow(name, s)
	at, _ := all.place(r)
	return slices.Insert(all, at, r)
}

// without returns the rows without the order's, which has one if its clock has started.
func (all rows) without(name string, s *script) rows {
	at, found := all.place(newRow(name, s))
	if !found {
		return all
	}
	return slices.Delete(all, at, at+1)
}
