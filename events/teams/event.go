package teams

import (
	"encoding/json"
	"slices"
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

// ShownEvent returns what the view shows of an event that it sees: without the requests of others.
func (v View) ShownEvent(event json.RawMessage) json.RawMessage {
	var envelope, data map[string]json.RawMessage
	var requests []json.RawMessage
	if v.All() || json.Unmarshal(event, &envelope) != nil || json.Unmarshal(envelope["data"], &data) != nil || json.Unmarshal(data["requests"], &requests) != nil {
		return event
	}
	own := slices.DeleteFunc(slices.Clone(requests), func(r json.RawMessage) bool { return !v.isOwn(r) })
	if len(own) == len(requests) {
		return event
	}
	if len(own) == 0 {
		own = []json.RawMessage{}
	}
	var err error
	if data["requests"], err = json.Marshal(own); err == nil {
		envelope["data"], err = json.Marshal(data)
	}
	shown, failed := json.Marshal(envelope)
	if err != nil || failed != nil {
		return nil
	}
	return shown
}
