package watcher

import (
	"slices"
	"time"
)

// What was seen of an order is not forgotten. Each answer is held against what the watch has seen: an
// item that it no longer lists is missing, and stays in the watch as it was seen last; an item that
// appears may have taken the place of one that is missing.

// A MissingItem is an item that the API no longer lists, as it was seen last.
type MissingItem struct {
	SeenItem
	Since   int64 `json:"w"`           // ms since 1970, of the first answer without it
	Answers int   `json:"k"`           // answers in a row without it
	Count   int   `json:"c,omitempty"` // how many resources the order had when it was last listed
	Deleted bool  `json:"t,omitempty"` // it had not ended, and is taken for deleted
}

// A known is an item, or some that are alike, that the watch has seen.
type known struct {
	SeenItem
	missing *MissingItem // nil where the latest answer listed it
	left    int          // how many of them no item of the answer at hand was found to be
}

// A word is what items without a name are matched by.
type word struct {
	action string
	status Status
}

// A memory is what a watch has seen, while an answer is matched with it.
type memory struct {
	all      []known
	listed   int              // how many resources the order had in the latest answer that listed any
	unlisted int              // of them: those that no answer has listed yet
	byKey    map[string]int   // by identity or digest, where it is one item's alone
	byName   map[string][]int // nil until an item has no action
	digests  bool
	shared   alike // several of one identity or digest, which stands for their action
	nameless alike // without a name
	counted  alike // of which the record keeps only how many there are
}

// An alike finds items by what they share.
type alike struct {
	all     map[word][]int
	open    map[string][]int // by action, what was listed and had not ended,
	settled map[string][]int // and what was listed and had succeeded
}

func (w *Watch) memory() *memory {
	n := len(w.Items) + len(w.Missing)
	m := &memory{all: make([]known, 0, n), byKey: make(map[string]int, n), listed: w.Listed}
	if m.listed == 0 { // the record of an earlier release
		m.listed = w.Counts.Total
	}
	m.unlisted = w.Counts.Total - w.Counts.seen()
	for _, s := range w.seenItems() {
		m.add(s, nil)
	}
	for i := range w.Missing {
		m.add(w.Missing[i].SeenItem, &w.Missing[i])
	}
	return m
}

// catchUp leaves out what is no longer so after a poll by a worker of the release before, which lists what
// the order shows and knows nothing of what is missing.
func (w *Watch) catchUp() {
	w.Listed, w.ListedAt, w.Gone, w.Blind, w.Odd = 0, time.Time{}, time.Time{}, time.Time{}, time.Time{}
	w.Missing = slices.DeleteFunc(slices.Clone(w.Missing), func(m MissingItem) bool {
		return slices.ContainsFunc(w.Items, func(s SeenItem) bool {
			return s.ResourceName == m.ResourceName && s.Action == m.Action && s.Digest == m.Digest
		})
	})
}

// seenItems returns the items of the latest answer that listed any. Where the record of an earlier
// release kept only how many there were, their action is not known.
func (w *Watch) seenItems() []SeenItem {
	if len(w.Items) > 0 || len(w.Missing) > 0 {
		return w.Items
	}
	return w.Counts.counted()
}

func (m *memory) add(s SeenItem, missing *MissingItem) {
	i := len(m.all)
	m.all = append(m.all, known{s, missing, s.count()})
	switch {
	case s.N > 0:
		m.counted.add(i, s.Action, s.Status, missing)
	case s.Digest != "":
		m.digests = true
		m.addKey(i, s.Digest)
	case s.ResourceName != "":
		m.addKey(i, identity(s.ResourceName, s.Action))
	default:
		m.nameless.add(i, s.Action, s.Status, missing)
	}
}

// several stands in byKey for more than one item.
const several = -1

func (m *memory) addKey(i int, key string) {
	first, twice := m.byKey[key]
	if !twice {
		m.byKey[key] = i
		return
	}
	if first != several {
		m.shared.add(first, key, m.all[first].Status, m.all[first].missing)
		m.byKey[key] = several
	}
	m.shared.add(i, key, m.all[i].Status, m.all[i].missing)
}

func (a *alike) add(i int, action string, status Status, missing *MissingItem) {
	if a.all == nil {
		*a = alike{make(map[word][]int), make(map[string][]int), make(map[string][]int)}
	}
	a.all[word{action, status}] = append(a.all[word{action, status}], i)
	switch {
	case missing != nil:
	case !status.Ended():
		a.open[action] = append(a.open[action], i)
	case status == Succeed:
		a.settled[action] = append(a.settled[action], i)
	}
}

