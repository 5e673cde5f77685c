//go:build deploy

package install_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// TestMetricsAreClean lets promtool look at what a worker and a page tell a scraper. It must be among the programs that a shell
// finds.
func TestMetricsAreClean(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatal("promtool is not there; .ci/run deploy brings it: ", err)
	}
	cloud := httptest.NewServer(emulator.New(emulator.Options{AutoOrders: true}))
	defer cloud.Close()
	nats := rig.StartNATS(t, "")
	program, worker, page, metrics := rig.Build(t, rig.Worker), rig.FreeAddr(t), rig.FreeAddr(t), rig.FreeAddr(t)
	rig.Start(t, program, rig.ServeEnv(nats.URL, cloud.URL, worker), "serve")
	rig.AwaitReady(t, worker)
	rig.Start(t, program, append(rig.Bare(), "ORDERWATCH_NATS_URL="+nats.URL, "ORDERWATCH_PAGE_ADDR="+page, "ORDERWATCH_PAGE_METRICS_ADDR="+metrics), "page")
	rig.AwaitReady(t, page)
	rig.Publish(t, nats.JS, `{"project_id":"`+rig.Project+`","order_name":"order.missing-1"}`)
	rig.Eventually(t, rig.Patience, func() error {
		if polls := rig.MetricsOf(t, worker)[`orderwatch_poll_seconds_count{result="not_found"}`]; polls < 1 {
			return errors.New("the order that ModelArts does not know was not asked for")
		}
		return nil
	})
	for _, addr := range []string{worker, metrics} {
		answer, err := http.Get("http://" + addr + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || !strings.Contains(string(text), "orderwatch_build_info{") {
			t.Fatalf("%v\n%s", err, text)
		}
		check := exec.Command(promtool, "check", "metrics")
		check.Stdin = strings.NewReader(string(text))
		if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("promtool check metrics: %v\n%s", err, out)
		}
	}
}
