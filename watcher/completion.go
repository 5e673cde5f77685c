package watcher

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/watcher/history"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// An Outcome says how a watch ended.
type Outcome string

// The outcomes. Only the first three are the order's own.
const (
	Succeeded       Outcome = "succeeded"        // every item is succeed
	PartiallyFailed Outcome = "partially_failed" // every item has ended, some succeed and some failed
	AllFailed       Outcome = "failed"           // every item is failed
	TimedOut        Outcome = "timed_out"        // the deadline came first
	OrderNotFound   Outcome = "not_found"        // the API did not know the order until the grace period ended
	OrderRefused    Outcome = "refused"          // the API refuses this order or project for good
	Cancelled       Outcome = "cancelled"        // somebody cancelled the watch
)

// Outcomes lists every outcome, in the order in which people are told of them.
var Outcomes = [...]Outcome{Succeeded, PartiallyFailed, AllFailed, TimedOut, OrderNotFound, OrderRefused, Cancelled}

// A Completion is everything known of a watch that ended: the data of the completion event
// and the input of the summary that people read. Texts of items, failures and Error are the
// cloud's; texts of requests are their senders'. Both are untrusted.
type Completion struct {
	Outcome Outcome `json:"outcome"`
	Report
	CompletedAt time.Time `json:"completed_at"`
	// Error is there only where the outcome is not the order's own.
	Error *ErrorDetail `json:"error,omitempty"`
	// NextWatchID is the watch in which the requests go on that joined this one and that the completion does not answer;
	// empty where there are none. RequestsLeft is how many.
	NextWatchID  string `json:"next_watch_id,omitempty"`
	RequestsLeft int    `json:"requests_left,omitempty"`
	Detection
	// Usual is how long orders like this one took before it; nil where that is not known.
	Usual *history.Usual `json:"usual,omitempty"`
}

// A Detection says how soon, and by what, it was known that an order has ended. It is empty where the outcome is not the
// order's own. Durations are Go's, as text, and never negative.
type Detection struct {
	// DetectedAfter is how long it was from ModelArts' last change of an item to the completion, or, where that was before
	// the first request was stored, from then; empty where ModelArts does not say when each item changed.
	DetectedAfter string `json:"detected_after,omitempty"`
	DetectedBy    string `json:"detected_by,omitempty"`   // what brought on the first look that saw the end: ByList or ByPoll
	SettledAfter  string `json:"settled_after,omitempty"` // how long it was from that look to the completion
}

// What brings on a look at an order.
const (
	ByList = "list" // the list of orders
	ByPoll = "poll" // the watch's own schedule, or a person or program that asked for a poll at once
)

// detect says in the watch's completion how soon, and by what, it was known that the order has ended. The completion has
// all items still.
func (w *Watch) detect(c *Completion) {
	text := func(since time.Time) string {
		return max(0, c.CompletedAt.Sub(since)).Truncate(time.Millisecond).String()
	}
	c.DetectedBy = ByPoll
	if !w.LooksEndedSince.IsZero() {
		c.SettledAfter = text(w.LooksEndedSince)
		if w.FoundByList.Equal(w.LooksEndedSince) {
			c.DetectedBy = ByList
		}
	}
	last := c.AcceptedAt
	for _, it := range c.Items {
		_, updated := it.Times(c.AcceptedAt, c.CompletedAt)
		if updated.IsZero() || it.TakenFor != "" {
			return
		}
		last = later(last, updated)
	}
	if c.ItemsOmitted == 0 {
		c.DetectedAfter = text(last)
	}
}

// A Progress is what changed in a watch that goes on.
type Progress struct {
	Report
	Number  int       `json:"-"` // counts the watch's progress events from 1
	At      time.Time `json:"-"` // when the watch was seen so: the event's time; zero where it is not known
	Changes []Change  `json:"changes"`
	// ETA is when the order is likely to be ready; nil where too little is known of how long orders like it take.
	ETA *history.Estimate `json:"eta,omitempty"`
}

