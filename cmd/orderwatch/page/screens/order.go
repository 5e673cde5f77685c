package screens

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/show"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
	durations "github.com/orderwatch/orderwatch/watcher/history"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// An OrderView is one order: its latest watch as the viewer may see it, what happened to it, and what is known of why it failed.
type OrderView struct {
	Common
	Snapshot watcher.Snapshot
	Story    wire.Story // its Watch is not shown
	NoStory  string     // why the story could not be read; empty: it was
	Cause    Cause
	Since    time.Time       // since when it runs, where it takes longer than is usual; zero otherwise
	Usual    durations.Usual // how long orders like it take; where Since is not zero
	// PollsUnread: there may have been polls that Snapshot does not tell of. Its NextPollAt is zero, unless a poll is overdue.
	PollsUnread bool
}

// A Cause is what is known of that for which most items failed, or for which the order could not be watched to its end.
type Cause struct {
	Known  bool      // whether anything is known of causes: otherwise nothing is said
	New    bool      // no other watch failed for it before
	Count  int       // how many failed for it, this one and later ones, too
	Before int       // how many did before; 0 where New is false: some, that are not told apart any more
	First  time.Time // when the first of these ended
	Last   time.Time // when the latest of these ended; zero where that is not known
	Since  time.Time // causes are known since then; zero where that is not known
}

// An Answer is that to a question.
type Answer struct {
	Question string
	Word     string // the answer in a word
	Class    string // ok, bad, warn, open or empty
	Text     string // more of it
	Link     string // where that is to be seen, a URL of the page's; empty: nowhere
	LinkText string
	More     []string
}

// Bounds of what the screen shows of what has no bound.
const (
	maxFailures = 3   // messages of items that failed
	maxAskers   = 10  // requests
	maxNamed    = 3   // items that failed, by name
	maxTold     = 3   // of where people were told
	maxMessage  = 200 // of a message, in columns: all five answers are to be seen at once
	maxName     = 48  // of an item, in columns
	overdue     = time.Minute
)

var order = screen("order.html")

// Order writes the screen of an order.
func Order(w io.Writer, v OrderView) error { return write(w, order, v) }

// OrderBody returns its fragments.
func OrderBody(v OrderView) ([]Fragment, error) {
	return fragments(order, v, "sentence", "answers", "axis", "lines", "requests", "items-title", "items", "raw")
}

// Order returns the order's name and project.
func (v OrderView) Order() watcher.Order { return v.Snapshot.Order() }

// ended reports whether the watch has ended.
func (v OrderView) ended() bool { return v.Snapshot.State == watcher.Ended }

// orderEnded reports whether the order itself has ended.
func (v OrderView) orderEnded() bool {
	o := v.Snapshot.Outcome
	return v.ended() && (o == watcher.Succeeded || o == watcher.PartiallyFailed || o == watcher.AllFailed)
}

// Sentence is the one thing to read first.
func (v OrderView) Sentence() string {
	w := v.Snapshot
	if v.ended() {
		return beginning(v.ending(w.Reason), maxMessage) + "."
	}
	c, noun := w.Counts, w.Report.Deed().Noun
	text := "ModelArts shows no item yet."
	if total := max(c.Total, w.ExpectedItems); total > 0 {
		text = fmt.Sprintf("%s of %s ended", words.Number(c.Succeeded+c.Failed), words.Count(total, noun))
		if c.Failed > 0 {
			text += fmt.Sprintf(", %s failed", words.Number(c.Failed))
		}
		text += "."
	}
	if w.Condition == watcher.Blind {
		text = "The order cannot be seen now. Seen last: " + text
	}
	if v.LikelyKnown() {
		text += " Likely ready " + v.likely() + "."
	}
	return text
}

// ending says how the watch ended, and for which reason.
func (v OrderView) ending(reason string) string {
	w := v.Snapshot
	completion := watcher.Completion{Outcome: w.Outcome, Report: w.Report, Error: w.LastError}
	word := sentenceCase(completion.Word())
	if by, ok := strings.CutPrefix(reason, "cancelled "); ok && w.Outcome == watcher.Cancelled {
		return word + " " + v.Said(by)
	}
	return word + ": " + v.Said(strings.Replace(reason, "the API did not know", "ModelArts did not know", 1))
}

