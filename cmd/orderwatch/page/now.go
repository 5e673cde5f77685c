package page

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/page/screens"
	"github.com/orderwatch/orderwatch/events/index"
	"github.com/orderwatch/orderwatch/events/teams"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// Bounds of the screen: rows of a page, and of what ended within the last hour.
const (
	pageRows  = 100
	endedRows = 200
	justNow   = time.Hour
)

// The names of the query's fields.
const (
	askText, askShow, askRegion, askProject, askLabel, askAfter = "q", "show", "region", "project", "label", "after"
)

// choices are what may be shown, by the values of the field show, and what each asks for.
var choices = []struct {
	value, name string
	query       index.Query
}{
	{"", "All that is watched", index.Query{State: watcher.Watching}},
	{"attention", "What needs attention", index.Query{State: watcher.Watching, Condition: index.AnyCondition}},
	{string(watcher.Late), "Late", index.Query{State: watcher.Watching, Condition: watcher.Late}},
	{string(watcher.Stalled), "Stalled", index.Query{State: watcher.Watching, Condition: watcher.Stalled}},
	{string(watcher.Blind), "Cannot be read", index.Query{State: watcher.Watching, Condition: watcher.Blind}},
	{string(watcher.Overdue), "Not polled", index.Query{State: watcher.Watching, Condition: watcher.Overdue}},
	{string(watcher.DeadlineNear), "Deadline near", index.Query{State: watcher.Watching, Condition: watcher.DeadlineNear}},
	{"ended", "Ended within a day", index.Query{State: watcher.Ended}},
	{string(watcher.AllFailed), "Failed within a day", index.Query{State: watcher.Ended, Outcome: watcher.AllFailed}},
	{string(watcher.PartiallyFailed), "Partly failed within a day", index.Query{State: watcher.Ended, Outcome: watcher.PartiallyFailed}},
	{string(watcher.TimedOut), "Not done within a day", index.Query{State: watcher.Ended, Outcome: watcher.TimedOut}},
}

// now returns the screen of what is watched, as the query asks for it.
func (s *server) now(v viewer, asked url.Values) (screen, url.Values, error) {
	q, kept := index.Query{}, make(url.Values) // what of the query counts
	for _, field := range []struct {
		name string
		to   *string
	}{{askText, &q.Text}, {askRegion, &q.Region}, {askProject, &q.ProjectID}, {askLabel, &q.Label}, {askAfter, &q.Cursor}} {
		if *field.to = strings.TrimSpace(asked.Get(field.name)); *field.to != "" {
			kept.Set(field.name, *field.to)
		}
	}
	show := asked.Get(askShow)
	at := slices.IndexFunc(choices, func(c struct {
		value, name string
		query       index.Query
	}) bool {
		return c.value == show
	})
	if at < 0 {
		return screen{}, nil, &missing{"There is no such list", []string{"The address may be misspelt."}}
	}
	if show != "" {
		kept.Set(askShow, show)
	}
	q.State, q.Condition, q.Outcome, q.Limit = choices[at].query.State, choices[at].query.Condition, choices[at].query.Outcome, pageRows
	view := s.teams.View(v.team)
	made := screen{title: "Now", tab: screens.TabNow, every: 5 * time.Second}
	made.mark = func() string {
		n, _ := s.from.board.Changes()
		_, _, err := s.from.installation()
		return fmt.Sprint(n, s.from.board.Status().Connected, err == nil)
	}
	made.load = func(ctx context.Context) (content, error) {
		n, err := s.nowView(ctx, q, kept, view)
		return shown[screens.NowView]{n, func(n *screens.NowView) *screens.Common { return &n.Common }, screens.Now, screens.NowBody, nil}, err
	}
	return made, kept, nil
}

