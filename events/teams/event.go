package teams

import (
	"encoding/json"
	"slices"

	"github.com/orderwatch/orderwatch/watcher"
)

// seenData is what of an event's data says whose it is.
type seenData struct {
	Team     string            `json:"team"` // of a rejected message
	Requests []json.RawMessage `json:"requests"`
}

// Event reports whether the event is seen, which is about the project; empty for one of no project: its project is the
// team's by the file, one of its requests is the team's, or it is about the team's own rejected message.
func (v View) Event(project string, event []byte) bool {
	if v.All() || project != "" && v.Project(project) {
		return true
	}
	var e struct {
		Data seenData `json:"data"`
	}
	if json.Unmarshal(event, &e) != nil {
		return false
	}
	return e.Data.Team == v.team || slices.ContainsFunc(e.Data.Requests, v.isOwn)
}

// isOwn reports whether the request, as JSON, is the team's.
func (v View) isOwn(request json.RawMessage) bool {
	var r struct {
		Team string `json:"team"`
	}
	return json.Unmarshal(request, &r) == nil && r.Team == v.team
}

// ShownEvent returns what the view shows of an event that it sees: without the requests of others and their traces, the word
// of who cancelled or wants people told again, and the channels and labels of who waits for an account.
func (v View) ShownEvent(event json.RawMessage) json.RawMessage {
	var envelope, data map[string]json.RawMessage
	if v.All() || json.Unmarshal(event, &envelope) != nil || json.Unmarshal(envelope["data"], &data) != nil {
		return event
	}
	changed := v.hideRequests(envelope, data)
	changed = v.hideWish(data) || changed
	changed = hideChannels(data) || changed
	if !changed {
		return event
	}
	envelope["data"] = encoded(data)
	return encoded(envelope)
}

// hideRequests leaves out the requests of others, and of a watch that ended for others alone who cancelled it.
func (v View) hideRequests(envelope, data map[string]json.RawMessage) (changed bool) {
	var requests []json.RawMessage
	if json.Unmarshal(data["requests"], &requests) != nil {
		return false
	}
	own := slices.DeleteFunc(slices.Clone(requests), func(r json.RawMessage) bool { return !v.isOwn(r) })
	if len(own) == len(requests) {
		return false
	}
	data["requests"] = encoded(append([]json.RawMessage{}, own...))
	delete(envelope, "traceparent")
	delete(envelope, "tracestate")
	if len(own) == 0 && string(data["outcome"]) == `"`+string(watcher.Cancelled)+`"` {
		data["reason"] = encoded(byAnother)
	}
	return true
}

// hideWish leaves out the name of the person who wants people told again, and the channels, unless that person is of the team.
func (v View) hideWish(data map[string]json.RawMessage) (changed bool) {
	if data["by"] == nil || data["channels"] == nil || v.isOwn(encoded(data)) {
		return false
	}
	data["by"], data["channels"], data["request_id"] = encoded("another"), encoded([]string{}), encoded("another")
	return true
}

// hideChannels leaves out where the watches of a project wait for an account: whose the labels are is not known.
func hideChannels(data map[string]json.RawMessage) (changed bool) {
	var channels []json.RawMessage
	var omitted int
	if data["account"] == nil || json.Unmarshal(data["channels"], &channels) != nil || len(channels) == 0 {
		return false
	}
	_ = json.Unmarshal(data["channels_omitted"], &omitted) // there may be none
	delete(data, "channels")
	data["channels_omitted"] = encoded(omitted + len(channels))
	return true
}

// encoded returns the JSON of texts, numbers, and of what was read as JSON.
func encoded(value any) json.RawMessage {
	text, err := json.Marshal(value)
	if err != nil {
		panic("teams: " + err.Error())
	}
	return text
}
