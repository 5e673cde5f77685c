package login_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts"
	"github.com/orderwatch/orderwatch/watcher/modelarts/login"
)

const (
	project = "6f5da086876d4cd084d36f8bd3346036"
	region  = "cn-north-4"
	secret  = "MIIGplanted+token/of-this-test=="
)

var quiet = slog.New(slog.DiscardHandler)

// config returns what a client of the server needs.
func config(t *testing.T, server *httptest.Server) modelarts.Config {
	t.Helper()
	token, err := login.NewToken(secret)
	if err != nil {
		t.Fatal(err)
	}
	return modelarts.Config{Endpoint: server.URL, Regions: []string{region}, Credential: token, Rate: 1000}
}

func newClient(t *testing.T, c modelarts.Config) *modelarts.Client {
	t.Helper()
	client, err := modelarts.New(quiet, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// serve runs a handler until the test ends.
func serve(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server
}

func order(name string) watcher.Order { return watcher.Order{ProjectID: project, Name: name} }