// A Report is what completion and progress have in common.
type Report struct {
	WatchID   string `json:"watch_id"`
	Region    string `json:"region"`
	ProjectID string `json:"project_id"`
	OrderName string `json:"order_name"`
	// Reason is one line that says why, e.g. "1 of 4 items failed".
	Reason string `json:"reason"`
	Counts Counts `json:"counts"`
	// Actions are the counts of each action; see [Report.ByAction].
	Actions []ActionCounts `json:"actions,omitempty"`
	// ExpectedItems is the most items that one of the requests expects; 0 where none says.
	ExpectedItems int `json:"expected_items,omitempty"`
	// OrderBegan and OrderEnded are ModelArts' own times of the order; see [Report.Times].
	OrderBegan time.Time `json:"order_began_at,omitzero"`
	OrderEnded time.Time `json:"order_ended_at,omitzero"`
	// Items are in the API's order. Where all would not fit, ItemsOmitted counts what is missing.
	Items        []Item    `json:"items"`
	ItemsOmitted int       `json:"items_omitted,omitempty"`
	Failures     []Failure `json:"failures"` // largest first
	Requests     []Request `json:"requests"` // every request that the event answers, or that the watch is to answer; oldest first
	AcceptedAt   time.Time `json:"accepted_at"`
	Polls        int       `json:"polls"`
	Links        Links     `json:"links,omitzero"`
}

// Links are where people find an order. They are in events and answers, and in no record: the worker that sends them
// makes them.
type Links struct {
	Order string `json:"order"` // the order's page: see [Report.PageURL]
}

// maxPageURL is how long the address of an order's page may be, in bytes: Slack's messages show no longer one, and what
// an event needs beside its data has room for it.
const maxPageURL = 500

// LinksAt returns the links where the page is at the address public: see [Report.PageURL].
func (r *Report) LinksAt(public string) Links { return Links{Order: r.PageURL(public)} }

// PageURL returns the address of the order's page: the template public, filled in; where public is no template, the
// order's page below it, as [Order.URL] has it. It is empty where there is none, or where it has more than 500 bytes.
func (r *Report) PageURL(public string) string {
	address := r.Fill(public)
	if address == public {
		address = r.Order().URL(public)
	}
	if len(address) > maxPageURL {
		return ""
	}
	return address
}

// Fill returns the template with the report's own for {region}, {project}, {order} and {watch}, escaped for a path or
// a query.
func (r *Report) Fill(template string) string {
	escape := func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
	return strings.NewReplacer("{region}", escape(r.Region), "{project}", escape(r.ProjectID), "{order}", escape(r.OrderName), "{watch}", escape(r.WatchID)).Replace(template)
}

// Order returns the order that the report is about.
func (r *Report) Order() Order { return Order{r.ProjectID, r.OrderName} }

// Timeout returns the timeout of the request that asked to watch longest; 0 in events of the release before.
func (r *Report) Timeout() (longest time.Duration) {
	for _, request := range r.Requests {
		longest = max(longest, request.Deadline.Sub(request.ReceivedAt))
	}
	return longest
}

// An ActionCounts sums up the items that were seen and share an action, as [Counts] does all.
type ActionCounts struct {
	Action     string `json:"action"` // empty for items whose action is not known, and for those beyond the first 12 actions
	Total      int    `json:"total"`
	Succeeded  int    `json:"succeeded"`
	Failed     int    `json:"failed"`
	Processing int    `json:"processing"`
}

// ByAction sums the items up by action, in the order in which the API names the actions first, whether or not the
// report has all items. A report of an earlier release has no Actions: what it no longer has of the items stands
// under the empty action.
func (r *Report) ByAction() []ActionCounts {
	if len(r.Actions) > 0 {
		return r.Actions
	}
	all, left := byAction(r.Items, nil), r.Counts
	for _, a := range all {
		left.Succeeded, left.Failed, left.Processing = left.Succeeded-a.Succeeded, left.Failed-a.Failed, left.Processing-a.Processing
	}
	return byAction(r.Items, left.counted())
}

