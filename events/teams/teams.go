// Package teams says what each team that shares an installation may: which projects it may have watched, in which channels
// its requests may be told, how much of it, and which watches are its own. It decides, and asks nobody: who the team is
// the server vouches for, by the subject of the message.
//
// It promises that a file of teams is read as a whole or not at all, that everything that is wrong with it is said at once,
// and that a team that the file does not name may nothing. Without a file there is one team that may all.
//
// Read teams.go (what a team may, and why), then view.go (what a team sees) and file.go (what the file may say).
package teams

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/foreign"
)

// Teams are what the teams of an installation may. [Parse] reads them; the zero value has none, and then everybody may
// all. Teams do not change: they are safe for concurrent use.
type Teams struct {
	name  string // of the file
	teams map[string]team
}

// A team is what one team may.
type team struct {
	line     int      // in the file
	projects []string // the ids, or beginnings of them with a star at the end
	channels []string // the IDs of those that its requests may name
	limits   Limits
}

// Limits bound what a team may have done for it, over all workers. Zero bounds nothing.
type Limits struct {
	OpenWatches       int           // that have not ended, and have a request of the team
	Timeout           time.Duration // the longest that a request may name
	RequestsPerMinute int           // that are taken, by when they were stored
}

// Count reports whether it bounds how many watches or requests there are.
func (l Limits) Count() bool { return l.OpenWatches > 0 || l.RequestsPerMinute > 0 }

// A Denied says why a team may not what it asks. Its Field and Reason are those of a [watcher.FieldError], which it wraps.
type Denied struct {
	watcher.FieldError
	Code int // of the service's answer: 403 never, 429 not now
}

func (d *Denied) Unwrap() error { return &d.FieldError }

func denied(code int, field, format string, args ...any) error {
	return &Denied{watcher.FieldError{Field: field, Reason: fmt.Sprintf(format, args...)}, code}
}

// Empty reports whether there are no teams: everybody may all.
func (t Teams) Empty() bool { return len(t.teams) == 0 }

// Names returns the teams in alphabetical order.
func (t Teams) Names() []string { return slices.Sorted(maps.Keys(t.teams)) }

// all reports whether the team may all: there is no file, or it is the operator, whom no subject names.
func (t Teams) all(team string) bool { return t.Empty() || team == "" }

// Known returns a [Denied] where the file does not name the team. The empty name is the operator's, who may all.
func (t Teams) Known(team string) error {
	if _, ok := t.teams[team]; ok || t.all(team) {
		return nil
	}
	return denied(http.StatusForbidden, "", "team %s may nothing here: it is not in the workers' file of teams", foreign.Short(team, maxShown))
}

// May returns a [Denied] where the team may not have the project's orders watched.
func (t Teams) May(team, project string) error {
	if err := t.Known(team); err != nil || t.all(team) || t.entry(team, project) != "" {
		return err
	}
	return denied(http.StatusForbidden, "project_id", "is no project of team %s", team)
}

// entry returns what of the team's file says that the project is its own, empty where nothing does.
func (t Teams) entry(team, project string) string {
	for _, entry := range t.teams[team].projects {
		if begin, isPrefix := strings.CutSuffix(entry, "*"); entry == project || isPrefix && strings.HasPrefix(project, begin) {
			return entry
		}
	}
	return ""
}

// MayTell returns a [Denied] where the team's requests may not name one of the channels.
func (t Teams) MayTell(team, field string, channels ...string) error {
	if err := t.Known(team); err != nil || t.all(team) {
		return err
	}
	for _, channel := range channels {
		if channel != "" && !slices.Contains(t.teams[team].channels, channel) {
			return denied(http.StatusForbidden, field, "must be a channel of team %s", team)
		}
	}
	return nil
}

// Admit returns a [Denied] where the team of the request may not ask so, whatever else it has asked. A request that names
// no timeout gets its team's longest where that is shorter than the standard one.
func (t Teams) Admit(ask *watcher.Ask, standard time.Duration) error {
	team := ask.Request.Team
	if err := t.May(team, ask.ProjectID); err != nil {
		return err
	}
	if err := t.MayTell(team, "slack_channel", ask.Request.SlackChannel); err != nil {
		return err
	}
	switch longest := t.Limits(team).Timeout; {
	case longest == 0:
	case ask.Timeout > longest:
		return denied(http.StatusForbidden, "timeout", "must be at most %s for team %s", longest, team)
	case ask.Timeout == 0:
		ask.Timeout = min(standard, longest)
	}
	return nil
}

