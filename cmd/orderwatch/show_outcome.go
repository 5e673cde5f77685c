package main

import (
	"github.com/orderwatch/orderwatch/watcher"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
)

// paintOutcome colours a text by how a watch ended.
func paintOutcome(p output.Paint, o watcher.Outcome, text string) string {
	switch o {
	case watcher.Succeeded:
		return p.Green(text)
	case watcher.Cancelled:
		return p.Yellow(text)
	}
	return p.Red(text)
}
