//go:build deploy

package install_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A mistake is one that somebody makes in values, in a template of the chart, or in what is made of it.
type mistake struct {
	name   string
	values string   // beside the least that is needed, or beside everything with full, or alone where they begin with image
	full   bool     // the chart does everything that it can
	file   string   // of the chart, in which of the texts change the first becomes the second
	change []string // without file: in what the chart made
	want   string   // what is said against it
}

// bare lacks a login to ModelArts alone.
const bare = "image: {repository: x}\nconfig: {ORDERWATCH_NATS_URL: nats://a, ORDERWATCH_MODELARTS_REGIONS: cn-north-4"

// mistakes are refused by helm, by the API server, by the types of Prometheus' operator, or by the program itself.
var mistakes = []mistake{
	// In values: helm refuses them.
	{name: "a misspelt value", values: "replcas: 3", want: "additional properties 'replcas' not allowed"},
	{name: "a misspelt value within", values: "page: {ingres: {enabled: true}}", want: "at '/page': additional properties 'ingres' not allowed"},
	{name: "a misspelt variable", values: "config: {ORDERWATCH_NATS_ULR: x}", want: "at '/config/ORDERWATCH_NATS_ULR': value must be 'no value here: there is no such variable; deploy/helm/README.md lists all'"},
	{name: "a variable of the page among the workers'", values: "config: {ORDERWATCH_PAGE_AUTH: none}", want: "no value here: it belongs into page.config"},
	{name: "a variable without its prefix", values: "config: {NATS_URL: x}", want: "at '/config/NATS_URL': value must be 'no value here: there is no such variable"},
	{name: "a variable of the chart's own", values: `config: {ORDERWATCH_HTTP_ADDR: ":80"}`, want: "no value here: the chart sets it"},
	{name: "a variable of ours among others", values: "extraEnv: [{name: ORDERWATCH_SLACK_TOKEN, value: x}]", want: "those that begin with ORDERWATCH_ stand in config or files"},
	{name: "a variable of ours in small letters among others", values: "extraEnv: [{name: orderwatch_log_level, value: debug}]", want: "those that begin with ORDERWATCH_ stand in config or files"},
	{name: "a wrong type", values: "config: {ORDERWATCH_PROVISION: maybe}", want: "at '/config/ORDERWATCH_PROVISION': value must be 'true or false'"},
	{name: "a number that is none", values: "config: {ORDERWATCH_CONCURRENCY: many}", want: "at '/config/ORDERWATCH_CONCURRENCY': value must be '1 to 10000'"},
	{name: "a bad duration", values: "config: {ORDERWATCH_TIMEOUT: 2 hours}", want: "at '/config/ORDERWATCH_TIMEOUT': value must be 'a duration such as 90s or 1h30m, with its unit'"},
	{name: "a secret in plain text", values: "config: {ORDERWATCH_SLACK_TOKEN: xoxb-planted}", want: "put it into a file and name that in files.ORDERWATCH_SLACK_TOKEN_FILE"},
	{name: "the page's secret in plain text", values: "page: {config: {ORDERWATCH_NATS_PASSWORD: planted}}", want: "name that in page.files.ORDERWATCH_NATS_PASSWORD_FILE"},
	{name: "a secret in a ConfigMap", values: "files: {ORDERWATCH_SLACK_TOKEN_FILE: {configMap: x, key: y}}", want: "at '/files/ORDERWATCH_SLACK_TOKEN_FILE': additional properties 'configMap' not allowed"},
	{name: "a file without the name of its Secret", values: "files: {ORDERWATCH_NATS_CREDS_FILE: {key: nats.creds}}", want: "properties 'secret' required, if 'key' exists"},
	{name: "a file without a source", values: "files: {ORDERWATCH_NATS_CREDS_FILE: {}}", want: "files.ORDERWATCH_NATS_CREDS_FILE must have one source, and has none"},
	{name: "a file with two sources", values: "files: {ORDERWATCH_NATS_CREDS_FILE: {content: x, path: /y}}", want: "must have one source, and has content and path"},
	{name: "two ways to log in to NATS", values: "{config: {ORDERWATCH_NATS_USER: u}, files: {ORDERWATCH_NATS_PASSWORD_FILE: {content: x}, ORDERWATCH_NATS_CREDS_FILE: {content: x}}}", want: "are two ways to log in to NATS: keep one"},
	{name: "two ways to log in to ModelArts", values: "config: {ORDERWATCH_MODELARTS_ECS_AGENCY: true}", want: "are two ways to log in to ModelArts: keep one"},
	{name: "no way to log in to ModelArts", values: bare + "}", want: "nothing says how to log in to ModelArts"},
	{name: "half a login to ModelArts", values: bare + ", ORDERWATCH_MODELARTS_USER: u}", want: "files.ORDERWATCH_MODELARTS_PASSWORD_FILE is not set, but config.ORDERWATCH_MODELARTS_USER is"},
	{name: "no image", values: `config: {ORDERWATCH_LOG_LEVEL: info}
image: {repository: ""}`, want: "image.repository is not set"},
	{name: "no address of NATS", values: "image: {repository: x}\nconfig: {ORDERWATCH_MODELARTS_REGIONS: cn-north-4}", want: "config.ORDERWATCH_NATS_URL is not set"},
	{name: "an address of NATS that is taken away", values: "config: {ORDERWATCH_NATS_URL: null}", want: "config.ORDERWATCH_NATS_URL is not set"},
	{name: "a number below none", values: "config: {ORDERWATCH_CONCURRENCY: -1}", want: "at '/config/ORDERWATCH_CONCURRENCY': value must be '1 to 10000'"},
	{name: "a digest that is none", values: "replicas: 2\nimage: {digest: sha256:abc}", want: "at '/image/digest': 'sha256:abc' does not match"},
	{name: "fewer workers than none", values: "replicas: -1", want: "at '/replicas': minimum: got -1, want 1"},
	{name: "no worker", values: "replicas: 0", want: "at '/replicas': minimum: got 0, want 1"},
	{name: "a budget that stops every drain", values: "podDisruptionBudget: {maxUnavailable: 0}", want: "at '/podDisruptionBudget/maxUnavailable': minimum: got 0, want 1"},
	{name: "a page that all see by mistake", values: "page: {enabled: true}", want: "page.config.ORDERWATCH_PAGE_AUTH says who may see the page"},
	{name: "a page whose users nobody names", values: "page: {enabled: true, config: {ORDERWATCH_PAGE_AUTH: basic}}", want: "page.files.ORDERWATCH_PAGE_USERS_FILE must be set"},
	{name: "an ingress without a host", values: "page: {enabled: true, config: {ORDERWATCH_PAGE_AUTH: none}, ingress: {enabled: true}}", want: "page.ingress.host is not set"},
	{name: "a network without the way to NATS", values: "networkPolicy: {natsPort: 4223}", want: "ORDERWATCH_NATS_URL names the port 4222, but networkPolicy.natsPort is 4223"},
	{name: "the page's network without the way to NATS", values: "page: {config: {ORDERWATCH_NATS_URL: \"nats://a,wss://nats.example/nats\"}}", want: "ORDERWATCH_NATS_URL names the port 443, but networkPolicy.natsPort is 4222"},
	{name: "the job's network without the way to NATS", values: "provision: {config: {ORDERWATCH_NATS_URL: \"tls://nats.example:4333\"}}", want: "ORDERWATCH_NATS_URL names the port 4333, but networkPolicy.natsPort is 4222"},
	{name: "a network without the way to ModelArts", values: "config: {ORDERWATCH_MODELARTS_ENDPOINT: \"https://modelarts.example:8443/v1\"}", want: "config.ORDERWATCH_MODELARTS_ENDPOINT names the port 8443, but networkPolicy.httpsPort is 443"},
	{name: "a network without the way to IAM", values: "{config: {ORDERWATCH_MODELARTS_IAM_ENDPOINT: \"https://iam.example\"}, networkPolicy: {httpsPort: 8443}}", want: "config.ORDERWATCH_MODELARTS_IAM_ENDPOINT names the port 443, but networkPolicy.httpsPort is 8443"},
	{name: "a network without the way to Slack", values: "config: {ORDERWATCH_SLACK_API_URL: \"https://slack.example:444\"}", want: "config.ORDERWATCH_SLACK_API_URL names the port 444, but networkPolicy.httpsPort is 443"},
	{name: "a network without the way to the proxy", values: "extraEnv: [{name: HTTPS_PROXY, value: \"http://proxy.example:3128\"}]", want: "HTTPS_PROXY of extraEnv names the port 3128, but networkPolicy.httpsPort is 443"},
	{name: "an ingress beside the page", values: "{config: {ORDERWATCH_PUBLIC_URL: \"https://ow.example\"}, page: {enabled: true, config: {ORDERWATCH_PAGE_AUTH: none}, ingress: {enabled: true, host: ow.example, path: /ow}}}", want: "page.ingress.path is /ow, but the page answers below / alone"},
	{name: "an ingress whose path is none", values: "page: {enabled: true, config: {ORDERWATCH_PAGE_AUTH: none}, ingress: {enabled: true, host: ow.example, path: \"/a: b\"}}", want: "page.ingress.path is /a: b, but"},
	{name: "an ingress to a page whose path nobody says", values: "page: {enabled: true, config: {ORDERWATCH_PAGE_AUTH: none}, ingress: {enabled: true, host: ow.example, path: /ow}}", want: "page.ingress.path is /ow, but the page answers below / alone"},
	{name: "an ingress to a part of the page", values: "{config: {ORDERWATCH_PUBLIC_URL: \"https://ow.example/o\"}, page: {enabled: true, config: {ORDERWATCH_PAGE_AUTH: none}, ingress: {enabled: true, host: ow.example, path: /ow}}}", want: "page.ingress.path is /ow, but the page answers below /o/ alone"},
	{name: "a page without the workers' volume", values: "{files: {ORDERWATCH_NATS_CA_FILE: {path: /vault/ca.crt}}, extraVolumes: [{name: vault, emptyDir: {}}], extraVolumeMounts: [{name: vault, mountPath: /vault}], page: {enabled: true, config: {ORDERWATCH_PAGE_AUTH: none}}}", want: "files.ORDERWATCH_NATS_CA_FILE is /vault/ca.crt, which the workers' extraVolumeMounts bring to the workers alone: say page.extraVolumes"},
	{name: "a job without the workers' volume", values: "{files: {ORDERWATCH_NATS_CA_FILE: {path: /vault/ca.crt}}, extraVolumes: [{name: vault, emptyDir: {}}], extraVolumeMounts: [{name: vault, mountPath: /vault}], provision: {enabled: true}}", want: "or provision.files.ORDERWATCH_NATS_CA_FILE"},
	{name: "a variable of ours among the page's others", values: "page: {extraEnv: [{name: ORDERWATCH_SLACK_TOKEN, value: x}]}", want: "at '/page/extraEnv/0/name'"},
	{name: "KEDA without an account", values: "keda: {enabled: true}", want: "keda.account is not set"},
	{name: "copies that NATS does not make", values: "config: {ORDERWATCH_STREAM_REPLICAS: 2}", want: "at '/config/ORDERWATCH_STREAM_REPLICAS': value must be '1, 3 or 5'"},
	{name: "a duration without its unit", values: "config: {ORDERWATCH_POLL_MAX: 30}", want: "at '/config/ORDERWATCH_POLL_MAX': value must be 'a duration such as 90s or 1h30m, with its unit'"},
	{name: "a text that YAML takes for a number", values: "config: {ORDERWATCH_NATS_USER: 17}", want: "value must be 'a text: put a number, true and false into quotes'"},
	{name: "a variable of the workers at the page's", values: "page: {config: {ORDERWATCH_POLL_MAX: 30s}}", want: "at '/page/config/ORDERWATCH_POLL_MAX': value must be 'no value here: it belongs into config, that of the workers"},
	{name: "a file among variables", values: "config: {ORDERWATCH_TEAMS_FILE: teams.yaml}", want: "name that in files.ORDERWATCH_TEAMS_FILE"},
	{name: "a secret's file among variables", values: "config: {ORDERWATCH_SLACK_TOKEN_FILE: /x}", want: "name that in files.ORDERWATCH_SLACK_TOKEN_FILE"},
	{name: "a variable among files", values: "files: {ORDERWATCH_NATS_USER: {content: u}}", want: "at '/files/ORDERWATCH_NATS_USER': value must be 'no value here: it belongs into config"},
	{name: "a file without the end of its name", values: "files: {ORDERWATCH_SLACK_TOKEN: {secret: a, key: b}}", want: "name that in files.ORDERWATCH_SLACK_TOKEN_FILE"},
	{name: "a misspelt file", values: "files: {ORDERWATCH_SLACK_TOKN_FILE: {secret: a, key: b}}", want: "at '/files/ORDERWATCH_SLACK_TOKN_FILE': value must be 'no value here: there is no such variable"},
	{name: "a password in the address of NATS", values: "config: {ORDERWATCH_NATS_URL: \"nats://worker:planted@nats:4222\"}", want: "comma-separated, without user and password: there are ORDERWATCH_NATS_USER in config"},
	{name: "a password in another address of NATS", values: "config: {ORDERWATCH_NATS_URL: \"nats://a:4222, worker:planted@nats:4222\"}", want: "comma-separated, without user and password"},
	{name: "a password in the page's address of NATS", values: "page: {config: {ORDERWATCH_NATS_URL: \"nats://planted@nats:4222\"}}", want: "at '/page/config/ORDERWATCH_NATS_URL': value must be 'servers such as"},
	{name: "a password in the address of ModelArts", values: "config: {ORDERWATCH_MODELARTS_ENDPOINT: \"https://u:planted@modelarts.example\"}", want: "value must be 'an https or http URL without login"},
	{name: "a password in a link", values: "config: {ORDERWATCH_PUBLIC_URL: \"https://u:planted@orderwatch.example\"}", want: "value must be 'an https URL (http only on localhost)"},
	{name: "a password in the proxy's address", values: "extraEnv: [{name: HTTPS_PROXY, value: \"http://u:planted@proxy:3128\"}]", want: "at '/extraEnv/0/value': value must be 'without a password: take it from a Secret, by valueFrom"},
	{name: "a secret in plain text among others' variables", values: "extraEnv: [{name: HW_ACCESS_KEY, value: planted}]", want: "at '/extraEnv/0/value': value must be 'no secret in plain text"},
	{name: "half a login of others' variables", values: bare + "}\nextraEnv: [{name: HW_ACCESS_KEY, valueFrom: {secretKeyRef: {name: a, key: b}}}]", want: "nothing says how to log in to ModelArts"},
	{name: "an address of NATS that is none", values: "config: {ORDERWATCH_NATS_URL: \"https://nats:4222\"}", want: "value must be 'servers such as nats://host:4222"},
	{name: "a channel's name", values: "config: {ORDERWATCH_SLACK_CHANNEL: \"#alerts\"}", want: "value must be 'a channel’s ID such as C0123456789, not its name'"},
	{name: "a channel's name among IDs", values: "config: {ORDERWATCH_SLACK_CHANNELS_ALLOWED: [C0GPU, alerts]}", want: "value must be 'IDs of channels such as C0123456789"},
	{name: "a link without https", values: "config: {ORDERWATCH_PUBLIC_URL: orderwatch.corp.lan}", want: "value must be 'an https URL (http only on localhost)"},
	{name: "plain http to ModelArts", values: "config: {ORDERWATCH_MODELARTS_ENDPOINT: \"http://modelarts.example\"}", want: "config.ORDERWATCH_MODELARTS_ENDPOINT is plain http"},
	{name: "profiles for strangers", values: "config: {ORDERWATCH_PPROF_ADDR: \":6060\"}", want: "config.ORDERWATCH_PPROF_ADDR shows the process's memory"},
	{name: "a region that is none", values: "config: {ORDERWATCH_MODELARTS_REGIONS: [CN North]}", want: "value must be 'regions of a-z 0-9 -"},
	{name: "a rate of nothing", values: "config: {ORDERWATCH_MODELARTS_RATE: 0}", want: "value must be 'more than 0 and at most 10000'"},
	{name: "a first interval that is longer than the longest", values: "config: {ORDERWATCH_POLL_INITIAL: 90s}", want: "config.ORDERWATCH_POLL_INITIAL is 90s: it must be at most config.ORDERWATCH_POLL_MAX, 1m"},
	{name: "a call that takes too long", values: "config: {ORDERWATCH_MODELARTS_TIMEOUT: 30s}", want: "config.ORDERWATCH_MODELARTS_TIMEOUT is 30s: it must be at most 29.5s"},
	{name: "a grace of nothing", values: "config: {ORDERWATCH_MODELARTS_NOT_FOUND_GRACE: 0}", want: "config.ORDERWATCH_MODELARTS_NOT_FOUND_GRACE is 0: it must be more than 0"},
	{name: "lists too often", values: "config: {ORDERWATCH_SWEEP_EVERY: 10ms}", want: "config.ORDERWATCH_SWEEP_EVERY is 10ms: it must be at least 100ms"},
	{name: "events that are gone before watches end", values: "config: {ORDERWATCH_EVENTS_MAX_AGE: 215h}", want: "config.ORDERWATCH_EVENTS_MAX_AGE is 215h: it must be at least 168h more than config.ORDERWATCH_TIMEOUT_MAX, 48h"},
	{name: "progress without a bot", values: "config: {ORDERWATCH_SLACK_PROGRESS: true}", want: "config.ORDERWATCH_SLACK_PROGRESS needs files.ORDERWATCH_SLACK_TOKEN_FILE"},
	{name: "one prefix for two", values: "config: {ORDERWATCH_SERVICE_PREFIX: orders}", want: "config.ORDERWATCH_SERVICE_PREFIX must differ"},
	{name: "a page without a login", values: "{config: {ORDERWATCH_NATS_USER: u}, files: {ORDERWATCH_NATS_PASSWORD_FILE: {content: planted}}, page: {enabled: true, config: {ORDERWATCH_PAGE_AUTH: none}}}", want: "nothing says how page logs in to NATS, though the workers log in"},
	{name: "a job without a login", values: "{config: {ORDERWATCH_NATS_USER: u}, files: {ORDERWATCH_NATS_PASSWORD_FILE: {content: planted}}, provision: {enabled: true}}", want: "nothing says how provision logs in to NATS"},
	{name: "a way to see the page that is none", values: "page: {enabled: true, config: {ORDERWATCH_PAGE_AUTH: Basic}}", want: "value must be 'none, basic or proxy'"},
	{name: "actions without a login of their own", full: true, values: "page: {config: {ORDERWATCH_PAGE_ACTIONS_NATS_USER: null}, files: {ORDERWATCH_PAGE_ACTIONS_NATS_PASSWORD_FILE: null}}", want: "page.config.ORDERWATCH_PAGE_ACTIONS_NATS_USER is not set"},
	{name: "actions by the page's own login", full: true, values: "page: {config: {ORDERWATCH_PAGE_ACTIONS_NATS_USER: page}}", want: "page.config.ORDERWATCH_PAGE_ACTIONS_NATS_USER must not be page.config.ORDERWATCH_NATS_USER"},
	{name: "actions of everybody", values: "page: {enabled: true, config: {ORDERWATCH_PAGE_AUTH: none, ORDERWATCH_PAGE_ACTIONS: true}}", want: "page.config.ORDERWATCH_PAGE_ACTIONS lets everybody who reaches the page cancel"},
	{name: "actions of any site", full: true, values: "config: {ORDERWATCH_PUBLIC_URL: null}", want: "config.ORDERWATCH_PUBLIC_URL must be where the page is found"},
	{name: "a page that does not keep teams apart", full: true, values: "page: {config: {ORDERWATCH_PAGE_TEAM_HEADER: null}}", want: "page.config.ORDERWATCH_PAGE_TEAM_HEADER must be set, since files.ORDERWATCH_TEAMS_FILE keeps teams apart"},
	{name: "a proxy that nobody trusts", full: true, values: "page: {config: {ORDERWATCH_PAGE_TRUSTED_PROXIES: null}}", want: "page.config.ORDERWATCH_PAGE_TRUSTED_PROXIES must be set"},
	{name: "links to another host", full: true, values: "page: {ingress: {host: other.example}}", want: "page.ingress.host is not the host of config.ORDERWATCH_PUBLIC_URL"},
	{name: "passwords that can be read", values: "page: {enabled: true, config: {ORDERWATCH_PAGE_AUTH: basic}, files: {ORDERWATCH_PAGE_USERS_FILE: {content: planted}}, ingress: {enabled: true, host: orderwatch.example}}", want: "passwords of ORDERWATCH_PAGE_AUTH: basic could be read on the way"},
	{name: "an overlay that keeps the source of before", values: "files: {ORDERWATCH_MODELARTS_TOKEN_FILE: {content: planted}}", want: "must have one source, and has content and secret: say {secret: NAME, key: KEY}, {content: TEXT} or {path: PATH}; what another file of values set is taken away by null"},
	{name: "everything made a comment", values: "image:\nconfig:\nfiles:", want: "image.repository is not set"},
	{name: "no network policy by mistake", values: "networkPolicy:", want: "missing property 'networkPolicy'"},
	{name: "a runbook that is no address", values: "runbookUrl: deploy/RUNBOOK.md", want: "at '/runbookUrl': value must be 'an https or http URL without user, password and #'"},
	{name: "a password in the runbook's address", values: "runbookUrl: \"https://u:planted@wiki.example/x\"", want: "at '/runbookUrl': value must be 'an https or http URL without user"},
	{name: "a password in the address that KEDA asks", values: "keda: {monitoring: \"u:planted@nats:8222\"}", want: "at '/keda/monitoring': value must be 'host:port, without user and password'"},
	{name: "a secret in place of its path", values: "files: {ORDERWATCH_SLACK_TOKEN_FILE: {path: xoxb-planted}}", want: "at '/files/ORDERWATCH_SLACK_TOKEN_FILE/path': value must be 'a path that begins with /'"},
	{name: "a secret in place of its key", values: "files: {ORDERWATCH_SLACK_TOKEN_FILE: {secret: a, key: \"planted/+=\"}}", want: "value must be 'the name of a key in the Secret or ConfigMap'"},
	{name: "an image with its tag", values: "replicas: 2\nimage: {repository: \"registry.example/orderwatch:0.2.0\"}", want: "at '/image/repository': value must be 'an image such as registry.example/orderwatch"},
	{name: "an image's address", values: "replicas: 2\nimage: {repository: \"https://registry.example/orderwatch\"}", want: "without https://"},
	{name: "a tag that YAML takes for a number", values: "replicas: 2\nimage: {tag: 1.10}", want: "at '/image/tag': value must be 'a tag such as 0.2.0; one that YAML takes for a number stands in quotes"},
	{name: "a tag with its digest", values: "replicas: 2\nimage: {tag: \"0.2.0@sha256:abc\"}", want: "at '/image/tag'"},
	{name: "more workers than anybody needs", values: "replicas: 1000000", want: "at '/replicas': maximum: got"},
	{name: "bytes in place of mebibytes", values: "resources: {limits: {memory: 256}}", want: "at '/resources/limits/memory': value must be 'at least 16 MiB, with its unit, such as 256Mi"},
	{name: "thousandths of a byte", values: "resources: {limits: {memory: 256m}}", want: "and m a thousandth of one'"},
	{name: "a memory that is none", values: "resources: {limits: {memory: 256Megabytes}}", want: "at '/resources/limits/memory'"},
	{name: "a hundred cores", values: "page: {resources: {requests: {cpu: 100}}}", want: "at '/page/resources/requests/cpu': value must be 'cores, such as 100m or 0.1"},
	{name: "a Secret's name that is none", values: "files: {ORDERWATCH_MODELARTS_TOKEN_FILE: {secret: My_Secret}}", want: "value must be 'the name of what is there: of a-z 0-9 - . with a letter or a digit first and last'"},
	{name: "a secret in place of its Secret", values: "files: {ORDERWATCH_SLACK_TOKEN_FILE: {secret: \"xoxb-Planted/+planted\", key: a}}", want: "at '/files/ORDERWATCH_SLACK_TOKEN_FILE/secret': value must be 'the name of what is there"},
	{name: "an account's name that is none", values: "serviceAccount: {name: Order Watch}", want: "at '/serviceAccount/name'"},
	{name: "a name with a dot", values: "fullnameOverride: order.watch", want: "at '/fullnameOverride': value must be 'at most 44 of a-z 0-9 -"},
	{name: "a name that is no label", values: "nameOverride: a b", want: "at '/nameOverride'"},
	{name: "a name with a dot behind the release's", values: "nameOverride: a.b", want: "the release is called orderwatch, so the objects would be called orderwatch-a.b: they take a-z 0-9 - alone, with a letter first; set fullnameOverride"},
	{name: "a label of the chart's own", values: "podLabels: {app.kubernetes.io/name: other}", want: "at '/podLabels/app.kubernetes.io~1name': value must be 'no value here: the chart sets it"},
	{name: "a scrape that the rules do not see", values: "serviceMonitor: {interval: 10m}", want: "at '/serviceMonitor/interval': value must be '1s to 2m"},
	{name: "a scrape without its unit", values: "serviceMonitor: {interval: \"30\"}", want: "at '/serviceMonitor/interval': value must be '1s to 2m"},
	{name: "a number that KEDA cannot read", values: "keda: {due: 1000000}", want: "at '/keda/due': maximum: got"},
	{name: "an ingress's address", values: "page: {ingress: {host: \"https://ow.example\"}}", want: "at '/page/ingress/host': value must be 'a host such as orderwatch.example"},
	{name: "an ingress's port", values: "page: {ingress: {host: \"ow.example:8443\"}}", want: "without https://, port and path"},
	{name: "a switch that switches nothing", values: "enabled: false", want: "enabled switches nothing here"},
	{name: "an account that would be made twice", values: "{serviceAccount: {name: a}, page: {enabled: true, config: {ORDERWATCH_PAGE_AUTH: none}, serviceAccount: {name: a}}}", want: "the ServiceAccount a would be created twice"},
	{name: "a variable of others twice", values: "extraEnv: [{name: NO_PROXY, value: a}, {name: NO_PROXY, value: b}]", want: "extraEnv has NO_PROXY twice: keep one"},
	{name: "a variable of others without a value", values: "page: {enabled: true, config: {ORDERWATCH_PAGE_AUTH: none}, extraEnv: [{name: GODEBUG}]}", want: "page.extraEnv: GODEBUG must have one of value and valueFrom"},
	{name: "a variable of others with two values", values: "extraEnv: [{name: X, value: a, valueFrom: {secretKeyRef: {name: a, key: b}}}]", want: "extraEnv: X must have one of value and valueFrom"},
	{name: "a variable of others whose name is none", values: "extraEnv: [{name: \"HTTPS_PROXY=x\", value: a}]", want: "at '/extraEnv/0/name': value must be 'the name of a variable, such as HTTPS_PROXY'"},
	{name: "a volume of the chart's name", values: "extraVolumes: [{name: files, emptyDir: {}}]", want: "extraVolumes: a volume of the chart's own is called files"},
	{name: "a volume over the program", values: "{extraVolumes: [{name: a, emptyDir: {}}], extraVolumeMounts: [{name: a, mountPath: /}]}", want: "extraVolumeMounts: / would hide the program or its files"},
	{name: "a volume within the files", values: "{extraVolumes: [{name: a, emptyDir: {}}], extraVolumeMounts: [{name: a, mountPath: /etc/orderwatch/more}]}", want: "/etc/orderwatch/more would hide the program or its files"},
	{name: "a volume without its path", values: "{extraVolumes: [{name: a, emptyDir: {}}], extraVolumeMounts: [{name: a, mountPath: vault}]}", want: "extraVolumeMounts: mountPath must be a path that begins with /"},
	{name: "a budget that lets all go", values: "podDisruptionBudget: {maxUnavailable: 2}", want: "podDisruptionBudget.maxUnavailable is 2, and there are 2 workers: all could be away at once"},
	{name: "a network without names", values: "networkPolicy: {dnsTo: []}", want: "networkPolicy.dnsTo is empty, and so is networkPolicy.extraEgress: the pods would not reach the DNS"},
	{name: "a network without NATS", values: "networkPolicy: {natsTo: []}", want: "networkPolicy.natsTo is empty"},
	{name: "a network without ModelArts and Slack", values: "networkPolicy: {httpsTo: null}", want: "networkPolicy.httpsTo is empty"},
	{name: "a network without Prometheus", full: true, values: "networkPolicy: {metricsFrom: []}", want: "networkPolicy.metricsFrom is empty: Prometheus would not reach the metrics"},
	{name: "a network without the ingress", full: true, values: "networkPolicy: {pageFrom: []}", want: "networkPolicy.pageFrom is empty: the ingress would not reach the page"},
	{name: "a network without those who come from outside", values: "page: {enabled: true, config: {ORDERWATCH_PAGE_AUTH: none}, service: {type: LoadBalancer}}", want: "page.service.type is LoadBalancer, but networkPolicy.pageFrom has an ingress at the most"},
	{name: "a proxy without a scheme on another port", values: "extraEnv: [{name: https_proxy, value: \"proxy.example:3128\"}]", want: "https_proxy of extraEnv names the port 3128"},
	{name: "a proxy without scheme and port", values: "extraEnv: [{name: HTTPS_PROXY, value: proxy.example}]", want: "HTTPS_PROXY of extraEnv names the port 80"},
	{name: "passwords that can be read at a Service", values: "{networkPolicy: {enabled: false}, page: {enabled: true, config: {ORDERWATCH_PAGE_AUTH: basic}, files: {ORDERWATCH_PAGE_USERS_FILE: {content: planted}}, service: {type: NodePort}}}", want: "passwords of ORDERWATCH_PAGE_AUTH: basic could be read on the way to page.service, of type NodePort"},
	{name: "a page with the workers' user", full: true, values: "page: {config: {ORDERWATCH_NATS_USER: worker}}", want: "page.config.ORDERWATCH_NATS_USER must not be config.ORDERWATCH_NATS_USER, who may write"},
	{name: "a page with the workers' credentials", values: "{files: {ORDERWATCH_NATS_CREDS_FILE: {secret: a, key: b}}, page: {enabled: true, config: {ORDERWATCH_PAGE_AUTH: none}, files: {ORDERWATCH_NATS_CREDS_FILE: {secret: a, key: b}}}}", want: "page.files.ORDERWATCH_NATS_CREDS_FILE must not be files.ORDERWATCH_NATS_CREDS_FILE, a login that may write"},
	{name: "proxies that are everybody", full: true, values: "page: {config: {ORDERWATCH_PAGE_TRUSTED_PROXIES: [10.0.0.0/8, 0.0.0.0/0]}}", want: "page.config.ORDERWATCH_PAGE_TRUSTED_PROXIES has a network of all addresses"},
	{name: "two ways to JetStream", full: true, values: "config: {ORDERWATCH_NATS_JS_DOMAIN: hub}", want: "page.config.ORDERWATCH_NATS_JS_API_PREFIX and ORDERWATCH_NATS_JS_DOMAIN are two ways to JetStream"},
	{name: "inboxes that are the service", values: "config: {ORDERWATCH_INBOX_PREFIXES: [_IN, orderwatch.x]}", want: "config.ORDERWATCH_INBOX_PREFIXES has orderwatch.x, which meets the installation's own subjects below orderwatch"},
	{name: "a project that YAML takes for a number", values: "config: {ORDERWATCH_MODELARTS_PROJECT_ID: 6086876}", want: "value must be '1 to 64 of A-Z a-z 0-9 -; a number in quotes, and behind --set-string'"},
	{name: "a header that the browser sets", values: "page: {config: {ORDERWATCH_PAGE_USER_HEADER: cookie}}", want: "at '/page/config/ORDERWATCH_PAGE_USER_HEADER': value must be 'the name of a header that the proxy sets"},
	{name: "a network that is none among proxies", values: "page: {config: {ORDERWATCH_PAGE_TRUSTED_PROXIES: [10.0.0.0/8, 10.0.0.0/99]}}", want: "value must be 'addresses or networks, comma-separated, such as 10.0.0.7,10.1.0.0/16'"},
	{name: "a secret that is blank", values: "files: {ORDERWATCH_MODELARTS_TOKEN_FILE: {secret: null, content: \"\\n\"}}", want: "at '/files/ORDERWATCH_MODELARTS_TOKEN_FILE/content': value must be 'a text that is not blank'"},
	{name: "an account with a blank", values: "keda: {account: ORDER WATCH}", want: "at '/keda/account': value must be 'the name of a NATS account, without blanks'"},
	{name: "a time that no clock can count", values: "config: {ORDERWATCH_SETTLE: 99999999999h}", want: "at '/config/ORDERWATCH_SETTLE'"},
	{name: "a prefix that is too long", values: "config: {ORDERWATCH_STREAM_PREFIX: " + strings.Repeat("A", 65) + "}", want: "value must be 'of A-Z a-z 0-9 _ -, at most 64 bytes; a number in quotes, and behind --set-string'"},
	{name: "the page's address with a query", values: "config: {ORDERWATCH_PUBLIC_URL: \"https://ow.example?x=1\"}", want: "at '/config/ORDERWATCH_PUBLIC_URL'"},
	{name: "a volume of nothing", values: "extraVolumes: [{name: vault}]", want: "extraVolumes: vault has no source, so Kubernetes would make an empty folder"},
	{name: "a key that no Secret can have", values: "files: {ORDERWATCH_MODELARTS_TOKEN_FILE: {key: ..}}", want: "value must be 'the name of a key in the Secret or ConfigMap'"},
	{name: "a label of nodes that is none", values: "topologyKey: a b", want: "at '/topologyKey': value must be 'a label of nodes, such as kubernetes.io/hostname'"},
	{name: "a port of NATS that is none", values: "keda: {monitoring: \"nats:99999\"}", want: "at '/keda/monitoring': value must be 'host:port, without user and password'"},
	{name: "a security token beside a token", values: "files: {ORDERWATCH_MODELARTS_SECURITY_TOKEN_FILE: {secret: a, key: b}}", want: "are two ways to log in to ModelArts: keep one"},

	// Past helm: the API server refuses them.
	{name: "resources that are none", values: "resources: {limits: {ephemeral-storage: 256Megabytes}}", want: "quantities must match the regular expression"},
	{name: "a label that is none", values: "podLabels: {team: a b}", want: "a valid label must be an empty string or consist of"},
	{name: "a toleration's misspelt field", values: "tolerations: [{keys: spot}]", want: `unknown field "spec.template.spec.tolerations[0].keys"`},
	{name: "a network that is none", values: "networkPolicy: {httpsTo: [{ipBlock: {cidr: 10.0.0.0}}]}", want: "must be a valid CIDR value"},
	{name: "a variable's misspelt source", values: "extraEnv: [{name: X, valueFrom: {secretKeyReff: {name: a, key: b}}}]", want: `unknown field "spec.template.spec.containers[0].env[`},
	{name: "a pod that replaces none", change: []string{"maxUnavailable: 0, maxSurge: 1", "maxUnavailable: 0, maxSurge: 0"}, want: "may not be 0 when `maxSurge` is 0"},
	{name: "a misspelt field of a template", file: "templates/_pod.tpl", change: []string{"readOnlyRootFilesystem", "readOnlyRootFileSystem"}, want: `unknown field "spec.template.spec.containers[0].securityContext.readOnlyRootFileSystem"`},
	{name: "a misspelt field of a probe", file: "templates/_pod.tpl", change: []string{"failureThreshold", "failureTreshold"}, want: `unknown field "spec.template.spec.containers[0].livenessProbe.failureTreshold"`},
	{name: "a version that is none", file: "templates/worker.yaml", change: []string{"apiVersion: policy/v1", "apiVersion: policy/v1beta1"}, want: "PodDisruptionBudget orderwatch: 404"},
	{name: "a selector of other pods", file: "templates/worker.yaml", change: []string{`"orderwatch.selector" $worker | nindent 6`, `"orderwatch.selector" (dict "root" . "component" "page") | nindent 6`}, want: "`selector` does not match template `labels`"},
	{name: "a volume that nobody mounts by its name", file: "templates/_pod.tpl", change: []string{"{name: files, mountPath", "{name: file, mountPath"}, want: `volumeMounts[0].name: Not found: "file"`},
	{name: "a port that is none", file: "templates/page.yaml", full: true, change: []string{"targetPort: http}", "targetPort: http_port}"}, want: "must contain only alpha-numeric characters"},
	{name: "a job that is started again", file: "templates/_pod.tpl", full: true, change: []string{"restartPolicy: Never", "restartPolicy: Always"}, want: `valid values: "OnFailure", "Never"`},
	{name: "KEDA's misspelt field", file: "templates/keda.yaml", full: true, change: []string{"minReplicaCount", "minReplicasCount"}, want: `unknown field "spec.minReplicasCount"`},
	{name: "a setting that KEDA's scaler does not know", file: "templates/keda.yaml", full: true, change: []string{"lagThreshold", "lagTreshold"}, want: "KEDA's scaler knows no lagTreshold"},
	{name: "KEDA without a trigger's type", file: "templates/keda.yaml", full: true, change: []string{"type: nats-jetstream\n      metadata", "metadata"}, want: "spec.triggers[0].type: Required value"},
	{name: "a page with the workers' volumes", file: "templates/page.yaml", full: true, change: []string{`"own" .Values.page`, `"own" .Values`}, want: "Deployment orderwatch-page has what is the workers' alone: HTTPS_PROXY, vault"},
	{name: "a job with the workers' volumes", file: "templates/provision.yaml", full: true, change: []string{`"own" .Values.provision`, `"own" .Values`}, want: "has what is the workers' alone: HTTPS_PROXY, vault"},
	{name: "pods that are scraped twice", file: "templates/_pod.tpl", full: true, values: "scrapeAnnotations: true", change: []string{" (not $v.serviceMonitor.enabled)", ""}, want: "Deployment orderwatch is scraped twice"},
	{name: "a budget that stops a drain without NATS", file: "templates/worker.yaml", change: []string{"AlwaysAllow", "IfHealthyBudget"}, want: "PodDisruptionBudget orderwatch keeps nodes from being drained while NATS is away"},
	{name: "a budget for others", file: "templates/page.yaml", full: true, change: []string{"AlwaysAllow\n  selector:\n    matchLabels:\n      {{- include \"orderwatch.selector\" $page", "AlwaysAllow\n  selector:\n    matchLabels:\n      {{- include \"orderwatch.selector\" (dict \"root\" $ \"component\" \"none\")"}, want: "PodDisruptionBudget orderwatch-page finds pods of 0 kinds"},
	{name: "a Service of all pods", file: "templates/_names.tpl", full: true, change: []string{"app.kubernetes.io/component: {{ .component }}", ""}, want: "Service orderwatch-page finds pods of 3 kinds"},
	{name: "a Service to no port", file: "templates/page.yaml", full: true, change: []string{"targetPort: http", "targetPort: https"}, want: "leads to the port https, on which no pod listens"},
	{name: "a port that is opened and not there", file: "templates/networkpolicy.yaml", change: []string{`"port" 8080`, `"port" 8081`}, want: "opens the port 8081, on which no pod listens"},
	{name: "a page that nobody scrapes", file: "templates/monitoring.yaml", full: true, change: []string{"{name: metrics, port: {{ ternary", "{name: {{ $component }}, port: {{ ternary"}, want: "ServiceMonitor orderwatch finds 0 Services with metrics, for 2 Deployments"},
	{name: "an account that is not there", values: "serviceAccount: {create: true, name: other}", file: "templates/serviceaccount.yaml", change: []string{`{{ include "orderwatch.serviceAccount" $account | quote }}`, "orderwatch"}, want: "names the ServiceAccount other, which is not there"},
	{name: "an account for two", values: "{serviceAccount: {name: a}, page: {enabled: true, config: {ORDERWATCH_PAGE_AUTH: none}, serviceAccount: {create: false, name: a}}}", want: "shares a ServiceAccount with orderwatch"},
	{name: "a token of the Kubernetes API", file: "templates/_pod.tpl", change: []string{"automountServiceAccountToken: false", "automountServiceAccountToken: true"}, want: "gives its pods a token"},
	{name: "variables of Services", file: "templates/_pod.tpl", change: []string{"enableServiceLinks: false", "enableServiceLinks: true"}, want: "lets Services add variables"},
	{name: "KEDA's other Deployment", file: "templates/keda.yaml", full: true, change: []string{`"orderwatch.fullname" $ | quote }}}`, `"orderwatch.fullname" $ | printf "x%s" | quote }}}`}, want: "names the Deployment xorderwatch, which is not there"},
	{name: "a privileged container", file: "templates/_pod.tpl", change: []string{"allowPrivilegeEscalation: false", "privileged: true"}, want: `privileged (container "orderwatch" must not set securityContext.privileged=true)`},
	{name: "a user that may be root", file: "templates/_pod.tpl", change: []string{"runAsNonRoot: true", "runAsNonRoot: false"}, want: "runAsNonRoot != true"},
	{name: "capabilities that are kept", file: "templates/_pod.tpl", change: []string{"capabilities: {drop: [ALL]}", "capabilities: {}"}, want: "unrestricted capabilities"},
	{name: "all calls of the system", file: "templates/_pod.tpl", change: []string{"seccompProfile: {type: RuntimeDefault}", "seccompProfile: {type: Unconfined}"}, want: "seccompProfile"},
	{name: "a folder of the node", values: "extraVolumes: [{name: x, hostPath: {path: /}}]", want: "restricted volume types"},

	// What the API server takes as it comes: the types of Prometheus' operator refuse it.
	{name: "the ServiceMonitor's misspelt field", file: "templates/monitoring.yaml", full: true, change: []string{"endpoints:", "endpoint:"}, want: `ServiceMonitor: error unmarshaling JSON: while decoding JSON: json: unknown field "endpoint"`},
	{name: "the ServiceMonitor's wrong type", file: "templates/monitoring.yaml", full: true, change: []string{"endpoints:\n    - {", "endpoints:\n      {"}, want: "cannot unmarshal object into Go struct field"},
	{name: "a rule's misspelt field", file: "templates/monitoring.yaml", full: true, change: []string{`"monitoring/rules.yaml" |`, `"monitoring/rules.yaml" | replace "expr:" "exp:" |`}, want: `PrometheusRule: error unmarshaling JSON: while decoding JSON: json: unknown field "exp"`},

	// What only the program knows.
	{name: "a variable that the chart misspells", file: "templates/worker.yaml", change: []string{"ORDERWATCH_HTTP_ADDR", "ORDERWATCH_HTTP_ADRR"}, want: "did you mean ORDERWATCH_HTTP_ADDR?"},
	{name: "a variable of the page that the chart forgets", file: "templates/page.yaml", full: true, change: []string{`(include "orderwatch.sharedConfig" . | fromYaml)`, "dict"}, want: "ORDERWATCH_NATS_URL: is not set"},
	{name: "a file that is mounted elsewhere", file: "templates/_pod.tpl", change: []string{"mountPath: /etc/orderwatch,", "mountPath: /etc/orderwatch/files,"}, want: "where nothing is mounted"},
	{name: "a file that no source brings", file: "templates/_files.tpl", change: []string{"- secret: {name: {{ quote $file.secret }}, items: [{key: {{ quote $file.key }}, path: {{ $path }}}]}", "- secret: {name: {{ quote $file.secret }}, items: [{key: {{ quote $file.key }}, path: other}]}"}, want: "which no source of the volume files brings"},
	{name: "rules that are none", values: `files: {ORDERWATCH_TEAMS_FILE: {content: "team: {}"}}`, want: "ORDERWATCH_TEAMS_FILE"},
}

