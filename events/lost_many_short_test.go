//go:build !long

package events_test

// manyWatches is how many watches are open when streams are lost; 500 with the build tag long.
const manyWatches = 40