// Deed returns what the items' actions have in common, in words. Its noun is item, too, while the order has items that
// were not seen yet: those may be others.
func (r *Report) Deed() words.Deed { return deed(r.ByAction(), r.Counts, r.ExpectedItems) }

func deed(all []ActionCounts, c Counts, expected int) words.Deed {
	var actions []string
	for _, a := range all {
		actions = append(actions, a.Action)
	}
	d := words.Actions(actions...)
	if c.seen() < max(c.Total, expected) {
		d.Noun = words.Actions().Noun
	}
	return d
}

// Times returns when work on the first item began, and when the last item ended, by ModelArts' clock. Each is zero
// where ModelArts did not say so of every item that has ended, or what it said cannot be true: see [Item.Times]. The
// end is zero, too, while an item has not ended. An item that is taken for deleted ended when it was no longer listed.
func (r *Report) Times() (began, ended time.Time) {
	if r.OrderBegan.IsZero() && r.OrderEnded.IsZero() && r.ItemsOmitted == 0 { // a report of an earlier release, perhaps
		return orderTimes(r.Items, r.Counts, r.ExpectedItems, r.AcceptedAt, time.Time{})
	}
	return r.OrderBegan, r.OrderEnded
}

// Took returns how long ModelArts worked on the order; ok is false where its times are not known.
func (r *Report) Took() (took time.Duration, ok bool) {
	began, ended := r.Times()
	if began.IsZero() || ended.IsZero() {
		return 0, false
	}
	return ended.Sub(began), true
}

// Word returns the fixed word with which people are told how the watch ended: see [words.Outcome]. A deadline that
// passed while the order could not be read is NOT KNOWN, and NOT FOUND where ModelArts did not know the order.
func (c *Completion) Word() string {
	if c.Outcome == TimedOut && c.Error != nil {
		if c.Error.UnknownOrder() {
			return words.Outcome(string(OrderNotFound), false)
		}
		return words.NotKnown
	}
	return words.Outcome(string(c.Outcome), c.Deed().Kind == words.Deletes)
}

// A Failure stands for all failed items of an order that share message and action.
type Failure struct {
	Message       string   `json:"message"` // empty where the API gave none
	Action        string   `json:"action"`
	Count         int      `json:"count"`
	ResourceNames []string `json:"resource_names"`
}

// A Change is one item whose status changed, or that appeared (From is empty).
type Change struct {
	ResourceName string `json:"resource_name"`
	Action       string `json:"action"`
	From         Status `json:"from"`
	To           Status `json:"to"`
	// Replaces is the name of the item whose place it has taken; From is that item's status.
	Replaces string `json:"replaces,omitempty"`
	Message  string `json:"message,omitempty"`
}

// An ErrorDetail is the last error of a watch.
type ErrorDetail struct {
	// Code is the API's, also where the account is held for it. Where the API gave none it is the
	// [Class], or held.
	Code    string `json:"code"`
	Message string `json:"message"`
	// Said is what the API said of it, word for word; empty where it said nothing: then Message is the network's, a
	// proxy's or orderwatch's own.
	Said string   `json:"said,omitempty"`
	Held HoldKind `json:"held,omitempty"` // why the account may not be asked; empty where the order was asked
}

