package show

import (
	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/watcher"
)

// Outcome colours a text by how a watch ended.
func Outcome(p output.Paint, o watcher.Outcome, text string) string {
	switch o {
	case watcher.Succeeded:
		return p.Green(text)
	case watcher.Cancelled:
		return p.Yellow(text)
	}
	return p.Red(text)
}
