//go:build long

package events_test

// manyWatches is how many watches are open when streams are lost.
const manyWatches = 500
