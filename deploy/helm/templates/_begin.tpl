{{/* What each template begins with: values are made whole, and looked at. */}}
{{- define "orderwatch.begin" -}}
{{- include "orderwatch.whole" . -}}
{{- include "orderwatch.clean" . -}}
{{- include "orderwatch.check" . -}}
{{- end -}}

{{/* Somebody who leaves `files:` there, and makes comments of all below it, says null, which takes the chart's own {} away, too. */}}
{{- define "orderwatch.whole" -}}
{{- range $path := list "image" "config" "files" "serviceMonitor.labels" "prometheusRule.labels" "dashboard.labels" "page.config"
  "page.files" "page.ingress" "provision.config" "provision.files" "keda" -}}
{{- $at := $.Values -}}
{{- range $name := splitList "." $path -}}
{{- if not (kindIs "map" (get $at $name)) }}{{ $_ := set $at $name dict }}{{ end -}}
{{- $at = get $at $name -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Takes away what is null: by null a second file of values, or --set, takes away what the first one set. Without its Secret or
ConfigMap a file needs no key. */}}
{{- define "orderwatch.clean" -}}
{{- range $owner := list .Values .Values.page .Values.provision -}}
{{- range $file := $owner.files -}}
{{- range $name, $value := $file -}}
{{- if kindIs "invalid" $value }}{{ $_ := unset $file $name }}{{ end -}}
{{- end -}}
{{- if and $file (not (or $file.secret $file.configMap)) }}{{ $_ := unset $file "key" }}{{ end -}}
{{- end -}}
{{- range $variables := list $owner.config $owner.files -}}
{{- range $name, $value := $variables -}}
{{- if kindIs "invalid" $value }}{{ $_ := unset $variables $name }}{{ end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
