package slack_test

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/orderwatch/orderwatch/notify/slack"
	"github.com/orderwatch/orderwatch/notify/slack/emulator"
)

// TestAnswers plays each row of ANSWERS.md over HTTP.
func TestAnswers(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("ANSWERS.md")
	if err != nil {
		t.Fatal(err)
	}
	byCode, rest, _ := strings.Cut(string(text), "## By body")
	byBody, byStatus, _ := strings.Cut(rest, "## By status")
	p := newPlayer(t)
	codes := map[slack.Class]string{}
	for _, row := range rows(byCode) {
		class, more, _ := strings.Cut(row[0], ", ")
		for code := range strings.FieldsSeq(strings.ReplaceAll(row[3], "`", "")) {
			codes[slack.Class(class)] += " " + code
			said, _ := json.Marshal(map[string]any{"ok": false, "error": code})
			for _, webhook := range []bool{false, true} {
				for _, status := range []int{200, 403} {
					e := p.play(webhook, status, string(said))
					p.want(e, row[1], class, code, "%s with status %d, webhook: %t", said, status, webhook)
					if e != nil && (e.Lasts() != (more == "lasts") || e.OfMetadata() != (more == "metadata")) {
						t.Errorf("%s: lasts %t, of metadata %t", code, e.Lasts(), e.OfMetadata())
					}
				}
			}
			if class != string(slack.UnknownCode) || strings.Contains(code, "_") { // another word may be anybody's
				p.want(p.play(true, 200, code), row[1], class, code, "%s of a webhook", code)
			}
		}
	}
	for class, want := range slackCodes {
		for code := range strings.FieldsSeq(want) {
			if !strings.Contains(codes[class]+" ", " "+code+" ") {
				t.Errorf("%s stands nowhere among those of class %s", code, class)
			}
		}
	}
	for _, row := range rows(byBody) {
		status, body, _ := strings.Cut(row[1], " ")
		n, _ := strconv.Atoi(status)
		p.want(p.play(row[0] == "webhook", n, strings.Trim(body, "`")), row[2], row[3], row[4], "%s: %s", row[0], row[1])
	}
	seen := map[int]bool{200: true}
	for _, row := range rows(byStatus) {
		accepted, ofWebhook, differs := strings.Cut(row[1], "; of a webhook ")
		class, classOfWebhook, _ := strings.Cut(row[2], "; of a webhook ")
		for _, status := range statuses(row[0]) {
			if seen[status] {
				t.Errorf("%d stands twice", status)
			}
			seen[status] = true
			code := "status_" + strconv.Itoa(status)
			p.want(p.play(false, status, "<html>something</html>"), accepted, class, code, "%d", status)
			if differs {
				accepted, class, code = ofWebhook, classOfWebhook, "no_ok"
			}
			p.want(p.play(true, status, "<html>something</html>"), accepted, class, code, "%d of a webhook", status)
			accepted, _, _ = strings.Cut(row[1], "; of a webhook ")
			class, _, _ = strings.Cut(row[2], "; of a webhook ")
		}
	}
	for status := 200; status < 600; status++ {
		if !seen[status] {
			t.Errorf("%d stands nowhere", status)
		}
	}
}

// A player posts to an emulator that answers as it is told.
type player struct {
	*testing.T
	emulator *emulator.Server
	client   *slack.Client
	webhook  *slack.Webhook
}

func newPlayer(t *testing.T) player {
	t.Helper()
	workspace := emulator.New(emulator.Options{})
	server := httptest.NewServer(workspace)
	t.Cleanup(server.Close)
	c, err := slack.New(slack.Config{Token: "xoxb-planted", APIURL: server.URL + "/api/"})
	w, errWebhook := slack.NewWebhook(server.URL+"/services/planted", slack.Config{})
	if err != nil || errWebhook != nil {
		t.Fatal(err, errWebhook)
	}
	return player{t, workspace, c, w}
}

// play posts a message, which meets the answer.
func (p player) play(webhook bool, status int, body string) *slack.Error {
	p.emulator.Script(emulator.Fault{Status: status, Body: body})
	if webhook {
		_, err := p.webhook.Post(p.Context(), slack.Post{Text: "x"})
		return slack.Classify(err)
	}
	_, err := p.client.Post(p.Context(), slack.Post{Channel: "C0A", Text: "x"})
	return slack.Classify(err)
}

func (p player) want(e *slack.Error, accepted, class, code, format string, args ...any) {
	p.Helper()
	if e == nil {
		e = &slack.Error{}
	}
	got := "refused"
	switch e.Class {
	case "":
		got = "accepted"
	case slack.Ambiguous:
		got = "not known"
	}
	if got != accepted || string(e.Class) != class || e.Code != code || strings.Contains(e.Error(), "planted") {
		p.Errorf(format+": %s, %s %s (%v), want %s, %s %s", append(args, got, e.Class, e.Code, e, accepted, class, code)...)
	}
}

// rows returns the cells of the rows of the tables in a text, without their heads.
func rows(text string) (all [][]string) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "| ") {
			continue
		}
		var cells []string
		for cell := range strings.SplitSeq(strings.Trim(line, "|"), "|") {
			cells = append(cells, strings.TrimSpace(cell))
		}
		all = append(all, cells)
	}
	return all[1:]
}

var span = regexp.MustCompile(`(\d+)(?:–(\d+))?`)

// statuses returns those that a cell names.
func statuses(cell string) (all []int) {
	for _, found := range span.FindAllStringSubmatch(cell, -1) {
		first, _ := strconv.Atoi(found[1])
		last, err := strconv.Atoi(found[2])
		if err != nil {
			last = first
		}
		for status := first; status <= last; status++ {
			all = append(all, status)
		}
	}
	return all
}
