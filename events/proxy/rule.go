package proxy

import "github.com/nats-io/nats-server/v2/server"

// An Action is what a [Rule] does with a message.
type Action int

// The actions.
const (
	Pass       Action = iota // nothing: the rule counts
	CutAfter                 // hands the message on and then closes the connection; the answer does not come through it
	Lose                     // swallows the message
	LoseAnswer               // hands the message on and swallows the answer to it
	Answer                   // answers in the server's stead; the server does not get the message
	Replace                  // hands the message on and replaces the answer to it
)

// A Rule acts on messages of one direction.
type Rule struct {
	Way     Way
	Subject string             // with wildcards, as in a subscription; the answers' subject is an inbox
	Match   func(Message) bool // what else must be so; nil: nothing
	Skip    int                // let so many pass first
	Times   int                // then act on so many; 0: on all
	Do      Action

	// Answer makes the answer, for Answer of nothing and for Replace of the server's. Only Header
	// and Payload count. It is called from many goroutines.
	Answer func(request, answer Message) Message
}

// An Active is a rule that a proxy follows.
type Active struct {
	rule  Rule
	proxy *Proxy
	seen  int
}

// Add makes the proxy follow one more rule. The first that acts on a message decides; those that
// let it pass count it all the same.
func (p *Proxy) Add(r Rule) *Active {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := &Active{rule: r, proxy: p}
	p.rules = append(p.rules, a)
	return a
}

// Seen returns how many messages the rule was for, those that it let pass among them.
func (a *Active) Seen() int {
	a.proxy.mu.Lock()
	defer a.proxy.mu.Unlock()
	return a.seen
}

// Acted returns on how many messages the rule acted.
func (a *Active) Acted() int {
	n := max(0, a.Seen()-a.rule.Skip)
	if a.rule.Times > 0 {
		n = min(n, a.rule.Times)
	}
	return n
}

// ruleFor counts the message and returns the rule that acts on it; one that lets it pass where
// there is none.
func (p *Proxy) ruleFor(w Way, m Message) Rule {
	p.mu.Lock()
	rules := p.rules
	p.mu.Unlock()
	for _, a := range rules {
		r := a.rule
		if r.Way != w || !server.SubjectMatchesFilter(m.Subject, r.Subject) || r.Match != nil && !r.Match(m) {
			continue
		}
		p.mu.Lock()
		a.seen++
		n := a.seen - r.Skip
		p.mu.Unlock()
		if r.Do != Pass && n > 0 && (r.Times == 0 || n <= r.Times) {
			return r
		}
	}
	return Rule{}
}
