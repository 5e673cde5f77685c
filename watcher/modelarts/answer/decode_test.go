package answer_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/foreign"
	"github.com/orderwatch/orderwatch/watcher/modelarts/answer"
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
			answer, err := answer.Decode(body)
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
	a, err := answer.Decode([]byte(`{"count":300,"items":[` + strings.Join(items, ",") + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	if a.Count != 300 || len(a.Items) != 300 || a.Items[299].ResourceName != "node-299" {
		t.Errorf("got count %d and %d items", a.Count, len(a.Items))
	}
}

func TestDecodeBoundsTexts(t *testing.T) {
	long := strings.Repeat("é", 10_000)
	a, err := answer.Decode([]byte(`{"items":[{"resourceName":"a` + long + `","action":"` + long + `","status":"` + long + `","message":"` + long + `"}]}`))
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
		{"cut behind a mark", "\ufeff{", "unexpected end"},
		{"a mark alone", "\ufeff", "no JSON object"},
		{"UTF-16", "\xff\xfe{\x00}\x00", "no JSON object"},
		{"garbage behind it", `{"count":1}x`, "after top-level value"},
		{"much nesting", `{"count":1,"more":` + strings.Repeat("[", 1_000_000) + "}", "exceeded max depth"},

		{"neither count nor items", `{}`, "it is no order: it has neither count nor items"},
		{"other fields", `{"status":"succeed"}`, "it is no order: it has neither count nor items"},
		{"another wrapper", `{"data":{"count":1,"items":[]}}`, "it is no order: it has neither count nor items"},
		{"an error", `{"error_code":"ModelArts.50015001"}`, "it is an error, no order"},
		{"an error beside items", `{"items":[{"status":"succeed"}],"error":{"code":"x"}}`, "it is an error, no order"},

		{"items that are no list", `{"items":{"status":"succeed"}}`, "its items are no list"},
		{"items that are a text", `{"count":1,"items":"[]"}`, "its items are no list"},
		{"items in items", `{"items":{"items":null}}`, "its items are no list"},
		{"two lists", `{"items":[{"status":"succeed"}],"items":[]}`, "it has two lists of items"},
		{"two lists in other cases", `{"Items":[{"status":"succeed"}],"ITEMS":[]}`, "it has two lists of items"},
		{"an item that is no object", `{"items":["succeed"]}`, "its item 1, succeed, is no object"},
		{"an item that is a list", `{"items":[{}, null, [{"status":"succeed"}]]}`, `its item 3, [{"status":"succeed"}], is no object`},
		{"a status that is no text", `{"items":[{"status":1}]}`, "its item 1: its status, 1, is no text"},
		{"a status that is true", `{"items":[{"status":"failed"},null,{"status":true}]}`, "its item 3: its status, true, is no text"},
		{"a second status that is no text", `{"items":[{"status":"succeed","Status":{}}]}`, "its item 1: its status, {}, is no text"},

		{"half a count", `{"count":1.5}`, "its count, 1.5, is no number of items"},
		{"an absurd count", `{"count":1e300}`, "no number of items"},
		{"an infinite count", `{"count":1e999}`, "no number of items"},
		{"a text as count", `{"count":"many"}`, "its count, many, is no number of items"},
		{"half a count as text", `{"count":"4.5"}`, "no number of items"},
		{"an empty count", `{"count":""}`, "no number of items"},
		{"infinity as count", `{"count":"Inf"}`, "no number of items"},
		{"a hexadecimal count", `{"count":"0x4"}`, "no number of items"},
		{"a count that is true", `{"count":true}`, "no number of items"},
		{"a count that is null in a text", `{"count":"null"}`, "no number of items"},
		{"a list as count", `{"count":[4]}`, "no number of items"},
		{"a second count that is none", `{"count":4,"count":"many"}`, "no number of items"},
		{"too many items", `{"items":[{}` + strings.Repeat(",{}", 20_000) + `]}`, "more than 20000 items"},
		{"too many nulls", `{"items":[null` + strings.Repeat(",null", 1_000_000) + `]}`, "more than 20000 items"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := answer.Decode([]byte(tt.body))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
}

func TestDecodeCount(t *testing.T) {
	for body, want := range map[string]int{
		`{"count":4}`:                4,
		`{"count":4.0}`:              4,
		`{"count":"4"}`:              4,
		`{"count":" 4 "}`:            4,
		`{"count":1e3}`:              1000,
		`{"count":-1}`:               0,
		`{"count":"-1"}`:             0,
		`{"count":null,"items":[]}`:  0,
		`{"Count":4}`:                4,
		`{"count":3,"count":7}`:      7,
		`{"count":7,"count":3}`:      7,
		`{"count":3,"Count":7}`:      3,
		`{"Count":"many","count":3}`: 3,
		`{"count":null,"Count":7}`:   7,

		`{"count":1,"items":[null,{"status":"succeed"}]}`: 2, // it is not complete
		`{"count":5,"items":[null,{"status":"succeed"}]}`: 5,
		`{"items":[null]}`:                        1,
		`{"items":[{"status":"succeed"}]}`:        0,
		`{"count":0,"items":null,"Items":[null]}`: 1,
	} {
		a, err := answer.Decode([]byte(body))
		if err != nil || a.Count != want {
			t.Errorf("%s: got %d, %v; want %d", body, a.Count, err, want)
		}
	}
}

// What says that all is well, and a message beside an order, are no error.
func TestDecodeOrdersThatSaySuccess(t *testing.T) {
	for _, more := range []string{
		`"error_code":0`, `"error_code":"0"`, `"error_code":""`, `"error_code":" "`, `"error_code":null`, `"error_code":"00000"`, `"error_code":{}`, `"errorCode":"200"`,
		`"code":200`, `"code":"OK"`, `"code":"Success"`, `"code":201.0`, `"code":true`,
		`"error":null`, `"error":""`, `"error":{}`, `"error":[]`, `"error":false`, `"error":0`, `"error":{"code":0,"message":"success"}`,
		`"error_msg":""`, `"error_msg":null`, `"error_code":0,"error_msg":"success"`, `"errorMessage":"OK"`,
		`"message":"4 resources"`, `"code":0,"message":"done"`, `"message":{"en":"done"}`, `"title":"Order"`, `"request_id":"x"`,
	} {
		a, err := answer.Decode([]byte(`{"count":1,` + more + `,"items":[{"status":"succeed"}]}`))
		if err != nil || a.Count != 1 || len(a.Items) != 1 {
			t.Errorf("%s: got %+v, %v", more, a, err)
		}
	}
}

// A long body of nothing takes no memory beside itself.
func TestDecodeOfNothingTakesNoMemory(t *testing.T) {
	const size = 1 << 20
	bodies := map[string]string{"statuses": `{"count":1,"items":[{"status":"failed"` + strings.Repeat(`,"status":"a"`, size/13) + "}]}"}
	for _, part := range []string{`"count":1`, `"items":[]`, `"items":null`, `"error_code":""`, `"error":{}`, `"message":""`, `"x":[{}]`} {
		bodies[part] = `{"count":1` + strings.Repeat(","+part, size/(len(part)+1)) + "}"
	}
	for name, body := range bodies {
		if n := testing.AllocsPerRun(1, func() { answer.Decode([]byte(body)) }); n > 100 {
			t.Errorf("%s: %.0f allocations", name, n)
		}
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
	for _, body := range []string{
		`{"error_code":"ModelArts.50015001","count":1,"items":[]}`, `{"error":{"code":401}}`, `{"code":"WAF.403","message":"blocked"}`,
		`{"count":1,"items":[{"status":"a","Status":" B "}]}`, `{"count":1,"items":[{"status":"x/y","status":"SUCCEED"}]}`, `{"items":[null,{"message":[{"a":"\u0041"}]}]}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := answer.Decode(body)
		if err != nil {
			if a.Count != 0 || a.Items != nil {
				t.Fatalf("an answer with an error: %v, %v", a, err)
			}
			return
		}
		if a.Count < 0 {
			t.Fatalf("count %d", a.Count)
		}
		if says := errorSaid(body); says != "" {
			t.Fatalf("an order that says %s", says)
		}
		said := wordsOf(body)
		for _, i := range a.Items {
			checkItem(t, i)
			checkStatus(t, i.Status, said)
		}
		if _, err := json.Marshal(a); err != nil {
			t.Fatalf("cannot be stored: %v", err)
		}
		checkPacked(t, body, a)
	})
}

// checkPacked holds that a packed order keeps nothing of the body, and that secrets are hidden in each text by itself.
func checkPacked(t *testing.T, body []byte, a watcher.Answer) {
	read := slices.Clone(body)
	p, err := answer.Read(&http.Response{StatusCode: http.StatusOK}, read, time.Time{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range read {
		read[i] = 'x'
	}
	if got := p.Answer(nil); !reflect.DeepEqual(got, a) {
		t.Fatalf("packed it is %+v, not %+v", got, a)
	}
	secrets := []string{"resourceName", "succeed/processing"}
	for _, i := range a.Items {
		secrets = append(secrets, i.ResourceName, i.Message)
	}
	hidden := foreign.NewSecrets("[hidden]", secrets...)
	for n := range a.Items {
		i := &a.Items[n]
		i.ResourceName, i.Action, i.Message = hidden.Hide(i.ResourceName), hidden.Hide(i.Action), hidden.Hide(i.Message)
		i.Status = watcher.Status(hidden.Hide(string(i.Status)))
	}
	if got := p.Answer(hidden); !reflect.DeepEqual(got, a) {
		t.Fatalf("with its texts hidden it is %+v, not %+v", got, a)
	}
}

// There may be as many words as items.
func TestDecodeManyWords(t *testing.T) {
	const items = 20_000
	var body bytes.Buffer
	for i := range items {
		fmt.Fprintf(&body, `,{"resourceName":"n%d","action":"a%d","status":"s%d","message":"m%d"}`, i, i, i, i)
	}
	a, err := answer.Decode(fmt.Appendf(nil, `{"items":[%s]}`, body.Bytes()[1:]))
	if err != nil || len(a.Items) != items {
		t.Fatalf("%d items, %v", len(a.Items), err)
	}
	for i, got := range a.Items {
		want := watcher.Item{ResourceName: fmt.Sprint("n", i), Action: fmt.Sprint("a", i), Status: watcher.Status(fmt.Sprint("s", i)), Message: fmt.Sprint("m", i)}
		if got != want {
			t.Fatalf("item %d is %+v", i, got)
		}
	}
}

func checkItem(t *testing.T, i watcher.Item) {
	for _, s := range []string{i.ResourceName, i.Action, string(i.Status)} {
		if len(s) > 256 || !utf8.ValidString(s) {
			t.Fatalf("bad text %q", s)
		}
	}
	if !i.BeganAt.IsZero() && i.BeganAt.Year() < 2015 {
		t.Fatalf("began at %v", i.BeganAt)
	}
}

// errorSaid returns the key by which a body says that it is an error, as encoding/json reads it.
func errorSaid(body []byte) string {
	var top map[string]any
	if json.Unmarshal(bytes.TrimLeft(body, " \t\r\n\ufeff"), &top) != nil {
		return ""
	}
	for _, key := range []string{"error_code", "errorCode", "code", "error_msg", "errorMessage", "error"} {
		text, _ := top[key].(string)
		_, err := strconv.ParseFloat(text, 64)
		if err != nil && !slices.Contains([]string{"", "ok", "success", "succeed", "succeeded", "successful"}, plain(text)) {
			return key
		}
	}
	return ""
}

// wordsOf returns all texts of a body, keys as well, in lower case and trimmed, and how often each is there.
func wordsOf(body []byte) map[string]int {
	words := make(map[string]int)
	d := json.NewDecoder(bytes.NewReader(bytes.TrimLeft(body, " \t\r\n\ufeff")))
	d.UseNumber()
	for {
		token, err := d.Token()
		if err != nil {
			return words
		}
		if text, ok := token.(string); ok {
			words[plain(text)]++
		}
	}
}

func plain(text string) string {
	return strings.ToLower(strings.TrimFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Cf, r)
	}))
}

// checkStatus holds that a status is a word of the body, or two of them; and that no item has ended more
// often than the body says so.
func checkStatus(t *testing.T, status watcher.Status, said map[string]int) {
	word := plain(string(status))
	if word == "" || len(word) > 200 { // perhaps cut
		return
	}
	if said[word] > 0 {
		said[word]--
		return
	}
	for i := range word {
		if _, first := said[plain(word[:i])]; first && word[i] == '/' {
			if _, second := said[plain(word[i+1:])]; second && !status.Known() {
				return
			}
		}
	}
	t.Fatalf("status %q is not in the body", status)
}

// BenchmarkDecode reads an answer of many items.
func BenchmarkDecode(b *testing.B) {
	for _, n := range []int{1, 4, 300, 5000} {
		b.Run(fmt.Sprintf("%d items", n), func(b *testing.B) {
			var items []string
			for i := range n {
				items = append(items, fmt.Sprintf(`{"action":"createNode","resourcename":"os-node-created-%d","status":"succeed","begintimestamp":1744286228000,"updatetimestamp":1744286479000}`, i))
			}
			body := fmt.Appendf(nil, `{"count":%d,"items":[%s]}`, n, strings.Join(items, ","))
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := answer.Decode(body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