// nowView reads the screen from the board.
func (s *server) nowView(ctx context.Context, q index.Query, asked url.Values, view teams.View) (screens.NowView, error) {
	answer, err := s.from.board.Query(q, view)
	if _, wrong := errors.AsType[*watcher.FieldError](err); wrong {
		return screens.NowView{}, &missing{"There is no such page of the list", []string{"The address may be misspelt."}}
	}
	if err != nil {
		return screens.NowView{}, err
	}
	now := s.from.timeOf(answer.Status)
	n := screens.NowView{Strip: s.strip(answer.Strip, view, now), Filter: filterOf(asked, answer.Strip), Loading: !answer.Status.Ready}
	s.from.setNextPolls(ctx, answer.Rows, now)
	for _, r := range answer.Rows {
		n.Rows = append(n.Rows, rowOf(r, now))
	}
	if q.Cursor != "" {
		n.First = pathWith(asked, askAfter, "")
	}
	if answer.Cursor != "" {
		n.Next = pathWith(asked, askAfter, answer.Cursor)
	}
	q.State, q.Condition, q.Outcome, q.Cursor, q.Limit = watcher.Ended, "", "", "", endedRows
	ended, err := s.from.board.Query(q, view)
	if err != nil {
		return screens.NowView{}, err
	}
	n.More = ended.Cursor != ""
	for _, r := range ended.Rows {
		if now.Sub(r.Ended) > justNow {
			n.More = false
			break
		}
		row := rowOf(r, now)
		n.Ended = append(n.Ended, row)
		if row.Class == "bad" {
			n.Failed++
		}
	}
	return n, nil
}

// pathWith returns the path of the list with one field of the query set; an empty value takes it away.
func pathWith(asked url.Values, name, value string) string {
	next := make(url.Values)
	for k, v := range asked {
		next[k] = v
	}
	next.Set(name, value)
	if value == "" {
		next.Del(name)
	}
	return pathOf("/", next)
}

// pathOf returns a path with its query.
func pathOf(path string, query url.Values) string {
	if len(query) == 0 {
		return path
	}
	return path + "?" + query.Encode()
}

// filterOf returns the filter as the screen shows it.
func filterOf(asked url.Values, strip index.Strip) screens.Filter {
	f := screens.Filter{Text: asked.Get(askText), Label: asked.Get(askLabel)}
	for name := range asked {
		f.Active = f.Active || name != askAfter
	}
	for _, c := range choices {
		f.Show = append(f.Show, screens.Choice{Value: c.value, Name: c.name, Chosen: c.value == asked.Get(askShow)})
	}
	f.Region, f.Project = choose("All regions", strip.Regions, asked.Get(askRegion)), choose("All projects", strip.Projects, asked.Get(askProject))
	return f
}

// mostChoices is how many values a filter offers.
const mostChoices = 200

func choose(all string, values []string, chosen string) []screens.Choice {
	list := []screens.Choice{{Name: all, Chosen: chosen == ""}}
	if chosen != "" && !slices.Contains(values, chosen) {
		values = append([]string{chosen}, values...)
	}
	for _, v := range values[:min(len(values), mostChoices)] {
		list = append(list, screens.Choice{Value: v, Name: v, Chosen: v == chosen})
	}
	return list
}

// conditions are what people are told of a watch, in words.
var conditions = map[watcher.AttentionKind]string{
	watcher.Overdue: "not polled when due", watcher.Blind: "cannot be read", watcher.Stalled: "stalled", watcher.Late: "late",
	watcher.DeadlineNear: "deadline near",
}

// strip sums up how it stands with all.
func (s *server) strip(sum index.Strip, view teams.View, now time.Time) screens.Strip {
	strip := screens.Strip{Watching: sum.Open}
	add := func(f screens.Fact) { strip.Facts = append(strip.Facts, f) }
	for _, kind := range []watcher.AttentionKind{watcher.Late, watcher.Stalled, watcher.Blind, watcher.Overdue, watcher.DeadlineNear} {
		if n := sum.With[kind]; n > 0 {
			add(screens.Fact{Number: words.Number(n), Words: conditions[kind], Class: "warn", Path: pathOf("/", url.Values{askShow: {string(kind)}})})
		}
	}
	if n := len(sum.Held); n > 0 {
		h := sum.Held[0]
		text := fmt.Sprintf("%s held: %s", account(n), heldFor(h))
		if h.Until.After(now) {
			text += ", until " + h.Until.Local().Format("15:04:05")
		}
		add(screens.Fact{Words: text, Class: heldClass(sum.Held)})
	}
	if sum.Broken > 0 {
		add(screens.Fact{Number: words.Number(sum.Broken), Words: "records cannot be read", Class: "bad"})
	}
	if lag := s.from.lag(view, now); lag.Ended > 0 {
		add(screens.Fact{Words: "95 of 100 ends are seen within " + soon(lag.P95)})
	}
	if !view.All() {
		return strip
	}
	status, asked, err := s.from.installation()
	switch {
	case err != nil:
		add(screens.Fact{Words: "no worker answers", Class: "bad", Path: "/health"})
	case asked.IsZero():
	default:
		if p := status.People; p != nil {
			switch {
			case p.Undelivered > 0:
				add(screens.Fact{Number: words.Number(p.Undelivered), Words: "untold", Class: "bad", Path: "/health"})
			case len(p.Troubles) > 0:
				add(screens.Fact{Words: "trouble with Slack", Class: "bad", Path: "/health"})
			case p.Waiting > 0:
				add(screens.Fact{Number: words.Number(p.Waiting), Words: "to be told"})
			default:
				add(screens.Fact{Words: "everybody is told"})
			}
		}
	}
	return strip
}

