package wire_test

import (
	"testing"

	"github.com/orderwatch/orderwatch/events/wire"
)

func TestTeamOf(t *testing.T) {
	t.Parallel()
	names := wire.Names{Subjects: "pools.orders", Service: "ow"}
	for subject, want := range map[string]string{
		"pools.orders.watch": "", "pools.orders.watch.gpu": "gpu", "ow.get": "", "ow.get.gpu": "gpu", "ow.events.train": "train", "other.get": "", "ow": "", "": "",
	} {
		if got := names.TeamOf(subject); got != want {
			t.Errorf("%q is of the team %q; want %q", subject, got, want)
		}
	}
}

func TestProjectOf(t *testing.T) {
	t.Parallel()
	names := wire.Names{Subjects: "pools.orders"}
	for subject, want := range map[string]string{
		names.Completed("failed", "p.order.a"): "p", names.Progress("p.order.a"): "p", names.Attention("blind", "p.order.a"): "p", names.Attention("held", "p"): "p", names.Renotify("p.order.a"): "p",
		names.Attention("lost", "all"): "", names.RejectedBy("ann"): "", names.Rejected(): "", names.Undelivered("slack"): "", "pools.orders.completed.failed": "", "orders.progress.p.order.a": "", "": "",
	} {
		if got := names.ProjectOf(subject); got != want {
			t.Errorf("%q is about %q; want %q", subject, got, want)
		}
	}
}

func TestAPI(t *testing.T) {
	t.Parallel()
	for want, names := range map[string]wire.Names{
		"$JS.API.INFO": {}, "$JS.hub.API.INFO": {Domain: "hub"}, "js.orderwatch.API.INFO": {APIPrefix: "js.orderwatch.API"},
	} {
		if got := names.API("INFO"); got != want {
			t.Errorf("%+v: %s; want %s", names, got, want)
		}
	}
}
