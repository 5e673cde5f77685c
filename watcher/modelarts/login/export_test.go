package login

// Projects returns of how many projects tokens are kept.
func (p *Password) Projects() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.tokens)
}
