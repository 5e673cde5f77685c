package message_test

import (
	"cmp"
	"testing"

	"github.com/orderwatch/orderwatch/notify/slack/slacktest"
)

// Every message under testdata, as it is stored there, is one that Slack takes.
func TestGoldensAreBlockKit(t *testing.T) {
	t.Parallel()
	mentions := map[string]string{"partially_failed.json": "S0PLATFORM", "failed.json": "U012AB3CD"}
	for path, raw := range slacktest.Goldens(t, 30) {
		k := slacktest.Kit{Text: "as in the text golden", Blocks: raw, Mention: cmp.Or(mentions[path], "here")}
		for _, fault := range slacktest.Faults(k) {
			t.Errorf("%s: %s", path, fault)
		}
	}
}
