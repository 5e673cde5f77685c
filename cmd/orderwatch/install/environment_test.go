//go:build deploy

package install_test

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/cmdtest"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
)

// TestEnvironment holds that the program takes the environment of each pod that the chart makes, with the files that its variables
// name, and that these files are mounted where they are said to be.
func TestEnvironment(t *testing.T) {
	tests := map[string]struct {
		args []string
		pods int
	}{
		"least":     {[]string{"--values", least}, 1},
		"full":      {[]string{"--values", full}, 3},
		"readme":    {[]string{"--values", readmeValues(t)}, 3},
		"all of it": {[]string{"--values", readmeAll(t)}, 3},
		"manifest":  {[]string{"--values", manifestValues}, 1},
		"users": {[]string{"--values", least, "--set", "page.enabled=true,page.config.ORDERWATCH_PAGE_AUTH=basic", "--set", "page.files.ORDERWATCH_PAGE_USERS_FILE.content=ada:hash",
			"--set", "page.files.ORDERWATCH_NATS_CREDS_FILE.secret=nats,page.files.ORDERWATCH_NATS_CREDS_FILE.key=page.creds"}, 2},
		"rules": {[]string{"--values", manifestValues, "--set-file", "files.ORDERWATCH_TEAMS_FILE.content=" + deployDir + "teams.yaml",
			"--set-file", "files.ORDERWATCH_SLACK_ROUTES_FILE.content=" + deployDir + "routes.yaml"}, 1},
		"taken away": {[]string{"--values", full, "--set", "files.ORDERWATCH_MODELARTS_ACCESS_KEY_FILE=null,files.ORDERWATCH_MODELARTS_SECRET_KEY_FILE=null",
			"--set", "config.ORDERWATCH_MODELARTS_ECS_AGENCY=true,config.ORDERWATCH_POLL_MAX=null,page.config.ORDERWATCH_NATS_JS_API_PREFIX=null"}, 3},
		"another source": {[]string{"--values", least, "--set", "files.ORDERWATCH_MODELARTS_TOKEN_FILE.secret=null,files.ORDERWATCH_MODELARTS_TOKEN_FILE.content=x"}, 1},
		"emptied": {[]string{"--set", "image.repository=x,config.ORDERWATCH_NATS_URL=nats://a,config.ORDERWATCH_MODELARTS_REGIONS=cn-north-4,config.ORDERWATCH_MODELARTS_ECS_AGENCY=true",
			"--set", "files=null,extraEnv=null,page=null,provision=null,keda=null,serviceMonitor=null,prometheusRule=null,dashboard=null"}, 1},
		"page emptied": {[]string{"--values", least, "--set", "page.enabled=true,page.config.ORDERWATCH_PAGE_AUTH=none,page.files=null,page.ingress=null,provision.enabled=true,provision.config=null,provision.files=null"}, 3},
		"agency":       {[]string{"--set", "image.repository=x,config.ORDERWATCH_NATS_URL=nats://a,config.ORDERWATCH_MODELARTS_REGIONS=cn-north-4,config.ORDERWATCH_MODELARTS_ECS_AGENCY=true"}, 1},
		"certificates": {[]string{"--values", least, "--set", "files.ORDERWATCH_NATS_CERT_FILE.secret=tls,files.ORDERWATCH_NATS_CERT_FILE.key=tls.crt",
			"--set", "files.ORDERWATCH_NATS_KEY_FILE.secret=tls,files.ORDERWATCH_NATS_KEY_FILE.key=tls.key"}, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			text, err := render(t, chartDir, test.args...)
			if err != nil {
				t.Fatal(err)
			}
			pods := 0
			all := documents(t, text)
			for _, o := range all {
				if podOf(o) == nil {
					continue
				}
				pods++
				if err := startsWith(t, o, all); err != nil {
					t.Errorf("%s %s: %v", o.kind(), o.name(), err)
				}
			}
			if pods != test.pods {
				t.Errorf("there are %d kinds of pods; want %d", pods, test.pods)
			}
		})
	}
}

// TestOwnCounts holds that what the page has of its own goes before what the workers have, also where it is false.
func TestOwnCounts(t *testing.T) {
	text, err := render(t, chartDir, "--values", full, "--set", "config.ORDERWATCH_NATS_TLS_FIRST=true,page.config.ORDERWATCH_NATS_TLS_FIRST=false",
		"--set", "page.files.ORDERWATCH_NATS_CA_FILE.secret=page-ca,page.files.ORDERWATCH_NATS_CA_FILE.key=own.crt")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{"orderwatch": {"true", "nats-ca"}, "orderwatch-page": {"false", "page-ca"}}
	for _, o := range documents(t, text) {
		wanted, ok := want[o.name()]
		if !ok || o.kind() != "Deployment" {
			continue
		}
		env, sources := fmt.Sprint(containerOf(o).list("env")), fmt.Sprint(podOf(o).list("spec", "volumes"))
		if !strings.Contains(env, "name:ORDERWATCH_NATS_TLS_FIRST value:"+wanted[0]+"]") || !strings.Contains(sources, "path:nats-ca]] name:"+wanted[1]+"]") {
			t.Errorf("%s has %s\n%s", o.name(), env, sources)
		}
	}
}

