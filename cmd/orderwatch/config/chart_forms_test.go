package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/cmdtest"
	"github.com/orderwatch/orderwatch/watcher/watchertest"
)

// A form is what the chart's schema wants of a variable's value beyond its type.
type form struct {
	pattern   string // what a text that is not empty matches, or each element of a list
	never     string // what no text matches that is not a list
	most      int    // characters of a text or an element; 0: any number
	schema    string // in place of a pattern
	good, bad string // values that the program takes and refuses, with | between them
	says      string // what the value must be; empty: what the program says
}

const (
	portPattern = `([0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])`
	hostLetters = `[^][:/?#@{}<>,%\\\x00-\x20\x7f]`
	hostPattern = `(\[[0-9A-Fa-f:.]+\]|` + hostLetters + `+)(:` + portPattern + `)?`
	basePattern = `https?://` + hostPattern + `(/([^?#{}%\x00-\x20\x7f]|%[0-9A-Fa-f]{2})*)?`
	regionsHost = `(\[[0-9A-Fa-f:.]+\]|(` + hostLetters + `|\{region\})+)(:` + portPattern + `)?`
	regionsBase = `https?://` + regionsHost + `(/([^?#{}%\x00-\x20\x7f]|%[0-9A-Fa-f]{2}|\{region\})*)?`
	twoRegions  = `\{region\}.*\{region\}` // the region's name is filled in once
	linkPattern = `(https://` + regionsHost + `|http://(localhost|127\.0\.0\.1|\[::1\])(:` + portPattern + `)?)([/?#]([^{}%\x00-\x20\x7f]|%[0-9A-Fa-f]{2}|\{(region|project|order|watch)\})*)?`
	addrPattern = `((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(\.(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])){3})`
	netPattern  = addrPattern + `(/(3[0-2]|[12]?[0-9]))?` +
		`|(([0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}|([0-9A-Fa-f]{1,4}(:[0-9A-Fa-f]{1,4}){0,5})?::([0-9A-Fa-f]{1,4}(:[0-9A-Fa-f]{1,4}){0,5}|([0-9A-Fa-f]{1,4}:)?` + addrPattern + `)?)(/(12[0-8]|1[01][0-9]|[1-9]?[0-9]))?`
	// The second is what stands in deploy/kubernetes.yaml for somebody to replace.
	channelPattern = `[CDG][A-Z0-9]+|<C0123456789>`
	headerPattern  = `[A-Za-z0-9-]+`
	notHeader      = `^([Hh][Oo][Ss][Tt]|[Cc][Oo][Oo][Kk][Ii][Ee]|[Aa][Uu][Tt][Hh][Oo][Rr][Ii][Zz][Aa][Tt][Ii][Oo][Nn]|[Oo][Rr][Ii][Gg][Ii][Nn])$`
)

