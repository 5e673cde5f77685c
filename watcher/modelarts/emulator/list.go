package emulator

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"time"
)

// What a list shows.
const (
	usualRows = 100 // where no limit is named, or 0
	mostRows  = 500 // as limit
	lastRow   = 500 // as offset
	month     = 30 * 24 * time.Hour
)

func (e *Emulator) listOrders(w http.ResponseWriter, r *http.Request) {
	call, fault := e.beginList(r.PathValue("project_id"), r.PathValue("region"), caller(r))
	if fault == nil && e.options.ListFault != nil {
		fault = e.options.ListFault(call)
	}
	a, refused := e.unauthorised(r, call.Project)
	if !refused && !fault.replaces() {
		a = e.list(r.URL.Query(), call, fault)
	}
	e.finish(w, r, call, a, fault)
}

// beginList counts the call and finds the fault that is meant for it, nil where there is none: the outage, one of
// all lists, or the quota's.
func (e *Emulator) beginList(project, region, login string) (Call, *Fault) {
	e.mu.Lock()
	defer e.mu.Unlock()
	key := orderKey{project: project}
	e.polls[key]++
	call := Call{Time: e.options.Now(), Kind: ListOrders, Region: region, Project: project, Poll: e.polls[key]}
	gone, ofAll := e.troubles(call, login)
	return call, cmp.Or(gone, ofAll)
}

// A query is what is asked of a list.
type query struct {
	limit, offset       int
	phase               string // what it means; empty: any
	workspace, resource string // no resource: any
	since, until        int64  // of creation, in nanoseconds since 1970, and both in it
}

// readQuery returns the query, and whether it is one that ListOrders takes.
func readQuery(v url.Values, now time.Time) (q query, ok bool) {
	q = query{workspace: "0", resource: v.Get("involvedName"), until: far}
	number := func(name string, most int64) (n int64) {
		text := v.Get(name)
		if text == "" {
			return 0
		}
		n, err := strconv.ParseInt(text, 10, 64)
		ok = ok && err == nil && n >= 0 && n <= most
		return n
	}
	ok = true
	q.limit, q.offset = int(number("limit", mostRows)), int(number("offset", lastRow))
	if q.limit == 0 {
		q.limit = usualRows
	}
	const latest = far / int64(time.Millisecond)
	since, until := number("since", latest), number("until", latest)
	q.since = max(since*int64(time.Millisecond), now.Add(-month).UnixNano())
	if until > 0 {
		q.until = until * int64(time.Millisecond)
	}
	if id := v.Get("workspaceId"); id != "" {
		q.workspace = id
	}
	if phase := v.Get("phase"); phase != "" {
		q.phase = phases[phase]
		ok = ok && q.phase != ""
	}
	if kind := v.Get("resource"); kind != "" && kind != "pools" {
		ok = false
	}
	return q, ok
}

// list is what the API says, but for what the fault makes wrong with its rows; nil: nothing.
func (e *Emulator) list(v url.Values, call Call, fault *Fault) answer {
	q, ok := readQuery(v, call.Time)
	if !ok {
		return documentedError(http.StatusBadRequest, "ModelArts.50004000", "Bad request.")
	}
	var wrong RowFault
	if fault != nil {
		wrong = fault.Rows
	}
	now := call.Time.UnixNano()
	e.mu.Lock()
	page, count := e.lists[call.Project].page(q, now, wrong)
	e.mu.Unlock()
	shown := make([]listedRow, len(page)) // shown as [], never as null
	for n := range page {
		shown[n] = page[n].listed(now, wrong.NoEnd)
	}
	return jsonAnswer(http.StatusOK, struct {
		Count int         `json:"count"`
		Items []listedRow `json:"items"`
	}{count, shown})
}

// page returns copies of the rows that are to be shown, and how many fit the query.
func (all rows) page(q query, now int64, f RowFault) (page []row, count int) {
	if f.AnyPhase {
		q.phase = ""
	}
	from := sort.Search(len(all), func(n int) bool { return all[n].created >= q.since })
	to := sort.Search(len(all), func(n int) bool { return all[n].created > q.until })
	var fit []*row
	for n := to - 1; n >= from; n-- {
		if r := all[n].ending(f); q.fits(r, now) {
			fit = append(fit, r)
		}
	}
	if f.Shuffled {
		slices.SortFunc(fit, func(a, b *row) int { return cmp.Compare(spread(a.name), spread(b.name)) })
	}
	begin := q.offset
	if begin > 0 {
		begin = max(begin+f.Shift, 0)
	}
	begin = min(begin, len(fit))
	for _, r := range fit[begin:min(begin+q.limit, len(fit))] {
		page = append(page, *r)
	}
	return page, len(fit)
}

func (q *query) fits(r *row, now int64) bool {
	return r.known <= now && r.workspace == q.workspace && (q.phase == "" || r.in(now) == q.phase) && (q.resource == "" || r.resource == q.resource)
}