// startsWith returns what the program says against the environment of the object's pods.
func startsWith(t *testing.T, o object, all []object) error {
	t.Helper()
	vars, err := environment(t, o, all, nil)
	if err != nil {
		return err
	}
	cmdtest.Setenv(t, vars)
	args := fmt.Sprint(containerOf(o)["args"])
	load := map[string]func() (config.Config, error){"[serve]": config.LoadServe, "[page]": config.LoadPage, "[provision]": config.Load}[args]
	if load == nil {
		return fmt.Errorf("it runs %s", args)
	}
	_, err = load()
	return err
}

// containerOf returns the container of the object's pods.
func containerOf(o object) object { return podOf(o).list("spec", "containers")[0] }

// environment returns the program's variables in the object's pods, without [config.Prefix]. The files that they name are written
// below a folder of the test, with what the chart says or, of Secrets that are not the chart's, what secrets has by their keys.
func environment(t *testing.T, o object, all []object, secrets map[string]string) (map[string]string, error) {
	t.Helper()
	root, vars := t.TempDir(), make(map[string]string)
	for _, one := range containerOf(o).list("env") {
		name, value := fmt.Sprint(one["name"]), strings.Trim(fmt.Sprint(one["value"]), "<>") // in the manifest people replace what is in brackets
		short, ours := strings.CutPrefix(name, config.Prefix)
		if !ours {
			continue
		}
		if strings.HasSuffix(name, "_FILE") {
			content, err := contentOf(name, value, podOf(o), all, secrets)
			if err != nil {
				return nil, err
			}
			value = filepath.Join(root, value)
			if err := os.MkdirAll(filepath.Dir(value), 0o700); err != nil {
				return nil, err
			}
			write(t, value, content)
		}
		vars[short] = value
	}
	return vars, nil
}

// contentOf returns what a variable's file holds: what a Secret or a ConfigMap of the chart says, or, where that is somebody
// else's, something that will do.
func contentOf(variable, file string, pod object, all []object, secrets map[string]string) (string, error) {
	stub := cmp.Or(map[string]string{
		"ORDERWATCH_TEAMS_FILE":             "teams: {gpu: {projects: [p-*]}}",
		"ORDERWATCH_SLACK_ROUTES_FILE":      "rules: [{channels: [C0TEAM]}]",
		"ORDERWATCH_HEARTBEAT_URL_FILE":     "https://hc.example/a",
		"ORDERWATCH_SLACK_WEBHOOK_URL_FILE": "https://hooks.example/a",
	}[variable], "planted")
	volume, within := "", ""
	for _, mount := range object(pod.list("spec", "containers")[0]).list("volumeMounts") {
		if rest, ok := strings.CutPrefix(file, fmt.Sprint(mount["mountPath"])+"/"); ok {
			volume, within = fmt.Sprint(mount["name"]), rest
		}
	}
	if volume == "" || within != path.Base(file) {
		return "", fmt.Errorf("%s is %s, where nothing is mounted", variable, file)
	}
	for _, v := range pod.list("spec", "volumes") {
		if v["name"] != volume {
			continue
		}
		if v["projected"] == nil {
			return stub, nil // of extraVolumes
		}
		for _, source := range object(v).list("projected", "sources") {
			for kind, field := range map[string]string{"Secret": "secret", "ConfigMap": "configMap"} {
				for _, item := range object(source).list(field, "items") {
					if item["path"] == within {
						key := fmt.Sprint(item["key"])
						return valueOf(all, kind, fmt.Sprint(object(source).at(field, "name")), key, cmp.Or(secrets[key], stub))
					}
				}
			}
		}
	}
	return "", fmt.Errorf("%s is %s, which no source of the volume %s brings", variable, file, volume)
}

// valueOf returns what the object has under the key, or the stub where the object is not of the chart.
func valueOf(all []object, kind, name, key, stub string) (string, error) {
	for _, o := range all {
		if o.kind() != kind || o.name() != name {
			continue
		}
		text, ok := o.at("data", key).(string)
		if !ok {
			return "", fmt.Errorf("%s %s has no key %s", kind, name, key)
		}
		if kind == "Secret" {
			decoded, err := base64.StdEncoding.DecodeString(text)
			return string(decoded), err
		}
		return text, nil
	}
	return stub, nil
}

// list returns the objects that stand at the path.
func (o object) list(at ...string) (all []map[string]any) {
	values, _ := o.at(at...).([]any)
	for _, value := range values {
		if fields, ok := value.(map[string]any); ok {
			all = append(all, fields)
		}
	}
	return all
}
