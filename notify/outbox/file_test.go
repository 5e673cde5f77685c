package outbox_test

import (
	"encoding/csv"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/notify/slack"
	"github.com/orderwatch/orderwatch/notify/slack/emulator"
	"github.com/orderwatch/orderwatch/watcher"
)

// fileBench is a bench whose bot may upload files and read histories.
func fileBench(t *testing.T) *bench {
	b := newBench(t)
	b.slack.AddToken(token, "chat:write", "channels:history", slack.ScopeFiles)
	return b
}

// files returns the files in the channel, each of them in the message's thread.
func (b *bench) files(channel string) (files []emulator.File) {
	b.Helper()
	root := ""
	for _, m := range b.slack.Messages(channel) {
		if root == "" {
			root = m.TS
		}
		if len(m.Files) > 0 && m.ThreadTS != root {
			b.Errorf("a file stands outside of the thread")
		}
		files = append(files, m.Files...)
	}
	return files
}

// rows reads a CSV, without its first row.
func rows(t *testing.T, content []byte) [][]string {
	t.Helper()
	all, err := csv.NewReader(strings.NewReader(string(content))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(all[0], ","); got != "resource_name,action,status,began_at,updated_at,message" {
		t.Errorf("the columns are %s", got)
	}
	return all[1:]
}

// Whatever becomes of a step of the upload, the file stands once; where Slack does not take it, a reply
// stands in its place.
func TestFileOnceAfterEachFault(t *testing.T) {
	t.Parallel()
	const first, second, third = 1, 2, 3 // calls before: the message
	for name, tc := range map[string]struct {
		at    int
		fault emulator.Fault
		files int
	}{
		"no address":                   {first, emulator.Unavailable, 1},
		"an empty answer":              {first, emulator.EmptyObject, 1},
		"throttled":                    {first, emulator.TooMany("7"), 1},
		"uploads are off":              {first, emulator.Refuse("file_uploads_disabled"), 0},
		"the scope was taken away":     {first, emulator.Refuse("missing_scope"), 0},
		"the bytes do not arrive":      {second, emulator.Unavailable, 1},
		"the connection breaks":        {second, emulator.Fault{Drop: true}, 1},
		"not shared":                   {third, emulator.Unavailable, 1},
		"shared, no answer":            {third, emulator.AcceptAndDrop, 1},
		"shared, then 500":             {third, emulator.AcceptAnd500, 1},
		"shared, the answer cut":       {third, emulator.AcceptAndCut, 1},
		"sharing throttled":            {third, emulator.TooMany(""), 1},
		"an empty answer to sharing":   {third, emulator.EmptyObject, 1},
		"the upload is forgotten":      {third, emulator.Refuse("file_not_found"), 1},
		"a code that nobody knows yet": {third, emulator.Refuse("brand_new_error"), 0},
		"sharing is blocked":           {third, emulator.Refuse("slack_connect_file_upload_sharing_blocked"), 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := fileBench(t)
			b.slack.Script(append(repeat(emulator.Pass, tc.at), tc.fault)...)
			b.settle(filing(2000, 100))
			m := b.want("C0ONCALL", 2)
			if got := len(b.files("C0ONCALL")); got != tc.files {
				t.Fatalf("%d files; want %d\n%s", got, tc.files, b.log)
			}
			if instead := "since Slack did not take it: see the completion event of watch"; tc.files == 0 && !strings.Contains(m[1].Text, instead) {
				t.Errorf("in place of the file stands %q", m[1].Text)
			}
			if n := b.notifier.PossibleDuplicates(); n != 0 {
				t.Errorf("%d possible duplicates", n)
			}
		})
	}
}

// Where the address for uploads is not reachable, which is another than the API's, a reply stands in
// place of the file, and other messages do not wait for it.
func TestFileGivenUpWhereUploadsAreBlocked(t *testing.T) {
	t.Parallel()
	b := fileBench(t)
	blocked := emulator.Fault{Status: 403, Body: "blocked by the proxy"}
	b.slack.Script(append(repeat(emulator.Pass, 2), blocked)...)
	c := filing(2000, 100)
	if d := b.notify(c); d == 0 {
		t.Fatal("not put back")
	}
	other := order(watcher.Succeeded, 1)
	other.WatchID = "w_other"
	b.settle(other)
	for range 5 {
		b.slack.Script(emulator.Pass, blocked)
	}
	delays := b.settle(c)
	if m := b.want("C0ONCALL", 3); len(b.files("C0ONCALL")) > 0 || !strings.Contains(m[2].Text, "is not here") {
		t.Errorf("after %v stands %q", delays, m[2].Text)
	}
}

// Two workers that both uploaded leave one file: the second deletes what it finds twice.
func TestFileDoubleIsDeleted(t *testing.T) {
	t.Parallel()
	b := fileBench(t)
	b.slack.Script(append(repeat(emulator.Pass, 3), emulator.AcceptAndDrop)...)
	c := filing(2000, 100)
	if d := b.notify(c); d == 0 {
		t.Fatal("not put back")
	}
	root := b.slack.Messages("C0ONCALL")[0]
	b.share("orderwatch-"+c.WatchID+".csv", "C0ONCALL", root.TS)
	if n := len(b.files("C0ONCALL")); n != 2 {
		t.Fatalf("%d files before it is settled", n)
	}
	b.clock.Sleep(t.Context(), time.Minute)
	b.settle(c)
	b.want("C0ONCALL", 2)
	if n := len(b.files("C0ONCALL")); n != 1 {
		t.Errorf("%d files", n)
	}
}

