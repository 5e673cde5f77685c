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

{{/* The name of the ServiceAccount of the workers, the page or the job. Takes root, component and own, its values. */}}
{{- define "orderwatch.serviceAccount" -}}
{{- $name := include "orderwatch.fullname" .root -}}
{{- if ne .component "worker" }}{{ $name = printf "%s-%s" $name .component }}{{ end -}}
{{- default (ternary $name "default" .own.serviceAccount.create) .own.serviceAccount.name -}}
{{- end -}}

{{/* What is wrong with the names, as a list in JSON: Services, and what a pod is called, take no dot, and before Kubernetes 1.36 no
digit first. */}}
{{- define "orderwatch.checkNames" -}}
{{- $wrong := list -}}
{{- $full := include "orderwatch.fullname" . -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $full) -}}
{{- $wrong = append $wrong (printf "the release is called %s, so the objects would be called %s: they take a-z 0-9 - alone, with a letter first; set fullnameOverride, such as orderwatch, or choose another name for the release" .Release.Name $full) -}}
{{- end -}}
{{- $accounts := list -}}
{{- range $component, $own := dict "worker" .Values "page" .Values.page "provision" .Values.provision -}}
{{- if and (or (eq $component "worker") $own.enabled) $own.serviceAccount.create -}}
{{- $account := include "orderwatch.serviceAccount" (dict "root" $ "component" $component "own" $own) -}}
{{- if has $account $accounts -}}
{{- $wrong = append $wrong (printf "the ServiceAccount %s would be created twice: give workers, page and job names of their own; or where they are to share it, set create: false for all but one" $account) -}}
{{- end -}}
{{- $accounts = append $accounts $account -}}
{{- end -}}
{{- end -}}
{{- if and .Chart.IsRoot (hasKey .Values "enabled") -}}
{{- $wrong = append $wrong "enabled switches nothing here: it is for a chart that has this one as a part, with condition: orderwatch.enabled" -}}
{{- end -}}
{{- toJson $wrong -}}
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
