package outbox

// A Guard is a part of the decision about the next step. TakeOut takes it out of an outbox, which then decides as
// if next had been written without it.
type Guard struct {
	Name    string
	TakeOut func(*Outbox)
}

// Guards are the parts of next that the model cannot do without.
var Guards = []Guard{
	{"a call without a result is looked for", seeing(func(_ posting, m *memory, _ *moment) { m.looked = true })},
	{"a call that another worker announced is left alone", seeing(func(_ posting, _ *memory, at *moment) { at.timing.Stale = 0 })},
	{"an edit without a result is made once more", doing(func(p posting, m memory, w want, at moment, s step) step {
		if s.do == edit && p.unsettled(m, at) {
			s.do = reconcile
		}
		return s
	})},
	{"the replies follow the message", doing(func(p posting, m memory, w want, at moment, s step) step {
		if s.do == post && p.part(w.state) > 0 {
			s.do = done
		}
		return s
	})},
	{"what a channel finally refuses is given up", instead(giveUp, backOff)},
	{"what cannot be edited is replaced", instead(replace, giveUp)},
	{"what is too rich for Slack follows in a simpler form", instead(simplify, giveUp)},
	{"what has metadata that Slack refuses follows without", instead(strip, giveUp)},
	{"a message outlives a refused token", instead(pauseAll, giveUp)},
	{"a message outlives a channel that refuses the bot for a while", instead(slow, giveUp)},
	{"a message outlives an error that may pass", instead(backOff, giveUp)},
	{"a code that is not known is tried once as text alone", instead(plain, giveUp)},
	{"a message whose thread is refused is not posted elsewhere", instead(curtail, giveUp)},
	{"a message whose thread is refused says so", doing(func(p posting, _ memory, _ want, _ moment, s step) step {
		if s.do == edit && p.Lacks != "" {
			s.do = done
		}
		return s
	})},
	{"a message that may not say so is left", instead(leave, backOff)},
	{"a refused reply that was to wake people is posted as a message", doing(func(p posting, _ memory, w want, _ moment, s step) step {
		if s.do == replace && p.part(w.state) > 0 {
			s.do = curtail
		}
		return s
	})},
	{"a part stands where Slack says so and nobody can look", instead(believe, backOff)},
	{"what a group lists is posted nowhere else", doing(func(p posting, _ memory, _ want, _ moment, s step) step {
		if s.do == silence && p.Group != nil {
			s.do = post
		}
		return s
	})},
	{"a thread gets another root where nobody knows which the first is", instead(another, believe)},
}

// seeing decides by something else than what is.
func seeing(change func(posting, *memory, *moment)) func(*Outbox) {
	return func(s *Outbox) {
		whole := s.next
		s.next = func(p posting, m memory, w want, at moment) step {
			change(p, &m, &at)
			return whole(p, m, w, at)
		}
	}
}

// doing does another step than what was decided.
func doing(change func(posting, memory, want, moment, step) step) func(*Outbox) {
	return func(s *Outbox) {
		whole := s.next
		s.next = func(p posting, m memory, w want, at moment) step { return change(p, m, w, at, whole(p, m, w, at)) }
	}
}

// instead does one thing where another one was decided.
func instead(of, do action) func(*Outbox) {
	return doing(func(_ posting, m memory, _ want, _ moment, s step) step {
		if s.do == of {
			s.do = do
			if s.err == nil {
				s.err = m.refusal
			}
		}
		return s
	})
}