// A Request is one request to watch an order, as the completion names it.
type Request struct {
	ID           string            `json:"request_id"`
	Team         string            `json:"team,omitempty"` // whose it is, as the server vouches for; an id is the team's own
	RequestedBy  string            `json:"requested_by"`
	Link         string            `json:"link"`
	Labels       map[string]string `json:"labels,omitempty"`
	SlackChannel string            `json:"slack_channel"`      // where to post instead of the default
	ReceivedAt   time.Time         `json:"received_at"`        // when it was stored, by the server's clock
	LateAt       time.Time         `json:"late_at,omitzero"`   // from when on the order is late for it; zero where it does not say
	Progress     bool              `json:"progress,omitempty"` // somebody follows what changes: it is asked for as often as ever

	// Deadline is until when the watch goes on for it; zero in what a release before this one wrote: there it has the
	// watch's terms. ExpectedItems is how many items must exist before the order has ended for it; 0 for none.
	Deadline      time.Time `json:"deadline,omitzero"`
	ExpectedItems int       `json:"expected_items,omitempty"`

	Trace // the trace that the request belongs to
}

// A Trace is a W3C trace context, handed on from a request to the events that answer it. The zero
// Trace is none.
type Trace struct {
	Parent string `json:"traceparent,omitempty"`
	State  string `json:"tracestate,omitempty"`
}

// An Again is somebody's wish that people are told once more how a watch ended.
type Again struct {
	ID        string    `json:"request_id"` // the same for the same wish; of A-Z a-z 0-9 - _
	WatchID   string    `json:"watch_id"`
	ProjectID string    `json:"project_id"`
	OrderName string    `json:"order_name"`
	Sequence  uint64    `json:"completion_sequence"` // where the completion is stored
	By        string    `json:"by"`                  // person or program, by its own word; shown to people
	Team      string    `json:"team,omitempty"`      // whose wish it is, as the server vouches for; empty: the operator's
	At        time.Time `json:"at"`
	Channels  []string  `json:"channels"` // where; empty: where the requests say
}

// report sums up the watch. items are those of the answer at hand; without them the record's
// are taken. Those that are no longer listed follow.
func (w *Watch) report(reason string, items []Item) Report {
	var nameless []SeenItem // of which the record has no more than a digest, or how many there are
	if items == nil {
		items, nameless = recall(w.seenItems())
	} else {
		items = w.shown(items)
	}
	for _, m := range w.Missing {
		if m.nameless() {
			nameless = append(nameless, m.counted())
			continue
		}
		items = append(items, m.item())
	}
	omitted := 0
	for _, s := range nameless {
		omitted += s.count()
	}
	var began, ended time.Time
	if omitted == 0 {
		began, ended = orderTimes(items, w.Counts, w.ExpectedItems, w.AcceptedAt, w.LastPollAt)
	}
	return Report{
		WatchID: w.ID, Region: w.Region, ProjectID: w.ProjectID, OrderName: w.Name,
		Reason: reason, Counts: w.Counts, Actions: byAction(items, nameless), ExpectedItems: w.ExpectedItems,
		OrderBegan: began, OrderEnded: ended,
		Items: orEmpty(items), ItemsOmitted: omitted, Failures: orEmpty(group(items, w.Counts.Failed)),
		Requests: w.Requests, AcceptedAt: w.AcceptedAt, Polls: w.Polls,
	}
}

// shown returns the answer's items as the watch has them: what an answer shows that is behind is as it
// was seen last.
func (w *Watch) shown(items []Item) []Item {
	if len(items) != len(w.Items) {
		return items
	}
	items = slices.Clone(items)
	for i, s := range w.Items {
		if s.Kept {
			items[i] = s.item()
		}
		items[i].Action, items[i].Replaces = s.Action, s.Replaces // an answer may lack the action
	}
	return items
}

func (m *MissingItem) item() Item {
	it := m.SeenItem.item()
	it.MissingSince = fromMillis(m.Since)
	if m.Deleted {
		it.TakenFor = TakenForDeleted
	}
	return it
}

// counted returns the item as one that counts as the missing item does.
func (m *MissingItem) counted() SeenItem {
	s := m.SeenItem
	if m.Deleted {
		s.Status = Succeed
	}
	return s
}

// maxActions is how many actions a report counts one by one.
const maxActions = 12

