{{/* The chart's name, which is the app's. */}}
{{- define "orderwatch.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* What begins the names of all objects: the release's name, with the chart's behind it unless it is in there. A Job's name has
at most 63 letters, so of a long one a sum takes the end's place: releases that begin alike have names of their own. */}}
{{- define "orderwatch.fullname" -}}
{{- $name := include "orderwatch.name" . -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- $full = default $full .Values.fullnameOverride | trimSuffix "-" -}}
{{- if gt (len $full) 44 }}{{ $full = printf "%s-%s" (trunc 35 $full) (sha256sum $full | trunc 8) }}{{ end -}}
{{- $full -}}
{{- end -}}

{{- define "orderwatch.serviceAccount" -}}
{{- default (ternary (include "orderwatch.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name -}}
{{- end -}}

{{/* By what a component's pods are found: never changed, since a Deployment's selector cannot be. Takes root and component. */}}
{{- define "orderwatch.selector" -}}
app.kubernetes.io/name: {{ include "orderwatch.name" .root | quote }}
app.kubernetes.io/instance: {{ quote .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* The labels of all objects. Takes root and component. */}}
{{- define "orderwatch.labels" -}}
{{ include "orderwatch.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "orderwatch.image" -}}
{{- with .Values.image -}}
{{- .repository }}:{{ default $.Chart.AppVersion .tag }}{{ with .digest }}@{{ . }}{{ end -}}
{{- end -}}
{{- end -}}
