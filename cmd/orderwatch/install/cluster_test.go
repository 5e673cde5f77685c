//go:build deploy

package install_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
)

// namespace is where everything is installed.
const namespace = "orderwatch"

// A cluster is an API server and its etcd. No node, no controller and no scheduler is there: objects are judged and
// kept, and nothing runs.
type cluster struct {
	url, token string
	client     *http.Client
	kubeconfig string // path
}

// An object is what a manifest says of one.
type object map[string]any

func (o object) kind() string { return fmt.Sprint(o["kind"]) }

func (o object) name() string { return fmt.Sprint(o.at("metadata", "name")) }

// at returns what stands at the path; nil where nothing does.
func (o object) at(path ...string) any {
	var value any = map[string]any(o)
	for _, key := range path {
		fields, _ := value.(map[string]any)
		value = fields[key]
	}
	return value
}

// startCluster starts both servers on free ports of this machine, with the namespace, whose pods must keep to the standard
// "restricted", and the definitions of others' objects.
func startCluster(t *testing.T) *cluster {
	t.Helper()
	dir, peer := t.TempDir(), "http://"+rig.FreeAddr(t)
	store := "http://" + rig.FreeAddr(t)
	rig.Start(t, "etcd", nil, "--data-dir", filepath.Join(dir, "etcd"), "--unsafe-no-fsync", "--log-level", "error",
		"--listen-client-urls", store, "--advertise-client-urls", store,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer)

	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	keyFile, tokens := filepath.Join(dir, "key.pem"), filepath.Join(dir, "tokens.csv")
	token := rand.Text()
	write(t, keyFile, string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})))
	write(t, tokens, token+",admin,admin,system:masters\n")
	addr := rig.FreeAddr(t)
	_, port, _ := net.SplitHostPort(addr)
	rig.Start(t, tool(t, "KUBE_APISERVER"), nil, "--etcd-servers", store, "--bind-address", "127.0.0.1", "--secure-port", port,
		"--cert-dir", filepath.Join(dir, "certificates"), "--endpoint-reconciler-type", "none",
		"--service-account-issuer", "https://orderwatch.invalid", "--service-account-key-file", keyFile, "--service-account-signing-key-file", keyFile,
		"--service-cluster-ip-range", "10.96.0.0/16", "--token-auth-file", tokens, "--authorization-mode", "RBAC", "--allow-privileged",
		"--disable-admission-plugins", "ServiceAccount") // no controller makes the namespace's default account

	c := &cluster{url: "https://" + addr, token: token, kubeconfig: filepath.Join(dir, "kubeconfig")}
	c.client = &http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} // its certificate is made anew
	write(t, c.kubeconfig, fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}],
		clusters: [{name: c, cluster: {server: %q, insecure-skip-tls-verify: true}}], users: [{name: u, user: {token: %q}}]}`, c.url, token))
	rig.Eventually(t, 5*time.Minute, func() error {
		if code, body, _ := c.ask("GET", "/readyz", nil); code != http.StatusOK {
			return fmt.Errorf("the API server is not ready: %d %s", code, body)
		}
		return nil
	})
	c.must(t, object{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": namespace, "labels": map[string]any{
		"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted", "pod-security.kubernetes.io/audit": "restricted",
	}}})
	c.define(t)
	return c
}

// define installs KEDA's definitions, and stands in for those of Prometheus' operator, which are in no module: of its objects
// the server only keeps what it gets, and their fields are judged by decodeMonitors.
func (c *cluster) define(t *testing.T) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(tool(t, "KEDA"), "config", "crd", "bases", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("KEDA has no definitions: %v", err)
	}
	var names []string
	for _, file := range files {
		for _, o := range documents(t, read(t, file)) {
			c.must(t, o)
			names = append(names, o.name())
		}
	}
	for _, kind := range []string{"ServiceMonitor", "PrometheusRule"} {
		plural := strings.ToLower(kind) + "s"
		o := documents(t, fmt.Sprintf(`{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: %s.monitoring.coreos.com},
			spec: {group: monitoring.coreos.com, scope: Namespaced, names: {kind: %s, plural: %s, singular: %s, listKind: %sList}, versions: [
			{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]}}`,
			plural, kind, plural, strings.ToLower(kind), kind))[0]
		c.must(t, o)
		names = append(names, o.name())
	}
	for _, name := range names {
		rig.Eventually(t, 2*time.Minute, func() error {
			_, body, _ := c.ask("GET", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"+name, nil)
			if !established(body) {
				return fmt.Errorf("%s is not established: %s", name, body)
			}
			return nil
		})
	}
}

// established reports whether a definition, as JSON, is in use.
func established(body string) bool {
	var definition struct {
		Status struct {
			Conditions []struct{ Type, Status string }
		}
	}
	_ = json.Unmarshal([]byte(body), &definition) // what cannot be read is not in use
	for _, condition := range definition.Status.Conditions {
		if condition.Type == "Established" && condition.Status == "True" {
			return true
		}
	}
	return false
}

// ask asks the API server; the warnings are those of its answer.
func (c *cluster) ask(method, path string, body []byte) (code int, answer string, warnings []string) {
	request, err := http.NewRequest(method, c.url+path, bytes.NewReader(body))
	if err != nil {
		return 0, err.Error(), nil
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	request.Header.Set("Content-Type", "application/json")
	response, err := c.client.Do(request)
	if err != nil {
		return 0, err.Error(), nil
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error(), nil
	}
	return response.StatusCode, string(text), response.Header.Values("Warning")
}

// create gives the API server an object, strictly: dry, which changes nothing, or for good. The error is what it says against the
// object, or its warnings.
func (c *cluster) create(o object, dry bool) error {
	path, err := collection(o)
	if err != nil {
		return err
	}
	body, err := json.Marshal(o)
	if err != nil {
		return err
	}
	query := "?fieldValidation=Strict"
	if dry {
		query += "&dryRun=All"
	}
	code, answer, warnings := c.ask("POST", path+query, body)
	var status struct{ Message string }
	_ = json.Unmarshal([]byte(answer), &status)
	switch {
	case code != http.StatusCreated:
		return fmt.Errorf("%s %s: %d %s", o.kind(), o.name(), code, status.Message)
	case len(warnings) > 0:
		return fmt.Errorf("%s %s: warnings: %s", o.kind(), o.name(), strings.Join(warnings, "; "))
	}
	return nil
}

// must is create for good, which succeeds.
func (c *cluster) must(t *testing.T, o object) {
	t.Helper()
	if err := c.create(o, false); err != nil {
		t.Fatal(err)
	}
}

// collection returns the path under which objects of the kind are created.
func collection(o object) (string, error) {
	version, _ := o["apiVersion"].(string)
	if version == "" || o.kind() == "" {
		return "", fmt.Errorf("no apiVersion or kind: %v", o)
	}
	path := "/apis/" + version
	if !strings.Contains(version, "/") {
		path = "/api/" + version
	}
	plural := strings.ToLower(o.kind()) + "s"
	switch o.kind() {
	case "Namespace", "CustomResourceDefinition":
		return path + "/" + plural, nil
	case "NetworkPolicy":
		plural = "networkpolicies"
	case "Ingress":
		plural = "ingresses"
	}
	return path + "/namespaces/" + namespace + "/" + plural, nil
}

// documents returns the objects of a YAML stream. A key that stands twice fails the test.
func documents(t *testing.T, text string) (all []object) {
	t.Helper()
	for decoder := yaml.NewDecoder(strings.NewReader(text)); ; {
		var o map[string]any
		switch err := decoder.Decode(&o); {
		case err == io.EOF:
			return all
		case err != nil:
			t.Fatalf("%v in\n%s", err, text)
		case o != nil:
			all = append(all, o)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
