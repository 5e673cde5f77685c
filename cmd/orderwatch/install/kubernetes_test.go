//go:build deploy

package install_test

import (
	"flag"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestKubernetes holds what is installed against a real API server.
func TestKubernetes(t *testing.T) {
	c := startCluster(t)
	for name, args := range map[string][]string{
		"least":             {"--values", least},
		"full":              {"--values", full},
		"long name":         {"--values", full, "--set", "fullnameOverride=" + strings.Repeat("n", 44)},
		"readme":            {"--values", readmeValues(t)},
		"all of it":         {"--values", readmeAll(t)},
		"numbers":           {"--values", full, "--set-string", "nameOverride=true,serviceAccount.name=123,nodeSelector.zone=1"},
		"scraped by others": {"--values", full, "--set", "scrapeAnnotations=true"},
		"elsewhere": {"--values", least, "--set", "page.enabled=true,page.config.ORDERWATCH_PAGE_AUTH=none,provision.enabled=true,files.ORDERWATCH_NATS_CA_FILE.path=/vault/ca.crt",
			"--set-json", `extraVolumes=[{"name": "vault", "emptyDir": {}}]`, "--set-json", `extraVolumeMounts=[{"name": "vault", "mountPath": "/vault"}]`,
			"--set-json", `page.extraVolumes=[{"name": "ca", "configMap": {"name": "ca"}}]`, "--set-json", `page.extraVolumeMounts=[{"name": "ca", "mountPath": "/vault"}]`,
			"--set-json", `page.extraEnv=[{"name": "GODEBUG", "value": "x509negativeserial=1"}]`, "--set", "provision.files.ORDERWATCH_NATS_CA_FILE.content=ca",
			"--set", "files.ORDERWATCH_NATS_CREDS_FILE.path=/vault/creds,page.files.ORDERWATCH_NATS_CREDS_FILE.path=/vault/creds,provision.files.ORDERWATCH_NATS_CREDS_FILE.content=x"},
		"by a proxy": {"--values", least, "--set", "networkPolicy.httpsPort=3128,config.ORDERWATCH_MODELARTS_ENDPOINT=https://modelarts.example:8443/v1",
			"--set-json", `extraEnv=[{"name": "HTTPS_PROXY", "value": "http://proxy.example:3128"}]`},
		"below a path": {"--values", full, "--set", "page.ingress.path=/ow,config.ORDERWATCH_PUBLIC_URL=https://orderwatch.example/ow/orders"},
		"other ports": {"--values", least, "--set", "config.ORDERWATCH_NATS_URL=wss://nats.example,networkPolicy.natsPort=443,networkPolicy.httpsPort=8443",
			"--set", "config.ORDERWATCH_MODELARTS_ENDPOINT=https://modelarts.example:8443/v1,config.ORDERWATCH_SLACK_API_URL=http://127.0.0.1:8080"},
		"closed": {"--values", full, "--set", "serviceMonitor.enabled=false,page.ingress.enabled=false,page.service.type=ClusterIP",
			"--set-json", "networkPolicy={\"metricsFrom\": [], \"pageFrom\": [], \"dnsTo\": [], \"natsTo\": [], \"httpsTo\": [], \"extraEgress\": [{\"to\": [{\"ipBlock\": {\"cidr\": \"10.0.0.0/8\"}}]}]}"},
		"from outside": {"--values", least, "--set", "page.enabled=true,page.config.ORDERWATCH_PAGE_AUTH=basic,page.files.ORDERWATCH_PAGE_USERS_FILE.content=x,page.service.type=LoadBalancer",
			"--set", "config.ORDERWATCH_PUBLIC_URL=https://ow.example", "--set-json", `networkPolicy.pageFrom=[{"ipBlock": {"cidr": "10.0.0.0/8"}}]`},
		"by pods of a load balancer": {"--values", least, "--set", "page.enabled=true,page.config.ORDERWATCH_PAGE_AUTH=basic,page.files.ORDERWATCH_PAGE_USERS_FILE.content=x,page.service.type=NodePort",
			"--set", "config.ORDERWATCH_PUBLIC_URL=http://localhost:8090", "--set-json", `networkPolicy.pageFrom=[{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}]`},
		"own accounts": {"--values", full, "--set", "serviceAccount.name=w,page.serviceAccount.name=p,provision.serviceAccount.name=j"},
		"bare":         {"--values", least, "--set", "networkPolicy.enabled=false,podDisruptionBudget.enabled=false,scrapeAnnotations=false", "--set-json", "resources={}"},
	} {
		t.Run("accepted/"+name, func(t *testing.T) {
			text, err := render(t, chartDir, args...)
			if err != nil {
				t.Fatal(err)
			}
			c.accepts(t, text)
		})
	}
	for _, release := range []string{"123", "a.b"} { // names of releases that no Service can have
		args := []string{"template", release, chartDir, "--namespace", namespace, "--values", full}
		t.Run("refused/release "+release, func(t *testing.T) {
			if _, err := helm(t, args...); err == nil || !strings.Contains(err.Error(), "\n- the release is called "+release+", so the objects would be called "+release+"-orderwatch: they take a-z") {
				t.Errorf("said is %v", err)
			}
		})
		t.Run("accepted/release "+release, func(t *testing.T) {
			text, err := helm(t, append(args, "--set", "fullnameOverride=orderwatch")...)
			if err != nil {
				t.Fatal(err)
			}
			c.accepts(t, text)
		})
	}
	t.Run("accepted/manifest", func(t *testing.T) { c.accepts(t, read(t, manifest)) })
	for _, m := range mistakes {
		t.Run("refused/"+m.name, func(t *testing.T) {
			switch err := c.refused(t, m); {
			case err == nil:
				t.Errorf("nobody finds it; want %q", m.want)
			case !strings.Contains(err.Error(), m.want):
				t.Errorf("said is %v; want %q", err, m.want)
			case strings.Contains(err.Error(), "planted"):
				t.Errorf("shows a secret: %v", err)
			}
		})
	}
	t.Run("upgraded", c.upgrades)
	t.Run("from manifests", c.adopts)
}

// accepts fails the test unless the API server takes all objects of the text, and pods of their templates, without a warning, and
// so do the others who know them.
func (c *cluster) accepts(t *testing.T, text string) {
	t.Helper()
	if all := documents(t, text); len(all) < 2 {
		t.Errorf("there are %d objects", len(all))
	}
	if err := c.judge(t, text); err != nil {
		t.Error(err)
	}
}

// comment is a line of values that somebody may want.
var comment = regexp.MustCompile(`(?m)^( *)# ([A-Za-z_]+: )`)

// readmeAll returns the path of [readmeValues] with all that is a comment there.
func readmeAll(t *testing.T) string {
	t.Helper()
	text := read(t, readmeValues(t))
	if lines := len(comment.FindAllString(text, -1)); lines < 8 {
		t.Errorf("there are %d comments", lines)
	}
	path := filepath.Join(t.TempDir(), "values.yaml")
	write(t, path, comment.ReplaceAllString(text, "$1$2"))
	return path
}

// readmeValues returns the path of the values that deploy/README.md begins with.
func readmeValues(t *testing.T) string {
	t.Helper()
	const from, to, indent = "   <!-- values -->\n   ```yaml\n", "   ```\n   <!-- /values -->", "\n   "
	_, rest, found := strings.Cut(read(t, deployDir+"README.md"), from)
	values, _, foundEnd := strings.Cut(rest, to)
	if !found || !foundEnd {
		t.Fatalf("README.md has no %q before %q", from, to)
	}
	path := filepath.Join(t.TempDir(), "values.yaml")
	write(t, path, strings.ReplaceAll("\n"+values, indent, "\n"))
	return path
}

// podOf returns the pod that the object's controller would make; nil where it makes none.
func podOf(o object) object {
	template, ok := o.at("spec", "template").(map[string]any)
	if !ok {
		return nil
	}
	pod := object{"apiVersion": "v1", "kind": "Pod"}
	maps.Copy(pod, template)
	metadata := map[string]any{"name": o.name()}
	meta, _ := template["metadata"].(map[string]any)
	maps.Copy(metadata, meta)
	pod["metadata"] = metadata
	return pod
}

// kept returns an object of the namespace as the API server keeps it; nil where there is none.
func (c *cluster) kept(t *testing.T, kinds, name string) object {
	t.Helper()
	code, answer, _ := c.ask("GET", kinds+"/"+name, nil)
	if code != http.StatusOK {
		return nil
	}
	return documents(t, answer)[0]
}

// deployments and secrets are where the API server keeps them.
const (
	deployments = "/apis/apps/v1/namespaces/" + namespace + "/deployments"
	secrets     = "/api/v1/namespaces/" + namespace + "/secrets"
)

// upgrades installs the chart for good, as helm does, and goes from the least to everything and back.
func (c *cluster) upgrades(t *testing.T) {
	access := []string{"--kubeconfig", c.kubeconfig, "--namespace", namespace}
	do := func(args ...string) {
		t.Helper()
		if said, err := helm(t, append(args, access...)...); err != nil {
			t.Fatalf("helm %s: %v\n%s", strings.Join(args, " "), err, said)
		}
	}
	wantPage := func(want bool) {
		t.Helper()
		if got := c.kept(t, deployments, "orderwatch-page") != nil; got != want {
			t.Errorf("there is a page: %v; want %v", got, want)
		}
	}
	sum := func() any {
		return c.kept(t, deployments, "orderwatch").at("spec", "template", "metadata", "annotations", "checksum/files")
	}
	key := func() any { return c.kept(t, secrets, "orderwatch-files").at("data", "modelarts-access-key") }

	do("install", "orderwatch", chartDir, "--values", least)
	if replicas := c.kept(t, deployments, "orderwatch").at("spec", "replicas"); replicas != 2 {
		t.Errorf("there are %v workers; want 2", replicas)
	}
	wantPage(false)
	do("upgrade", "orderwatch", chartDir, "--values", full)
	wantPage(true)
	before := sum()
	if before == nil || key() == nil {
		t.Errorf("the checksum is %v, the access key %v", before, key())
	}
	do("upgrade", "orderwatch", chartDir, "--values", full, "--set", "files.ORDERWATCH_MODELARTS_SECRET_KEY_FILE.content=another",
		"--set", "provision.config.ORDERWATCH_NATS_USER=other", "--set", "image.tag=0.2.0", "--set", "page.service.type=ClusterIP", "--set", "nodeSelector=null")
	if sum() == before {
		t.Error("another secret starts no pod anew")
	}
	do("upgrade", "orderwatch", chartDir, "--values", full, "--set", "files.ORDERWATCH_MODELARTS_ACCESS_KEY_FILE=null",
		"--set", "files.ORDERWATCH_MODELARTS_SECRET_KEY_FILE=null,files.ORDERWATCH_MODELARTS_TOKEN_FILE.content=planted-token")
	if key() != nil {
		t.Error("a secret that was taken away is still there")
	}
	do("upgrade", "orderwatch", chartDir, "--values", least)
	wantPage(false)
	do("rollback", "orderwatch", "2")
	wantPage(true)

	other := changed(t, "templates/_names.tpl", "app.kubernetes.io/component: {{ .component }}", "app.kubernetes.io/component: my-{{ .component }}")
	if _, err := helm(t, append([]string{"upgrade", "orderwatch", other, "--values", full}, access...)...); err == nil || !strings.Contains(err.Error(), "field is immutable") {
		t.Errorf("another selector is not refused: %v", err)
	}
	do("uninstall", "orderwatch")
	if c.kept(t, deployments, "orderwatch") != nil {
		t.Error("workers are left")
	}
}

// adopts holds that helm installs where plain manifests were, after what deploy/README.md says under "Upgrade" is deleted.
func (c *cluster) adopts(t *testing.T) {
	for _, o := range documents(t, read(t, manifest)) {
		c.must(t, o)
	}
	install := []string{"upgrade", "--install", "orderwatch", chartDir, "--values", least, "--kubeconfig", c.kubeconfig, "--namespace", namespace}
	if _, err := helm(t, install...); err == nil || !strings.Contains(err.Error(), "cannot be imported into the current release") {
		t.Errorf("helm adopts what is there: %v", err)
	}
	_, rest, _ := strings.Cut(read(t, deployDir+"README.md"), "kubectl -n orderwatch delete deployment/")
	names, _, found := strings.Cut("deployment/"+rest, " --ignore-not-found`")
	if !found {
		t.Fatal("README.md does not say what to delete")
	}
	for _, one := range strings.Fields(names) {
		kind, name, _ := strings.Cut(one, "/")
		path := map[string]string{
			"deployment": deployments, "serviceaccount": "/api/v1/namespaces/" + namespace + "/serviceaccounts",
			"poddisruptionbudget": "/apis/policy/v1/namespaces/" + namespace + "/poddisruptionbudgets",
			"networkpolicy":       "/apis/networking.k8s.io/v1/namespaces/" + namespace + "/networkpolicies",
		}[kind]
		if code, answer, _ := c.ask("DELETE", path+"/"+name, nil); path == "" || code != http.StatusOK {
			t.Errorf("%s: %d %s", one, code, answer)
		}
	}
	if _, err := helm(t, install...); err != nil && !strings.HasPrefix(err.Error(), "helm warns: ") {
		t.Error(err)
	}
}

const (
	manifest       = deployDir + "kubernetes.yaml"
	manifestValues = deployDir + "kubernetes-values.yaml"
)

// TestManifest holds that the plain manifest is what the chart makes: -update writes it anew.
func TestManifest(t *testing.T) {
	made, err := render(t, chartDir, "--values", manifestValues)
	if err != nil {
		t.Fatal(err)
	}
	made = "# Made of the chart, with kubernetes-values.yaml: helm template orderwatch deploy/helm --namespace orderwatch\n" +
		"# --values deploy/kubernetes-values.yaml. Replace what stands in angle brackets; README.md, \"Without Helm\", says how to go on.\n" + made
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(manifest, []byte(made), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if read(t, manifest) != made {
		t.Errorf("%s is not what the chart makes: run the test with -update", manifest)
	}
}

// TestLongNames holds that releases whose long names begin alike have names of their own, which leave room for what comes behind.
func TestLongNames(t *testing.T) {
	names := make(map[string]bool)
	for _, end := range []string{"a", "b"} {
		text, err := helm(t, "template", strings.Repeat("n", 52)+end, chartDir, "--values", least)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range documents(t, text) {
			if o.kind() == "Deployment" {
				names[o.name()] = true
			}
			if len(o.name()) != 44 {
				t.Errorf("%s %s has %d letters", o.kind(), o.name(), len(o.name()))
			}
		}
	}
	if len(names) != 2 {
		t.Errorf("both are %v", names)
	}
}

// TestRunbookURL holds that every alert, and the dashboard, lead to the runbook that the values name.
func TestRunbookURL(t *testing.T) {
	const runbook = "https://wiki.example/orderwatch"
	text, err := render(t, chartDir, "--values", full, "--set", "runbookUrl="+runbook)
	if err != nil {
		t.Fatal(err)
	}
	alerts, links := strings.Count(text, "- alert: "), strings.Count(text, "runbook_url: "+runbook+"#orderwatch")
	if alerts == 0 || links != alerts {
		t.Errorf("of %d alerts %d lead to the runbook", alerts, links)
	}
	if strings.Contains(text, "main/deploy/RUNBOOK.md") || !strings.Contains(text, `"url": "`+runbook+"#") {
		t.Error("the dashboard leads elsewhere")
	}
}

// TestLint holds that helm finds nothing to say.
func TestLint(t *testing.T) {
	for _, values := range []string{least, full, manifestValues} {
		if said, err := helm(t, "lint", "--strict", chartDir, "--values", values); err != nil {
			t.Errorf("%v\n%s", err, said)
		}
	}
}
