// Command monitors reads objects of Prometheus' operator as YAML, one document or many, and decodes each strictly with the
// operator's own types: its definitions for an API server are in no module. It passes over objects of others.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	k8syaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

func main() {
	read, err := decode(os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(read, "objects")
}

// decode returns how many objects it read.
func decode(in io.Reader) (read int, err error) {
	for documents := k8syaml.NewYAMLReader(bufio.NewReader(in)); ; {
		text, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return read, nil
		} else if err != nil {
			return read, err
		}
		var of struct {
			APIVersion string `json:"apiVersion"`
			Kind       string `json:"kind"`
		}
		if err := yaml.Unmarshal(text, &of); err != nil {
			return read, err
		}
		var into any
		switch of.APIVersion + " " + of.Kind {
		case "monitoring.coreos.com/v1 ServiceMonitor":
			into = new(monitoring.ServiceMonitor)
		case "monitoring.coreos.com/v1 PrometheusRule":
			into = new(monitoring.PrometheusRule)
		default:
			continue
		}
		if err := yaml.UnmarshalStrict(text, into); err != nil {
			return read, fmt.Errorf("%s: %w", of.Kind, err)
		}
		read++
	}
}
