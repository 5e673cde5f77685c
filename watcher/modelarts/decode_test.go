package modelarts_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestDecode(t *testing.T) {
	files, err := filepath.Glob("testdata/answers/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no answers: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := modelarts.Decode(body)
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.MarshalIndent(answer, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, strings.TrimSuffix(file, ".json")+".golden", append(got, '\n'))
		})
	}
}

// golden compares with a file, or rewrites it.
func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("differs from %s; -update rewrites it. Got:\n%s", file, got)
	}
}

func TestDecodeHundredsOfItems(t *testing.T) {
	var items []string
	for n := range 300 {
		items = append(items, fmt.Sprintf(`{"resourceName":"node-%d","action":"createNode","status":"succeed"}`, n))
	}
	a, err := modelarts.Decode([]byte(`{"count":300,"items":[` + strings.Join(items, ",") + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	if a.Count != 300 || len(a.Items) != 300 || a.Items[299].ResourceName != "node-299" {
		t.Errorf("got count %d and %d items", a.Count, len(a.Items))
	}
}

func TestDecodeBoundsTexts(t *testing.T) {
	long := strings.Repeat("é", 10_000)
	a, err := modelarts.Decode([]byte(`{"items":[{"resourceName":"a` + long + `","action":"` + long + `","status":"` + long + `","message":"` + long + `"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	i := a.Items[0]
	if len(i.ResourceName) != 255 || len(i.Action) != 256 || len(i.Status) != 256 || !utf8.ValidString(i.ResourceName) {
		t.Errorf("name %d, action %d, status %d bytes", len(i.ResourceName), len(i.Action), len(i.Status))
	}
	if i.Message != long {
		t.Errorf("the message has %d bytes, want it whole", len(i.Message))
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, tt := range []struct{ name, body, want string }{
		{"nothing", "", "no JSON object"},
		{"white space", " \n", "no JSON object"},
		{"null", "null", "no JSON object"},
		{"a list", "[]", "no JSON object"},
		{"a page", "<html>", "no JSON object"},
		{"a cut answer", `{"count":1,"items":[{"status":"succ`, "unexpected end"},
		{"trailing data", `{"count":1} {}`, "after top-level value"},
		{"items that are no list", `{"items":{"status":"succeed"}}`, "no list"},
		{"an item that is no object", `{"items":["succeed"]}`, "cannot unmarshal"},
		{"a status that is no text", `{"items":[{"status":1}]}`, "cannot unmarshal"},
		{"half a count", `{"count":1.5}`, "no number of items"},
		{"an absurd count", `{"count":1e300}`, "no number of items"},
		{"a text as count", `{"count":"many"}`, "invalid number"},
		{"too many items", `{"items":[{}` + strings.Repeat(",{}", 20_000) + `]}`, "more than 20000 items"},
		{"too many nulls", `{"items":[null` + strings.Repeat(",null", 1_000_000) + `]}`, "more than 20000 items"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := modelarts.Decode([]byte(tt.body))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob("testdata/answers/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := modelarts.Decode(body)
		if err != nil {
			if a.Count != 0 || a.Items != nil {
				t.Fatalf("an answer with an error: %v, %v", a, err)
			}
			return
		}
		if a.Count < 0 {
			t.Fatalf("count %d", a.Count)
		}
		for _, i := range a.Items {
			checkItem(t, i)
		}
		if _, err := json.Marshal(a); err != nil {
			t.Fatalf("cannot be stored: %v", err)
		}
	})
}

func checkItem(t *testing.T, i watcher.Item) {
	for _, s := range []string{i.ResourceName, i.Action, string(i.Status)} {
		if len(s) > 256 || !utf8.ValidString(s) {
			t.Fatalf("bad text %q", s)
		}
	}
	if !i.BeganAt.IsZero() && i.BeganAt.Year() < 1970 {
		t.Fatalf("began at %v", i.BeganAt)
	}
}
