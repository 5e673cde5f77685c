package page

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

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
			if _, ok := u.find(tt.name, tt.password, now); ok != tt.ok {
				t.Errorf("%s with %s: %t", tt.name, tt.password, ok)
			}
		}
	}
	if len(u.right) != 2 {
		t.Errorf("%d passwords are remembered", len(u.right))
	}
}