// refused returns what is said against the mistake first, nil where nobody finds it.
func (c *cluster) refused(t *testing.T, m mistake) error {
	t.Helper()
	chart, args := chartDir, []string{"--values", least}
	if m.full {
		args = []string{"--values", full}
	}
	if strings.HasPrefix(m.values, "image:") {
		args = nil
	}
	if m.values != "" {
		path := filepath.Join(t.TempDir(), "values.yaml")
		write(t, path, m.values)
		args = append(args, "--values", path)
	}
	if m.file != "" {
		chart = changed(t, m.file, m.change[0], m.change[1])
	}
	text, err := render(t, chart, args...)
	if err != nil {
		return err
	}
	if m.file == "" && m.change != nil {
		if !strings.Contains(text, m.change[0]) {
			t.Fatalf("%q is not in what the chart made", m.change[0])
		}
		text = strings.Replace(text, m.change[0], m.change[1], 1)
	}
	return c.judge(t, text)
}

// judge returns everything that is said against the objects: by the API server, by the types of Prometheus' operator, and by
// the program.
func (c *cluster) judge(t *testing.T, text string) error {
	t.Helper()
	all := documents(t, text)
	said := []error{together(all)}
	for _, o := range all {
		said = append(said, c.create(o, true), scaled(t, o))
		if pod := podOf(o); pod != nil {
			said = append(said, c.create(pod, true), startsWith(t, o, all))
		}
	}
	return errors.Join(append(said, decodeMonitors(t, text))...)
}

