package outbox_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/notify/slack/slacktest"
)

// A wire keeps every call of Slack as it was sent, and its answer.
type wire struct {
	mu    sync.Mutex
	calls []sent
}

// A sent is one call. Its values are the form's, or of a webhook or an upload the body alone.
type sent struct {
	method string
	values url.Values
	body   string
	status int
	answer string
}

// writes are the calls that people see something of.
var writes = []string{"/api/chat.postMessage", "/api/chat.update", "/api/files.completeUploadExternal"}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	answer.Body.Close()
	answer.Body = io.NopCloser(bytes.NewReader(text))
	call := sent{method: r.URL.Path, body: string(body), status: answer.StatusCode, answer: string(text)}
	if strings.HasPrefix(r.URL.Path, "/api/") {
		if call.values, err = url.ParseQuery(call.body); err != nil {
			return nil, err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = append(w.calls, call)
	return answer, nil
}

func (w *wire) sent() []sent {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.calls)
}

// kit returns the message that the call posts, and whether it posts one.
func (s sent) kit(mention string) (k slacktest.Kit, ok bool) {
	switch {
	case s.method == "/api/files.completeUploadExternal":
		return slacktest.Kit{Text: s.values.Get("initial_comment"), Mention: mention}, true
	case slices.Contains(writes, s.method):
		return slacktest.Kit{Text: s.values.Get("text"), Blocks: []byte(s.values.Get("blocks")), Metadata: []byte(s.values.Get("metadata")), Mention: mention}, true
	case strings.HasPrefix(s.method, "/services/"):
		var hook struct {
			Text   string          `json:"text"`
			Blocks json.RawMessage `json:"blocks"`
		}
		err := slacktest.StrictJSON([]byte(s.body), &hook)
		return slacktest.Kit{Text: hook.Text, Blocks: hook.Blocks, Mention: mention}, err == nil
	}
	return slacktest.Kit{}, false
}

// faults returns what is wrong with the call: it lets Slack find mentions or unfurl links, or its
// message is not as it must be.
func (s sent) faults(mention string) (faults []string) {
	k, posts := s.kit(mention)
	if !posts {
		return faults
	}
	if s.values.Has("parse") && s.values.Get("parse") != "none" || s.values.Has("link_names") || strings.Contains(s.body, `"link_names"`) {
		faults = append(faults, "Slack is to look for mentions in the text")
	}
	if s.method == "/api/chat.postMessage" && (s.values.Get("unfurl_links") != "false" || s.values.Get("unfurl_media") != "false") {
		faults = append(faults, "links are unfurled")
	}
	return append(faults, slacktest.Faults(k)...)
}

func taken(s sent) bool {
	if !strings.HasPrefix(s.method, "/api/") {
		return s.status == http.StatusOK
	}
	return s.status == http.StatusOK && strings.HasPrefix(s.answer, `{`) && strings.Contains(s.answer, `"ok":true`)
}

// texts returns every text of the call, those in JSON decoded.
func (s sent) texts() []string {
	texts := []string{s.body}
	add := func(text string) {
		var value any
		if json.Unmarshal([]byte(text), &value) == nil {
			slacktest.EachString(value, func(key, s string) { texts = append(texts, key, s) })
		}
		texts = append(texts, text)
	}
	add(s.body)
	for key := range s.values {
		if key != "token" {
			add(s.values.Get(key))
		}
	}
	return texts
}

// tap returns the configuration with the wire in place of the usual client.
func (w *wire) tap(c config) config {
	c.HTTPClient = &http.Client{Transport: w, Timeout: 10 * time.Second}
	return c
}

// check faults every call so far, and each that was refused where none may be.
func (w *wire) check(t *testing.T, mention string, refused bool) {
	t.Helper()
	for i, s := range w.sent() {
		if !refused && !taken(s) {
			t.Errorf("call %d, %s: answered %s", i+1, s.method, s.answer)
		}
		for _, fault := range s.faults(mention) {
			t.Errorf("call %d, %s: %.400s", i+1, s.method, fault)
		}
	}
}
