// Package page serves the page: what is watched now, one order, how long orders took, and whether orderwatch is well.
package page

import (
	"net/http"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/page/screens"
)

// Handler serves the page.
func Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /static/", screens.Static())
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		_ = screens.Now(w, screens.NowView{Common: screens.Common{Title: "Now", Tab: screens.TabNow, AsOf: time.Now(), Connected: true}})
	})
	return mux
}
