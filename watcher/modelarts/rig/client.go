// Package rig makes clients of package modelarts for tests: of one project and region, with one token.
package rig

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts"
	"github.com/orderwatch/orderwatch/watcher/modelarts/login"
)

// What clients ask for, and with which token.
const (
	Project = "6f5da086876d4cd084d36f8bd3346036"
	Region  = "cn-north-4"
	Secret  = "MIIGplanted+token/of-this-test=="
)

// Serve runs a handler until the test ends.
func Serve(t testing.TB, h http.Handler) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server
}

// Config returns what a client of the server needs.
func Config(t testing.TB, server *httptest.Server) modelarts.Config {
	t.Helper()
	token, err := login.NewToken(Secret)
	if err != nil {
		t.Fatal(err)
	}
	return modelarts.Config{Endpoint: server.URL, Regions: []string{Region}, Credential: token, Rate: 1000}
}

// New returns a client that logs nothing, and is closed when the test ends.
func New(t testing.TB, c modelarts.Config) *modelarts.Client {
	t.Helper()
	client, err := modelarts.New(slog.New(slog.DiscardHandler), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// Order returns an order of the project.
func Order(name string) watcher.Order { return watcher.Order{ProjectID: Project, Name: name} }