// take takes the first that is left under the key.
func take[K comparable](m *memory, index map[K][]int, key K) *known {
	for ids := index[key]; len(ids) > 0; ids = ids[1:] {
		if k := &m.all[ids[0]]; k.left > 0 {
			k.left--
			index[key] = ids
			return k
		}
	}
	delete(index, key)
	return nil
}

// alone returns the item that alone has the key, if it is left.
func (m *memory) alone(key string) *known {
	if i, ok := m.byKey[key]; ok && i != several && m.all[i].left > 0 {
		return &m.all[i]
	}
	return nil
}

// keys returns under which keys an item with a name may be known. Where the known one has no action the
// name decides.
func (m *memory) keys(it Item) []string {
	if it.ResourceName == "" {
		return nil
	}
	keys := []string{identity(it.ResourceName, it.Action)}
	if m.digests {
		keys = append(keys, digest(it.ResourceName, it.Action))
	}
	if it.Action != "" {
		keys = append(keys, identity(it.ResourceName, ""))
	}
	return keys
}

// find takes one that is the item, as far as can be told: with same one that has its status, and otherwise one
// that may have got its status meanwhile. Where several fit, that is one that had not ended, else one that had
// succeeded. One of several that failed is not taken: whether it was tried again nobody can know.
func (m *memory) find(it Item, same bool) *known {
	among := func(a *alike, action string) *known {
		if same {
			return take(m, a.all, word{action, it.Status})
		}
		if k := take(m, a.open, action); k != nil {
			return k
		}
		return take(m, a.settled, action)
	}
	for _, key := range m.keys(it) {
		if k := m.alone(key); k != nil && (!same || k.Status == it.Status) {
			k.left--
			return k
		}
		if k := among(&m.shared, key); k != nil {
			return k
		}
	}
	var k *known
	switch {
	case it.ResourceName == "":
		k = among(&m.nameless, it.Action)
	case !same:
		k = m.named(it)
	}
	if k == nil {
		k = among(&m.counted, it.Action)
	}
	if k == nil {
		k = among(&m.counted, "")
	}
	return k
}

// named takes, for an item that has no action, the one that alone is left with its name.
func (m *memory) named(it Item) *known {
	if it.Action != "" {
		return nil
	}
	if m.byName == nil {
		m.byName = make(map[string][]int)
		for i, k := range m.all {
			if k.left > 0 {
				m.byName[k.ResourceName] = append(m.byName[k.ResourceName], i)
			}
		}
	}
	ids := m.byName[it.ResourceName]
	if len(ids) != 1 || m.all[ids[0]].left == 0 {
		return nil
	}
	m.all[ids[0]].left--
	return &m.all[ids[0]]
}

// earlier takes one that an answer that is behind shows under the name of the item whose place it took. The
// next answer that shows that name is not behind: the item is back.
func (m *memory) earlier() func(it Item) *known {
	places := make(map[string]int)
	for i, k := range m.all {
		if k.left > 0 && k.Replaces != "" && k.missing == nil && !k.Behind {
			places[identity(k.Replaces, k.Action)] = i
		}
	}
	return func(it Item) *known {
		i, ok := places[identity(it.ResourceName, it.Action)]
		if !ok || m.all[i].left == 0 || millis(it.UpdatedAt) > m.all[i].Updated {
			return nil
		}
		m.all[i].left--
		return &m.all[i]
	}
}

// replaced returns what takes one that has vanished before it ended, and whose place an item with the
// same action may have taken: one for one, while the order, of count resources, has no more than it
// had with it, and none of them is still to be listed: the item may be that one.
func (m *memory) replaced(count int) func(it Item) *known {
	vanished := make(map[string][]int)
	for i := range m.all {
		k := &m.all[i]
		before, open := m.listed, !k.Status.Ended()
		if k.missing != nil {
			before, open = k.missing.Count, k.missing.open()
		}
		if k.left > 0 && open && count <= before {
			vanished[k.Action] = append(vanished[k.Action], i)
		}
	}
	return func(it Item) *known {
		if m.unlisted > 0 {
			m.unlisted--
			return nil
		}
		return take(m, vanished, it.Action)
	}
}

