//go:build page

package browser_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/crypto/bcrypt"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	slackemulator "github.com/orderwatch/orderwatch/notify/slack/emulator"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// channel is where Slack's stand-in lets people be told.
const channel = "C0ONCALL"

// A scene is an installation with its page: a nats-server, a worker, and the stand-ins for ModelArts and Slack.
type scene struct {
	t      *testing.T
	nats   rig.NATS
	cloud  *emulator.Emulator
	worker *rig.Process
	page   *rig.Process
	base   string // of the page, such as http://127.0.0.1:8090/x/y

	workerEnv, pageEnv []string
}

// play starts a scene whose page is below the path, which is empty or such as /x/y. The environment is added to the page's.
func play(t *testing.T, path string, environment ...string) *scene {
	t.Helper()
	s := &scene{t: t, nats: rig.StartNATS(t, ""), cloud: emulator.New(emulator.Options{})}
	modelArts := httptest.NewServer(s.cloud)
	t.Cleanup(modelArts.Close)
	slack := slackemulator.New(slackemulator.Options{})
	slack.AddToken("xoxb-test", "chat:write")
	slack.AddChannel(channel, slackemulator.Open)
	slackServer := httptest.NewServer(slack)
	t.Cleanup(slackServer.Close)

	addr := rig.FreeAddr(t)
	s.base = "http://" + addr + path
	ready := rig.FreeAddr(t)
	s.workerEnv = rig.ServeEnv(s.nats.URL, modelArts.URL, ready, "ORDERWATCH_SLACK_TOKEN=xoxb-test", "ORDERWATCH_SLACK_CHANNEL="+channel,
		"ORDERWATCH_SLACK_API_URL="+slackServer.URL+"/api/", "ORDERWATCH_PUBLIC_URL="+s.base, "ORDERWATCH_MODELARTS_NOT_FOUND_GRACE=1s")
	s.pageEnv = append([]string{"ORDERWATCH_NATS_URL=" + s.nats.URL, "ORDERWATCH_PAGE_ADDR=" + addr, "ORDERWATCH_PUBLIC_URL=" + s.base, "ORDERWATCH_LOG_FORMAT=text"}, environment...)
	s.worker = rig.Start(t, rig.Build(t, rig.Worker), s.workerEnv, "serve")
	rig.AwaitReady(t, ready)
	t.Cleanup(s.refused)
	s.open()
	return s
}

// refused fails the test with the requests that the worker did not take.
func (s *scene) refused() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := rig.ReadStream(ctx, s.nats.JS, "ORDER_EVENTS", "orders.rejected", func(m jetstream.Msg) {
		s.t.Errorf("a request is refused: %.1000s", m.Data())
	}); err != nil {
		s.t.Logf("whether requests were refused is not known: %v", err)
	}
}

// open starts the page, and waits until it answers.
func (s *scene) open() {
	s.t.Helper()
	s.page = rig.Start(s.t, rig.Build(s.t, rig.Worker), s.pageEnv, "page")
	rig.Eventually(s.t, rig.Patience, func() error {
		answer, err := http.Get(s.base + "/")
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		switch {
		case err != nil:
			return err
		case answer.StatusCode == http.StatusUnauthorized:
			return nil
		case answer.StatusCode != http.StatusOK:
			return fmt.Errorf("%s: %s", answer.Status, body)
		case bytes.Contains(body, []byte("records are being read")), bytes.Contains(body, []byte("nothing read yet")):
			return errors.New("the page reads the records")
		}
		return nil
	})
}

// order returns the address of an order's screen.
func (s *scene) order(name string) string { return s.base + "/orders/" + rig.Project + "/" + name }

// asks adds an order to ModelArts, where a script is given, and asks for it to be watched. The fields are the request's others.
func (s *scene) asks(name string, script *emulator.Order, fields map[string]any) {
	s.t.Helper()
	if script != nil {
		s.cloud.Add(rig.Project, name, *script)
	}
	request := map[string]any{"project_id": rig.Project, "order_name": name}
	for field, value := range fields {
		request[field] = value
	}
	body, err := json.Marshal(request)
	if err != nil {
		s.t.Fatal(err)
	}
	rig.Publish(s.t, s.nats.JS, string(body))
}

// items returns n items that succeed, or fail with the message where one is given, after that time.
func items(n int, prefix string, after time.Duration, message string) (all []emulator.Item) {
	for i := range n {
		it := emulator.Item{ResourceName: fmt.Sprintf("%s-%04d", prefix, i), Action: "createNode", EndAfter: after, Message: message}
		if message != "" {
			it.Status = "failed"
		}
		all = append(all, it)
	}
	return all
}

// script returns an order of these items, which says from the first poll on how many there are.
func script(all ...[]emulator.Item) *emulator.Order {
	o := &emulator.Order{Count: emulator.CountAll}
	for _, items := range all {
		o.Items = append(o.Items, items...)
	}
	return o
}

// settles waits until the page shows the text at the address, also without a browser.
func (s *scene) settles(address string, texts ...string) {
	s.t.Helper()
	rig.Eventually(s.t, rig.Patience, func() error {
		answer, err := http.Get(address)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		for _, text := range texts {
			if !bytes.Contains(body, []byte(text)) {
				return fmt.Errorf("no %q in %s", text, rig.Tail(string(body), 3000))
			}
		}
		return err
	})
}

// The user of playForAnn.
const ann, annsPassword = "ann", "open sesame"

// playForAnn starts a scene whose page lets one user in, who may act.
func playForAnn(t *testing.T) *scene {
	t.Helper()
	path := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(path, []byte(ann+":"+hash(t, annsPassword)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return play(t, "", "ORDERWATCH_PAGE_AUTH=basic", "ORDERWATCH_PAGE_USERS_FILE="+path, "ORDERWATCH_PAGE_ACTIONS=true")
}

// hash returns a password's hash as a file of users has it.
func hash(t *testing.T, password string) string {
	t.Helper()
	hashed, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(hashed)
}
