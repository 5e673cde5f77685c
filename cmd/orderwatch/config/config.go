// Package config reads the environment, checks it, and says as values what is wrong with it.
//
// [Load] is for every command, [LoadServe] for those that do a worker's work. What is wrong comes as
// [Problems], all of it at once, and never shows a value. Nothing below the command reads the environment.
//
// Read config.go first: the variables, in eleven groups, and in which order they are read and checked. read.go says how
// a value comes out of a variable, and when NAME_FILE is read for a secret instead; file.go which files are read, and how
// much of them; secret.go what a secret shows of itself; check.go what is refused, open.go what is refused since
// strangers could reach or read it, login.go which login
// to ModelArts is taken, names.go which names are misspelt, problem.go what a problem is; channels.go which Slack
// channels there are, page.go the page's variables, table.go how the help and deploy/CONFIGURATION.md show the variables.
package config

import (
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/events/teams"
	"github.com/orderwatch/orderwatch/notify/routes"
)

// Prefix begins the name of every variable that the program reads, but for a few HW_ ones.
const Prefix = "ORDERWATCH_"

// A Config is what the environment says, checked. The tags of a field name its variable without [Prefix], its default,
// what a table shows where there is none (unset), and what it means; a field without them follows from others. The
// order is that of the tables that people read. A [Secret] can also come from a file, named by the variable with _FILE
// added. An empty variable counts as unset.
type Config struct {
	NATS       NATS
	Requesters Requesters
	Assets     Assets
	ModelArts  ModelArts
	Poll       Poll
	Watch      Watch
	Slack      Slack
	Links      Links
	HTTP       HTTP
	Page       Page
	Log        Log

	Version string // of the program; no variable names it, the caller sets it
}

// A NATS says where NATS is and how to log in: by at most one of creds file, nkey file, user with password, and token.
// The server inside the process demands the user with password, or the token, where one is set; requesters log in with
// their own.
type NATS struct {
	URL          string `env:"NATS_URL" desc:"servers, comma-separated, without user and password; required by serve unless EMBEDDED_NATS_DIR is set"`
	EmbeddedDir  string `env:"EMBEDDED_NATS_DIR" desc:"run a JetStream server inside the process, with its data in this directory"`
	EmbeddedAddr string `env:"EMBEDDED_NATS_ADDR" default:"127.0.0.1:4222" desc:"where the server inside the process listens; without NATS_USER or NATS_TOKEN on loopback only"`
	CredsFile    string `env:"NATS_CREDS_FILE" desc:"path of a credentials file; at most one way to log in"`
	NKeyFile     string `env:"NATS_NKEY_FILE" desc:"path of an nkey seed file"`
	User         string `env:"NATS_USER" desc:"user, together with NATS_PASSWORD"`
	Password     Secret `env:"NATS_PASSWORD" desc:"password of NATS_USER"`
	Token        Secret `env:"NATS_TOKEN" desc:"token"`
	CAFile       string `env:"NATS_CA_FILE" unset:"the system's" desc:"path of the certificates to trust"`
	CertFile     string `env:"NATS_CERT_FILE" desc:"path of a client certificate, together with NATS_KEY_FILE"`
	KeyFile      string `env:"NATS_KEY_FILE" desc:"path of the client certificate's key"`
	TLSFirst     bool   `env:"NATS_TLS_FIRST" desc:"true: TLS before the server says a word, where it has tls { handshake_first: true }"`
	JSDomain     string `env:"NATS_JS_DOMAIN" desc:"JetStream domain"`
	JSAPIPrefix  string `env:"NATS_JS_API_PREFIX" desc:"for commands that ask: how the subjects of JetStream's API begin here, where the account imports them under another name than $JS.API"`
}

// Requesters say how those log in to the server inside the process who are no workers: by user with password, or by
// token. They may ask, look, cancel and follow events.
type Requesters struct {
	User     string `env:"EMBEDDED_NATS_REQUESTER_USER" desc:"user whom the server inside the process lets ask, look, cancel and follow events; NATS_USER may do everything"`
	Password Secret `env:"EMBEDDED_NATS_REQUESTER_PASSWORD" desc:"password of EMBEDDED_NATS_REQUESTER_USER"`
	Token    Secret `env:"EMBEDDED_NATS_REQUESTER_TOKEN" desc:"token in place of that user and password"`
}

