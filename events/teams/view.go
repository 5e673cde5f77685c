package teams

import (
	"slices"

	"github.com/orderwatch/orderwatch/watcher"
)

// A View is what a team sees and may touch. The zero View is the operator's: it sees all. Where there is no file, each
// is.
type View struct {
	team  string
	teams Teams
}

// View returns the team's view. The operator's, of the empty name, sees all.
func (t Teams) View(team string) View {
	if t.all(team) {
		return View{}
	}
	return View{team, t}
}

// All reports whether the view sees all.
func (v View) All() bool { return v.team == "" }

// Team returns whose view it is, empty where it sees all.
func (v View) Team() string { return v.team }

// Project reports whether all watches of the project are seen, by the file.
func (v View) Project(id string) bool { return v.All() || v.teams.entry(v.team, id) != "" }

// Owns reports whether the watch is seen: its project is the team's by the file, or one of its requests is the team's.
func (v View) Owns(w *watcher.Watch) bool {
	return v.Project(w.ProjectID) || v.asked(w.Requests) || w.Completion != nil && v.asked(w.Completion.Requests)
}

// Completed reports whether the end of the watch is seen.
func (v View) Completed(c watcher.Completion) bool {
	return v.Project(c.ProjectID) || v.asked(c.Requests)
}

// asked reports whether one of the requests is the team's own.
func (v View) asked(requests []watcher.Request) bool {
	return slices.ContainsFunc(requests, func(r watcher.Request) bool { return r.Team == v.team })
}

// Others reports whether one of the requests is not the team's.
func (v View) Others(requests []watcher.Request) bool {
	return !v.All() && slices.ContainsFunc(requests, func(r watcher.Request) bool { return r.Team != v.team })
}

// Own returns the requests that are seen: the team's. All others' are left out, also where they share a watch with it.
func (v View) Own(requests []watcher.Request) []watcher.Request {
	if v.All() {
		return requests
	}
	own := []watcher.Request{}
	for _, r := range requests {
		if r.Team == v.team {
			own = append(own, r)
		}
	}
	return own
}

// Labelled reports whether one of the watch's requests that are seen has the label.
func (v View) Labelled(w watcher.Watch, key, value string) bool {
	w.Requests = v.Own(w.Requests)
	if w.Completion != nil {
		c := *w.Completion
		c.Requests = v.Own(c.Requests)
		w.Completion = &c
	}
	return w.Labelled(key, value)
}

// byAnother is what is shown of who cancelled a watch, and why, in which the team has no part.
const byAnother = "cancelled by another"

// Shown returns what the view shows of a watch that it owns.
func (v View) Shown(s watcher.Snapshot) watcher.Snapshot {
	own := v.Own(s.Requests)
	s.OtherRequests, s.Requests = len(s.Requests)-len(own), own
	if s.Wish != nil && !v.All() && s.Wish.Team != v.team {
		wish := watcher.Wish{By: "another", Team: s.Wish.Team, At: s.Wish.At}
		s.Wish = &wish
		if len(own) == 0 && (s.Outcome == watcher.Cancelled || s.Outcome == "") { // the team is not answered so
			s.Reason = byAnother
		}
	}
	return s
}
