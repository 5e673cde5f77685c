package config

import (
	"log/slog"
	"math"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/orderwatch/orderwatch/events/teams"
	"github.com/orderwatch/orderwatch/notify/routes"
	"github.com/orderwatch/orderwatch/watcher"
)

const (
	week = 7 * 24 * time.Hour
	// maxModelArtsTimeout is how long a call may take so that two of them and a second, after which what a
	// worker that died had taken is delivered again, are at most 60 s.
	maxModelArtsTimeout = 29500 * time.Millisecond
	// minPoll is the shortest interval; wake-ups come with a granularity of 250 ms anyway.
	minPoll = 100 * time.Millisecond
	// maxModelArtsRate is the highest rate that package modelarts takes, in requests a second.
	maxModelArtsRate = 10000
	// maxPrefix keeps subjects and stream names well under the server's 255 bytes.
	maxPrefix = 64
	maxLink   = 2000 // characters of a template
	maxBase   = 250  // bytes of a PUBLIC_URL that is no template: any order's page below it has at most 500
	// maxSwept is the longest interval of a listed order where nobody says otherwise.
	maxSwept = 5 * time.Minute
)

var (
	subjectTokens = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)
	apiPrefix     = regexp.MustCompile(`^[A-Za-z0-9_$-]+(\.[A-Za-z0-9_$-]+)*$`)
	streamName    = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	regionName    = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
)

// normalise brings values that may be written in several ways into one.
func (c *Config) normalise() {
	for _, list := range [][]string{c.ModelArts.Regions, c.Assets.InboxPrefixes, c.Slack.ChannelsAllowed, c.Page.TrustedProxies} {
		for i := range list {
			list[i] = strings.TrimSpace(list[i])
		}
	}
	if c.Poll.MaxSwept == 0 {
		c.Poll.MaxSwept = max(c.Poll.Max, min(5*c.Poll.Max, maxSwept))
	}
	if c.Slack.APIURL != "" && !strings.HasSuffix(c.Slack.APIURL, "/") {
		c.Slack.APIURL += "/" // slack-go appends the method's name to it
	}
}

func (p *Problems) checkNATS(c *Config) {
	n := c.NATS
	p.must(n.URL == "" || n.EmbeddedDir == "", "NATS_URL", "is set together with ORDERWATCH_EMBEDDED_NATS_DIR: keep one")
	if n.URL != "" {
		for server := range strings.SplitSeq(n.URL, ",") {
			p.checkServer(strings.TrimSpace(server))
		}
	}
	p.must(isAddr(n.EmbeddedAddr), "EMBEDDED_NATS_ADDR", "must be host:port")
	p.must((n.User != "") == n.Password.IsSet(), "NATS_USER", "must be set together with ORDERWATCH_NATS_PASSWORD, or neither")
	p.must((n.CertFile != "") == (n.KeyFile != ""), "NATS_CERT_FILE", "must be set together with ORDERWATCH_NATS_KEY_FILE, or neither")

	logins := []string{"NATS_CREDS_FILE", "NATS_NKEY_FILE", "NATS_USER", "NATS_TOKEN"}
	logins = slices.DeleteFunc(logins, func(name string) bool { return !c.isSet(name) })
	if len(logins) > 1 {
		p.add(logins[0], "is set together with "+Prefix+strings.Join(logins[1:], " and "+Prefix)+": keep one way to log in")
	}

	p.checkFile("NATS_CREDS_FILE", n.CredsFile)
	p.checkFile("NATS_NKEY_FILE", n.NKeyFile)
	p.checkFile("NATS_CA_FILE", n.CAFile)
	p.checkFile("NATS_CERT_FILE", n.CertFile)
	p.checkFile("NATS_KEY_FILE", n.KeyFile)
	p.must(n.JSDomain == "" || streamName.MatchString(n.JSDomain), "NATS_JS_DOMAIN", "must be of A-Z a-z 0-9 _ -")
	p.must(n.JSAPIPrefix == "" || apiPrefix.MatchString(n.JSAPIPrefix), "NATS_JS_API_PREFIX", "must be subject tokens of A-Z a-z 0-9 _ - $ joined by dots, such as js.orderwatch.API")
	p.must(n.JSAPIPrefix == "" || n.JSDomain == "", "NATS_JS_API_PREFIX", "is set together with ORDERWATCH_NATS_JS_DOMAIN: keep one")
}