// LineText returns what a line of the story says.
func (v OrderView) LineText(l wire.StoryLine) string {
	if reason, ok := strings.CutPrefix(l.Text, string(v.Snapshot.Outcome)+": "); ok && l.Kind == "ended" {
		return v.ending(reason)
	}
	return v.Said(l.Text)
}

// Next says what the end of the watch means for the order and what it costs; empty while the watch goes on.
func (v OrderView) Next() string {
	if !v.ended() {
		return ""
	}
	means, _ := show.Next(v.Snapshot.Outcome, v.Snapshot.Report)
	return means
}

// Again returns the command that watches the order again; empty where there is no need.
func (v OrderView) Again() string {
	if !v.ended() {
		return ""
	}
	_, command := show.Next(v.Snapshot.Outcome, v.Snapshot.Report)
	return command
}

// Said returns a text of workers and clouds with the times in it as the screen shows them.
func (v OrderView) Said(text string) string { return output.Times(text, v.AsOf.Local()) }

// sentenceCase returns the fixed word in small letters, but its first.
func sentenceCase(word string) string {
	small := strings.ToLower(word)
	if small == "" {
		return ""
	}
	return strings.ToUpper(small[:1]) + small[1:]
}

// Class returns the colour of how the watch is.
func (v OrderView) Class() string {
	switch w := v.Snapshot; {
	case w.Outcome == watcher.Succeeded:
		return "ok"
	case v.ended() && w.Outcome != watcher.Cancelled:
		return "bad"
	case w.Counts.Failed > 0:
		return "bad"
	case w.Condition != "", v.ended():
		return "warn"
	}
	return "open"
}

// LikelyKnown reports whether it is known when the order is likely to be ready.
func (v OrderView) LikelyKnown() bool {
	eta := v.Snapshot.ETA
	return !v.ended() && eta != nil && !eta.Few() && v.Since.IsZero()
}

// likely returns when the order is likely to be ready.
func (v OrderView) likely() string {
	from, to := v.Clock(v.Snapshot.ETA.From).Text, v.Clock(v.Snapshot.ETA.To).Text
	if from == to {
		return "about " + from
	}
	return from + "–" + to
}

// Answers are the five questions that people come with.
func (v OrderView) Answers() []Answer {
	return []Answer{v.ready(), v.failed(), v.told(), v.stuck(), v.cause()}
}

// ready answers when the order is ready.
func (v OrderView) ready() Answer {
	a, w := Answer{Question: "When is it ready?"}, v.Snapshot
	deadline := ""
	if !w.Deadline.IsZero() {
		deadline = "the watch ends " + v.Clock(w.Deadline).Text + " at the latest"
	}
	switch {
	case v.orderEnded():
		a.Word = "ended, seen " + v.Second(w.CompletedAt).Text
		if _, ended := w.Report.Times(); !ended.IsZero() {
			a.Word, a.Text = "ended "+v.Second(ended).Text, "seen "+v.Second(w.CompletedAt).Text
		}
		if took, ok := w.Report.Took(); ok {
			a.Text = "took " + words.Span(took) + "; " + a.Text
		}
	case v.ended():
		a.Word, a.Class, a.Text = "not known", "warn", "the watch ended "+v.Second(w.CompletedAt).Text+"; the order itself may go on"
	case !v.Since.IsZero():
		a.Word, a.Text = "not known", fmt.Sprintf("it has run %s; %s like it took %s; %s", words.Span(steady(v.AsOf.Sub(v.Since))), words.Count(v.Usual.Samples, "order"), words.Between(time.Duration(v.Usual.P10), time.Duration(v.Usual.P90)), deadline)
	case v.LikelyKnown():
		a.Word, a.Text = "likely "+v.likely(), fmt.Sprintf("by %s like it; %s", words.Count(w.ETA.Samples, "order"), deadline)
	case w.ETA != nil:
		a.Word, a.Text = "not known", fmt.Sprintf("%s like it ended, %d are needed to say; %s", words.Count(w.ETA.Samples, "order"), durations.EnoughForRange, deadline)
	default:
		a.Word, a.Text = "not known", deadline
	}
	return a
}

