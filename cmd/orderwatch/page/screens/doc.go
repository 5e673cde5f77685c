// Package screens makes HTML of what the page shows: one function for each screen, from plain values. It asks nobody, reads
// no clock, and knows no requests.
//
// It promises that each screen is complete without JavaScript; that texts of others are escaped, and show nothing that people cannot see;
// that no screen has an inline script or style, so that a strict Content-Security-Policy holds; and that the fragments of a
// screen ([NowBody], [OrderBody], [HistoryBody], [HealthBody]) are what the screen itself shows, so that a stream can replace them one by one.
//
// Read the files in this order:
//
//	layout.html  what all screens have around them
//	screens.go   the values of that, how templates are read, and what they may call
//	now.go       what is watched now
//	order.go     one order: the sentence, and the answers to five questions
//	axis.go      its items: the time axis with a bar for each, and the same as a table
//	history.go   how long orders took, and why they failed
//	health.go    whether orderwatch is well
//	message.go   why there is no screen
//	static.go    files that browsers load: the style sheet, and scripts of others with their licences and sums
package screens
