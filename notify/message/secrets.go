package message

import (
	"maps"
	"slices"

	"github.com/orderwatch/orderwatch/notify/redact"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/foreign"
)

// withoutSecrets returns the completion with every secret replaced: in every text those that are configured
// ([foreign.Secrets]), and in the cloud's texts, names aside, those that look like some ([redact.Text]). It comes
// before all cutting: half a secret is not found any more.
func withoutSecrets(c watcher.Completion, secrets *foreign.Secrets) watcher.Completion {
	hide := secrets.Hide
	hideAll := remembered(func(text string) string { return hideAll(secrets, text) })
	c.NextWatchID = hide(c.NextWatchID)
	c.WatchID, c.Region, c.ProjectID, c.OrderName, c.Reason = hide(c.WatchID), hide(c.Region), hide(c.ProjectID), hide(c.OrderName), hide(c.Reason)
	if c.Outcome == watcher.Cancelled { // who cancelled is perhaps an address
		c.Reason = redact.TextButAddresses(c.Reason)
	} else {
		c.Reason = redact.Text(c.Reason)
	}
	if c.Error != nil {
		c.Error = &watcher.ErrorDetail{Code: hide(c.Error.Code), Message: hideAll(c.Error.Message), Said: hideAll(c.Error.Said), Held: c.Error.Held}
	}
	c.Actions = slices.Clone(c.Actions)
	for i := range c.Actions {
		c.Actions[i].Action = hideAll(c.Actions[i].Action)
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
		r.ID, r.Team, r.RequestedBy, r.Link = hide(r.ID), hide(r.Team), hide(r.RequestedBy), hide(r.Link)
		labels := make(map[string]string, len(r.Labels))
		for _, k := range slices.Sorted(maps.Keys(r.Labels)) {
			labels[hide(k)] = hide(r.Labels[k])
		}
		r.Labels = labels
	}
	return c
}

// redactOrderAttention does the same for what people should look at in one watch.
func redactOrderAttention(a watcher.OrderAttention, secrets *foreign.Secrets) watcher.OrderAttention {
	c := withoutSecrets(watcher.Completion{Report: a.Report, Error: a.Error}, secrets)
	a.Report, a.Error = c.Report, c.Error
	return a
}

// hideAll is for texts of the cloud, but for names.
func hideAll(secrets *foreign.Secrets, text string) string { return redact.Text(secrets.Hide(text)) }

// remembered returns the function, made to look at each text once: items fail for the same few causes.
func remembered(change func(string) string) func(string) string {
	all := make(map[string]string)
	return func(text string) string {
		changed, ok := all[text]
		if !ok {
			changed = change(text)
			all[text] = changed
		}
		return changed
	}
}

// redactAttention does the same for an attention.
func redactAttention(a watcher.Attention, secrets *foreign.Secrets) watcher.Attention {
	hide := secrets.Hide
	a.Account, a.Region, a.ProjectID, a.Reason = hide(a.Account), hide(a.Region), hide(a.ProjectID), hideAll(secrets, a.Reason)
	return a
}

// HideSecrets returns what hides these secrets in messages: "[secret]" stands for each.
func HideSecrets(secrets ...string) *foreign.Secrets {
	return foreign.NewSecrets("[secret]", secrets...)
}
