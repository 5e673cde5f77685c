package answer_test

import (
	"net/http"
	"testing"

	"github.com/orderwatch/orderwatch/watcher/modelarts"
	"github.com/orderwatch/orderwatch/watcher/modelarts/rig"
)

const (
	project = rig.Project
	region  = rig.Region
	secret  = rig.Secret
)

var order = rig.Order

// newClient returns a client of an API that answers as the handler does, with the secret as its token.
func newClient(t testing.TB, api http.Handler, change ...func(*modelarts.Config)) *modelarts.Client {
	t.Helper()
	c := rig.Config(t, rig.Serve(t, api))
	for _, f := range change {
		f(&c)
	}
	return rig.New(t, c)
}
