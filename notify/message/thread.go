package message

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/words"
	"github.com/slack-go/slack"
)

// addFailures shows the largest causes on the page and returns the thread with what they leave
// out, and the file where the thread has no room for it. The last line on the page says what is where.
func addFailures(p *page, c watcher.Completion, causes []cause, o Options) ([]Message, *File) {
	block := slack.NewRichTextBlock("")
	if !p.add(block) {
		return nil, nil
	}
	defer func() {
		if len(block.Elements) == 0 { // Slack refuses it
			p.blocks = p.blocks[:len(p.blocks)-1]
		}
	}()
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
	where := pointer(c, left, t.missing, false)
	if t.missing != (rest{}) && o.File && !o.NoThread {
		if f, missing := fileOf(c); missing < t.missing.items { // it names more than the thread: it stands alone
			p.grow(block, paragraph("", pointer(c, left, rest{items: missing}, true)))
			return nil, f
		}
	}
	p.grow(block, paragraph("", where))
	return t.messages(c), nil
}

// causeElements returns one cause in rich text.
func causeElements(c cause, names, excerptUnits int) []slack.RichTextElement {
	shorten := excerpt
	if excerptUnits < headLength {
		shorten = bothEnds
	}
	bold, plain := c.headBefore(names)
	message := shorten(c.message, excerptUnits)
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
		r.items += c.count
		if i < shown {
			r.items -= c.inline()
		}
	}
	return r
}

// pointer says where the rest is: in the thread, in its file where it has one, but for what is missing there too.
func pointer(c watcher.Completion, left, missing rest, inFile bool) string {
	notThere := ". Not there: " + missing.String() + ", " + inEvent(c)
	switch none := missing == (rest{}); {
	case inFile && none:
		return left.String() + " in the thread: all failed items are in the CSV file there."
	case inFile:
		return left.String() + " in the thread, in the CSV file there" + notThere
	case none:
		return left.String() + " in the thread."
	case missing == left:
		return missing.String() + ": " + inEvent(c)
	}
	return left.String() + " in the thread, as far as there is room" + notThere
}

func inEvent(c watcher.Completion) string {
	return fmt.Sprintf("see the completion event of watch %s.", cmp.Or(line(c.WatchID, maxPerson), unknown))
}

// A thread is the replies to a post. They name every failed item that the post does not name.
type thread struct {
	replies []reply
	missing rest
}

// A reply is a page with one block on it.
type reply struct {
	*page
	block *slack.RichTextBlock
}

// threadOf returns the replies to a post that shows so many causes. Where texts would take the
// room of names, they are short.
func threadOf(causes []cause, shown int) thread {
	var t thread
	for _, excerptUnits := range []int{maxExcerpt, maxShort} {
		t = thread{}
		for i, c := range causes {
			if t.missing.items > 0 && excerptUnits > maxShort {
				break // the short texts are wanted in any case
			}
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
	placed := named
	if t.append(head...) {
		for n := 1; n > 0 && placed < len(c.names); placed += n {
			n = t.appendNames(c, c.names[placed:])
		}
	} else if named == 0 {
		t.missing.causes++
	}
	t.missing.items += c.count - placed
}

// append adds the elements to the last page, or to a new one where they do not fit.
func (t *thread) append(elements ...slack.RichTextElement) bool {
	fits := func() bool {
		last := t.replies[len(t.replies)-1]
		return last.grow(last.block, elements...)
	}
	return len(t.replies) > 0 && fits() || t.turn() && fits()
}

// left returns the room on the last page, in units.
func (t *thread) left() int { return t.replies[len(t.replies)-1].left }

// appendNames adds as many of the cause's names as fit on one page, and returns how many. A new page
// says again what they are of.
func (t *thread) appendNames(c cause, names []string) int {
	const title = "To copy:"
	n := fitting(names, t.left()-len(title))
	if n == 0 && t.turn() {
		bold, plain := c.head(0)
		t.append(paragraph(bold, plain+" · continued"))
		n = fitting(names, t.left()-len(title))
	}
	if n > 0 {
		t.append(paragraph("", title), preformatted(strings.Join(resources(names[:n]), "\n")))
	}
	return n
}

// turn begins a new page where there may be one more.
func (t *thread) turn() bool {
	if len(t.replies) == maxReplies {
		return false
	}
	p, b := newPage(), slack.NewRichTextBlock("")
	p.add(b)
	p.left -= titleRoom + pointerRoom
	t.replies = append(t.replies, reply{p, b})
	return true
}

// messages returns the replies with their titles; the last says what is missing.
func (t *thread) messages(c watcher.Completion) []Message {
	var messages []Message
	for i, r := range t.replies {
		title := "Failed items of " + cmp.Or(line(c.OrderName, maxName), unknown)
		if len(t.replies) > 1 {
			title += fmt.Sprintf(", part %d of %d", i+1, len(t.replies))
		}
		b := r.block
		b.Elements = append([]slack.RichTextElement{paragraph(title, "")}, b.Elements...)
		if i == len(t.replies)-1 && t.missing.items > 0 {
			b.Elements = append(b.Elements, paragraph("", "Not here: "+t.missing.String()+", "+inEvent(c)))
		}
		messages = append(messages, Message{Text: escape(title + "."), Blocks: r.blocks})
	}
	return messages
}
