// Package answer says what an answer of ModelArts' API means: the order in it ([Read], [Packed]) or the list of
// orders ([DecodeList], [ReadList]), or what it is instead ([Error]), and what that says of the account ([Bearing]).
//
// It is pure: it makes no call, and keeps nothing. It promises that only a body that says one thing clearly
// is an order, that every other answer becomes an error of one short line with a class, and that no error
// shows a secret that it was told to hide.
//
// The API's pages disagree with each other and with what programs read from it, so every spelling that was
// seen is accepted. Read these files in this order:
//
//	read.go        whether an answer is an order or an error
//	decode.go      what is in an order; it reads with json.go
//	packed.go      an order in little memory, and where secrets are hidden in it
//	list.go        what is in a list of orders
//	statuses.go    what each HTTP status and code means: a class for the watch, and a hold for the account, such as with 429
//	error.go       errors, also those without an answer
//	refusal.go     which status, code and text an error has, and whether it is a proxy's
//	errorbody.go   where the code and the text are in an error's body; clean.go: how the text is cleaned
//	retryafter.go  how long the API asks to be left alone
//	bearing.go     what an answer about one order says of the account
package answer