// checkServer checks one server's address. A login in it would end up in logs.
func (p *Problems) checkServer(server string) {
	if !strings.Contains(server, "://") {
		server = "nats://" + server
	}
	u, err := url.Parse(server)
	if err != nil || u.Hostname() == "" || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme) {
		p.add("NATS_URL", "must be servers such as nats://host:4222, comma-separated")
		return
	}
	p.must(u.User == nil, "NATS_URL", "must not hold a login: use ORDERWATCH_NATS_USER and ORDERWATCH_NATS_PASSWORD, or ORDERWATCH_NATS_TOKEN")
}

func (p *Problems) checkAssets(a Assets) {
	p.must(len(a.SubjectPrefix) <= maxPrefix && subjectTokens.MatchString(a.SubjectPrefix), "SUBJECT_PREFIX", "must be subject tokens of A-Z a-z 0-9 _ - joined by dots, at most 64 bytes")
	p.must(len(a.ServicePrefix) <= maxPrefix && streamName.MatchString(a.ServicePrefix), "SERVICE_PREFIX", "must be one subject token of A-Z a-z 0-9 _ -, at most 64 bytes")
	p.must(len(a.StreamPrefix) <= maxPrefix && streamName.MatchString(a.StreamPrefix), "STREAM_PREFIX", "must be of A-Z a-z 0-9 _ -, at most 64 bytes")
	p.must(a.ServicePrefix != a.SubjectPrefix, "SERVICE_PREFIX", "must differ from ORDERWATCH_SUBJECT_PREFIX: both have a subject that ends in .watch")
	for _, prefix := range a.InboxPrefixes {
		own := slices.ContainsFunc([]string{a.SubjectPrefix, a.ServicePrefix}, func(own string) bool {
			return strings.HasPrefix(own+".", prefix+".") || strings.HasPrefix(prefix+".", own+".")
		})
		p.must(len(prefix) <= maxPrefix && subjectTokens.MatchString(prefix) && !own, "INBOX_PREFIXES", "must be subject tokens of A-Z a-z 0-9 _ - joined by dots, comma-separated, and none of ORDERWATCH_SUBJECT_PREFIX or ORDERWATCH_SERVICE_PREFIX")
	}
	p.must(slices.Contains([]int{1, 3, 5}, a.StreamReplicas), "STREAM_REPLICAS", "must be 1, 3 or 5")
}

func (p *Problems) checkModelArts(m ModelArts) {
	p.must(!slices.ContainsFunc(m.Regions, func(r string) bool { return !regionName.MatchString(r) }), "MODELARTS_REGIONS", "must be regions of a-z 0-9 -, comma-separated, such as cn-north-4,cn-southwest-2")
	p.must(isEndpoint(m.Endpoint), "MODELARTS_ENDPOINT", "must be an https or http URL without login, query and fragment, with {region} at most once")
	if m.ProjectID != "" {
		p.must(watcher.Order{ProjectID: m.ProjectID, Name: "any"}.Validate() == nil, "MODELARTS_PROJECT_ID", "must be 1 to 64 of A-Z a-z 0-9 -")
	}
	p.must(m.IAMEndpoint == "" || isEndpoint(m.IAMEndpoint), "MODELARTS_IAM_ENDPOINT", "must be an https or http URL without login, query and fragment, with {region} at most once")
	p.must(m.MetadataEndpoint == "" || isBaseURL(m.MetadataEndpoint), "MODELARTS_METADATA_ENDPOINT", "must be an https or http URL without login, query and fragment")
	p.checkFile("MODELARTS_CA_FILE", m.CAFile)
	p.must(m.Timeout > 0 && m.Timeout <= maxModelArtsTimeout, "MODELARTS_TIMEOUT", "must be more than 0 and at most 29.5s")
	p.must(m.Rate > 0 && m.Rate <= maxModelArtsRate, "MODELARTS_RATE", "must be more than 0 and at most 10000")
	p.must(m.NotFoundGrace > 0, "MODELARTS_NOT_FOUND_GRACE", "must be more than 0")
}