// failed answers what failed, and why.
func (v OrderView) failed() Answer {
	a, w := Answer{Question: "What failed, and why?"}, v.Snapshot
	switch {
	case w.Counts.Failed > 0:
		a.Word, a.Class = fmt.Sprintf("%s of %s", words.Number(w.Counts.Failed), words.Count(w.Counts.Total, w.Report.Deed().Noun)), "bad"
		for _, f := range w.Failures[:min(len(w.Failures), maxFailures)] {
			a.More = append(a.More, failure(f))
		}
		if more := len(w.Failures) - len(a.More); more > 0 {
			a.More = append(a.More, "and "+words.Count(more, "more message"))
		}
	case v.ended() && w.LastError != nil:
		a.Word, a.Class, a.Text = "the watch", "bad", errorText(*w.LastError)
	case v.ended() && w.Outcome == watcher.TimedOut:
		a.Word, a.Text = "nothing so far", "the deadline ("+words.Span(cmp.Or(w.Report.Timeout(), w.CompletedAt.Sub(w.AcceptedAt)))+") came first"
	case v.ended() && w.Outcome == watcher.Cancelled:
		a.Word, a.Text = "nothing so far", "the watch was cancelled"
	case v.ended() && w.Outcome != watcher.Succeeded:
		a.Word, a.Class, a.Text = "the watch", "warn", beginning(v.Said(w.Reason), maxMessage)
	default:
		a.Word = "nothing"
		a.Class = "ok"
	}
	return a
}

// failure says of items that failed alike how many, why, and which.
func failure(f watcher.Failure) string {
	text := fmt.Sprintf("%s × %s", words.Number(f.Count), cmp.Or(beginning(f.Message, maxMessage), "ModelArts gave no message"))
	if f.Action != "" {
		text += " (" + beginning(f.Action, 40) + ")"
	}
	var names []string
	for _, name := range f.ResourceNames[:min(len(f.ResourceNames), maxNamed)] {
		names = append(names, middle(name, maxName))
	}
	if len(names) < f.Count && len(names) > 0 {
		names = append(names, "…")
	}
	if len(names) > 0 {
		text += ": " + strings.Join(names, ", ")
	}
	return text
}

// errorText says what went wrong, with the code of the API.
func errorText(e watcher.ErrorDetail) string {
	said, code := e.Words()
	text := cmp.Or(said, "the poll failed")
	if code != "" {
		text += " (" + code + ")"
	}
	if e.Message != "" {
		text += ": " + beginning(e.Message, maxMessage*3/2)
	}
	return text
}

// told answers whether people were told, and when.
func (v OrderView) told() Answer {
	a := Answer{Question: "Was anybody told, and when?"}
	var told []wire.StoryLine
	for _, l := range v.Story.Lines {
		if l.Kind == "told" || l.Kind == "untold" {
			told = append(told, l)
		}
	}
	last := len(told) - 1
	switch {
	case v.NoStory != "":
		a.Word, a.Class, a.Text = "not known", "warn", v.NoStory
		return a
	case last < 0 && v.ended():
		a.Word, a.Class, a.Text = "no", "warn", "no Slack message is known; programs have the completion event since "+v.Second(v.Snapshot.CompletedAt).Text
		return a
	case last < 0 && v.Snapshot.Condition != "":
		a.Word, a.Class, a.Text = "no", "warn", "no Slack message is known"
	case last < 0:
		a.Word, a.Text = "nobody yet", "people are told when it ends, or when it needs somebody"
		return a
	case v.ended() && told[last].At.Before(v.Snapshot.CompletedAt):
		a.Word, a.Class = "not yet how it ended", "warn"
	case told[last].Kind == "told":
		a.Word, a.Class = "yes, "+v.Second(told[last].At).Text, "ok"
	default:
		a.Word, a.Class = "not as it should be", "warn"
	}
	for _, l := range told[max(0, len(told)-maxTold):] {
		a.More = append(a.More, v.Second(l.At).Text+" "+beginning(v.Said(l.Text), maxMessage/2))
	}
	return a
}

