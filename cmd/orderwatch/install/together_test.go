//go:build deploy

package install_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// A rendering is all objects that the chart made, and the pods that would come of them.
type rendering struct {
	all, pods []object
	wrong     []error
}

// together returns what is wrong between the objects of a rendering: the API server judges each by itself, and takes a Service that
// finds no pod.
func together(all []object) error {
	r := &rendering{all: all}
	for _, o := range all {
		if pod := podOf(o); pod != nil {
			r.pods = append(r.pods, pod)
		}
	}
	for _, o := range all {
		selector := selectorOf(o)
		if selector == nil {
			r.refers(o)
			continue
		}
		found := slices.DeleteFunc(slices.Clone(r.pods), func(pod object) bool { return !matches(selector, pod.at("metadata", "labels")) })
		if len(found) != 1 {
			r.say(o, "finds pods of %d kinds, not of one", len(found))
			continue
		}
		r.leads(o, found[0])
		r.refers(o)
	}
	return errors.Join(r.wrong...)
}

func (r *rendering) say(o object, format string, args ...any) {
	r.wrong = append(r.wrong, fmt.Errorf("%s %s "+format, append([]any{o.kind(), o.name()}, args...)...))
}

// leads looks whether the pod listens on the ports that the object names.
func (r *rendering) leads(o, pod object) {
	switch o.kind() {
	case "Service":
		for _, port := range o.list("spec", "ports") {
			if !listens(pod, port["targetPort"]) {
				r.say(o, "leads to the port %v, on which no pod listens", port["targetPort"])
			}
		}
	case "NetworkPolicy":
		for _, rule := range o.list("spec", "ingress") {
			for _, port := range object(rule).list("ports") {
				if !listens(pod, port["port"]) {
					r.say(o, "opens the port %v, on which no pod listens", port["port"])
				}
			}
		}
	}
}

// refers looks whether what the object names is there.
func (r *rendering) refers(o object) {
	needs := func(kind string, name any) {
		if !slices.ContainsFunc(r.all, func(other object) bool { return other.kind() == kind && other.name() == fmt.Sprint(name) }) {
			r.say(o, "names the %s %v, which is not there", kind, name)
		}
	}
	switch o.kind() {
	case "ScaledObject":
		needs("Deployment", o.at("spec", "scaleTargetRef", "name"))
	case "Ingress":
		for _, rule := range o.list("spec", "rules") {
			for _, path := range object(rule).list("http", "paths") {
				needs("Service", object(path).at("backend", "service", "name"))
			}
		}
	case "ServiceMonitor":
		r.scrapes(o)
	case "PodDisruptionBudget":
		if o.at("spec", "unhealthyPodEvictionPolicy") != "AlwaysAllow" {
			r.say(o, "keeps nodes from being drained while NATS is away")
		}
	case "Deployment", "Job":
		pod := podOf(o)
		r.owns(o)
		for _, other := range r.pods {
			if other.name() != o.name() && other.at("spec", "serviceAccountName") == pod.at("spec", "serviceAccountName") {
				r.say(o, "shares a ServiceAccount with %s", other.name())
			}
		}
		needs("ServiceAccount", pod.at("spec", "serviceAccountName"))
		if pod.at("spec", "automountServiceAccountToken") != false {
			r.say(o, "gives its pods a token of the Kubernetes API")
		}
		if pod.at("spec", "enableServiceLinks") != false {
			r.say(o, "lets Services add variables")
		}
	}
}

// owns looks whether pods of the page and of the job have variables and volumes of others that are the workers'.
func (r *rendering) owns(o object) {
	if o.at("metadata", "labels", "app.kubernetes.io/component") == "worker" {
		return
	}
	var foreign []string
	for _, one := range slices.Concat(containerOf(o).list("env"), podOf(o).list("spec", "volumes")) {
		if name := fmt.Sprint(one["name"]); name == "HTTPS_PROXY" || name == "vault" {
			foreign = append(foreign, name)
		}
	}
	if foreign != nil {
		r.say(o, "has what is the workers' alone: %s", strings.Join(foreign, ", "))
	}
}

// scrapes looks whether the ServiceMonitor leads to the metrics of each pod that goes on running.
func (r *rendering) scrapes(monitor object) {
	names := make(map[any]bool) // of the ports that are scraped
	for _, endpoint := range monitor.list("spec", "endpoints") {
		names[endpoint["port"]] = true
	}
	services, deployments := 0, 0
	for _, o := range r.all {
		if o.kind() == "Deployment" {
			deployments++
			if podOf(o).at("metadata", "annotations", "prometheus.io/scrape") != nil {
				r.say(o, "is scraped twice: by its annotations, too")
			}
		}
		if o.kind() == "Service" && matches(monitor.at("spec", "selector", "matchLabels"), o.at("metadata", "labels")) {
			if slices.ContainsFunc(o.list("spec", "ports"), func(port map[string]any) bool { return names[port["name"]] }) {
				services++
			}
		}
	}
	if services != deployments {
		r.say(monitor, "finds %d Services with metrics, for %d Deployments", services, deployments)
	}
}

// selectorOf returns the labels by which the object finds pods; nil where it finds none.
func selectorOf(o object) any {
	switch o.kind() {
	case "Service":
		return o.at("spec", "selector")
	case "NetworkPolicy":
		return o.at("spec", "podSelector", "matchLabels")
	case "PodDisruptionBudget", "Deployment":
		return o.at("spec", "selector", "matchLabels")
	}
	return nil
}

