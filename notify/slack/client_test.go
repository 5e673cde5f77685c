package slack_test

import (
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/notify/slack"
	"github.com/orderwatch/orderwatch/notify/slack/emulator"
)

func TestNewRefusesBadConfig(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]slack.Config{
		"a token":       {},
		"the API's URL": {Token: "xoxb-planted", APIURL: "https://slack.com/api"},
		"an http(s)":    {Token: "xoxb-planted", APIURL: "slack.com/api/"},
	} {
		if _, err := slack.New(c); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "planted") {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if _, err := slack.NewWebhook("ftp://planted", slack.Config{}); err == nil || strings.Contains(err.Error(), "planted") {
		t.Errorf("a webhook: %v", err)
	}
}

// client returns a client in front of the emulator.
func client(t *testing.T) (*slack.Client, *emulator.Server) {
	t.Helper()
	workspace := emulator.New(emulator.Options{})
	server := httptest.NewServer(workspace)
	t.Cleanup(server.Close)
	workspace.AddToken("xoxb-all", "chat:write", "channels:history", "files:write")
	workspace.AddChannel("C0A", emulator.Open)
	c, err := slack.New(slack.Config{Token: "xoxb-all", APIURL: server.URL + "/api/"})
	if err != nil {
		t.Fatal(err)
	}
	return c, workspace
}

// TestMessages holds that what is posted is found by its mark, and by its file, and can be edited and deleted.
func TestMessages(t *testing.T) {
	t.Parallel()
	c, workspace := client(t)
	mark := &slack.Mark{Message: "watch.w.C0A", Part: 0, Generation: 2}
	root, err := c.Post(t.Context(), slack.Post{Channel: "C0A", Text: "one", Mark: mark, ID: "00000000-0000-8000-8000-000000000001"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Post(t.Context(), slack.Post{Channel: "C0A", Edit: root, Text: "two", Mark: mark}); err != nil {
		t.Error(err)
	}
	if m := workspace.Messages("C0A"); len(m) != 1 || m[0].Text != "two" || !m[0].Edited {
		t.Errorf("%+v", m)
	}
	upload, err := c.Prepare(t.Context(), "items.csv", 4)
	if err == nil {
		err = c.Send(t.Context(), upload, []byte("a,b\n"))
	}
	if err == nil {
		err = c.Share(t.Context(), slack.Share{ID: upload.ID, Channel: "C0A", Thread: root, Title: "items", Text: "all items"})
	}
	if err != nil {
		t.Fatal(err)
	}
	look := slack.Look{Channel: "C0A", Since: time.Now().Add(-time.Hour), Until: time.Now().Add(time.Hour)}
	found, err := c.History(t.Context(), look)
	if err != nil || len(found) != 1 || found[0].TS != root || !reflect.DeepEqual(found[0].Mark, mark) {
		t.Errorf("in the channel: %+v, %v", found, err)
	}
	look.Thread = root
	found, err = c.History(t.Context(), look)
	if err != nil || len(found) != 2 || len(found[1].Files) != 1 || found[1].Files[0].Name != "items.csv" || found[1].Mark != nil {
		t.Fatalf("in the thread: %+v, %v", found, err)
	}
	for _, m := range slices.Backward(found) {
		if err := c.Delete(t.Context(), "C0A", m); err != nil {
			t.Error(err)
		}
	}
	if m := workspace.Messages("C0A"); len(m) > 0 {
		t.Errorf("left: %+v", m)
	}
}

// A message that shows several files goes with all of them.
func TestDeleteEveryFile(t *testing.T) {
	t.Parallel()
	c, workspace := client(t)
	root, err := c.Post(t.Context(), slack.Post{Channel: "C0A", Text: "one"})
	if err != nil {
		t.Fatal(err)
	}
	var both slack.Found
	for _, name := range []string{"a.csv", "b.csv"} {
		upload, err := c.Prepare(t.Context(), name, 1)
		if err == nil {
			err = c.Send(t.Context(), upload, []byte("x"))
		}
		if err == nil {
			err = c.Share(t.Context(), slack.Share{ID: upload.ID, Channel: "C0A", Thread: root})
		}
		if err != nil {
			t.Fatal(err)
		}
		both.Files = append(both.Files, slack.File{ID: upload.ID, Name: name})
	}
	if err := c.Delete(t.Context(), "C0A", both); err != nil {
		t.Error(err)
	}
	for _, m := range workspace.Messages("C0A") {
		if len(m.Files) > 0 {
			t.Errorf("%s is left", m.Files[0].Name)
		}
	}
}