// stuck answers whether something is stuck.
func (v OrderView) stuck() Answer {
	a, w := Answer{Question: "Is anything stuck?", Word: "yes", Class: "warn"}, v.Snapshot
	late := v.AsOf.Sub(w.NextPollAt)
	switch {
	case v.orderEnded():
		a.Word, a.Class, a.Text = "no", "ok", "the order has ended"
	case v.ended():
		a.Word, a.Text = "perhaps", v.left()+" when the watch stopped. Nobody looks any more."
	case w.LastError != nil && w.LastError.AccountHeld():
		a.Text = errorText(*w.LastError)
	case w.Condition == watcher.Blind:
		a.Text = "the order cannot be read since " + v.Second(w.ConditionSince).Text
	case w.Condition == watcher.Stalled:
		a.Text = "ModelArts answers, and no item has changed since " + v.Second(w.ConditionSince).Text
	case v.PollsUnread && !w.NextPollAt.IsZero():
		a.Text = "the watch is not polled: are workers running?"
	case !w.NextPollAt.IsZero() && late > overdue:
		a.Text = "a poll was due " + v.Second(w.NextPollAt).Text + " and was not made: are workers running?"
	case w.LastError != nil:
		a.Word, a.Text = "perhaps", "the last poll did not work, and is "+v.triedAgain()+": "+errorText(*w.LastError)
	case w.Condition == watcher.Late:
		a.Word, a.Text = "late", "it takes longer than was expected, since "+v.Second(w.ConditionSince).Text
	case w.Condition == watcher.DeadlineNear:
		a.Word, a.Text = "perhaps", "it goes on, and its watch ends "+v.Second(w.Deadline).Text
	case !w.GivesUpAt.IsZero():
		a.Word, a.Text = "perhaps", "ModelArts does not show the order; the watch gives up "+v.Second(w.GivesUpAt).Text
	default:
		a.Word, a.Class, a.Text = "no", "ok", v.polls()
	}
	return a
}

// left says what had not ended when the watch stopped.
func (v OrderView) left() string {
	w := v.Snapshot
	for _, it := range w.Items {
		if w.Counts.Processing == 1 && !it.CountsAs().Ended() && it.ResourceName != "" {
			return middle(it.ResourceName, maxName) + " was still processing"
		}
	}
	switch n := w.Counts.Processing; {
	case n == 1:
		return "1 " + w.Report.Deed().Noun + " was still processing"
	case n > 1:
		return words.Count(n, w.Report.Deed().Noun) + " were still processing"
	case w.Counts.Total == 0:
		return "no item had been seen"
	}
	return "not all items had been seen"
}

// triedAgain says when the poll that did not work is tried again.
func (v OrderView) triedAgain() string {
	if next := v.Snapshot.NextPollAt; next.After(v.AsOf) {
		return "tried again " + v.Second(next).Text
	}
	return "tried again soon"
}

// polls says when ModelArts was asked, and will be.
func (v OrderView) polls() string {
	w := v.Snapshot
	next := "asked again soon"
	if v.PollsUnread {
		return "ModelArts was asked " + v.Second(w.LastPollAt).Text + " or later; when it is asked again is not known here"
	}
	if w.NextPollAt.After(v.AsOf) {
		next = "asked again " + v.Second(w.NextPollAt).Text
	}
	if w.LastPollAt.IsZero() {
		return "ModelArts was not asked yet; " + next
	}
	return "ModelArts was asked " + v.Second(w.LastPollAt).Text + ", and is " + next
}