// A Assets names subjects and streams and says how they are made.
type Assets struct {
	SubjectPrefix  string        `env:"SUBJECT_PREFIX" default:"orders" desc:"first tokens of all subjects but the service's"`
	ServicePrefix  string        `env:"SERVICE_PREFIX" default:"orderwatch" desc:"name of the NATS service and first token of its subjects"`
	InboxPrefixes  []string      `env:"INBOX_PREFIXES" unset:"_INBOX, _INBOX_…" desc:"other inbox prefixes of requesters, comma-separated; the service answers to inboxes alone"`
	StreamPrefix   string        `env:"STREAM_PREFIX" default:"ORDER" desc:"begins the names of streams and buckets; two installations in one account differ in all three prefixes"`
	StreamReplicas int           `env:"STREAM_REPLICAS" default:"1" desc:"1, 3 or 5; 3 for production"`
	EventsMaxAge   time.Duration `env:"EVENTS_MAX_AGE" default:"2160h" desc:"how long events are kept; at least TIMEOUT_MAX and 168h"`
	Provision      bool          `env:"PROVISION" default:"true" desc:"create missing streams, buckets and consumers; false only checks them"`
}

// A ModelArts says which ModelArts is asked, as whom, and how hard. After [LoadServe] exactly one way to log in is set:
// the token, the access key with its secret, the user with password and domain, or the agency.
type ModelArts struct {
	Regions          []string      `env:"MODELARTS_REGIONS" desc:"regions, comma-separated, the first is the default; required by serve"`
	Endpoint         string        `env:"MODELARTS_ENDPOINT" default:"https://modelarts.{region}.myhuaweicloud.com" desc:"base URL; {region} is filled in"`
	ProjectID        string        `env:"MODELARTS_PROJECT_ID" desc:"project of requests that name none"`
	IAMEndpoint      string        `env:"MODELARTS_IAM_ENDPOINT" unset:"https://iam.{region}.myhuaweicloud.com" desc:"base URL of the password login; {region} is filled in"`
	MetadataEndpoint string        `env:"MODELARTS_METADATA_ENDPOINT" unset:"http://169.254.169.254" desc:"base URL of the ECS agency; no proxy is asked for it"`
	CAFile           string        `env:"MODELARTS_CA_FILE" unset:"the system's" desc:"path of the certificates to trust; HTTPS_PROXY and NO_PROXY are honoured"`
	Token            Secret        `env:"MODELARTS_TOKEN" unset:"HW_AUTH_TOKEN" desc:"IAM token, valid for 24 hours; the file is read again whenever it changes; serve needs exactly one way to log in"`
	AccessKey        Secret        `env:"MODELARTS_ACCESS_KEY" unset:"HW_ACCESS_KEY" desc:"access key (AK), together with MODELARTS_SECRET_KEY"`
	SecretKey        Secret        `env:"MODELARTS_SECRET_KEY" unset:"HW_SECRET_KEY" desc:"secret key (SK) of MODELARTS_ACCESS_KEY"`
	SecurityToken    Secret        `env:"MODELARTS_SECURITY_TOKEN" unset:"HW_SECURITY_TOKEN" desc:"security token, where MODELARTS_ACCESS_KEY is a temporary key"`
	User             string        `env:"MODELARTS_USER" unset:"HW_USER_NAME" desc:"IAM user, together with MODELARTS_PASSWORD and MODELARTS_DOMAIN"`
	Password         Secret        `env:"MODELARTS_PASSWORD" unset:"HW_USER_PASSWORD" desc:"password of MODELARTS_USER"`
	Domain           string        `env:"MODELARTS_DOMAIN" unset:"HW_DOMAIN_NAME" desc:"account name of MODELARTS_USER"`
	ECSAgency        bool          `env:"MODELARTS_ECS_AGENCY" desc:"true: the agency of the machine that it runs on"`
	Timeout          time.Duration `env:"MODELARTS_TIMEOUT" default:"15s" desc:"of one call; at most 29.5s"`
	Rate             float64       `env:"MODELARTS_RATE" default:"20" desc:"requests a second for each account (a login in a region), over all replicas"`
	NotFoundGrace    time.Duration `env:"MODELARTS_NOT_FOUND_GRACE" default:"2m" desc:"how long ModelArts may not know an order that was asked for"`
}