// scaled returns which settings of a ScaledObject's triggers KEDA's scaler does not know: for its definition they are any text.
func scaled(t *testing.T, o object) error {
	t.Helper()
	if o.kind() != "ScaledObject" {
		return nil
	}
	source := read(t, filepath.Join(tool(t, "KEDA"), "pkg", "scalers", "nats_jetstream_scaler.go"))
	var unknown []error
	for _, trigger := range o.list("spec", "triggers") {
		settings, _ := trigger["metadata"].(map[string]any)
		for name := range settings {
			if !strings.Contains(source, `keda:"name=`+name+`,`) {
				unknown = append(unknown, fmt.Errorf("KEDA's scaler knows no %s", name))
			}
		}
	}
	return errors.Join(unknown...)
}

// decodeMonitors returns what is wrong with the objects of Prometheus' operator.
func decodeMonitors(t *testing.T, text string) error {
	t.Helper()
	command := exec.Command(tool(t, "MONITORS"))
	command.Stdin = strings.NewReader(text)
	if said, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, said)
	}
	return nil
}

// changed returns the path of a copy of the chart with one text in one file replaced.
func changed(t *testing.T, file, from, to string) string {
	t.Helper()
	chart := filepath.Join(t.TempDir(), "orderwatch")
	if err := os.CopyFS(chart, os.DirFS(chartDir)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(chart, file)
	text := read(t, path)
	if !strings.Contains(text, from) {
		t.Fatalf("%q is not in %s", from, file)
	}
	write(t, path, strings.Replace(text, from, to, 1))
	return chart
}
