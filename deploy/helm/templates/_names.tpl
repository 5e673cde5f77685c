{{/* The chart's name, which is the app's. */}}
{{- define "orderwatch.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* What begins the names of all objects: the release's name, with the chart's behind it unless it is in there. A Job's name has
at most 63 letters. */}}
{{- define "orderwatch.fullname" -}}
{{- $name := include "orderwatch.name" . -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $full .Values.fullnameOverride | trunc 44 | trimSuffix "-" -}}
{{- end -}}

{{- define "orderwatch.serviceAccount" -}}
{{- default (ternary (include "orderwatch.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name -}}
{{- end -}}

{{/* By what a component's pods are found: never changed, since a Deployment's selector cannot be. Takes root and component. */}}
{{- define "orderwatch.selector" -}}
app.kubernetes.io/name: {{ include "orderwatch.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
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
