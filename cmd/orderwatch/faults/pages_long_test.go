//go:build long

package faults_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig/guarded"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// TestPagesOfTwoReleases serves the page before this one beside workers of this release, and this page beside workers of the
// release before, which made the streams. The page shows the watches, also one that had troubles, and what its users do from
// it is done. It does not even try to write: its user may not, and the server would log that.
func TestPagesOfTwoReleases(t *testing.T) {
	t.Parallel()
	this := rig.Build(t, rig.Worker)
	for _, c := range []struct {
		name, page, workers string
		health              []string // what the page says of the installation
	}{
		{"the page before beside workers of this release", buildOf(t, pageBefore), this, []string{"orderwatch is well"}},
		{"this page beside workers of the release before", this, buildOf(t, releaseBefore), []string{"all are of a release that does not answer", "how long orders take is not known"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			pageBeside(t, c.page, c.workers, c.health)
		})
	}
}

func pageBeside(t *testing.T, pageProgram, workers string, health []string) {
	cloud := emulator.New(emulator.Options{})
	cloud.Add(rig.Project, "order.runs", running())
	cloud.Add(rig.Project, "order.ended", ending(0))
	troubled := running()
	troubled.Faults = []emulator.Fault{{ToPoll: 1, Status: http.StatusInternalServerError}}
	cloud.Add(rig.Project, "order.troubled", troubled)
	modelArts := httptest.NewServer(cloud)
	t.Cleanup(modelArts.Close)
	g := guarded.Start(t, guarded.Shipped(t, "../../../deploy/nats-permissions.conf"), nats.UserInfo("setup", "planted-setup"))
	serve := func(user, provision string) *rig.Process {
		addr := rig.FreeAddr(t)
		p := rig.Start(t, workers, rig.ServeEnv(g.URL, modelArts.URL, addr, "ORDERWATCH_NATS_USER="+user, "ORDERWATCH_NATS_PASSWORD=planted-"+user,
			"ORDERWATCH_PROVISION="+provision, "ORDERWATCH_POLL_INITIAL=10m", "ORDERWATCH_POLL_MAX=10m"), "serve")
		rig.AwaitReady(t, addr)
		return p
	}
	serve("setup", "true").Terminate(t)
	worker := serve("worker", "false")
	for _, order := range []string{"order.runs", "order.ended", "order.troubled"} {
		rig.Publish(t, g.JS, fmt.Sprintf(`{"project_id":%q,"order_name":%q}`, rig.Project, order))
	}
	rig.AwaitCompletions(t, g.JS, 1)

	addr := rig.FreeAddr(t)
	page := rig.Start(t, pageProgram, []string{
		"ORDERWATCH_NATS_URL=" + g.URL, "ORDERWATCH_NATS_USER=page", "ORDERWATCH_NATS_PASSWORD=planted-page", "ORDERWATCH_PAGE_ADDR=" + addr,
		"ORDERWATCH_PAGE_ACTIONS=true", "ORDERWATCH_PAGE_ACTIONS_NATS_USER=page-actions", "ORDERWATCH_PAGE_ACTIONS_NATS_PASSWORD=planted-page-actions",
		"ORDERWATCH_LOG_FORMAT=text",
	}, "page")
	shows := func(path string, texts ...string) {
		t.Helper()
		rig.Eventually(t, rig.Patience, func() error { return screenShows("http://"+addr+path, texts) })
	}
	orders := "/orders/" + rig.Project + "/"
	shows("/", "order.runs", "order.troubled", "2</b> watching")
	shows(orders+"order.runs", "order.runs", "node-1", "node-2")
	shows(orders+"order.troubled", "order.troubled")
	shows(orders+"order.ended", "order.ended", "succeeded")
	shows("/?show=ended", "order.ended")
	shows("/history")
	shows("/health", health...)

	for _, order := range []string{"order.runs", "order.troubled"} {
		polls := cloud.Polls(rig.Project, order)
		act(t, addr, orders+order+"/poll")
		rig.Eventually(t, rig.Patience, func() error {
			if now := cloud.Polls(rig.Project, order); now == polls {
				return fmt.Errorf("%s was polled %d times, as before", order, now)
			}
			return nil
		})
	}
	shows(orders+"order.troubled", "node-1", "node-2")
	act(t, addr, orders+"order.runs/cancel")
	act(t, addr, orders+"order.ended/renotify")
	if c := rig.AwaitCompletions(t, g.JS, 2)[1]; c.OrderName != "order.runs" || c.Outcome != watcher.Cancelled {
		t.Errorf("%s is %s; want order.runs cancelled", c.OrderName, c.Outcome)
	}
	shows("/?show=ended", "order.runs", "cancelled")
	shows("/", "order.troubled", "1</b> watching")

	for who, p := range map[string]*rig.Process{"page": page, "worker": worker} {
		if code, _ := p.Terminate(t); code != 0 {
			t.Errorf("the %s ends with %d", who, code)
		}
		for line := range strings.Lines(p.Text()) {
			bad := strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR") || strings.Contains(line, "panic")
			if bad && !(strings.Contains(line, "poll failed") && strings.Contains(line, "order=order.troubled")) {
				t.Errorf("the %s says %s", who, line)
			}
		}
	}
	for line := range strings.Lines(g.Text()) {
		if strings.Contains(line, "Violation") {
			t.Errorf("the server says %s", line)
		}
	}
}

// screenShows returns nil where the page shows all these texts there.
func screenShows(url string, texts []string) error {
	answer, err := http.Get(url)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, answer.Status)
	}
	for _, text := range texts {
		if !strings.Contains(string(body), text) {
			return fmt.Errorf("%s does not show %q:\n%s", url, text, body)
		}
	}
	return nil
}

// act does what a user of the page does with a button.
func act(t *testing.T, addr, path string) {
	t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Post("http://"+addr+path, "application/x-www-form-urlencoded", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusSeeOther {
		body, _ := io.ReadAll(answer.Body)
		t.Errorf("%s: %s\n%s", path, answer.Status, body)
	}
}