// byAction sums up the items, and those of which no name is kept, by action.
func byAction(items []Item, nameless []SeenItem) (all []ActionCounts) {
	for _, it := range items {
		all = add(all, it.Action, it.CountsAs(), 1)
	}
	for _, s := range nameless {
		all = add(all, s.Action, s.Status, s.count())
	}
	return all
}

// add counts n items more of an action.
func add(all []ActionCounts, action string, status Status, n int) []ActionCounts {
	find := func() int { return slices.IndexFunc(all, func(a ActionCounts) bool { return a.Action == action }) }
	i := find()
	if i < 0 && len(all) >= maxActions {
		action = ""
		i = find()
	}
	if i < 0 {
		i, all = len(all), append(all, ActionCounts{Action: action})
	}
	c := Counts{Succeeded: all[i].Succeeded, Failed: all[i].Failed, Processing: all[i].Processing}
	c.add(status, n)
	all[i] = ActionCounts{action, c.seen(), c.Succeeded, c.Failed, c.Processing}
	return all
}

// orderTimes returns when work on the first of an order's items began and when the last of them ended: see
// [Report.Times]. What ModelArts said until a time is looked at.
func orderTimes(items []Item, c Counts, expected int, accepted, until time.Time) (began, ended time.Time) {
	beganKnown, endedKnown := true, c.ended(expected)
	for _, it := range items {
		first, last := it.Times(accepted, until)
		if it.TakenFor == TakenForDeleted {
			last = it.MissingSince
		}
		if it.CountsAs().Ended() {
			beganKnown, endedKnown = beganKnown && !first.IsZero(), endedKnown && !last.IsZero()
		}
		if began.IsZero() || !first.IsZero() && first.Before(began) {
			began = first
		}
		ended = later(ended, last)
	}
	if !beganKnown {
		began = time.Time{}
	}
	if !endedKnown || ended.Before(began) {
		ended = time.Time{}
	}
	return began, ended
}

// orEmpty returns s as a list that is written as [] where it is empty.
func orEmpty[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// group puts the failed items that share message and action together, the largest group first.
// Failed items beyond those given are a group without a message.
func group(items []Item, failed int) []Failure {
	type cause struct{ message, action string }
	var failures []Failure
	index := make(map[cause]int)
	for _, it := range items {
		if it.Status != Failed {
			continue
		}
		failed--
		i, ok := index[cause{it.Message, it.Action}]
		if !ok {
			i = len(failures)
			index[cause{it.Message, it.Action}] = i
			failures = append(failures, Failure{Message: it.Message, Action: it.Action})
		}
		failures[i].Count++
		failures[i].ResourceNames = append(failures[i].ResourceNames, it.ResourceName)
	}
	if failed > 0 {
		failures = append(failures, Failure{Count: failed, ResourceNames: []string{}})
	}
	slices.SortStableFunc(failures, func(a, b Failure) int { return cmp.Compare(b.Count, a.Count) })
	return failures
}

// standing is 0 of what failed and 1 of all else.
func standing(s Status) int {
	if s == Failed {
		return 0
	}
	return 1
}

// Progress returns what is said of a watch that goes on, when an answer with these items was
// folded into it and these changes were found.
func (p Policy) Progress(w Watch, changes []Change, items []Item) Progress {
	limit := p.payload() - eventOverhead
	g := Progress{Report: w.report(open(w), bounded(items, w.LastPollAt)), Number: w.Progressed, Changes: changes}
	if eta := p.eta(&w, w.LastPollAt); eta != nil && !eta.Few() {
		g.ETA = eta
	}
	if size(g.Changes) > limit/4 { // best effort: the items still tell. What failed is left out last
		g.Changes = slices.Clone(g.Changes)
		slices.SortStableFunc(g.Changes, func(a, b Change) int { return cmp.Compare(standing(a.To), standing(b.To)) })
	}
	for size(g.Changes) > limit/4 {
		g.Changes = g.Changes[:len(g.Changes)/2]
	}
	fit(&g.Report, limit-size(g.Changes))
	return g
}
