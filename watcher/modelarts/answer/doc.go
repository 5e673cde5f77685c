// Package answer says what an answer of ModelArts' API means: the order in it ([Decode], [Read]), or what
// it is instead ([Error]), and what that says of the account ([Bearing]).
//
// It is pure: it makes no call, and keeps nothing. It promises that only a body that says one thing clearly
// is an order, that every other answer becomes an error of one short line with a class, and that no error
// shows a secret that it was told to hide.
//
// The API's pages disagree with each other and with what programs read from it, so every spelling that was
// seen is accepted. What an error means for a watch is decided by one table, in meaning.go. Read read.go and
// decode.go, which reads with json.go; then error.go, meaning.go, refusal.go with errorbody.go and
// retryafter.go, and bearing.go.
package answer