// Limits returns the team's limits.
func (t Teams) Limits(team string) Limits { return t.teams[team].limits }

// Within returns a [Denied] where one request more of the team is beyond its limits, and says when to try again. open is
// how many watches of the team's have not ended, but for the one that the request would join. stored is when requests of the
// team were stored that were taken, less than a minute before or after the new one; oldest first.
func (t Teams) Within(team string, open int, stored []time.Time, now time.Time) error {
	l := t.Limits(team)
	if l.OpenWatches > 0 && open >= l.OpenWatches {
		return denied(http.StatusTooManyRequests, "", "team %s has %d open watches, as many as it may: ask again, with a new request, when one of them has ended", team, open)
	}
	if l.RequestsPerMinute == 0 || len(stored) < l.RequestsPerMinute {
		return nil
	}
	free := stored[len(stored)-l.RequestsPerMinute].Add(time.Minute)
	wait := max(free.Sub(now), time.Second).Truncate(time.Second) + time.Second
	return denied(http.StatusTooManyRequests, "", "team %s has made %d requests within a minute, as many as it may: ask again, with a new request, in %s", team, len(stored), wait)
}

// Channels returns every channel that the file names, each once.
func (t Teams) Channels() (channels []string) {
	for _, name := range t.Names() {
		for _, channel := range t.teams[name].channels {
			if !slices.Contains(channels, channel) {
				channels = append(channels, channel)
			}
		}
	}
	return channels
}

// Line returns the line in the file of the first team that has the channel, 0 where none does.
func (t Teams) Line(channel string) (line int) {
	for _, team := range t.teams {
		if slices.Contains(team.channels, channel) && (line == 0 || team.line < line) {
			line = team.line
		}
	}
	return line
}

// A Ruling is what a team may, and why. Its JSON is stable.
type Ruling struct {
	Team              string   `json:"team"` // empty: the operator
	ProjectID         string   `json:"project_id,omitempty"`
	Allowed           bool     `json:"allowed"` // the project's orders, or where none is named: anything at all
	Reason            string   `json:"reason"`  // for people
	Line              int      `json:"line,omitempty"`
	Projects          []string `json:"projects"`
	Channels          []string `json:"channels"`
	OpenWatches       int      `json:"open_watches,omitempty"`
	Timeout           string   `json:"timeout,omitempty"` // a Go duration
	RequestsPerMinute int      `json:"requests_per_minute,omitempty"`
}

// Rule returns what the team may with the project, and why; without a project what it may at all.
func (t Teams) Rule(name, project string) Ruling {
	team, file := t.teams[name], foreign.Short(t.name, maxName)
	r := Ruling{
		Team: name, ProjectID: project, Allowed: t.Known(name) == nil, Line: team.line, Projects: orEmpty(team.projects), Channels: orEmpty(team.channels),
		OpenWatches: team.limits.OpenWatches, RequestsPerMinute: team.limits.RequestsPerMinute,
	}
	if team.limits.Timeout > 0 {
		r.Timeout = team.limits.Timeout.String()
	}
	entry := t.entry(name, project)
	switch {
	case name == "":
		r.Reason = "a subject that names no team is the operator's, who may all: NATS permissions say who may use it"
	case !r.Allowed:
		r.Reason = fmt.Sprintf("%s does not name this team", file)
	case project == "":
		r.Reason = fmt.Sprintf("team %s begins in line %d of %s", name, team.line, file)
	case entry != "":
		r.Reason = fmt.Sprintf("%s is one of the projects of team %s (%s:%d)", entry, name, file, team.line)
	default:
		r.Allowed, r.Reason = false, fmt.Sprintf("none of the projects of team %s is it (%s:%d)", name, file, team.line)
	}
	return r
}

func orEmpty(texts []string) []string { return append([]string{}, texts...) }
