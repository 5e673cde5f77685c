package watcher

import "time"

// An Again is somebody's wish that people are told once more how a watch ended.
type Again struct {
	ID        string    `json:"request_id"` // the same for the same wish; of A-Z a-z 0-9 - _
	WatchID   string    `json:"watch_id"`
	ProjectID string    `json:"project_id"`
	OrderName string    `json:"order_name"`
	Sequence  uint64    `json:"completion_sequence"` // where the completion is stored
	By        string    `json:"by"`                  // person or program; shown to people
	At        time.Time `json:"at"`
	Channels  []string  `json:"channels"` // where; empty: where the requests say
}
