package watcher

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

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

// item returns the item as it was seen last.
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

// fit makes the report's JSON at most limit bytes: succeeded items are left out first, then
// messages are cut, then the other items are left out; counts stay whole, and failures but for their messages. Only where
// the failures alone are too large, resource names and then the smallest groups are summed up, and the actions that
// ModelArts does not document. Last the requests lose their labels, and then all texts but their ids and channels.
func fit(r *Report, limit int) {
	for _, shrink := range fittings {
		if size(r) <= limit {
			return
		}
		shrink(r)
	}
}

var fittings = [...]func(*Report){
	func(r *Report) { r.omit(func(it Item) bool { return it.Status == Succeed }) },
	func(r *Report) { r.cutMessages(1000) },
	func(r *Report) { r.cutMessages(200) },
	func(r *Report) { r.cutMessages(80) },
	func(r *Report) { r.omit(func(Item) bool { return true }) },
	func(r *Report) { r.cutNames(10) },
	func(r *Report) { r.mergeFailures(50) },
	func(r *Report) { r.cutNames(0) },
	(*Report).sumActions,
	// The requests fit unless they came when the server took larger messages.
	func(r *Report) { r.Requests = bare(r.Requests, withoutLabels) },
	func(r *Report) { r.Requests = bare(r.Requests, withoutTexts) },
}

func (r *Report) omit(which func(Item) bool) {
	kept := slices.DeleteFunc(slices.Clone(r.Items), which)
	r.ItemsOmitted += len(r.Items) - len(kept)
	r.Items = kept
}

func (r *Report) cutMessages(n int) {
	r.Items = slices.Clone(r.Items)
	for i := range r.Items {
		r.Items[i].Message = cut(r.Items[i].Message, n)
	}
	r.Failures = slices.Clone(r.Failures)
	for i := range r.Failures {
		r.Failures[i].Message = cut(r.Failures[i].Message, n)
	}
}

func (r *Report) cutNames(n int) {
	for i, f := range r.Failures {
		r.Failures[i].ResourceNames = f.ResourceNames[:min(n, len(f.ResourceNames))]
	}
}

// sumActions sums up the actions that ModelArts does not document: their words may take room.
func (r *Report) sumActions() {
	var all []ActionCounts
	for _, a := range r.Actions {
		action := a.Action
		if !slices.Contains(documented[:], action) {
			action = ""
		}
		for status, n := range map[Status]int{Succeed: a.Succeeded, Failed: a.Failed, Processing: a.Processing} {
			all = add(all, action, status, n)
		}
	}
	r.Actions = all
}

func (r *Report) mergeFailures(n int) {
	if len(r.Failures) <= n {
		return
	}
	rest := Failure{
		Message:       fmt.Sprintf("%d other failure messages", len(r.Failures)-n),
		ResourceNames: []string{},
	}
	for _, f := range r.Failures[n:] {
		rest.Count += f.Count
	}
	r.Failures = append(r.Failures[:n:n], rest)
}

// Progress returns what is said of a watch that goes on, when an answer with these items was
// folded into it and these changes were found.
func (p Policy) Progress(w Watch, changes []Change, items []Item) Progress {
	limit := p.payload() - eventOverhead
	g := Progress{Report: w.report(open(w), bounded(items, w.LastPollAt)), Number: w.Progressed, Changes: changes}
	for size(g.Changes) > limit/4 {
		g.Changes = g.Changes[:len(g.Changes)/2] // best effort: the items still tell
	}
	fit(&g.Report, limit-size(g.Changes))
	return g
}
