package words

import "cmp"

// Asker says who asks for something: the team, which the NATS server vouches for, and who that is by the request's own
// word, which nobody vouches for. Both are fit to be shown, and either may be empty.
func Asker(team, by string) string {
	switch {
	case team == "":
		return cmp.Or(by, "somebody")
	case by == "":
		return "team " + team
	}
	return "team " + team + ", by its own word " + by
}