// cause answers whether the cause is new.
func (v OrderView) cause() Answer {
	a, c := Answer{Question: "Is this cause new?"}, v.Cause
	broken := v.Snapshot.Counts.Failed > 0 || v.ended() && v.Snapshot.Outcome != watcher.Succeeded && v.Snapshot.Outcome != watcher.Cancelled
	switch {
	case !broken:
		a.Word = "nothing failed"
	case !c.Known:
		a.Word, a.Text = "not known", "how others failed was not read yet"
	case c.New:
		a.Word, a.Class, a.Text = "yes", "warn", "not seen before"
		if !c.Since.IsZero() {
			a.Text += "; records begin " + dateMinute(c.Since)
		}
		if others := c.Count - 1; others > 0 && v.ended() {
			a.Text += "; " + words.Count(others, "other order") + " failed for it since"
		}
	default:
		a.Word, a.Text = "no", words.Count(c.Count, "order")+" failed for it, the first at "+v.Clock(c.First).Text
		if !c.Last.IsZero() && c.Before > 1 {
			a.Text += ", the one before this at " + v.Clock(c.Last).Text
		}
	}
	if broken && c.Known {
		a.Link, a.LinkText = v.Common.Link("/history"), "History"
	}
	return a
}

// dateMinute returns the day with the time in hours and minutes.
func dateMinute(t time.Time) string { return moment(t, "2 Jan 15:04").Text }

// An Asker is a request as the screen shows it.
type Asker struct {
	Who     string
	Request string
	Labels  string
	Href    string // http or https; empty for none
	Host    string // of it, in words
	At      time.Time
}

// Askers returns the requests, oldest first, as many as are shown.
func (v OrderView) Askers() (all []Asker) {
	for _, r := range v.Snapshot.Requests[:min(len(v.Snapshot.Requests), maxAskers)] {
		a := Asker{Who: words.Asker(r.Team, r.RequestedBy), Request: r.ID, At: r.ReceivedAt}
		var labels []string
		for key, value := range r.Labels {
			labels = append(labels, key+"="+value)
		}
		slices.Sort(labels)
		a.Labels = strings.Join(labels, " · ")
		a.Href, a.Host = outside(r.Link)
		all = append(all, a)
	}
	return all
}

// MoreAskers says how many requests are not shown; empty for none.
func (v OrderView) MoreAskers() string {
	var texts []string
	if more := len(v.Snapshot.Requests) - maxAskers; more > 0 {
		texts = append(texts, "and "+words.Count(more, "more request"))
	}
	if others := v.Snapshot.OtherRequests; others > 0 {
		texts = append(texts, words.Count(others, "request")+" of others")
	}
	return strings.Join(texts, ", ")
}

// outside returns where a link of others leads, and its host in words; both are empty where it is none that a page may have.
func outside(link string) (href, host string) {
	u, err := url.Parse(link)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return "", ""
	}
	return u.String(), u.Host
}

// LeftOut says what of the story is not shown; empty for nothing.
func (v OrderView) LeftOut() string {
	var texts []string
	if n := v.Story.Omitted; n > 0 {
		texts = append(texts, words.Count(n, "line")+" of changes left out, the oldest")
	}
	if at := v.Story.UnreadBefore; !at.IsZero() {
		texts = append(texts, "events before "+v.Second(at).Text+" were too many to be read")
	}
	return strings.Join(texts, "; ")
}

// lineClass returns the colour of a line of the story.
func lineClass(l wire.StoryLine) string {
	switch l.Kind {
	case "error", "held", "untold", "cancelled", "late", "stalled", "blind", "deadline", "vanished", "unknown_status", "record":
		return "warn"
	}
	return ""
}

// maxRaw bounds the watch's JSON on the screen, in bytes.
const maxRaw = 256 << 10

// Raw returns the watch's JSON, as orderwatch get -o json prints it, where it is not too long.
func (v OrderView) Raw() string {
	encoded, err := json.MarshalIndent(v.Snapshot, "", "  ")
	if err != nil || len(encoded) > maxRaw {
		return "too long to be shown here: orderwatch get -o json " + v.Order().String()
	}
	return string(encoded)
}