// forms are those of the variables that do not take every value of their type. What is wanted of several variables together, or
// compared, is in the chart's templates, _check.tpl.
var forms = map[string]form{
	"NATS_URL": {pattern: `((nats|tls|ws|wss)://)?` + hostPattern + `(/([^,@%\x00-\x20\x7f]|%[0-9A-Fa-f]{2})*)?`, good: "nats://a:4222|a, tls://b|ws://[::1]:80/x", bad: "https://a|nats://u:p@a|a, u@b",
		says: "servers such as nats://host:4222, comma-separated, without user and password: there are ORDERWATCH_NATS_USER in config and ORDERWATCH_NATS_PASSWORD_FILE in files"},
	"NATS_JS_DOMAIN":              {pattern: inner(streamName), good: "hub-1", bad: "a.b"},
	"NATS_JS_API_PREFIX":          {pattern: inner(apiPrefix), good: "js.orderwatch.API|$JS.hub.API", bad: "js.>|a b"},
	"SUBJECT_PREFIX":              {pattern: inner(subjectTokens), most: maxPrefix, good: "a.b", bad: "a.>|a b"},
	"SERVICE_PREFIX":              {pattern: inner(streamName), most: maxPrefix, good: "a", bad: "a.b"},
	"STREAM_PREFIX":               {pattern: inner(streamName), most: maxPrefix, good: "A", bad: "A.B"},
	"INBOX_PREFIXES":              {pattern: inner(subjectTokens), most: maxPrefix, good: "_IN, _OUT.x", bad: "_IN.>|_IN,,_OUT"},
	"STREAM_REPLICAS":             {schema: `{"enum":[1,3,5,"1","3","5","",null]}`, good: "1|3|5", bad: "2|0"},
	"MODELARTS_REGIONS":           {pattern: inner(regionName), good: "cn-north-4, cn-southwest-2", bad: "CN North|cn-north-4,"},
	"MODELARTS_ENDPOINT":          {pattern: regionsBase, never: twoRegions, good: "https://modelarts.{region}.example/v1|http://127.0.0.1:80", bad: "https://u:p@a|a.example|ftp://a|https://a?b"},
	"MODELARTS_PROJECT_ID":        {pattern: `[A-Za-z0-9-]{1,64}`, good: "6f5d", bad: "a/b"},
	"MODELARTS_IAM_ENDPOINT":      {pattern: regionsBase, never: twoRegions, good: "https://iam.{region}.example", bad: "https://u:p@a|a.example"},
	"MODELARTS_METADATA_ENDPOINT": {pattern: basePattern, good: "http://169.254.169.254", bad: "http://u@a|169.254.169.254"},
	"MODELARTS_RATE":              {schema: number("number", `"exclusiveMinimum":0,"maximum":10000`, `0*[1-9][0-9]{0,3}(\.[0-9]+)?|0+\.[0-9]*[1-9][0-9]*|10000`), good: "0.5|12.5|10000", bad: "0|-1|10001"},
	"POLL_MULTIPLIER":             {schema: number("number", `"minimum":1`, `0*[1-9][0-9]*(\.[0-9]+)?`), good: "1|1.5|20", bad: "0.5|-2"},
	"POLL_JITTER":                 {schema: number("number", `"minimum":0,"maximum":1`, `0+(\.[0-9]+)?|0*1(\.0+)?`), good: "0|0.2|1", bad: "1.5|-0.1"},
	"CONCURRENCY":                 {schema: number("integer", `"minimum":1,"maximum":10000`, `0*([1-9][0-9]{0,3}|10000)`), good: "1|64|10000", bad: "0|10001|-1"},
	"SLACK_CHANNEL":               {pattern: channelPattern, good: "C0123456789", bad: "#alerts|alerts"},
	"SLACK_CHANNELS_ALLOWED":      {pattern: channelPattern, good: "C0GPU, C0OPS", bad: "#alerts|C0GPU, alerts"},
	"SLACK_MENTION_ON_FAILURE":    {pattern: `here|[UWS][A-Z0-9]{2,30}`, good: "here|U0123", bad: "@ada|channel"},
	"SLACK_API_URL":               {pattern: basePattern, good: "https://slack.example/api", bad: "https://u:p@a|a.example"},
	"CONSOLE_URL":                 {pattern: linkPattern, most: maxLink, good: "https://console.{region}.example/?p={project}#{order}", bad: "https://u:p@a|a.example|https://a/{id}|http://a"},
	"PUBLIC_URL":                  {pattern: linkPattern, most: maxLink, never: `^[^{]*([?#][^{]*|[^{]{251})$`, good: "https://orderwatch.example/x|http://localhost:8090|https://a/{order}", bad: "https://u:p@a|orderwatch.corp.lan|http://a"},
	"PPROF_ADDR":                  {pattern: `(\[[0-9A-Fa-f:.]+\]|[^][:/\s]*):` + portPattern, good: "127.0.0.1:6060|localhost:6060", bad: "6060"},
	"PAGE_AUTH":                   {schema: `{"enum":["none","basic","proxy","",null]}`, good: "none|basic|proxy", bad: "Basic"},
	"PAGE_USER_HEADER":            {pattern: headerPattern, never: notHeader, good: "X-Forwarded-User", bad: "X_User|Cookie"},
	"PAGE_TEAM_HEADER":            {pattern: headerPattern, never: notHeader, good: "X-Forwarded-Groups", bad: "X_User|Cookie"},
	"PAGE_TRUSTED_PROXIES":        {pattern: netPattern, good: "10.0.0.7, 10.1.0.0/16|::1|2001:db8::/32|1:2:3:4:5:6:7:8|::ffff:10.0.0.0/104", bad: "proxy.example|10.0.0.0/8/8|10.0.0.0/33"},
	"LOG_FORMAT":                  {schema: `{"enum":["text","json","",null]}`, good: "text|json", bad: "yaml"},
}