func (p *Problems) checkPolls(poll Poll, w Watch) {
	p.must(poll.Initial >= minPoll && poll.Initial <= poll.Max, "POLL_INITIAL", "must be at least 100ms and at most ORDERWATCH_POLL_MAX")
	p.must(poll.Multiplier >= 1 && !math.IsInf(poll.Multiplier, 0), "POLL_MULTIPLIER", "must be at least 1")
	p.must(poll.Max >= minPoll, "POLL_MAX", "must be at least 100ms")
	p.must(poll.MaxSwept >= poll.Max, "POLL_MAX_SWEPT", "must be at least ORDERWATCH_POLL_MAX")
	p.must(poll.SweepEvery == 0 || poll.SweepEvery >= 100*time.Millisecond, "SWEEP_EVERY", "must be at least 100ms, or 0 to list no orders")
	p.must(poll.Jitter >= 0 && poll.Jitter <= 1, "POLL_JITTER", "must be 0 to 1")
	p.must(w.Settle >= 0, "SETTLE", "must be 0 or more")
	p.must(w.Timeout >= time.Second && w.Timeout <= w.TimeoutMax, "TIMEOUT", "must be at least 1s and at most ORDERWATCH_TIMEOUT_MAX")
	p.must(w.TimeoutMax >= time.Second, "TIMEOUT_MAX", "must be at least 1s")
	p.must(w.Concurrency >= 1 && w.Concurrency <= 10000, "CONCURRENCY", "must be 1 to 10000")
}

func (p *Problems) checkSlack(s *Slack) {
	p.need(s.Channel != "" || !s.Token.IsSet(), "SLACK_CHANNEL", "ORDERWATCH_SLACK_TOKEN needs the ID of a channel to post in")
	p.must(s.Channel == "" || routes.IsChannel(s.Channel), "SLACK_CHANNEL", "must be a channel's ID such as C0123456789, not its name")
	p.must(!slices.ContainsFunc(s.ChannelsAllowed, func(c string) bool { return !routes.IsChannel(c) }), "SLACK_CHANNELS_ALLOWED", "must be IDs of channels such as C0123456789, comma-separated, not names")
	p.must(routes.CheckMention(s.MentionOnFailure) == nil, "SLACK_MENTION_ON_FAILURE", "must be here, or the ID of a user (U…, W…) or a group (S…)")
	p.must(strings.TrimSpace(s.Token.Reveal()) == s.Token.Reveal(), "SLACK_TOKEN", "begins or ends with a blank: take it out")
	p.must(!s.WebhookURL.IsSet() || isBaseURL(s.WebhookURL.Reveal()), "SLACK_WEBHOOK_URL", "must be an https or http URL")
	p.must(s.APIURL == "" || isBaseURL(s.APIURL), "SLACK_API_URL", "must be an https or http URL without login, query and fragment")
	p.readRoutes(s)
}

// readRoutes reads the rules of the file, if there is one.
func (p *Problems) readRoutes(s *Slack) {
	p.must(s.RoutesFile == "" || s.Token.IsSet(), "SLACK_ROUTES_FILE", "needs ORDERWATCH_SLACK_TOKEN: a webhook posts into its own channel alone")
	s.Routes = readRules(p, "SLACK_ROUTES_FILE", s.RoutesFile, routes.Parse)
}

