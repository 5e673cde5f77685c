package answer_test

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

// newClient returns a client of an API that answers as the handler does, with the secret as its token.
func newClient(t testing.TB, api http.Handler, change ...func(*modelarts.Config)) *modelarts.Client {
	t.Helper()
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	token, err := login.NewToken(secret)
	if err != nil {
		t.Fatal(err)
	}
	c := modelarts.Config{Endpoint: server.URL, Regions: []string{region}, Credential: token, Rate: 1000}
	for _, f := range change {
		f(&c)
	}
	client, err := modelarts.New(slog.New(slog.DiscardHandler), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func order(name string) watcher.Order { return watcher.Order{ProjectID: project, Name: name} }
