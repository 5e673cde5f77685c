package redact

import (
	"slices"
	"strings"
)

// userinfo looks at what follows "://", and returns where to go on.
func (s *scan) userinfo(i int) int {
	t := s.text
	if s.at < i {
		s.at = len(t)
		if at := strings.IndexByte(t[i:], '@'); at >= 0 {
			s.at = i + at
		}
	}
	if s.at >= i+maxUserinfo { // or there is none
		return i
	}
	u := t[i:min(i+maxUserinfo, len(t))]
	if end := strings.IndexAny(u, " \t\r\n\"'`<>"); end >= 0 {
		u = u[:end]
	}
	authority := u
	if end := strings.IndexAny(u, "/?#"); end >= 0 {
		authority = u[:end]
	}
	host := strings.LastIndexByte(authority, '@')
	user, password, both := strings.Cut(authority, ":")
	if host < 0 && both && strings.Trim(password, "0123456789") != "" && !strings.HasPrefix(u, "[") {
		host = strings.LastIndexByte(u, '@') // the password is not escaped, and has a slash
	}
	switch {
	case host < 0, strings.HasPrefix(u[host+1:], "sha256:"), labelAt(u[len(user):]) != "":
		return i
	case both && len(user) < host && labelAt(u[len(user)+1:]) == "":
		if len(user)+1 == host {
			return i + host
		}
		return s.hide(i+len(user)+1, i+host, hiddenPassword)
	}
	if from, to := oneToken(t[:i+host], i, token); to-from >= 20 {
		return s.hide(from, to, hiddenToken)
	}
	return i
}

// maxUserinfo is how far after "://" a password is looked for, in bytes.
const maxUserinfo = 512

// Longest parts of an e-mail address, in bytes (RFC 5321).
const (
	maxLocal  = 64
	maxDomain = 255
)

// address looks at an @ of so many bytes, and returns where to go on.
func (s *scan) address(i, length int) int {
	t := s.text
	from := i
	for from > max(s.done, i-maxLocal) && (classes[t[from-1]]&alnum != 0 || strings.IndexByte("._+-'", t[from-1]) >= 0) {
		from--
	}
	to := i + length + domainLength(t[i+length:min(i+length+maxDomain, len(t))])
	switch {
	case !s.addresses, from == i, to == i+length:
	case strings.HasSuffix(t[:from], "://"): // a user of a host
	case t[from:i] == "git" && strings.HasPrefix(t[to:], ":"): // a repository
	default:
		return s.hide(from, to, hiddenAddress)
	}
	return i + length
}

// domainLength returns how much of the text is a domain in which somebody may have an address, 0 for none.
func domainLength(t string) int {
	end := 0
	for end < len(t) && (classes[t[end]]&alnum != 0 || t[end] == '-' || t[end] == '.') {
		end++
	}
	t = strings.TrimRight(t[:end], "-.")
	dot := strings.LastIndexByte(t, '.')
	top := strings.ToLower(t[dot+1:])
	if dot < 1 || len(top) < 2 || slices.Contains(notDomains, top) {
		return 0
	}
	if _, seen := runOf(top, 0, alnum); seen&digit != 0 {
		return 0
	}
	return len(t)
}

// notDomains end names with an @ that are no addresses: of systemd's units, and of hosts without a domain.
var notDomains = []string{"service", "socket", "timer", "mount", "slice", "scope", "target", "device", "local", "localdomain", "novalocal", "internal"}
