package page

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/page/screens"
	"github.com/orderwatch/orderwatch/events/client"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// actions are what users may do, as the last part of a URL says it, and the notice that follows.
var actions = map[string]struct {
	do     func(ctx context.Context, as *client.Client, o watcher.Order, by, reason string) error
	notice string
}{
	"cancel":   {cancelWatch, "The watch is being cancelled: its requesters are told when it has ended."},
	"poll":     {pollNow, "ModelArts is being asked."},
	"renotify": {tellAgain, "People are being told again."},
}

// notices are what a screen says after an action.
var notices = func() map[string]string {
	all := make(map[string]string)
	for name, a := range actions {
		all[name] = a.notice
	}
	return all
}()

func cancelWatch(ctx context.Context, as *client.Client, o watcher.Order, by, reason string) error {
	_, err := as.Cancel(ctx, wire.CancelRequest{Order: o, By: by, Reason: reason})
	return err
}

func pollNow(ctx context.Context, as *client.Client, o watcher.Order, _, _ string) error {
	_, err := as.Poll(ctx, o)
	return err
}

func tellAgain(ctx context.Context, as *client.Client, o watcher.Order, by, _ string) error {
	_, err := as.Renotify(ctx, wire.RenotifyRequest{Order: o, By: by})
	return err
}

// Bounds of an action: of the form in bytes, and of its time.
const (
	maxForm    = 16 << 10
	actionTime = 10 * time.Second
)

// act does what a form asks for. A worker decides whether the viewer's team may, as for the command line.
func (s *server) act(w http.ResponseWriter, r *http.Request, v viewer) {
	action, known := actions[r.PathValue("action")]
	o := watcher.Order{ProjectID: r.PathValue("project"), Name: r.PathValue("order")}
	switch {
	case !known || o.Validate() != nil:
		s.message(w, v, http.StatusNotFound, "There is no such page", "The address may be misspelt.")
		return
	case s.acting == nil:
		s.message(w, v, http.StatusForbidden, "Nothing can be done from this page", "The operator of this page has not allowed it (ORDERWATCH_PAGE_ACTIONS). The command line can do it: orderwatch "+r.PathValue("action")+" "+o.String())
		return
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(actionTime)) // a form is short
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		s.message(w, v, http.StatusBadRequest, "The form could not be read", "Nothing was done.")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), actionTime)
	defer cancel()
	if err := action.do(ctx, s.acting.As(v.team), o, v.by(), r.PostForm.Get("reason")); err != nil {
		s.undone(w, v, o, err)
		return
	}
	s.log.Info("somebody did something from the page", "action", r.PathValue("action"), "by", v.by(), "team", v.team, "project", o.ProjectID, "order", o.Name)
	link := screens.Common{Base: s.base}.OrderLink(o)
	http.SetCookie(w, s.doneCookie(link, r.PathValue("action"), noticeTime))
	http.Redirect(w, r, link, http.StatusSeeOther)
}

// noticeTime is how long an action waits for the screen that says it was done, in seconds.
const noticeTime = 60

// doneCookie returns the cookie by which the screen at the path says once what was done. No link of another site can have
// the screen say so.
func (s *server) doneCookie(path, action string, seconds int) *http.Cookie {
	return &http.Cookie{
		Name: "orderwatch-done", Value: action, Path: path, MaxAge: seconds,
		HttpOnly: true, Secure: s.secure(), SameSite: http.SameSiteStrictMode,
	}
}

// notice returns what the screen says of the action that led to it, and takes its cookie away.
func (s *server) notice(w http.ResponseWriter, r *http.Request) string {
	done := s.doneCookie("", "", -1)
	got, err := r.Cookie(done.Name)
	o, ok := orderPath(r.URL)
	if err != nil || !ok {
		return ""
	}
	done.Path = screens.Common{Base: s.base}.OrderLink(o)
	http.SetCookie(w, done)
	return notices[got.Value]
}

// undone answers why an action was not done, or is not known to be.
func (s *server) undone(w http.ResponseWriter, v viewer, o watcher.Order, err error) {
	answer, refused := errors.AsType[*wire.ServiceError](err)
	switch {
	case refused:
		code := answer.Code
		if http.StatusText(code) == "" {
			code = http.StatusInternalServerError
		}
		s.message(w, v, code, "A worker refused it", o.String(), answer.Reason)
	case errors.Is(err, client.ErrNoWorker):
		s.message(w, v, http.StatusServiceUnavailable, "No worker answers", o.String(), "Nothing was done. Is orderwatch serve running?")
	default:
		s.log.Warn("an action was not answered", "err", err)
		s.message(w, v, http.StatusGatewayTimeout, "It is not known whether it was done", o.String(), "No answer came in time. Look at the order, and try again.")
	}
}
