package message

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// Links are the addresses that lead to an order. An address that is empty, longer than 500 characters, or no http(s) URL is
// left out.
type Links struct {
	Console string // a template of the order's address in the cloud's console: see [watcher.Report.Fill]
	Public  string // where the order's page is: see [watcher.Report.PageURL]
}

// page returns the address of the order's page, empty where there is none that can be shown.
func (l Links) page(c watcher.Completion) string {
	return shownAddress(c.PageURL(l.Public), maxOwnLink)
}

// console returns the address of the order in the cloud's console, empty where there is none that can be shown.
func (l Links) console(c watcher.Completion) string {
	return shownAddress(c.Fill(l.Console), maxOwnLink)
}

// watch returns the address of the page of a watch of which the id alone is known, empty where there is none that can be
// shown.
func (l Links) watch(id string) string {
	c := watcher.Completion{Report: watcher.Report{WatchID: id}}
	address := c.Fill(l.Public)
	switch {
	case l.Public == "" || strings.Count(l.Public, "{") > strings.Count(l.Public, "{watch}"): // it needs more of the order
		return ""
	case address == l.Public:
		address = strings.TrimRight(l.Public, "/") + "/watches/" + url.PathEscape(id)
	}
	return shownAddress(address, maxOwnLink)
}

// A Runbook is a page that says what to do about a cause.
type Runbook struct {
	// Cause is a part of a failure's text, in letters of either case; * stands for any text in it. Empty is
	// every cause.
	Cause string
	URL   string
}

// matches reports whether the runbook is for a failure of this text.
func (r Runbook) matches(cause string) bool {
	rest := strings.ToLower(cause)
	for part := range strings.SplitSeq(strings.ToLower(r.Cause), "*") {
		at := strings.Index(rest, part)
		if at < 0 {
			return false
		}
		rest = rest[at+len(part):]
	}
	return true
}

// orderURL returns the order's page, or else the order in the console.
func (o Options) orderURL(c watcher.Completion) string {
	return cmp.Or(o.Links.page(c), o.Links.console(c))
}

// envOf returns the environments of the requests: the values of the label of this name.
func envOf(requests []watcher.Request, label string) string {
	var all []string
	for _, r := range requests {
		if env := word(r.Labels[label], maxEnv); env != "" && label != "" && !slices.Contains(all, env) {
			all = append(all, env)
		}
	}
	return fit(strings.Join(all, "/"), maxEnv)
}

// ownFirst returns the requests, those first that are the channel's own.
func ownFirst(requests []watcher.Request, own []string) []watcher.Request {
	requests = slices.Clone(requests)
	slices.SortStableFunc(requests, func(a, b watcher.Request) int {
		mine := func(r watcher.Request) int { return map[bool]int{true: 0, false: 1}[slices.Contains(own, r.ID)] }
		return mine(a) - mine(b)
	})
	return requests
}

// watchCommand returns the command that watches the order again, fit to be pasted into a shell. It is empty where
// that would be too long.
func watchCommand(c watcher.Completion) string {
	args := []string{"orderwatch", "watch"}
	if c.Region != "" {
		args = append(args, "--region", shellWord(c.Region))
	}
	if d := c.Timeout(); d > 0 {
		args = append(args, "--timeout", words.Compact(d))
	}
	if c.ExpectedItems > 0 {
		args = append(args, "--expected-items", fmt.Sprint(c.ExpectedItems))
	}
	if len(c.Requests) > 0 && c.Requests[0].SlackChannel != "" {
		args = append(args, "--slack-channel", shellWord(c.Requests[0].SlackChannel))
	}
	return command(c, args...)
}

// command returns a command for the order, empty where it is too long to be one.
func command(c watcher.Completion, args ...string) string {
	order := shellWord(c.ProjectID + "/" + c.OrderName)
	if strings.HasPrefix(strings.Trim(order, "'"), "-") {
		args = append(args, "--")
	}
	all := strings.Join(append(args, order), " ")
	if units(all) > maxCommand {
		return ""
	}
	return all
}