// readTeams reads what teams may, if there is a file.
func (p *Problems) readTeams(c *Config) {
	c.Watch.Teams = readRules(p, "TEAMS_FILE", c.Watch.TeamsFile, teams.Parse)
	c.Slack.teams, c.Slack.teamsFile = c.Watch.Teams, c.Watch.TeamsFile
}

// readRules reads a file of rules, if there is one: each thing that is wrong in it is a problem of its own.
func readRules[R any](p *Problems, name, path string, parse func(string, []byte) (R, error)) (rules R) {
	if path == "" {
		return rules
	}
	text, err := ReadRules(path)
	if err != nil {
		p.add(name, cannotRead(path, err))
		return rules
	}
	if rules, err = parse(path, text); err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			p.add(name, line)
		}
	}
	return rules
}

func (p *Problems) checkLinks(l Links) {
	const must = "must be an https URL (http only on localhost) of at most 2000 characters without login, blanks and braces but for {region}, {project}, {order} and {watch}; in the host {region} alone"
	p.must(l.Console == "" || isTemplate(l.Console), "CONSOLE_URL", must)
	p.must(l.Public == "" || isTemplate(l.Public), "PUBLIC_URL", must)
	p.must(l.IsTemplate() || len(l.Public) <= maxBase && !strings.ContainsAny(l.Public, "?#"), "PUBLIC_URL", "is where orderwatch page is found, unless it has one of {region}, {project}, {order} and {watch}: it must have no query, no fragment, and at most 250 characters")
}

// IsTemplate reports whether the address of an order's page is filled in, and not below that of the command page.
func (l Links) IsTemplate() bool { return filledAll.Replace(l.Public) != l.Public }

func (p *Problems) checkHTTPAndLog(h HTTP, l Log) {
	p.must(isAddr(h.Addr), "HTTP_ADDR", "must be host:port")
	p.must(h.PprofAddr == "" || isAddr(h.PprofAddr), "PPROF_ADDR", "must be host:port")
	p.must(!h.HeartbeatURL.IsSet() || routes.IsLink(h.HeartbeatURL.Reveal()), "HEARTBEAT_URL", "must be an https URL without login and blanks; http only to localhost, 127.0.0.1 or ::1")
	p.must(slices.Contains([]slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}, l.Level), "LOG_LEVEL", "must be debug, info, warn or error")
	p.must(slices.Contains([]string{"", "text", "json"}, l.Format), "LOG_FORMAT", "must be text or json")
}

// checkFile checks that the file can be read now, rather than at the first connection.
func (p *Problems) checkFile(name, path string) {
	if path != "" {
		why := CheckFile(path)
		p.must(why == "", name, why)
	}
}

// isEndpoint reports whether text is a base URL once the region is filled in.
func isEndpoint(text string) bool {
	return strings.Count(text, "{region}") <= 1 && isBaseURL(strings.Replace(text, "{region}", "region", 1))
}

var (
	filledRegion = strings.NewReplacer("{region}", "region")
	filledAll    = strings.NewReplacer("{region}", "region", "{project}", "project", "{order}", "order", "{watch}", "watch")
)

// isTemplate reports whether text is a link once an order is filled in, whose host is not the order's choice.
func isTemplate(text string) bool {
	_, err := url.Parse(filledRegion.Replace(text)) // it refuses other braces in a host
	return err == nil && utf8.RuneCountInString(text) <= maxLink && routes.IsLink(filledAll.Replace(text))
}

// isBaseURL reports whether a path can be appended to text to make an http or https URL.
func isBaseURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" &&
		u.User == nil && !strings.ContainsAny(text, "?#{}")
}

// isAddr reports whether text is a host, perhaps empty, and a port in digits.
func isAddr(text string) bool {
	_, port, err := net.SplitHostPort(text)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	return err == nil
}
