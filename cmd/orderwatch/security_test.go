package main_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/events/store"
)

var quoted = regexp.MustCompile("`([^`\n]+)`")

// TestSecurityNamed holds that what deploy/SECURITY.md names is there: variables, metrics, headers, users, and words of the
// log; and that it names all users, and all that have to do with who may do what.
func TestSecurityNamed(t *testing.T) {
	read := func(path string) string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	page, variables := read("../../deploy/SECURITY.md"), config.Table()
	rules := read("../../deploy/nats-permissions.conf") + read("../../deploy/nats-accounts.conf")
	source := ""
	for _, file := range sources(t, false) {
		source += string(file)
	}
	var users []string
	for _, match := range regexp.MustCompile(`\buser: (?:train-)?([a-z-]+)`).FindAllStringSubmatch(rules, -1) { // the teams' are alike
		if name := match[1]; !slices.Contains(users, name) && !slices.Contains(users, "gpu-"+name) {
			users = append(users, name)
		}
	}
	named := make(map[string]bool)
	for _, match := range quoted.FindAllStringSubmatch(page, -1) {
		name, _, _ := strings.Cut(match[1], "=")
		named[name] = true
		switch variable, isVariable := strings.CutPrefix(name, config.Prefix); {
		case isVariable && !regexp.MustCompile(`(?m)^`+variable+`(\[_FILE\])?\s`).MatchString(variables):
			t.Errorf("there is no variable %s", name)
		case strings.HasPrefix(name, "orderwatch_") && !strings.Contains(source, `"`+name+`"`):
			t.Errorf("there is no metric %s", name)
		case strings.HasPrefix(name, "Orderwatch-") && name != store.KeyHeader && name != store.RecordHeader:
			t.Errorf("there is no header %s", name)
		case regexp.MustCompile(`^(gpu-)?[a-z]+$`).MatchString(name) && !slices.Contains(append([]string{"authorization", "permissions", "deny", "slack", "history"}, "by"), name) && !slices.Contains(users, name):
			t.Errorf("there is no user %s", name)
		}
	}
	for _, name := range append(users, "ORDERWATCH_EMBEDDED_NATS_REQUESTER_USER", "ORDERWATCH_ALLOW_INSECURE", "ORDERWATCH_INBOX_PREFIXES", "ORDERWATCH_PROVISION", "ORDERWATCH_TEAMS_FILE", store.KeyHeader, store.RecordHeader) {
		if !named[name] {
			t.Errorf("SECURITY.md does not name %s", name)
		}
	}
	if said := "refused what no worker wrote"; !strings.Contains(page, said) || !strings.Contains(source, said) {
		t.Errorf("the log or SECURITY.md does not say %q", said)
	}
	if len(users) != 11 {
		t.Errorf("the users are %q", users)
	}
}