// inner returns the pattern without its ends.
func inner(r *regexp.Regexp) string {
	return strings.TrimSuffix(strings.TrimPrefix(r.String(), "^"), "$")
}

// number returns a schema of numbers within bounds, which may also be written as texts that match the pattern.
func number(kind, bounds, pattern string) string {
	return `{"type":["` + kind + `","string","null"],` + bounds + `,"pattern":` + quoted("^(|"+pattern+")$") + `}`
}

func quoted(text string) string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(text) // any text can be
	return strings.TrimSpace(b.String())
}

// bound returns what a schema says besides the pattern.
func (f form) bound() (text string) {
	if f.most > 0 {
		text = fmt.Sprintf(`,"maxLength":%d`, f.most)
	}
	if f.never != "" {
		text += `,"not":{"type":"string","pattern":` + quoted(f.never) + `}`
	}
	return text
}

// chartSchema returns the schema of the variable's values. Against another value it says what it must be, and never shows it.
func (v variable) chartSchema(t *testing.T) string {
	f, schema, says := forms[v.name], `{"$ref":"#/$defs/`+v.chartKind()+`"}`, strings.TrimPrefix(kind(v.value), "must be ")
	switch {
	case f.schema != "":
		schema = f.schema
	case f.pattern != "" && v.chartKind() == "list":
		one := `\s*(` + f.pattern + `)\s*`
		never := ""
		if f.most > 0 { // of elements that stand in one text, too
			never = fmt.Sprintf(`,"not":{"type":"string","pattern":"[^,]{%d}"}`, f.most+1)
		}
		schema = `{"type":["string","array","null"],"pattern":` + quoted("^(|"+one+"(,"+one+")*)$") + never + `,"items":{"type":"string"` + f.bound() + `,"pattern":` + quoted("^"+one+"$") + `}}`
	case v.name == "NATS_URL":
		one := `\s*(` + f.pattern + `)\s*`
		schema = `{"type":["string","null"],"pattern":` + quoted("^(|"+one+"(,"+one+")*)$") + `}`
	case f.pattern != "":
		schema = `{"type":["string","null"]` + f.bound() + `,"pattern":` + quoted("^(|"+f.pattern+")$") + `}`
	case v.chartKind() == "text":
		says = "a text: put a number, true and false into quotes"
	case v.chartKind() == "list":
		says = "a list of texts, or a text with commas"
	case v.chartKind() == "duration":
		says += ", with its unit"
	}
	if f.good != "" {
		says = v.refusal(t, f)
	}
	if v.chartKind() == "text" && strings.Contains(says, "0-9") {
		says += "; a number in quotes, and behind --set-string"
	}
	return `{"if":{"not":` + schema + `},"then":{"const":` + quoted(strings.ReplaceAll(says, "'", "’")) + `}}` // helm would print \\'
}

// refusal returns what the program says that the variable must be.
func (v variable) refusal(t *testing.T, f form) string {
	t.Helper()
	if f.says != "" {
		return f.says
	}
	bad, _, _ := strings.Cut(f.bad, "|")
	for _, problem := range startWith(t, v.name, bad) {
		if says, found := strings.CutPrefix(problem.What, "must be "); found && problem.Variable == Prefix+v.name && !strings.HasPrefix(says, "set ") {
			return says
		}
	}
	t.Errorf("nothing says what %s must be", v.name)
	return ""
}

// startWith returns what workers and the page say against the value of a variable.
func startWith(t *testing.T, name, value string) (all Problems) {
	t.Helper()
	env := cmdtest.Least()
	env[name] = value
	cmdtest.Setenv(t, env)
	for _, load := range []func() (Config, error){LoadServe, LoadPage} {
		_, err := load()
		var problems Problems
		errors.As(err, &problems)
		all = append(all, problems...)
	}
	return all
}

