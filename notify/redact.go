package notify

import (
	"maps"
	"slices"
	"strings"

	"github.com/orderwatch/orderwatch/watcher"
)

// redact returns the completion with every secret replaced in every text, the configured ones and those
// that the cloud's texts hold: see [Redact]. It comes before all cutting: half a secret is not found any
// more.
func redact(c watcher.Completion, secrets []string) watcher.Completion {
	hide := hider(secrets)
	hideAll := remembered(func(text string) string { return hideAll(hide, text) })
	for _, s := range []*string{&c.WatchID, &c.Region, &c.ProjectID, &c.OrderName} {
		*s = hide(*s)
	}
	c.Reason = redactText(hide(c.Reason), c.Outcome != watcher.Cancelled) // who cancelled is perhaps an address
	if c.Error != nil {
		c.Error = &watcher.ErrorDetail{Code: hide(c.Error.Code), Message: hideAll(c.Error.Message), Held: c.Error.Held}
	}
	c.Items = slices.Clone(c.Items)
	for i := range c.Items {
		it := &c.Items[i]
		it.ResourceName, it.Action, it.Message = hide(it.ResourceName), hideAll(it.Action), hideAll(it.Message)
		it.Status, it.Replaces = watcher.Status(hideAll(string(it.Status))), hide(it.Replaces)
	}
	c.Failures = slices.Clone(c.Failures)
	for i := range c.Failures {
		f := &c.Failures[i]
		f.Message, f.Action = hideAll(f.Message), hideAll(f.Action)
		f.ResourceNames = slices.Clone(f.ResourceNames)
		for j, name := range f.ResourceNames {
			f.ResourceNames[j] = hide(name)
		}
	}
	c.Requests = slices.Clone(c.Requests)
	for i := range c.Requests {
		r := &c.Requests[i]
		r.ID, r.RequestedBy, r.Link = hide(r.ID), hide(r.RequestedBy), hide(r.Link)
		labels := make(map[string]string, len(r.Labels))
		for _, k := range slices.Sorted(maps.Keys(r.Labels)) {
			labels[hide(k)] = hide(r.Labels[k])
		}
		r.Labels = labels
	}
	return c
}

// redactOrderAttention does the same for what people should look at in one watch.
func redactOrderAttention(a watcher.OrderAttention, secrets []string) watcher.OrderAttention {
	c := redact(watcher.Completion{Report: a.Report, Error: a.Error}, secrets)
	a.Report, a.Error = c.Report, c.Error
	return a
}

// hideAll is for texts of the cloud, but for names.
func hideAll(hide func(string) string, text string) string { return Redact(hide(text)) }

// remembered returns the function, made to look at each text once: items fail for the same few causes.
func remembered(hide func(string) string) func(string) string {
	known := make(map[string]string)
	return func(text string) string {
		shown, ok := known[text]
		if !ok {
			shown = hide(text)
			known[text] = shown
		}
		return shown
	}
}

// redactAttention does the same for an attention.
func redactAttention(a watcher.Attention, secrets []string) watcher.Attention {
	hide := hider(secrets)
	for _, s := range []*string{&a.Account, &a.Region, &a.ProjectID} {
		*s = hide(*s)
	}
	a.Reason = hideAll(hide, a.Reason)
	return a
}

// hider returns what replaces every secret in a text.
func hider(secrets []string) func(string) string {
	secrets = slices.DeleteFunc(slices.Clone(secrets), func(s string) bool { return s == "" })
	slices.SortStableFunc(secrets, func(a, b string) int { return len(b) - len(a) }) // one may begin another
	return func(text string) string {
		if !slices.ContainsFunc(secrets, func(s string) bool { return strings.Contains(text, s) }) {
			return text
		}
		return hideEach(text, secrets)
	}
}

// hideEach goes from one secret in the text to the next, and takes the first of those that begin at one
// place. Each secret is looked for once from the start to the end: a strings.Replacer tries them at every
// place, and takes long over a long secret that is much like the text.
func hideEach(text string, secrets []string) string {
	var b strings.Builder
	next := make([]int, len(secrets)) // where each begins, not before done; len(text) for nowhere
	for i, s := range secrets {
		next[i] = indexFrom(text, s, 0)
	}
	for done := 0; ; {
		i := firstOf(next)
		if next[i] == len(text) {
			b.WriteString(text[done:])
			return b.String()
		}
		b.WriteString(text[done:next[i]])
		b.WriteString(hiddenSecret)
		done = next[i] + len(secrets[i])
		for i, s := range secrets {
			if next[i] < done {
				next[i] = indexFrom(text, s, done)
			}
		}
	}
}

// firstOf returns the index of the first of the smallest numbers.
func firstOf(numbers []int) int {
	least := 0
	for i, n := range numbers {
		if n < numbers[least] {
			least = i
		}
	}
	return least
}

// indexFrom returns where s begins in the text, not before a place; the text's length for nowhere.
func indexFrom(text, s string, from int) int {
	if i := strings.Index(text[from:], s); i >= 0 {
		return from + i
	}
	return len(text)
}
