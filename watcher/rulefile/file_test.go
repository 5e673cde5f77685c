package rulefile_test

import (
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/orderwatch/orderwatch/watcher/rulefile"
)

// TestOtherFiles gives files that were meant for something else: they are refused, and nothing of them is quoted.
func TestOtherFiles(t *testing.T) {
	t.Parallel()
	const secret = "xoxb-planted"
	for _, text := range []string{
		secret, secret + "\n", "token: " + secret, "- " + secret, "{" + secret + ": 1}", "&" + secret + " a: b", "*" + secret,
		"!" + secret + " a", "'" + secret, "\"" + secret, "rules: " + secret, "rules: {" + secret + ": {a: " + secret + "}}",
		"-----BEGIN NATS USER JWT-----\n" + secret + "\n------END NATS USER JWT------\n", secret + "\t: [", secret + ": |\n\tx",
		"rules: {a: 1, a: " + secret + "}", "<<: " + secret, "? [" + secret + "]\n: 1", strings.Repeat(secret, 1<<15),
	} {
		f := rulefile.New("rules.yaml")
		f.Read([]byte(text), "rules", "a list", func(value *yaml.Node) {
			f.Fields(value, "rules", "", rulefile.Key("a", func(value *yaml.Node) { f.WholeNumber(value, "a", 2, 9) }))
		})
		err := f.Err()
		if err == nil || strings.Contains(err.Error(), "planted") || !strings.HasPrefix(err.Error(), "rules.yaml:") {
			t.Errorf("%.60q: %v", text, err)
		}
	}
}