// soon returns a duration, with tenths below ten seconds.
func soon(d time.Duration) string {
	if d < 10*time.Second {
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return words.Span(d)
}

// account says how many accounts there are.
func account(n int) string { return words.Count(n, "account") }

// heldClass says how bad it is that accounts are held: bad where orders are not seen.
func heldClass(held []watcher.Hold) string {
	if slices.ContainsFunc(held, func(h watcher.Hold) bool { return h.Kind.Stops() }) {
		return "bad"
	}
	return "warn"
}

// heldFor says why ModelArts may not be asked.
func heldFor(h watcher.Hold) string {
	switch h.Kind {
	case watcher.HeldThrottled:
		return "throttled"
	case watcher.HeldLogin:
		return "its login is refused"
	case watcher.HeldPermission:
		return "a permission is missing"
	case watcher.HeldArrears:
		return "in arrears or frozen"
	case watcher.HeldUnreachable:
		return "no answer from ModelArts"
	}
	return string(h.Kind)
}

// longer reports whether an open order takes longer than is usual, so that what is usual does not say when it is ready: it runs
// longer than nine of ten did, or may take ten times as long from now on.
func longer(r index.Shown, now time.Time) bool {
	if r.Usual == nil {
		return false
	}
	most := time.Duration(r.Usual.P90)
	return now.Sub(r.UsualSince) > most || r.ETA != nil && r.ETA.To.Sub(now) > 10*most
}

// rowOf returns the row as the screen shows it.
func rowOf(r index.Shown, now time.Time) screens.Row {
	row := screens.Row{
		Order: r.Order, Counts: r.Counts, Expected: r.Expected, SoFar: max(0, now.Sub(r.Accepted)), NextPoll: r.NextPollAt,
		EndedAt: r.Ended, Detail: r.Actions, Word: "running", Class: "open", Overdue: r.Condition == watcher.Overdue,
	}
	switch {
	case r.State == watcher.Ended:
		if row.SoFar = r.Took; r.Took == 0 {
			row.SoFar, row.Watched = r.Ended.Sub(r.Accepted), true
		}
		row.Word, row.Class = strings.ToLower(words.Outcome(string(r.Outcome), false)), "bad"
		switch r.Outcome {
		case watcher.Succeeded:
			row.Class = "ok"
		case watcher.Cancelled:
			row.Class = "warn"
		}
		return row
	case r.State == watcher.Ending:
		row.Word = "ending"
	case !r.Cancelled.IsZero():
		row.Word = "being cancelled"
	case r.Counts.Total == 0:
		row.Word = "not begun"
	}
	if row.Longer = longer(r, now); r.ETA != nil && !row.Longer {
		row.ReadyFrom, row.ReadyTo = r.ETA.From, r.ETA.To
	}
	if r.Usual != nil {
		row.UsualFrom, row.UsualTo = time.Duration(r.Usual.P10), time.Duration(r.Usual.P90)
	}
	if word := conditions[r.Condition]; word != "" {
		row.Word, row.Class = word, "warn"
		if !r.Since.IsZero() && r.Condition != watcher.DeadlineNear {
			row.Word += " for " + words.Span(now.Sub(r.Since).Truncate(time.Minute))
		}
		if r.Condition == watcher.DeadlineNear {
			row.Word += ": " + r.Deadline.Local().Format("15:04")
		}
	}
	if r.Code != "" {
		row.Detail = strconv.Quote(r.Code) + " " + row.Detail
	}
	return row
}
