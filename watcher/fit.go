package watcher

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/orderwatch/orderwatch/watcher/words"
)

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
		if words.Action(action).Kind == words.Unknown {
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

// Within returns the completion as it fits into an event under maxPayload, the largest message in bytes that
// the server takes now. One that was fixed when the server took larger messages is cut as those are that are fixed now.
func (c Completion) Within(maxPayload int) Completion {
	limit := maxPayload - eventOverhead
	if size(c) > limit {
		fit(&c.Report, limit-(size(c)-size(c.Report)))
	}
	return c
}

// bare returns the requests without what the cut takes from each. The ids stay: each is named in one
// completion.
func bare(requests []Request, cut func(*Request)) []Request {
	requests = slices.Clone(requests)
	for i := range requests {
		cut(&requests[i])
	}
	return requests
}

// Cuts of a request, for a record or an event that would be too large for the server as it is now.
func withoutLabels(r *Request) { r.Labels = nil }
func withoutTexts(r *Request)  { r.RequestedBy, r.Link, r.Trace = "", "", Trace{} }

// eventOverhead is what an event needs besides its data, in bytes: the envelope and the headers.
const eventOverhead = 8 << 10

// mostSize returns how long the JSON of requests, and of ids, is at the most, in bytes. It encodes nothing.
func mostSize(requests []Request, ids []string) int {
	const escaped, rest = 6, 1 << 10 // of a byte of text; of a request beside its texts, or an id
	texts := 0
	for i := range requests {
		r := &requests[i]
		texts += len(r.ID) + len(r.Team) + len(r.RequestedBy) + len(r.Link) + len(r.SlackChannel) + len(r.Parent) + len(r.Trace.State)
		for key, value := range r.Labels {
			texts += len(key) + len(value) + 1 // what is around them takes six bytes
		}
	}
	for _, id := range ids {
		texts += len(id)
	}
	return texts*escaped + (len(requests)+len(ids)+1)*rest
}

// size returns the length of v's JSON in bytes. v must be a type of this package.
func size(v any) int {
	encoded, err := json.Marshal(v)
	if err != nil {
		panic("watcher: encode a domain type: " + err.Error())
	}
	return len(encoded)
}