// share puts another file of this name into a thread, as another worker would.
func (b *bench) share(name, channel, thread string) {
	b.Helper()
	call := func(method string, values url.Values) (answer struct {
		OK  bool
		URL string `json:"upload_url"`
		ID  string `json:"file_id"`
	}) {
		values.Set("token", token)
		r, err := http.PostForm(b.url+"/api/"+method, values)
		if err != nil {
			b.Fatal(err)
		}
		defer r.Body.Close()
		if err := json.NewDecoder(r.Body).Decode(&answer); err != nil || !answer.OK {
			b.Fatalf("%s: %v", method, err)
		}
		return answer
	}
	to := call("files.getUploadURLExternal", url.Values{"filename": {name}, "length": {"3"}})
	r, err := http.Post(to.URL, "application/octet-stream", strings.NewReader("a,b"))
	if err != nil || r.StatusCode != http.StatusOK {
		b.Fatal("the bytes did not arrive", err)
	}
	r.Body.Close()
	call("files.completeUploadExternal", url.Values{"files": {`[{"id":"` + to.ID + `"}]`}, "channel_id": {channel}, "thread_ts": {thread}})
}

// Without the scope, and by a webhook, the message refers to the completion event.
func TestFileNeedsItsScope(t *testing.T) {
	t.Parallel()
	c := filing(2000, 100)
	for name, b := range map[string]*bench{
		"no scope": newBench(t),
		"a webhook": newBench(t, func(c *config) {
			c.Token, c.Channel, c.WebhookURL = "", "", strings.TrimSuffix(c.APIURL, "/api/")+"/services/T0/B0/planted"
		}),
	} {
		b.slack.AddWebhook("/services/T0/B0/planted", "C0ONCALL")
		b.settle(c)
		m := b.slack.Messages("C0ONCALL")
		if shown := emulator.Render(m[0]); !strings.Contains(shown, "see the completion event of watch "+c.WatchID) || strings.Contains(shown, "CSV") {
			t.Errorf("%s: the message shows\n%s", name, shown)
		}
		if len(b.files("C0ONCALL")) > 0 || strings.Count(b.log.String(), "give it the scope files:write") > 1 {
			t.Errorf("%s:\n%s", name, b.log)
		}
	}
}

// What is no longer listed, or in another's place, says so in the file; what is taken for deleted counts as
// succeeded and is not in it.
func TestFileMarksWhatIsNotListed(t *testing.T) {
	t.Parallel()
	b := fileBench(t)
	c := filing(2000, 100)
	c.Outcome = watcher.TimedOut
	c.Items[0].MissingSince = unlistedSince
	open := func(name string) watcher.Item {
		return watcher.Item{ResourceName: name, Action: "createNode", Status: watcher.Processing}
	}
	missing, instead, deleted := open("missing"), open("instead"), open("deleted")
	missing.MissingSince, instead.Replaces = unlistedSince, "=before"
	deleted.MissingSince, deleted.TakenFor = unlistedSince, watcher.TakenForDeleted
	c.Items = append(c.Items, missing, instead, deleted)
	c.Counts = watcher.Counts{Total: 2003, Failed: 2000, Processing: 2, Succeeded: 1, Missing: 3}
	b.settle(c)
	found := make(map[string]string)
	for _, row := range rows(t, b.files("C0ONCALL")[0].Content) {
		found[row[0]] = row[5]
	}
	const since = "no longer listed since 2025-04-10 12:03:05 UTC"
	if len(found) != 2002 || found[c.Items[0].ResourceName] != since+"; "+c.Items[0].Message || found["missing"] != since || found["instead"] != "in place of =before" {
		t.Errorf("%d rows; %q, %q, %q", len(found), found[c.Items[0].ResourceName], found["missing"], found["instead"])
	}
}

// Every failed item of a large order is found: in the file once, and what the message and its replies
// show is true.
func TestFileHoldsEveryFailedItem(t *testing.T) {
	t.Parallel()
	b := fileBench(t)
	c := filing(5000, 300)
	b.settle(c)
	m := b.want("C0ONCALL", 2) // the file alone is in the thread
	if shown := emulator.Render(m[0]); !strings.Contains(shown, "all failed items are in the CSV file there") {
		t.Errorf("the message says not where the items are:\n%s", shown)
	}
	files := b.files("C0ONCALL")
	if len(files) != 1 || files[0].Name != "orderwatch-"+c.WatchID+".csv" || files[0].Title != "Failed items of "+c.OrderName {
		t.Fatalf("files %+v", files)
	}
	found := make(map[string]int)
	for _, row := range rows(t, files[0].Content) {
		found[row[0]+" "+row[5]]++
		if row[1] != "createNode" || row[2] != "failed" || row[3] == "" {
			t.Fatalf("row %q", row)
		}
	}
	if len(found) != 5000 {
		t.Errorf("%d items in the file", len(found))
	}
	for _, f := range c.Failures {
		for _, name := range f.ResourceNames {
			if found[name+" "+f.Message] != 1 {
				t.Fatalf("%s is %d times in the file", name, found[name+" "+f.Message])
			}
		}
	}
	b.settle(c) // redelivered
	b.want("C0ONCALL", 2)
}
