// Package install holds the tests of what installs orderwatch: the Helm chart and the manifests against a real API server of
// Kubernetes, and their environment against the program's own reader; the units on a systemd of
// their own; and compose.yaml. It has no code of its own.
//
// Its tests have the build tag deploy: `.ci/run deploy` builds the tools that they need, and runs them. Read cluster_test.go
// first (how an API server runs without a cluster, and how it is asked), then helm_test.go (how the chart is rendered). Then any
// test: kubernetes_test.go (what is accepted, installed and upgraded), mistakes_test.go (what must be refused, and with which
// words), together_test.go (what is wrong between objects), environment_test.go (what the rendered pods say to the program),
// pods_test.go (the pods, run as processes), values_test.go (that the chart's schema is strict).
//
// Without Kubernetes: systemd_test.go has the units as they are written, systemd_machine_test.go how a systemd runs beside this
// machine's, systemd_walk_test.go what it runs: all that deploy/README.md tells somebody who begins. compose_test.go has
// compose.yaml.
package install
