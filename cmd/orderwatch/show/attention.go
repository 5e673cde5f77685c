package show

import (
	"cmp"
	"strings"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/watcher"
)

// Attention says, as a line, what people should look at in one watch.
func Attention(a watcher.OrderAttention) string {
	text := cmp.Or(a.Reason, string(a.Kind))
	if a.Kind == watcher.BrokenRecord {
		text = "broken record: " + text
		var ids []string
		for _, r := range a.Requests {
			ids = append(ids, r.ID)
		}
		if len(ids) > 0 {
			text += "; publish these again, under a new id: " + output.Shorten(strings.Join(ids, ", "), 200)
		}
	}
	return output.Clean(text)
}
