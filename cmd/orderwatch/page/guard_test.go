package page

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/events/teams"
)

// TestPanic holds that a handler that panics is answered, without what it panicked with.
func TestPanic(t *testing.T) {
	var log bytes.Buffer
	s := &server{log: slog.New(slog.NewTextHandler(&log, nil))}
	for _, why := range []any{"planted", []byte("planted"), bytes.ErrTooLarge} {
		w := httptest.NewRecorder()
		s.guarded(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(why) })).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/planted?q=planted", nil))
		if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "planted") || w.Header().Get("Content-Security-Policy") != contentPolicy {
			t.Errorf("%d %v\n%s", w.Code, w.Header(), w.Body)
		}
	}
	if said := log.String(); !strings.Contains(said, "guard_test.go") || strings.Contains(said, "planted") {
		t.Errorf("the log says\n%s", said)
	}
}

func TestUsersFile(t *testing.T) {
	shared, err := teams.Parse("teams.yaml", []byte("teams: {gpu: {projects: [gpu-project]}}"))
	if err != nil {
		t.Fatal(err)
	}
	hash, err := bcrypt.GenerateFromPassword([]byte("planted"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	h := string(hash)
	for text, want := range map[string]string{
		"":                                   "names no user",
		"# nobody\n":                         "names no user",
		"ada":                                "line 1: must have a bcrypt hash",
		"ada:planted":                        "line 1: must have a bcrypt hash",
		"ada:{SHA}planted":                   "line 1: must have a bcrypt hash",
		":" + h:                              "line 1: must begin with a name",
		"ada\u202e:" + h:                     "line 1: must begin with a name",
		strings.Repeat("a", 201) + ":" + h:   "line 1: must begin with a name",
		"ada:" + h + ":":                     "line 1: must end with a team",
		"ada:" + h + ":planted.>":            "line 1: must end with a team",
		"ada:" + h + "\neve:" + h + ":train": "line 2: names a team that is not in the file",
		"\nada:" + h + "\nada:" + h:          "line 3: names a user who is there",
		"\ufeffada:" + h + ":gpu\r\nop:" + h + "\r\n": "",
	} {
		u, err := parseUsers([]byte(text), shared)
		switch {
		case want == "" && (err != nil || u.all["ada"].team != "gpu" || u.all["op"].team != ""):
			t.Errorf("%q: %+v, %v", text, u, err)
		case want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)):
			t.Errorf("%q: %v, want %q", text, err, want)
		case err != nil && (strings.Contains(err.Error(), "planted") || strings.Contains(err.Error(), h)):
			t.Errorf("%q: %v shows what the file holds", text, err)
		}
	}
	if _, err := parseUsers([]byte("op:"+h+"\nada:"+h+":gpu"), teams.Teams{}); err == nil || !strings.HasPrefix(err.Error(), "line 2: names a team, but ORDERWATCH_TEAMS_FILE is not set") {
		t.Errorf("without a file of teams: %v", err)
	}
}

// TestFind holds that a password counts for its name alone, also when it is remembered.
func TestFind(t *testing.T) {
	text := ""
	for _, name := range []string{"ada", "eve"} {
		hash, err := bcrypt.GenerateFromPassword([]byte("planted-"+name), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		text += name + ":" + string(hash) + "\n"
	}
	u, err := parseUsers([]byte(text), teams.Teams{})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for range 2 {
		for _, tt := range []struct {
			name, password string
			ok             bool
		}{{"ada", "planted-ada", true}, {"eve", "planted-eve", true}, {"ada", "planted-eve", false}, {"eve", "planted-ada", false}, {"adap", "lanted-ada", false}, {"", "", false}, {"ada", "", false}, {"ada", strings.Repeat("x", 100), false}} {
			if _, err := u.find(t.Context(), tt.name, tt.password, now); (err == nil) != tt.ok || !tt.ok && err != errWrong {
				t.Errorf("%s with %s: %v", tt.name, tt.password, err)
			}
		}
	}
	if len(u.right) != 2 {
		t.Errorf("%d passwords are remembered", len(u.right))
	}
}

// TestNamesAreNotToldByTime holds that a wrong password costs the same for a known name, whatever its hash costs, as for an
// unknown one: two to the power of bcrypt's cost is how long it takes.
func TestNamesAreNotToldByTime(t *testing.T) {
	text := ""
	for name, cost := range map[string]int{"ada": 5, "eve": 8, "op": 7} {
		hash, err := bcrypt.GenerateFromPassword([]byte("planted"), cost)
		if err != nil {
			t.Fatal(err)
		}
		text += name + ":" + string(hash) + "\n"
	}
	u, err := parseUsers([]byte(text), teams.Teams{})
	if err != nil {
		t.Fatal(err)
	}
	work := 0
	u.compare = func(hash, password []byte) error {
		cost, err := bcrypt.Cost(hash)
		if err != nil {
			t.Error(err)
		}
		work += 1 << cost
		err = bcrypt.CompareHashAndPassword(hash, password)
		if err != nil && err != bcrypt.ErrMismatchedHashAndPassword {
			t.Errorf("at cost %d it is not looked at whether the password is right: %v", cost, err)
		}
		return err
	}
	for _, name := range []string{"ada", "eve", "op", "nobody", ""} {
		work = 0
		if _, err := u.find(t.Context(), name, "wrong", time.Now()); err != errWrong || work != 1<<8 {
			t.Errorf("%q: %v after %d steps", name, err, work)
		}
	}
	if _, err := u.find(t.Context(), "ada", "planted", time.Now()); err != nil {
		t.Error(err)
	}
}

// TestManyPasswords holds that who waits with a password for others goes when the request has ended, that no more than some
// wait, and that a password which was right before waits for nobody.
func TestManyPasswords(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("planted"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	u, err := parseUsers([]byte("ada:"+string(hash)), teams.Teams{})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	if _, err := u.find(t.Context(), "ada", "planted", now); err != nil {
		t.Fatal(err)
	}
	slow := make(chan struct{})
	u.compare = func([]byte, []byte) error { <-slow; return errWrong }
	waiting, end := context.WithCancel(t.Context())
	left := make(chan error)
	for range atOnce + mostWaiting {
		go func() {
			_, err := u.find(waiting, "ada", "wrong", now)
			left <- err
		}()
	}
	for len(u.queue) < cap(u.queue) || len(u.slots) < cap(u.slots) {
		runtime.Gosched()
	}
	if _, err := u.find(t.Context(), "ada", "another", now); err != errBusy {
		t.Errorf("one more: %v", err)
	}
	if _, err := u.find(t.Context(), "ada", "planted", now); err != nil {
		t.Errorf("one that was right before: %v", err)
	}
	e := &entrance{config: config.Page{Auth: config.AuthBasic}, users: u, now: time.Now}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.SetBasicAuth("ada", "another")
	if _, refused := e.admit(r); refused == nil || refused.code != http.StatusTooManyRequests {
		t.Errorf("it is answered %+v", refused)
	}
	end()
	for range mostWaiting {
		if err := <-left; err != errBusy {
			t.Errorf("one that waited: %v", err)
		}
	}
	close(slow)
	for range atOnce {
		if err := <-left; err != errWrong {
			t.Errorf("one that was looked at: %v", err)
		}
	}
	if len(u.queue)+len(u.slots) > 0 {
		t.Error("some are still looked at")
	}
}
