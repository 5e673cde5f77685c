package emulator

// A block is the part of a Block Kit block that is checked and shown.
type block struct {
	Type     string    `json:"type"`
	ID       string    `json:"block_id"`
	Text     *text     `json:"text"`
	Fields   []text    `json:"fields"`
	Elements []element `json:"elements"`
}

// A text is a text object.
type text struct {
	Type string `json:"type"` // mrkdwn or plain_text
	Text string `json:"text"`
}

// An element is a part of a context or rich text block.
type element struct {
	Type      string    `json:"type"`
	Text      string    `json:"text"`
	URL       string    `json:"url"`
	Name      string    `json:"name"` // of an emoji
	UserID    string    `json:"user_id"`
	GroupID   string    `json:"usergroup_id"`
	Range     string    `json:"range"` // of a broadcast
	Timestamp int64     `json:"timestamp"`
	Fallback  string    `json:"fallback"`
	Style     any       `json:"style"` // an object in text, a word in lists
	Elements  []element `json:"elements"`
}
