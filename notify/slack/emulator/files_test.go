package emulator_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/orderwatch/orderwatch/notify/slack/emulator"
)

type uploadAnswer struct {
	URL string `json:"upload_url"`
	ID  string `json:"file_id"`
}

// begin asks for an address for the file.
func (b *bench) begin(name, length string) (uploadAnswer, string) {
	b.Helper()
	r, err := http.PostForm(b.url+"/api/files.getUploadURLExternal", url.Values{"token": {token}, "filename": {name}, "length": {length}})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Body.Close()
	var a struct {
		uploadAnswer
		answer
	}
	if err := json.NewDecoder(r.Body).Decode(&a); err != nil {
		b.Fatal(err)
	}
	return a.uploadAnswer, a.Error
}

// send sends the bytes, and returns the status.
func (b *bench) send(to, content string) int {
	b.Helper()
	r, err := http.Post(to, "application/octet-stream", strings.NewReader(content))
	if err != nil {
		b.Fatal(err)
	}
	defer r.Body.Close()
	io.Copy(io.Discard, r.Body)
	return r.StatusCode
}

func (b *bench) complete(id, channel, thread string) answer {
	b.Helper()
	_, a := b.post("files.completeUploadExternal", url.Values{
		"files": {fmt.Sprintf(`[{"id":%q,"title":"All of it"}]`, id)}, "channel_id": {channel}, "thread_ts": {thread}, "initial_comment": {"look"},
	})
	return a
}

// A file is uploaded in three steps, stands in the thread, and is deleted with its message.
func TestFiles(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Options{})
	b.slack.AddToken(token, "chat:write", "channels:history", "files:write")
	_, root := b.post("chat.postMessage", url.Values{"channel": {"C1"}, "text": {"root"}})
	to, code := b.begin("a.csv", "3")
	if code != "" || b.complete(to.ID, "C1", root.TS).Error != "file_not_found" {
		t.Fatalf("%s; shared without its bytes", code)
	}
	if status := b.send(to.URL, "abcd"); status != http.StatusBadRequest {
		t.Errorf("another length: %d", status)
	}
	if status := b.send(to.URL, "abc"); status != http.StatusOK {
		t.Errorf("the bytes: %d", status)
	}
	for channel, want := range map[string]string{"C9": "channel_not_found"} {
		if got := b.complete(to.ID, channel, "").Error; got != want {
			t.Errorf("shared in %s: %q", channel, got)
		}
	}
	if got := b.complete(to.ID, "C1", "1.2").Error; got != "cannot_reply_to_message" {
		t.Errorf("shared in no thread: %q", got)
	}
	if got := b.complete(to.ID, "C1", root.TS); !got.OK || got.TS != "" {
		t.Errorf("shared: %+v", got)
	}
	if got := b.complete(to.ID, "C1", root.TS).Error; got != "file_not_found" {
		t.Errorf("shared twice: %q", got)
	}
	m := b.slack.Messages("C1")
	if len(m) != 2 || m[1].ThreadTS != root.TS || string(m[1].Files[0].Content) != "abc" || m[1].Files[0].Name != "a.csv" {
		t.Fatalf("%+v", m)
	}
	if shown := emulator.Render(m[1]); shown != "look\n📎 All of it (a.csv, 3 bytes)\n" {
		t.Errorf("shown as %q", shown)
	}
	r, err := http.PostForm(b.url+"/api/conversations.replies", url.Values{"token": {token}, "channel": {"C1"}, "ts": {root.TS}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if thread, _ := io.ReadAll(r.Body); !strings.Contains(string(thread), `"files":[{"id":"`+to.ID+`","name":"a.csv","title":"All of it","size":3}]`) {
		t.Errorf("the thread is %s", thread)
	}
	if _, a := b.post("files.delete", url.Values{"file": {to.ID}}); !a.OK || len(b.slack.Messages("C1")) != 1 {
		t.Errorf("deleted: %+v, %d messages", a, len(b.slack.Messages("C1")))
	}
	if _, a := b.post("files.delete", url.Values{"file": {to.ID}}); a.Error != "file_not_found" {
		t.Errorf("deleted twice: %+v", a)
	}
}

// What is wrong about a file is refused.
func TestFilesRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Options{})
	if _, code := b.begin("a.csv", "3"); code != "missing_scope" {
		t.Errorf("without the scope: %q", code)
	}
	b.slack.AddToken(token, "files:write")
	for _, tc := range []struct{ name, length, want string }{
		{"", "3", "invalid_arguments"}, {"a", "0", "invalid_arguments"}, {"a", "many", "invalid_arguments"}, {"a", "99999999999", "file_upload_size_restricted"},
	} {
		if _, code := b.begin(tc.name, tc.length); code != tc.want {
			t.Errorf("%q of %s bytes: %q; want %q", tc.name, tc.length, code, tc.want)
		}
	}
	if status := b.send(b.url+"/upload/F1", "abc"); status != http.StatusNotFound {
		t.Errorf("an address that was not given: %d", status)
	}
}

// A script's fault may share the file all the same.
func TestFilesFaults(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Options{})
	b.slack.AddToken(token, "files:write")
	b.slack.Script(emulator.Pass, emulator.Pass, emulator.AcceptAnd500, emulator.TooMany("5"))
	to, _ := b.begin("a.csv", "3")
	b.send(to.URL, "abc")
	r, err := http.PostForm(b.url+"/api/files.completeUploadExternal", url.Values{"token": {token}, "files": {`[{"id":"` + to.ID + `"}]`}, "channel_id": {"C1"}})
	if err != nil || r.StatusCode != http.StatusInternalServerError || len(b.slack.Messages("C1")) != 1 {
		t.Errorf("%v, %d messages", err, len(b.slack.Messages("C1")))
	}
	r.Body.Close()
	r, err = http.PostForm(b.url+"/api/files.completeUploadExternal", url.Values{"token": {token}, "files": {`[{"id":"F0"}]`}, "channel_id": {"C1"}})
	if err != nil || r.StatusCode != http.StatusTooManyRequests {
		t.Errorf("%v", err)
	}
	r.Body.Close()
	if b.complete("F0", "C1", ""); b.slack.PenaltyCalls() != 1 {
		t.Errorf("%d calls during the penalty", b.slack.PenaltyCalls())
	}
}
