package screens

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/events/tally"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// A HealthView is what the screen Health shows. Of what the viewer's team may not know, there is nothing in it.
type HealthView struct {
	Common
	Status   wire.Status // as the worker said that answered last
	Answered time.Time   // when it did; zero: none has answered
	Silent   string      // why none answers now; empty: one does
	Reading  bool        // not all records were read yet
	Lag      tally.Lag
	Away     string      // why events are not followed at the moment; empty where they are
	Worst    []LateWatch // of those that are overdue, latest first; a few
	Broken   []wire.BrokenRecord
	Streams  []Stream // of a team's view none
	Unseen   []string // what the page could not look at, and why
}

// A LateWatch is a watch that was not polled when it was due.
type LateWatch struct {
	Order watcher.Order
	By    time.Duration
}

// A Stream is a stream or a consumer of the installation.
type Stream struct {
	Name     string
	Messages uint64
	Bytes    uint64
	Waiting  uint64 // of a consumer: messages that it has before it
	Consumer bool
	Wrong    string // what is wrong with it; empty: nothing
}

// A problem is what is not well.
type problem struct {
	Class string // bad or warn
	Text  string // untrusted
	Do    string // what to do about it, or what happens by itself
}

// Problems returns what is not well, the worst first. It is the whole truth only as far as [HealthView.NotLookedAt] says.
func (v HealthView) Problems() (all []problem) {
	add := func(class, does, format string, args ...any) {
		all = append(all, problem{class, fmt.Sprintf(format, args...), does})
	}
	if !v.Connected {
		add("bad", "The page connects again by itself; what stands below was so before.", "NATS is not connected.")
	}
	if v.Silent != "" {
		add("bad", "Requests are kept, but nothing is polled until a worker runs: orderwatch serve. What stands below was so before.", "No worker answers: %s", v.Silent)
	}
	v.watchProblems(add)
	held := v.Status.Held
	if len(held) > heldShown {
		add(classOf(held...), "ModelArts is asked again by itself; deadlines still count.", "ModelArts is not asked for %s, which are named below.", words.Count(len(held), "account"))
		held = nil
	}
	for _, h := range held {
		add(classOf(h), "ModelArts is asked again by itself; deadlines still count.", "ModelArts is not asked for %s until %s: %s", place(h.Region, h.ProjectID), v.Clock(h.Until).Text, h.Why)
	}
	for _, r := range v.Status.Rates {
		if !r.UsedUpSince.IsZero() {
			add("warn", "Polls come later than planned. Ask for a higher quota, or raise the rate if the quota allows it.", "Polls in region %s are late by %s, since %s: %g a second are wanted, %g are allowed.", r.Region, r.Late, v.Clock(r.UsedUpSince).Text, r.Wanted, r.Allowed)
		}
	}
	for _, u := range v.Status.Unlisted {
		add("warn", "Its orders are polled as without the list.", "The list of orders of %s is of no use, until %s: %s", place(u.Region, u.ProjectID), v.Clock(u.Until).Text, u.Why)
	}
	for _, s := range v.Streams {
		if s.Wrong != "" {
			add("bad", "orderwatch doctor says more.", "%s: %s", s.Name, s.Wrong)
		}
	}
	if v.Away != "" {
		add("warn", "History, and how soon ends are seen, are older than the rest of the page.", "The page cannot follow events: %s", v.Away)
	}
	slices.SortStableFunc(all, func(a, b problem) int { return strings.Compare(a.Class, b.Class) })
	return all
}

// watchProblems adds what is wrong with watches, and with what people are told.
func (v HealthView) watchProblems(add func(class, does, format string, args ...any)) {
	if w := v.Status.Watches; w != nil {
		if w.Overdue > 0 {
			add("bad", "Workers poll them as soon as they can; if this stays, add workers or look at their logs.", "%s not polled for more than the interval and a minute.", watchesThat(w.Overdue, "was", "were"))
		}
		if w.Stuck > 0 {
			add("bad", "The end is published again by itself.", "%s been ending for over a minute.", watchesThat(w.Stuck, "has", "have"))
		}
		if w.Unreadable > 0 {
			add("bad", "Ask for these orders again: they are named below, as far as workers know them.", "%s cannot be read.", words.Count(w.Unreadable, "record"))
		}
		if w.Newer > 0 {
			add("warn", "Usual during an upgrade.", "%s of a later release cannot be read by all workers.", words.Count(w.Newer, "record"))
		}
	}
	if p := v.Status.People; p != nil {
		if p.Waiting > 0 && v.Answered.Sub(p.Since) > untoldSoon {
			add("bad", "They are told as soon as Slack takes them.", "People wait for %s, the first since %s.", words.Count(p.Waiting, "message"), v.Clock(p.Since).Text)
		}
		if p.Undelivered > 0 {
			add("bad", "To see them: orderwatch events --kind undelivered", "Slack finally refused %s.", words.Count(p.Undelivered, "message"))
		}
		for _, trouble := range p.Troubles {
			add("bad", "Mend the channel, or the token; then: orderwatch renotify", "Slack: %s", trouble)
		}
	}
}

// classOf says how bad it is that accounts are held: where one keeps orders from being seen, orderwatch does not do its work.
func classOf(held ...wire.HeldAccount) string {
	if slices.ContainsFunc(held, func(h wire.HeldAccount) bool { return h.Kind.Stops() }) {
		return "bad"
	}
	return "warn"
}

// heldShown is how many accounts that are held are problems of their own.
const heldShown = 3

// untoldSoon is how long an event may wait to be told before that is a problem: failures alike, and digests, wait for minutes.
const untoldSoon = 15 * time.Minute