// blunders are what people write by mistake: times, numbers, addresses, URLs, names.
var blunders = append(strings.Split("5|5 minutes|-5s|1d|99999999999h|9223372036854775808|1e400|0x10|1H| 5s|1h 30m|a b|a,b|,|a,,b|a,|A|a.b|a.|.a|a..b|a/b|a:b|*|>|$|é|日本|<x>|"+
	"http://|https://|https:///x|https://a:99999|https://a:x|https://a b|https://a/%zz|https://a?x|https://a#x|HTTPS://a|https://a\\b|https://[::1|https://[x]|https://a/{|https://a/}|"+
	"https://{region}.a/{region}|https://a/{region}{region}|https://{order}.example|https://a/{Region}|https://a/ |https://a%20b|http://a|http://localhost:99999|"+
	"nats://a:99999|nats://a:x|nats://a b|NATS://a|nats://a/%zz|nats://a?x|nats://[::1|a:b:c|a:4222:1|nats://%zz|a%zz|"+
	"127.0.0.1|:99999|127.0.0.1:-1|localhost:70000|a:b:80|::1:80|[::1:80|10.0.0.0/99|10.0.0.0/33|999.1.1.1|10.0.0|1.2.3.4.5|10.0.0.0/08|010.0.0.1|::1/129|:::|10.0.0.1/|"+
	"c0123|#x|C0 |@here|<!here>|here |channel|True|yes|-1|1.5|NaN|Inf|1_000|10001|10000.5|warning|JSON|x_user|host|COOKIE|X User|X:Y", "|"),
	strings.Repeat("a", 65), strings.Repeat("a", 40)+"."+strings.Repeat("b", 40), "https://a/\x01", "https://a/"+strings.Repeat("b", 250),
	"https://a/{order}"+strings.Repeat("b", 2000), "a\n", "\n", strings.Repeat("a", 3000))

// TestChartForms holds the chart's schema against the program: both take the good values, and refuse the bad ones. The schema takes
// no blunder that the program refuses.
func TestChartForms(t *testing.T) {
	watchertest.Unraced(t)
	schemas := make(map[string]*jsonschema.Schema)
	for place, definition := range map[string]string{"config": "workerConfig", "page.config": "pageConfig"} {
		schema, err := jsonschema.NewCompiler().Compile(chart + "values.schema.json#/$defs/" + definition)
		if err != nil {
			t.Fatal(err)
		}
		schemas[place] = schema
	}
	for _, v := range variables(new(Config)) {
		if len(v.places()) == 0 || strings.HasSuffix(v.places()[0], "files") {
			continue
		}
		schema := func(value any) error {
			return schemas[v.places()[0]].Validate(map[string]any{Prefix + v.name: value})
		}
		program := func(value string) bool {
			return !slices.ContainsFunc(startWith(t, v.name, value), func(p Problem) bool {
				form := strings.HasPrefix(p.What, "must ") && !strings.HasPrefix(p.What, "must be set") || strings.HasPrefix(p.What, "is where")
				return p.Variable == Prefix+v.name && form
			})
		}
		f := forms[v.name]
		for value := range strings.SplitSeq(f.good, "|") {
			if err := schema(value); err != nil || !program(value) {
				t.Errorf("%s=%q is refused: %v", v.name, value, err)
			}
		}
		for value := range strings.SplitSeq(f.bad, "|") {
			if f.bad != "" && (schema(value) == nil || program(value)) {
				t.Errorf("%s=%q is taken", v.name, value)
			}
		}
		for _, value := range blunders {
			if _, err := time.ParseDuration(value); err == nil && v.chartKind() == "duration" {
				continue // the chart's templates compare times
			}
			if schema(value) == nil && !program(value) {
				t.Errorf("%s=%.80q is taken", v.name, value)
			}
		}
		for _, value := range []any{nil, v.tag.Get("default")} {
			if err := schema(value); err != nil {
				t.Errorf("%s=%v is refused: %v", v.name, value, err)
			}
		}
	}
}
