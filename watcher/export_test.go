package watcher

// MostSize is mostSize.
var MostSize = mostSize