// watchesThat returns "1 watch was" or "3 watches were".
func watchesThat(n int, one, many string) string {
	return words.Count(n, "watch") + " " + map[bool]string{true: one, false: many}[n == 1]
}

// place names a region, or a project in it.
func place(region, project string) string {
	if project == "" {
		return "region " + region
	}
	return "project " + project + " in region " + region
}

// Sentence says whether all is well.
func (v HealthView) Sentence() string {
	problems := v.Problems()
	bad := 0
	for _, p := range problems {
		if p.Class == "bad" {
			bad++
		}
	}
	switch {
	case !v.Connected:
		return "It is not known whether orderwatch is well: NATS is not connected."
	case v.Silent != "":
		return "orderwatch is not well: no worker answers."
	case bad > 0:
		return fmt.Sprintf("orderwatch is not well: %s to mend.", things(len(problems)))
	case len(problems) > 0:
		return fmt.Sprintf("orderwatch works, with %s to know.", things(len(problems)))
	case v.Answered.IsZero():
		return "It is not known yet whether orderwatch is well: no worker was asked."
	case len(v.NotLookedAt()) > 0:
		return "orderwatch is well, as far as could be looked at."
	}
	return "orderwatch is well."
}

// Class says how that looks.
func (v HealthView) Class() string {
	problems := v.Problems()
	switch {
	case len(problems) > 0:
		return problems[0].Class
	case v.Answered.IsZero():
		return "open"
	}
	return "ok"
}

func things(n int) string {
	if n == 1 {
		return "one thing"
	}
	return words.Number(n) + " things"
}

// NotLookedAt returns what a worker or the page could not look at, and why.
func (v HealthView) NotLookedAt() []string { return slices.Concat(v.Status.NotLookedAt, v.Unseen) }

// Workers says how many workers there are, and of which versions.
func (v HealthView) Workers() string {
	w := v.Status.Workers
	if w == nil {
		return "not known"
	}
	var parts []string
	told := 0
	for _, version := range slices.Sorted(maps.Keys(w.Versions)) {
		told += w.Versions[version]
		parts = append(parts, fmt.Sprintf("%s of version %s", words.Number(w.Versions[version]), version))
		if w.Versions[version] == w.Present {
			return words.Number(w.Present) + ", version " + version
		}
	}
	if rest := w.Present - told; rest > 0 {
		parts = append(parts, words.Number(rest)+" of an earlier release")
	}
	return words.Number(w.Present) + ": " + strings.Join(parts, ", ")
}

// Watching says how many watches there are.
func (v HealthView) Watching() string {
	w := v.Status.Watches
	if w == nil {
		return "not known"
	}
	return fmt.Sprintf("%s watched, %s ending; %s overdue, %s that cannot end", words.Number(w.Watching), words.Number(w.Ending), words.Number(w.Overdue), words.Number(w.Stuck))
}

// Told says what people still wait for.
func (v HealthView) Told() string {
	p := v.Status.People
	if p == nil {
		return "not known"
	}
	text := "nothing waits to be told"
	if p.Waiting > 0 {
		text = words.Count(p.Waiting, "event") + " to be told"
		if !p.Since.IsZero() {
			text += ", the first since " + v.Second(p.Since).Text
		}
	}
	return text + "; " + words.Count(p.Undelivered, "message") + " finally refused by Slack"
}

// Detection says how soon it is known that orders have ended.
func (v HealthView) Detection() string {
	if v.Lag.Ended == 0 {
		return "no order ended in the last 24 hours of which ModelArts says when"
	}
	return fmt.Sprintf("half within %s, 95 of 100 within %s; %s in the last 24 hours, %s found by the list of orders",
		soon(v.Lag.P50), soon(v.Lag.P95), words.Count(v.Lag.Ended, "order"), words.Number(v.Lag.ByList))
}

// soon returns a duration, with tenths below ten seconds.
func soon(d time.Duration) string {
	if d < 10*time.Second {
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return words.Brief(d)
}

// A rateRow is what is asked of ModelArts in a region, as a bar of what is allowed.
type rateRow struct {
	wire.Rate
	Words string
	Class string
	Used  float64 // in hundredths, at most 100
}

// Rates returns what is wanted and allowed in each region.
func (v HealthView) Rates() (rows []rateRow) {
	for _, r := range v.Status.Rates {
		row := rateRow{Rate: r, Class: "open", Words: fmt.Sprintf("%g wanted, %g allowed", r.Wanted, r.Allowed)}
		if r.Allowed > 0 {
			row.Used = min(float64(int(10000*r.Wanted/r.Allowed))/100, 100)
		}
		if r.Wanted > r.Allowed {
			row.Class = "warn"
		}
		rows = append(rows, row)
	}
	return rows
}

// Size returns how large a stream is.
func (s Stream) Size() string {
	switch b := float64(s.Bytes); {
	case s.Consumer:
		return ""
	case b >= 1<<30:
		return fmt.Sprintf("%.1f GB", b/(1<<30))
	case b >= 1<<20:
		return fmt.Sprintf("%.1f MB", b/(1<<20))
	}
	return fmt.Sprintf("%.0f kB", float64(s.Bytes)/(1<<10))
}

// Holds returns what the stream holds, or the consumer has before it.
func (s Stream) Holds() string {
	if s.Consumer {
		return words.Number(int(s.Waiting)) + " waiting"
	}
	return words.Number(int(s.Messages))
}

var health = screen("health.html")

// Health writes the screen.
func Health(w io.Writer, v HealthView) error { return write(w, health, v) }

// HealthBody returns its fragments.
func HealthBody(v HealthView) ([]Fragment, error) {
	return fragments(health, v, "well", "health")
}