// kept returns what no item of the answer was found to be: it is missing, since now or for longer.
func (m *memory) kept(now time.Time) (missing []MissingItem, vanished bool) {
	for _, k := range m.all {
		if k.left == 0 {
			continue
		}
		gone := MissingItem{SeenItem: k.SeenItem, Since: millis(now), Count: m.listed}
		if k.missing != nil {
			gone = *k.missing
		} else {
			vanished = true
		}
		gone.Answers++
		if gone.N > 0 {
			gone.N = k.left
		}
		missing = append(missing, gone)
	}
	return missing, vanished
}

// A sighting is what an answer shows, held against what was seen before.
type sighting struct {
	items   []SeenItem // that it lists, in the API's order
	missing []MissingItem
	changes []Change
	moved   bool // an item vanished, or is listed again
}

// look holds an answer, whose items are bounded, against what the watch has seen.
func (w *Watch) look(items []Item, count int, now time.Time) sighting {
	s := sighting{items: see(items)}
	latest := time.Time{}
	if !w.ListedAt.IsZero() {
		latest = w.ListedAt.Add(clocksDiffer)
	}
	if w.shows(items) { // as most answers do
		for i, it := range items {
			s.meet(i, it, &known{SeenItem: w.Items[i]}, w.AcceptedAt, latest)
		}
		return s
	}
	m := w.memory()
	was, appeared := make([]*known, len(items)), len(items)
	find := func(find func(Item) *known) {
		for i := 0; i < len(items) && appeared > 0; i++ {
			if was[i] == nil {
				if was[i] = find(items[i]); was[i] != nil {
					appeared--
				}
			}
		}
	}
	find(func(it Item) *known { return m.find(it, true) })
	find(func(it Item) *known { return m.find(it, false) })
	matched := slices.Clone(was)
	replaced := func(Item) *known { return nil }
	if appeared > 0 {
		find(m.earlier())
		replaced = m.replaced(max(count, len(items)))
	}
	for i, it := range items {
		switch before := was[i]; {
		case before == nil:
			s.appear(i, it, replaced(it))
		case matched[i] == nil:
			s.items[i] = before.SeenItem
			s.items[i].Kept, s.items[i].Behind = true, true
		default:
			s.meet(i, it, before, w.AcceptedAt, latest)
		}
	}
	var vanished bool
	s.missing, vanished = m.kept(now)
	s.moved = s.moved || vanished
	return s
}

// shows reports whether the items are those that were listed last, each with its status.
func (w *Watch) shows(items []Item) bool {
	if len(items) != len(w.Items) || len(w.Missing) > 0 {
		return false
	}
	for i, it := range items {
		s := &w.Items[i]
		if s.ResourceName != it.ResourceName || s.Action != it.Action || s.Status != it.Status || s.Digest != "" || s.N > 0 {
			return false
		}
	}
	return true
}

// meet notes an item that was seen before. An answer that is older than the one before, by the item's
// own time, does not change it.
func (s *sighting) meet(i int, it Item, before *known, accepted, latest time.Time) {
	s.moved = s.moved || before.missing != nil
	seen := &s.items[i]
	seen.Replaces = before.Replaces
	if seen.Action == "" {
		seen.Action = before.Action
	}
	if older(*seen, before.SeenItem, accepted, latest) {
		seen.Status, seen.Began, seen.Updated, seen.Message, seen.Kept = before.Status, before.Began, before.Updated, before.Message, true
		return
	}
	if before.Status != it.Status {
		s.changes = append(s.changes, Change{
			ResourceName: it.ResourceName, Action: seen.Action, From: before.Status, To: it.Status, Message: cut(it.Message, maxSeenMessage),
		})
	}
}

// appear notes an item that was not seen before. It may have taken another's place.
func (s *sighting) appear(i int, it Item, place *known) {
	c := Change{ResourceName: it.ResourceName, Action: it.Action, To: it.Status, Message: cut(it.Message, maxSeenMessage)}
	if place != nil {
		c.From, c.Replaces = place.Status, place.ResourceName
		s.items[i].Replaces = place.ResourceName
	}
	s.changes = append(s.changes, c)
}

// older reports whether the item was updated before it was seen last. Times that cannot be true are
// not compared: over a year before the request, or later than the answer that had them, which came before
// latest.
func older(seen, before SeenItem, accepted, latest time.Time) bool {
	earliest := millis(accepted.Add(-oldestTime))
	return seen.Updated > earliest && before.Updated > earliest && seen.Updated < before.Updated &&
		(latest.IsZero() || before.Updated <= millis(latest))
}

// clocksDiffer is how far ahead of this worker's clock the API's may be so that its times are compared.
const clocksDiffer = 5 * time.Minute
