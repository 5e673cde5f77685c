package routes

import (
	"fmt"
	"regexp"
)

var mentioned = regexp.MustCompile(`^(here|[UWS][A-Z0-9]{2,30})$`)

// CheckMention returns an error where the text is neither empty nor something to mention.
func CheckMention(s string) error {
	if s == "" || mentioned.MatchString(s) {
		return nil
	}
	return fmt.Errorf("mention must be here, a user ID (U… or W…) or a user group ID (S…)")
}

// Mention returns Slack's code for a mention, empty where there is none.
func Mention(s string) string {
	switch {
	case !mentioned.MatchString(s):
		return ""
	case s == "here":
		return "<!here>"
	case s[0] == 'S':
		return "<!subteam^" + s + ">"
	}
	return "<@" + s + ">"
}
