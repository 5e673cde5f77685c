package message

import (
	"cmp"
	"fmt"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/words"
	"github.com/slack-go/slack"
)

// Room that is kept free for lines that come last, in units.
const (
	pointerRoom = 400 // where the rest is found
	titleRoom   = 300 // the title of a reply
)

// addFailures shows the largest causes on the page and returns the thread with what they leave
// out, and the file where the thread has no room for it. The last line on the page says what is where.
func addFailures(p *page, c watcher.Completion, causes []cause, o Options) ([]Message, *File) {
	block := richText(paragraph("Failures", ""))
	if !p.add(block) {
		return nil, nil
	}
	p.left -= pointerRoom
	shown := 0
	for _, cause := range causes[:min(inlineGroups, len(causes))] {
		if !p.grow(block, causeElements(cause, cause.inline(), maxExcerpt)...) {
			break
		}
		shown++
	}
	p.left += pointerRoom
	left := leftOut(causes, shown)
	if left.items == 0 {
		return nil, nil
	}
	var t thread
	if o.NoThread {
		t.missing = left
	} else {
		t = threadOf(causes, shown)
	}
	where := pointer(c, left, t.missing)
	if t.missing != (rest{}) && o.File && !o.NoThread {
		if f, missing := fileOf(c); missing < t.missing.items { // it names more than the thread
			t.file, where = f, filePointer(c, left, missing)
		}
	}
	p.grow(block, paragraph("", where))
	return t.messages(c), t.file
}

// causeElements returns one cause in rich text.
func causeElements(c cause, names, excerptUnits int) []slack.RichTextElement {
	bold, plain := c.headBefore(names)
	message := excerpt(c.message, excerptUnits)
	if excerptUnits < headLength {
		message = bothEnds(c.message, excerptUnits)
	}
	if message == "" {
		return []slack.RichTextElement{paragraph(bold, plain+" · "+noMessage)}
	}
	return []slack.RichTextElement{paragraph(bold, plain), preformatted(message)}
}

// otherElements returns a cause of which the post names some items already.
func otherElements(c cause, named int) []slack.RichTextElement {
	elements := causeElements(c, 0, maxShort)
	_, plain := c.headBefore(0)
	elements[0] = paragraph(fmt.Sprintf("%s more of %s ×", words.Number(c.count-named), words.Number(c.count)), plain)
	return elements
}

// A rest counts what a message leaves out.
type rest struct {
	causes int // without their text
	items  int // without their name
}

func (r rest) String() string {
	text := words.Count(r.items, "more failed item")
	if r.causes > 0 {
		text += " and " + words.Count(r.causes, "more cause")
	}
	return text
}

// leftOut returns what a post leaves out that shows so many causes.
func leftOut(causes []cause, shown int) rest {
	r := rest{causes: len(causes) - shown}
	for i, c := range causes {
		if i < shown {
			r.items += c.count - c.inline()
		} else {
			r.items += c.count
		}
	}
	return r
}

// pointer says where the rest is: in the thread, but for what is missing there too.
func pointer(c watcher.Completion, left, missing rest) string {
	switch {
	case missing.items == 0 && missing.causes == 0:
		return left.String() + " in the thread."
	case missing == left:
		return missing.String() + ": " + inEvent(c)
	}
	return left.String() + " in the thread, as far as there is room. Not there: " + missing.String() + ", " + inEvent(c)
}

// filePointer says where the rest is, where the thread has a file.
func filePointer(c watcher.Completion, left rest, missing int) string {
	text := left.String() + " in the thread: all failed items are in the CSV file there."
	if missing > 0 {
		text = left.String() + " in the thread, in the CSV file there. Not there: " + rest{items: missing}.String() + ", " + inEvent(c)
	}
	return text
}

func inEvent(c watcher.Completion) string {
	return fmt.Sprintf("see the completion event of watch %s.", cmp.Or(line(c.WatchID, maxPerson), unknown))
}

// A thread is the replies to a post. They name every failed item that the post does not name.
type thread struct {
	pages   []*page
	blocks  []*slack.RichTextBlock // one on each page
	missing rest
	file    *File // with all failed items; nil where there is none
}

// threadOf returns the replies to a post that shows so many causes. Where texts would take the
// room of names, they are short.
func threadOf(causes []cause, shown int) thread {
	var t thread
	for _, excerptUnits := range []int{maxExcerpt, maxShort} {
		t = thread{}
		for i, c := range causes {
			switch named := c.inline(); {
			case i >= shown:
				t.add(c, causeElements(c, 0, excerptUnits), 0)
			case len(c.names) > named:
				t.add(c, otherElements(c, named), named)
			default:
				t.missing.items += c.count - named
			}
		}
		if t.missing.items == 0 {
			break
		}
	}
	return t
}

// add appends the cause's head and its names, over as many pages as there may be, but for those that
// the post names; where it names none, it does not show the cause.
func (t *thread) add(c cause, head []slack.RichTextElement, named int) {
	if !t.append(head...) {
		if named == 0 {
			t.missing.causes++
		}
		t.missing.items += c.count - named
		return
	}
	placed := named
	for placed < len(c.names) {
		n := t.appendNames(c, c.names[placed:])
		if n == 0 {
			break
		}
		placed += n
	}
	t.missing.items += c.count - placed
}

// append adds the elements to the last page, or to a new one where they do not fit.
func (t *thread) append(elements ...slack.RichTextElement) bool {
	if n := len(t.pages); n > 0 && t.pages[n-1].grow(t.blocks[n-1], elements...) {
		return true
	}
	return t.turn() && t.pages[len(t.pages)-1].grow(t.blocks[len(t.blocks)-1], elements...)
}

// appendNames adds as many of the cause's names as fit on one page, and returns how many. A new page
// says again what they are of.
func (t *thread) appendNames(c cause, names []string) int {
	n := fitting(names, t.pages[len(t.pages)-1].left)
	if n == 0 && t.turn() {
		bold, plain := c.head(0)
		t.append(paragraph(bold, plain+" · continued"))
		n = fitting(names, t.pages[len(t.pages)-1].left)
	}
	if n > 0 {
		t.append(paragraph("", nameList(names[:n])))
	}
	return n
}

// turn begins a new page where there may be one more.
func (t *thread) turn() bool {
	if len(t.pages) == maxReplies {
		return false
	}
	p, b := newPage(), richText()
	p.add(b)
	p.left -= titleRoom + pointerRoom
	t.pages, t.blocks = append(t.pages, p), append(t.blocks, b)
	return true
}

// messages returns the replies with their titles; the last says what is missing.
func (t *thread) messages(c watcher.Completion) []Message {
	var messages []Message
	for i, p := range t.pages {
		title := "Failed items of " + cmp.Or(line(c.OrderName, maxName), unknown)
		if len(t.pages) > 1 {
			title += fmt.Sprintf(", part %d of %d", i+1, len(t.pages))
		}
		b := t.blocks[i]
		b.Elements = append([]slack.RichTextElement{paragraph(title, "")}, b.Elements...)
		if i == len(t.pages)-1 && t.missing.items > 0 {
			where := inEvent(c)
			if t.file != nil {
				where = "see the CSV file."
			}
			b.Elements = append(b.Elements, paragraph("", "Not here: "+t.missing.String()+", "+where))
		}
		messages = append(messages, Message{Text: escape(title + "."), Blocks: p.blocks})
	}
	return messages
}