// A Poll is the schedule of a watch's polls, in the terms of cenkalti/backoff.
type Poll struct {
	Initial    time.Duration `env:"POLL_INITIAL" default:"5s" desc:"first interval between polls, and the one after an item changed once they had grown to POLL_MAX"`
	Multiplier float64       `env:"POLL_MULTIPLIER" default:"1.5" desc:"each interval is so many times the last; at least 1"`
	Max        time.Duration `env:"POLL_MAX" default:"1m" desc:"longest interval"`
	Jitter     float64       `env:"POLL_JITTER" default:"0.2" desc:"by which part of itself an interval may vary, 0 to 1"`
	MaxSwept   time.Duration `env:"POLL_MAX_SWEPT" unset:"5 × POLL_MAX, but no more than 5m" desc:"longest interval of an order that ModelArts' list shows as running, where no request sets progress and SLACK_PROGRESS and the rules' progress are off; never below POLL_MAX; equal to it: off"`
	SweepEvery time.Duration `env:"SWEEP_EVERY" default:"5s" desc:"how often the orders of a project with two or more open watches are listed, so that one that ended is asked for at once; 0 lists none"`
}

// A Watch says when watches end, how many are polled at once, and who may have what watched.
type Watch struct {
	Settle      time.Duration `env:"SETTLE" default:"10s" desc:"an order that looks ended is looked at once more after this long; 0 trusts the first look"`
	Timeout     time.Duration `env:"TIMEOUT" default:"2h" desc:"of watches whose request names none"`
	TimeoutMax  time.Duration `env:"TIMEOUT_MAX" default:"48h" desc:"longest timeout that a request may name"`
	LateByUsual bool          `env:"LATE_BY_USUAL" default:"true" desc:"people are told, too, of an order that takes longer than 95 of 100 with the same actions did, where no request says late_after; false: only a late_after makes an order late"`
	Concurrency int           `env:"CONCURRENCY" default:"64" desc:"polls in flight in one process, 1 to 10000"`
	TeamsFile   string        `env:"TEAMS_FILE" desc:"path of a YAML file that says which team may have which projects watched, name which channels, and how much; without it everybody may all"`

	Teams teams.Teams // what that file says
}

// A Slack says where people are told. Without token and webhook the summary goes to the log.
type Slack struct {
	Token            Secret   `env:"SLACK_TOKEN" unset:"to the log" desc:"bot token, xoxb-…; needs SLACK_CHANNEL"`
	Channel          string   `env:"SLACK_CHANNEL" desc:"ID of the channel to post in"`
	ChannelsAllowed  []string `env:"SLACK_CHANNELS_ALLOWED" desc:"IDs of other channels that a request may name, comma-separated"`
	MentionOnFailure string   `env:"SLACK_MENTION_ON_FAILURE" desc:"here, a user U… or W…, or a group S…"`
	WebhookURL       Secret   `env:"SLACK_WEBHOOK_URL" desc:"incoming webhook, where there is no bot token; beside one it gets what all channels refuse; it must answer ok, as Slack does"`
	APIURL           string   `env:"SLACK_API_URL" unset:"Slack's" desc:"base URL of the Slack API"`
	Progress         bool     `env:"SLACK_PROGRESS" desc:"true: also post while an order runs, after a minute, in one message that becomes the summary; needs SLACK_TOKEN"`
	RoutesFile       string   `env:"SLACK_ROUTES_FILE" desc:"path of a YAML file with rules that choose channels and mentions by project and label; needs SLACK_TOKEN"`

	Routes routes.Routes // what that file says

	teams     teams.Teams // [Watch.Teams], whose channels are told in, too
	teamsFile string
}

// A Links says where people find an order. In both, {region}, {project}, {order} and {watch} stand for the order's
// own, escaped for a URL; {region} alone may stand in the host. A Public without any of them is where the command page
// is found, perhaps with a path: the order's page is below it (see [watcher.Order.URL]).
type Links struct {
	Console string `env:"CONSOLE_URL" desc:"link to an order in the cloud's console: https, or http on localhost; {region}, {project}, {order} and {watch} are filled in"`
	Public  string `env:"PUBLIC_URL" desc:"where the page of the orders is found, perhaps with a path; messages, events and orderwatch get --open lead to the order's page below it. With one of {region}, {project}, {order} and {watch}: link to a page of your own, filled in likewise"`
}

