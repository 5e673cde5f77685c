package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/watcher"
)

// TestGetOpen holds that get --open prints where the order's page is, by the command's own setting or the worker's, and that
// the desktop opens it from a terminal alone.
func TestGetOpen(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	order := rig.Project + "/order.parts"
	d.asks(t, "order.parts")
	wantSaid(t, "without an address", rig.CarryOut(t, d.env, "get", "--open", order), 1, nil, []string{"set ORDERWATCH_PUBLIC_URL, here or for the workers"})

	own := append([]string{"ORDERWATCH_PUBLIC_URL=https://orderwatch.example/x/"}, d.env...)
	page := "https://orderwatch.example/x/orders/" + order
	if got := rig.CarryOut(t, own, "get", "--open", order); got.Code != 0 || got.Out != page+"\n" || got.Err != "" {
		t.Errorf("%d %q %q; want %q alone", got.Code, got.Out, got.Err, page)
	}
	var shown watcher.Snapshot
	if got := rig.CarryOut(t, own, "get", "--open", "-o", "json", order); json.Unmarshal([]byte(got.Out), &shown) != nil || shown.Links.Order != page || shown.OrderName != "order.parts" {
		t.Errorf("%s%s", got.Out, got.Err)
	}

	opened := filepath.Join(t.TempDir(), "opened")
	if err := os.WriteFile(filepath.Join(filepath.Dir(opened), "xdg-open"), []byte("#!/bin/sh\nprintf '%s' \"$#$1\" >"+opened+".new && mv "+opened+".new "+opened+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	desktop := append([]string{"DISPLAY=:9", "PATH=" + filepath.Dir(opened) + ":/usr/bin:/bin", "TERM=xterm"}, own...)
	if got := rig.CarryOut(t, desktop, "get", "--open", order); got.Out != page+"\n" {
		t.Errorf("%q %q", got.Out, got.Err)
	}
	if _, err := os.Stat(opened); err == nil {
		t.Error("it is opened although no terminal is there")
	}
	p := onTerminal(t, rig.Build(t, rig.Worker), desktop, 80, 24, "get", "--open", order)
	if code := p.Ends(t); code != 0 || !strings.Contains(p.Text(), page) {
		t.Errorf("exit code %d: %q", code, p.Text())
	}
	rig.Eventually(t, rig.Patience, func() error {
		got, err := os.ReadFile(opened)
		if err == nil && string(got) != "1"+page {
			t.Errorf("%q is opened", got)
		}
		return err
	})
}

// TestGetOpenByTheWorker holds that a worker's answers and events have where the order's page is.
func TestGetOpenByTheWorker(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "ORDERWATCH_PUBLIC_URL=https://orderwatch.example/x")
	order := rig.Project + "/order.parts"
	page := "https://orderwatch.example/x/orders/" + order
	d.asks(t, "order.parts")
	if c := rig.AwaitCompletions(t, d.nats.JS, 1)[0]; c.Links.Order != page {
		t.Errorf("the completion leads to %q", c.Links.Order)
	}
	if got := rig.CarryOut(t, d.env, "get", "--open", order); got.Out != page+"\n" {
		t.Errorf("%q %q", got.Out, got.Err)
	}
}
