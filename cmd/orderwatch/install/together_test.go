//go:build deploy

package install_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// together returns what is wrong between the objects of a rendering: the API server judges each by itself, and takes a Service that
// finds no pod.
func together(all []object) error {
	var wrong []error
	say := func(o object, format string, args ...any) {
		wrong = append(wrong, fmt.Errorf("%s %s "+format, append([]any{o.kind(), o.name()}, args...)...))
	}
	var pods []object
	names := make(map[string]bool)
	for _, o := range all {
		names[o.kind()+" "+o.name()] = true
		if pod := podOf(o); pod != nil {
			pods = append(pods, pod)
		}
	}
	needs := func(o object, kind string, name any) {
		if !names[kind+" "+fmt.Sprint(name)] {
			say(o, "names the %s %v, which is not there", kind, name)
		}
	}
	for _, o := range all {
		var found []object
		selector := selectorOf(o)
		for _, pod := range pods {
			if selector != nil && matches(selector, pod.at("metadata", "labels")) {
				found = append(found, pod)
			}
		}
		if selector != nil && len(found) != 1 {
			say(o, "finds pods of %d kinds, not of one", len(found))
			continue
		}
		switch o.kind() {
		case "Service":
			for _, port := range o.list("spec", "ports") {
				if !listens(found[0], port["targetPort"]) {
					say(o, "leads to the port %v, on which no pod listens", port["targetPort"])
				}
			}
		case "NetworkPolicy":
			for _, rule := range o.list("spec", "ingress") {
				for _, port := range object(rule).list("ports") {
					if !listens(found[0], port["port"]) {
						say(o, "opens the port %v, on which no pod listens", port["port"])
					}
				}
			}
		case "ScaledObject":
			needs(o, "Deployment", o.at("spec", "scaleTargetRef", "name"))
		case "Ingress":
			for _, rule := range o.list("spec", "rules") {
				for _, path := range object(rule).list("http", "paths") {
					needs(o, "Service", object(path).at("backend", "service", "name"))
				}
			}
		case "ServiceMonitor":
			wrong = append(wrong, scraped(o, all)...)
		case "Deployment", "Job":
			needs(o, "ServiceAccount", podOf(o).at("spec", "serviceAccountName"))
			if podOf(o).at("spec", "automountServiceAccountToken") != false {
				say(o, "gives its pods a token of the Kubernetes API")
			}
			if podOf(o).at("spec", "enableServiceLinks") != false {
				say(o, "lets Services add variables")
			}
		}
	}
	return errors.Join(wrong...)
}

// scraped returns what is wrong where the ServiceMonitor does not lead to the metrics of each pod that goes on running.
func scraped(monitor object, all []object) (wrong []error) {
	names := make(map[any]bool) // of the ports that are scraped
	for _, endpoint := range monitor.list("spec", "endpoints") {
		names[endpoint["port"]] = true
	}
	services, deployments := 0, 0
	for _, o := range all {
		if o.kind() == "Deployment" {
			deployments++
		}
		if o.kind() == "Service" && matches(monitor.at("spec", "selector", "matchLabels"), o.at("metadata", "labels")) {
			if slices.ContainsFunc(o.list("spec", "ports"), func(port map[string]any) bool { return names[port["name"]] }) {
				services++
			}
		}
	}
	if services != deployments {
		wrong = append(wrong, fmt.Errorf("ServiceMonitor %s finds %d Services with metrics, for %d Deployments", monitor.name(), services, deployments))
	}
	return wrong
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

// TestRulesKnowWorkers holds that the rules alert on fewer workers than are wanted here.
func TestRulesKnowWorkers(t *testing.T) {
	for set, want := range map[string]string{"replicas=3": "vector(3)", "keda.enabled=true,keda.account=A,keda.minReplicas=4,replicas=3": "vector(4)"} {
		text, err := render(t, chartDir, "--values", least, "--set", "prometheusRule.enabled=true,"+set)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(text, want) != 1 || strings.Contains(text, "vector(2)") {
			t.Errorf("%s: not once %s", set, want)
		}
	}
}

// TestKinds holds what the chart makes, that all else is off where nobody wants it, that rules and dashboard are the files of the
// chart, and that what is secret stands in Secrets alone.
func TestKinds(t *testing.T) {
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
			if o.kind() == "PrometheusRule" && fmt.Sprint(o["spec"]) != fmt.Sprint(map[string]any(documents(t, read(t, chartDir+"/monitoring/rules.yaml"))[0])) {
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
		full: {"Deployment": 2, "NetworkPolicy": 3, "PodDisruptionBudget": 2, "ServiceAccount": 1, "Secret": 2, "ConfigMap": 2, "Service": 3,
			"Job": 1, "Ingress": 1, "ScaledObject": 1, "ServiceMonitor": 1, "PrometheusRule": 1},
	} {
		if got := made(values); !maps.Equal(got, want) {
			t.Errorf("%s makes %v; want %v", values, got, want)
		}
	}
}
