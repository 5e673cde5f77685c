package store

import (
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/watcher"
)

// The rule of evidence: an error or an absence is never proof. The server's answers become the errors of package
// watcher here and nowhere else; a delivery is acknowledged only on what was positively read or stored.

// Error codes of the server. Its list is in its errors.json.
const (
	wrongLastSequence   = jetstream.JSErrCodeStreamWrongLastSequence         // 10071
	anotherUnderWay     = jetstream.JSErrCodeStreamWrongLastSequenceConstant // 10164
	concurrentUnderWay  = jetstream.ErrorCode(10158)                         // the same, within one batch of proposals
	messageNotFound     = jetstream.JSErrCodeMessageNotFound                 // 10037
	noSuchMessageStatus = 404

	accountExceeded = jetstream.ErrorCode(10002)
	noResources     = jetstream.ErrorCode(10023)
	storageExceeded = jetstream.ErrorCode(10047)
	notStored       = jetstream.ErrorCode(10077) // for one of several reasons, the stream's limits among them
)

// published translates the error of a publish. Only nil says that it was stored; no error says that it was not.
func published(err error) error {
	switch {
	case codeOf(err) == wrongLastSequence:
		// The caller must read what is there: the server may be behind, or the sequence be the caller's own.
		return fmt.Errorf("%w (%w)", watcher.ErrConflict, err)
	case underWay(err):
		// Another publish on the subject is under way and may still fail: nothing is known.
		return fmt.Errorf("another publish is under way: %w", err)
	}
	return err // a timeout among them: it may have been stored
}

// codeOf returns the server's code of an error, 0 where the error is none of its API.
func codeOf(err error) jetstream.ErrorCode {
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		return api.ErrorCode
	}
	return 0
}

// underWay reports whether the server says that another publish on the subject is under way.
func underWay(err error) bool {
	return slices.Contains([]jetstream.ErrorCode{anotherUnderWay, concurrentUnderWay}, codeOf(err))
}

// noRoom reports whether the server says that it has no room for the message.
func noRoom(err error) bool {
	return slices.Contains([]jetstream.ErrorCode{accountExceeded, noResources, storageExceeded, notStored}, codeOf(err))
}

// notThere reports whether the server says that there is no such message. Asked directly, it may be behind.
func notThere(err error) bool {
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return true
	}
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && (api.ErrorCode == messageNotFound || api.Code == noSuchMessageStatus && api.ErrorCode == 0)
}