// A HTTP says where the process answers probes and scrapers, and whom it calls while all is well.
type HTTP struct {
	Addr      string `env:"HTTP_ADDR" default:"127.0.0.1:8080" desc:"host:port of /livez, /readyz and /metrics"`
	PprofAddr string `env:"PPROF_ADDR" unset:"off" desc:"host:port of net/http/pprof, on loopback"`
	Insecure  bool   `env:"ALLOW_INSECURE" desc:"true: also take PPROF_ADDR beyond loopback, and plain http to other machines for Slack, ModelArts and IAM"`

	HeartbeatURL Secret `env:"HEARTBEAT_URL" desc:"URL that one worker calls (GET) once a minute while the installation does its work; https, or http on this machine"`
}

// A Log says what is logged and how. An empty Format is text on a terminal and JSON elsewhere.
type Log struct {
	Level  slog.Level `env:"LOG_LEVEL" default:"info" desc:"debug, info, warn or error"`
	Format string     `env:"LOG_FORMAT" unset:"text on a terminal, json elsewhere" desc:"text or json"`
}

// Load reads and checks the process's environment, for any command. The error is [Problems]: all that
// is wrong, found at once. The config that comes with an error is for further checks alone.
func Load() (Config, error) {
	c, p := load()
	return c, p.err()
}

func load() (c Config, p Problems) {
	p.misspelt(os.Environ())
	p.read(&c)
	c.normalise()
	p.checkNATS(&c)
	p.checkAssets(c.Assets)
	p.checkModelArts(c.ModelArts)
	p.checkPolls(c.Poll, c.Watch)
	p.readTeams(&c)
	p.checkSlack(&c.Slack)
	p.checkLinks(c.Links)
	p.checkHTTPAndLog(c.HTTP, c.Log)
	p.must(c.Assets.EventsMaxAge >= c.Watch.TimeoutMax && c.Assets.EventsMaxAge-c.Watch.TimeoutMax >= week, "EVENTS_MAX_AGE", "must be at least ORDERWATCH_TIMEOUT_MAX and 168h")
	return c, p
}

// LoadServe is [Load] for the commands that do the work: what they need must be there, and the login to
// ModelArts may come from the HW_ variables.
func LoadServe() (Config, error) {
	c, p := load()
	p.need(c.NATS.URL != "" || c.NATS.EmbeddedDir != "", "NATS_URL", "set it, or ORDERWATCH_EMBEDDED_NATS_DIR")
	p.must(c.NATS.JSAPIPrefix == "", "NATS_JS_API_PREFIX", "is for commands that ask from another account: a worker logs in to the account that has the streams")
	p.need(len(c.ModelArts.Regions) > 0, "MODELARTS_REGIONS", "name at least one region, such as cn-north-4")
	p.must(c.Slack.Channel == "" || c.Slack.Token.IsSet() || c.Slack.WebhookURL.IsSet(), "SLACK_TOKEN", "is not set, but ORDERWATCH_SLACK_CHANNEL is: set the token, or unset the channel to have summaries in the log")
	p.must(!c.Slack.Progress || c.Slack.Token.IsSet(), "SLACK_PROGRESS", "needs ORDERWATCH_SLACK_TOKEN: only a bot can change its messages")
	p.checkEmbedded(&c)
	p.checkOpen(c)
	p.logIn(&c)
	return c, p.err()
}

// Default returns what an empty environment says.
func Default() Config {
	var c Config
	for _, v := range variables(&c) {
		if !v.secret() {
			_ = v.convert(nowhere) // tests hold that the defaults are right
		}
	}
	return c
}

// Secrets returns the secrets that are set, so that no text is shown that holds one.
func (c Config) Secrets() []string {
	var all []string
	for _, v := range variables(&c) {
		if secret, ok := v.value.Interface().(Secret); ok && secret.IsSet() {
			all = append(all, secret.Reveal())
		}
	}
	return all
}

// isSet reports whether the variable, named without [Prefix], is set to something else than the zero value.
func (c *Config) isSet(name string) bool {
	return slices.ContainsFunc(variables(c), func(v variable) bool { return v.name == name && !v.value.IsZero() })
}

// NATSVariable returns the name of a variable that says how to connect to NATS and is set; empty where none is.
func (c Config) NATSVariable() string {
	for _, v := range variables(&c) {
		if strings.HasPrefix(v.name, "NATS_") && !v.value.IsZero() {
			return Prefix + v.name
		}
	}
	return ""
}

// InboxPrefix returns what begins the subjects of replies to the user: deploy/nats-permissions.conf gives each
// user its own.
func (n NATS) InboxPrefix() string {
	if subjectTokens.MatchString(n.User) {
		return "_INBOX_" + n.User
	}
	return "_INBOX"
}
