package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// A Message is one message of the NATS client protocol.
type Message struct {
	Subject string
	Reply   string // where the answer goes; empty for none
	Header  []byte // as it is sent, from "NATS/1.0" to the empty line; nil for none
	Payload []byte
}

// A frame is one piece of the protocol: a line, with what belongs to it.
type frame struct {
	text    []byte // as it was read
	verb    string // upper case
	words   []string
	message Message // of the verbs that carry one
}

// largest is the largest message that is read, in bytes: the server's own limit of max_payload.
const largest = 64 << 20

// readFrame reads the next piece.
func readFrame(r *bufio.Reader) (frame, error) {
	text, err := r.ReadBytes('\n')
	if err != nil {
		return frame{}, err
	}
	f := frame{text: text}
	verb, rest, _ := strings.Cut(strings.TrimRight(string(text), "\r\n"), " ")
	f.verb = strings.ToUpper(verb)
	switch f.verb {
	case "SUB", "UNSUB":
		f.words = strings.Fields(rest)
	case "PUB", "HPUB", "MSG", "HMSG":
		f.words = strings.Fields(rest)
		return f, f.readMessage(r)
	}
	return f, nil
}

// readMessage reads what follows the line of a message:
//
//	PUB subject [reply] size          MSG subject sid [reply] size
//	HPUB subject [reply] header size  HMSG subject sid [reply] header size
func (f *frame) readMessage(r *bufio.Reader) error {
	words, sizes := f.words, 1
	if f.verb[0] == 'H' {
		sizes = 2
	}
	if strings.HasSuffix(f.verb, "MSG") && len(words) > 1 {
		words = append(words[:1:1], words[2:]...) // without the sid
	}
	if len(words) < 1+sizes || len(words) > 2+sizes {
		return fmt.Errorf("read %q: a message without its sizes", f.text)
	}
	numbers := words[len(words)-sizes:]
	size, err := strconv.Atoi(numbers[sizes-1])
	header, headerErr := 0, error(nil)
	if sizes == 2 {
		header, headerErr = strconv.Atoi(numbers[0])
	}
	if err != nil || headerErr != nil || header < 0 || size < header || size > largest {
		return fmt.Errorf("read %q: a message of a wrong size", f.text)
	}
	body := make([]byte, size+len("\r\n"))
	if _, err := io.ReadFull(r, body); err != nil {
		return err
	}
	f.text = append(f.text, body...)
	f.message = Message{Subject: words[0], Header: body[:header:header], Payload: body[header:size:size]}
	if len(words) == 2+sizes {
		f.message.Reply = words[1]
	}
	return nil
}

// isMessage reports whether the piece carries one.
func (f *frame) isMessage() bool { return f.message.Subject != "" }

// delivery returns the message as a server hands it to the subscription sid.
func delivery(sid string, m Message) []byte {
	var text bytes.Buffer
	verb, sizes := "MSG", strconv.Itoa(len(m.Payload))
	if len(m.Header) > 0 {
		verb, sizes = "HMSG", fmt.Sprintf("%d %d", len(m.Header), len(m.Header)+len(m.Payload))
	}
	fmt.Fprintf(&text, "%s %s %s %s\r\n%s%s\r\n", verb, m.Subject, sid, sizes, m.Header, m.Payload)
	return text.Bytes()
}
