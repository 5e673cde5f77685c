package show

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/watcher"
)

// Failure says what went wrong with an order, as long as people read it.
func Failure(c watcher.Completion) string {
	const most, mostNames = 10, 3
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s: %s: %s", c.Order(), c.Outcome, output.Clean(c.Reason))
	if c.Error != nil {
		fmt.Fprintf(&b, "\n  %s: %s", output.Clean(c.Error.Code), output.Clean(c.Error.Message))
	}
	if text := meaning(c.Outcome, c.Report); text != "" {
		b.WriteString("\n  " + text)
	}
	for _, f := range c.Failures[:min(most, len(c.Failures))] {
		names := f.ResourceNames[:min(mostNames, len(f.ResourceNames))]
		fmt.Fprintf(&b, "\n  %d × %s: %s", f.Count, output.Clean(f.Action), output.Clean(cmp.Or(f.Message, "no reason given")))
		if len(names) > 0 {
			fmt.Fprintf(&b, " (%s", output.Clean(strings.Join(names, ", ")))
			if more := f.Count - len(names); more > 0 {
				fmt.Fprintf(&b, " and %d more", more)
			}
			b.WriteByte(')')
		}
	}
	if more := len(c.Failures) - most; more > 0 {
		fmt.Fprintf(&b, "\n  and %d more causes: orderwatch get %s", more, c.Order())
	}
	if mayGoOn(c.Outcome) {
		b.WriteString("\n  To watch it again: " + again(c.Report))
	}
	return output.Times(b.String(), time.Now())
}

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
	return output.Times(output.Clean(text), time.Now())
}