// shellWord returns the text as one word for a POSIX shell.
func shellWord(s string) string {
	s = line(s, looked)
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._=/-", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// foot returns the last lines: the ways to the order, who asked and the times, the labels, and which watch it is.
// Links that have no room are left out, and that is said.
func foot(c watcher.Completion, causes []cause, o Options, times ...row) []row {
	where, labels := row{say(whereText(c))}, row{say(labelText(c.Requests))}
	left := maxFoot - where.weight() - labels.weight() - dotted(times...).weight()
	links := ways(c, causes, o, left)
	asked := askedBy(c.Requests, left-links.weight())
	return []row{links, dotted(append([]row{asked}, times...)...), labels, where}
}

// ways returns the links for which there is room: to the pipeline, the order, and what is to be done about its causes.
func ways(c watcher.Completion, causes []cause, o Options, room int) row {
	var links []row
	var left []string
	add := func(name, address string) {
		switch link := (row{linked(address, name)}); {
		case address == "":
		case link.weight() > room:
			left = append(left, name)
		default:
			links, room = append(links, link), room-link.weight()
		}
	}
	if r, ok := firstLinked(c.Requests); ok {
		add("Pipeline", r.Link)
	}
	add("Order's page", o.Links.page(c))
	add("Order in the console", o.Links.console(c))
	for _, r := range runbooksFor(c, causes, o.Runbooks) {
		add("Runbook", r)
	}
	if len(left) > 0 {
		links = append(links, row{say("no room for a link: " + strings.Join(slices.Compact(left), ", "))})
	}
	return dotted(links...)
}

// runbooksFor returns the addresses of the runbooks for the causes, the largest cause's first, each once.
func runbooksFor(c watcher.Completion, causes []cause, all []Runbook) (addresses []string) {
	var said []string
	for _, cause := range causes {
		said = append(said, cause.message)
	}
	if c.Error != nil {
		said = append(said, c.Error.Code+": "+c.Error.Message)
	}
	for _, text := range said {
		for _, r := range all {
			a := shownAddress(r.URL, maxOwnLink)
			if a == "" || slices.Contains(addresses, a) || !r.matches(text) {
				continue
			}
			if addresses = append(addresses, a); len(addresses) == runbooks {
				return addresses
			}
			break
		}
	}
	return addresses
}

// firstLinked returns the first request whose link can be shown.
func firstLinked(requests []watcher.Request) (watcher.Request, bool) {
	i := slices.IndexFunc(requests, func(r watcher.Request) bool { return shownAddress(r.Link, maxLink) != "" })
	if i < 0 {
		return watcher.Request{}, false
	}
	return requests[i], true
}

// orderName returns the order's name on one line, never empty.
func orderName(c watcher.Completion) string { return known(c.OrderName, maxName) }

// whereText says where the order is, and which watch it is.
func whereText(c watcher.Completion) string {
	return fmt.Sprintf("%s · project %s · watch %s", known(c.Region, maxWord), known(c.ProjectID, maxProject), known(c.WatchID, maxPerson))
}

// askedBy returns the first requests, and how many more there are. Those beyond the first that has a link have theirs
// beside them, as far as there is room; otherwise that they have one.
func askedBy(requests []watcher.Request, room int) (all row) {
	first, _ := firstLinked(requests)
	for i, r := range requests[:min(askedShown, len(requests))] {
		before := ", "
		if i == 0 {
			before = "Asked for by "
		}
		part := row{say(before + asker(r) + " (" + known(r.ID, maxPerson)), say(")")}
		if r.Link != first.Link && shownAddress(r.Link, maxAnyLink) != "" {
			part = row{part[0], say(", "), linked(r.Link, "pipeline"), part[1]}
		}
		if len(part) > 2 && (part.weight() > room || shownAddress(r.Link, maxLink) == "") {
			part = row{part[0], say(", its link is too long to stand here"), part[3]}
		}
		room -= part.weight()
		all = append(all, part...)
	}
	if more := len(requests) - askedShown; more > 0 {
		all = append(all, say(fmt.Sprintf(" and %s more", words.Number(more))))
	}
	return all
}

func asker(r watcher.Request) string {
	return words.Asker(word(r.Team, maxWord), word(r.RequestedBy, maxPerson))
}

// askers names who asked first, and how many others there are.
func askers(requests []watcher.Request) string {
	var names []string
	for _, r := range requests {
		if name := asker(r); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	switch len(names) {
	case 0:
		return ""
	case 1:
		return names[0]
	}
	return names[0] + " and " + words.Count(len(names)-1, "other")
}

// labelText returns the labels of all requests, sorted, each once, as far as there is room.
func labelText(requests []watcher.Request) string {
	all := make(map[string]bool)
	for _, r := range requests {
		for k, v := range r.Labels {
			all[word(k, maxWord)+"="+word(v, maxPerson)] = true
		}
	}
	var shown []string
	left := maxLabels
	for _, l := range slices.Sorted(maps.Keys(all)) {
		if left -= units(l); left < 0 || len(shown) == labelsShown {
			break
		}
		shown = append(shown, l)
	}
	text := strings.Join(shown, " · ")
	if more := len(all) - len(shown); more > 0 {
		text = strings.TrimPrefix(fmt.Sprintf("%s and %s", text, words.Count(more, "more label")), " and ")
	}
	return text
}