// matches reports whether the labels have all that the selector has.
func matches(selector, labels any) bool {
	wanted, _ := selector.(map[string]any)
	have, _ := labels.(map[string]any)
	for name, value := range wanted {
		if have[name] != value {
			return false
		}
	}
	return len(wanted) > 0
}

// listens reports whether the pod has the port, by its name or its number.
func listens(pod object, port any) bool {
	for _, container := range pod.list("spec", "containers") {
		for _, one := range object(container).list("ports") {
			if one["name"] == port || one["containerPort"] == port {
				return true
			}
		}
	}
	return false
}

// TestRulesKnowWorkers holds that the rules alert on fewer workers than are wanted in this namespace.
func TestRulesKnowWorkers(t *testing.T) {
	for set, want := range map[string]string{"replicas=3": `label_replace(vector(3), "namespace", "orderwatch", "", "")`, "keda.enabled=true,keda.account=A,keda.minReplicas=4,replicas=3": `label_replace(vector(4), "namespace", "orderwatch", "", "")`} {
		text, err := render(t, chartDir, "--values", least, "--set", "prometheusRule.enabled=true,"+set)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(text, want) != 1 || strings.Contains(text, "vector(2)") {
			t.Errorf("%s: not once %s", set, want)
		}
	}
}

// TestRulesOfOneNamespace holds that the chart's number is that of its own namespace: there too few workers are told of, and none, and
// another installation, of one worker, is let alone.
func TestRulesOfOneNamespace(t *testing.T) {
	text, err := render(t, chartDir, "--values", least, "--set", "prometheusRule.enabled=true,replicas=3")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, o := range documents(t, text) {
		if o.kind() == "PrometheusRule" {
			spec, err := yaml.Marshal(o["spec"])
			if err != nil {
				t.Fatal(err)
			}
			write(t, dir+"/rules.yaml", string(spec))
		}
	}
	write(t, dir+"/test.yaml", `
rule_files: [rules.yaml]
tests:
  - interval: 1m
    input_series:
      - {series: 'orderwatch_workers{namespace="orderwatch",job="orderwatch",instance="10.0.0.1:8080"}', values: '2x30 stale'}
      - {series: 'orderwatch_workers{namespace="orderwatch",job="orderwatch",instance="10.0.0.2:8080"}', values: '2x30 stale'}
      - {series: 'orderwatch_workers{namespace="other",job="orderwatch",instance="10.0.0.3:8080"}', values: '1x60'}
    promql_expr_test:
      - eval_time: 20m
        expr: count by (alertname, namespace) (ALERTS{alertstate="firing"})
        exp_samples: [{labels: '{alertname="OrderwatchTooFewWorkers",namespace="orderwatch"}', value: 1}]
      - eval_time: 45m
        expr: count by (alertname, namespace) (ALERTS{alertstate="firing"})
        exp_samples: [{labels: '{alertname="OrderwatchAbsent",namespace="orderwatch"}', value: 1}]
`)
	promtool(t, "test", "rules", dir+"/test.yaml")
}

// TestKinds holds what the chart makes, that all else is off where nobody wants it, that rules and dashboard are the files of the
// chart, but for the workers that are wanted, and that what is secret stands in Secrets alone.
func TestKinds(t *testing.T) {
	file := documents(t, strings.Replace(read(t, chartDir+"/monitoring/rules.yaml"), "vector(2)", `label_replace(vector(2), "namespace", "orderwatch", "", "")`, 1))[0]
	made := func(values string) map[string]int {
		text, err := render(t, chartDir, "--values", values)
		if err != nil {
			t.Fatal(err)
		}
		kinds := make(map[string]int)
		for _, o := range documents(t, text) {
			kinds[o.kind()]++
			if planted := fmt.Sprint(o); o.kind() != "Secret" && slices.ContainsFunc([]string{"planted-access", "planted-secret", "planted-actions"}, func(s string) bool { return strings.Contains(planted, s) }) {
				t.Errorf("%s %s shows a secret", o.kind(), o.name())
			}
			if o.kind() == "PrometheusRule" && fmt.Sprint(o["spec"]) != fmt.Sprint(map[string]any(file)) {
				t.Error("the PrometheusRule is not monitoring/rules.yaml")
			}
			if text, ok := o.at("data", "orderwatch.json").(string); ok && text != read(t, chartDir+"/monitoring/dashboard.json") {
				t.Error("the ConfigMap is not monitoring/dashboard.json")
			}
		}
		return kinds
	}
	for values, want := range map[string]map[string]int{
		least: {"Deployment": 1, "NetworkPolicy": 1, "PodDisruptionBudget": 1, "ServiceAccount": 1},
		full: {"Deployment": 2, "NetworkPolicy": 3, "PodDisruptionBudget": 2, "ServiceAccount": 3, "Secret": 2, "ConfigMap": 2, "Service": 3,
			"Job": 1, "Ingress": 1, "ScaledObject": 1, "ServiceMonitor": 1, "PrometheusRule": 1},
	} {
		if got := made(values); !maps.Equal(got, want) {
			t.Errorf("%s makes %v; want %v", values, got, want)
		}
	}
}
