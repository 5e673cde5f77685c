package show

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// Lasted says how long the order took, by ModelArts' own times; where those are not known, how long it was watched.
func Lasted(c watcher.Completion) string {
	if took, ok := c.Took(); ok {
		return "took " + words.Brief(took)
	}
	return watched(c.CompletedAt.Sub(c.AcceptedAt))
}

func watched(d time.Duration) string { return "watched for " + words.Brief(d) }

// Next says what the end of a watch means for the order and its resources, and the command that watches the order again
// where it may not have ended; empty where there is nothing to say.
func Next(o watcher.Outcome, r watcher.Report) (means, command string) {
	if mayGoOn(o) {
		command = again(r)
	}
	return meaning(o, r), command
}

// mayGoOn reports whether the order may not have ended, or be another than was meant.
func mayGoOn(o watcher.Outcome) bool { return advice(o, watcher.Report{}) != "" }

// advice says what the end of the watch means for the order, and what to do, where that is not
// plain. An order of which items were seen had the right name.
func advice(o watcher.Outcome, r watcher.Report) string {
	switch o {
	case watcher.TimedOut, watcher.Cancelled:
		return "Only the watching has stopped: the order itself may still be running" + open(r) + "."
	case watcher.OrderNotFound:
		if r.Counts.Total > 0 {
			return "The order existed, and is gone. Look in the ModelArts console what became of its resources: they may still be there and cost money."
		}
		return "Check the order's name, project and region. The name is the one in the answer that created the order, not the billing order id (CS…)."
	case watcher.OrderRefused:
		return "Check the order's name and project, and what the account may do there."
	}
	return ""
}

// meaning says what the end of the watch means for the order and its resources.
func meaning(o watcher.Outcome, r watcher.Report) string {
	text := advice(o, r)
	for _, sentence := range left(o, r) {
		text += " " + sentence + "."
	}
	return strings.TrimSpace(text)
}

// open says what may become of the items that had not ended.
func open(r watcher.Report) string {
	var all sentences
	for _, a := range r.ByAction() {
		d := words.Action(a.Action)
		all.add(a.Processing, words.Count(a.Processing, d.Noun), d.IfOpen)
	}
	if len(all) == 0 {
		return ", and cost money"
	}
	return "; " + strings.Join(all.texts(), "; ")
}

// left says what the order leaves behind, as far as its actions are known: what was not deleted, renewed or made
// periodic, and then what succeeded. That created resources cost money is said where the order has not done all it was
// to do.
func left(o watcher.Outcome, r watcher.Report) []string {
	if o == watcher.OrderNotFound || o == watcher.OrderRefused {
		return nil
	}
	all := notDone(r)
	for _, a := range r.ByAction() {
		d := words.Action(a.Action)
		if d.Kind != words.Unknown && (d.Kind != words.Creates || o != watcher.Succeeded) {
			all.add(a.Succeeded, words.Count(a.Succeeded, d.Noun), d.IfSucceeded)
		}
	}
	return all.texts()
}

// notDone says what became of the resources that were to be deleted or changed, and were not.
func notDone(r watcher.Report) (all sentences) {
	for _, a := range r.ByAction() {
		if d := words.Action(a.Action); d.Kind == words.Deletes || d.Kind == words.Changes {
			all.add(a.Failed, failedNames(r, a, d.Noun), d.IfFailed)
		}
	}
	return all
}

// failedNames names the failed items of an action where they are few, and counts them otherwise.
func failedNames(r watcher.Report, a watcher.ActionCounts, noun string) string {
	const most = 3
	var names []string
	for _, f := range r.Failures {
		if f.Action == a.Action {
			names = append(names, cleaned(f.ResourceNames)...)
		}
	}
	if len(names) != a.Failed || len(names) > most || slices.Contains(names, "") {
		return words.Count(a.Failed, noun)
	}
	return enumerated(names)
}

// enumerated returns "a", "a and b", "a, b and c".
func enumerated(names []string) string {
	last := len(names) - 1
	if last < 1 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

// sentences say what resources are; those of which the same is said share a sentence.
type sentences []sentence

type sentence struct {
	n        int
	subjects []string
	verb     func(n int) string
}

// add adds n resources, which the subject names, unless there are none.
func (s *sentences) add(n int, subject string, verb func(n int) string) {
	if n == 0 {
		return
	}
	for i := range *s {
		if one := &(*s)[i]; one.verb(2) == verb(2) {
			one.n, one.subjects = one.n+n, append(one.subjects, subject)
			return
		}
	}
	*s = append(*s, sentence{n, []string{subject}, verb})
}

// texts returns the sentences without their full stops.
func (s sentences) texts() (texts []string) {
	for _, one := range s {
		texts = append(texts, enumerated(one.subjects)+" "+one.verb(one.n))
	}
	return texts
}

// parts counts what each action has done, as far as they are known, where an order does not do one thing alone.
func parts(r watcher.Report) string {
	all := r.ByAction()
	if len(all) < 2 || r.Deed().Kind != words.Unknown {
		return ""
	}
	var texts []string
	for _, a := range all {
		d := words.Action(a.Action)
		if d.Kind == words.Unknown {
			continue
		}
		texts = append(texts, fmt.Sprintf("%d of %s %s", a.Succeeded, words.Count(a.Total, d.Noun), d.Done))
	}
	return strings.Join(texts, ", ")
}

// again returns the command that watches the order once more, for as long as the requests of the watch asked.
func again(r watcher.Report) string {
	command := "orderwatch watch"
	if r.Region != "" && strings.Trim(r.Region, "abcdefghijklmnopqrstuvwxyz0123456789-") == "" {
		command += " --region " + r.Region
	}
	if d := r.Timeout(); d > 0 {
		command += " --timeout " + words.Compact(d)
	}
	if r.ExpectedItems > 0 { // without it, what has ended would be all
		command += fmt.Sprintf(" --expected-items %d", r.ExpectedItems)
	}
	return command + " " + output.Clean(r.Order().String())
}
