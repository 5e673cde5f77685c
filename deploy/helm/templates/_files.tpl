{{/* The name of a variable's file below /etc/orderwatch, which is also its key in what the chart makes: nats-creds. */}}
{{- define "orderwatch.fileName" -}}
{{- . | trimPrefix "ORDERWATCH_" | trimSuffix "_FILE" | lower | replace "_" "-" -}}
{{- end -}}

{{/* Whether a file holds nothing secret: its content goes into a ConfigMap. */}}
{{- define "orderwatch.isPublic" -}}
{{- if has . (list "ORDERWATCH_NATS_CA_FILE" "ORDERWATCH_NATS_CERT_FILE" "ORDERWATCH_MODELARTS_CA_FILE" "ORDERWATCH_TEAMS_FILE" "ORDERWATCH_SLACK_ROUTES_FILE") -}}yes{{- end -}}
{{- end -}}

{{/* The files of the workers that the page and the provision job get, too, as YAML: those that are no login. What the chart makes of
content is referred to where it is. */}}
{{- define "orderwatch.sharedFiles" -}}
{{- range $name, $file := pick .Values.files "ORDERWATCH_NATS_CA_FILE" "ORDERWATCH_TEAMS_FILE" }}
{{- if $file.content }}
{{ $name }}: {configMap: {{ include "orderwatch.fullname" $ }}-files, key: {{ include "orderwatch.fileName" $name }}}
{{- else }}
{{ $name }}: {{ toJson $file }}
{{- end }}
{{- end }}
{{- end -}}

{{/* What is wrong with the files that the page or the job has of the workers, as a list in JSON: what the workers' extraVolumeMounts
bring is not there. Takes root, name (page or provision) and own, its values. */}}
{{- define "orderwatch.checkShared" -}}
{{- $wrong := list -}}
{{- range $variable, $file := include "orderwatch.sharedFiles" .root | fromYaml -}}
{{- $path := $file.path | default "" -}}
{{- if and (not (hasKey $.own.files $variable)) (include "orderwatch.mounted" (list $path $.root.Values)) (not (include "orderwatch.mounted" (list $path $.own))) -}}
{{- $wrong = append $wrong (printf "files.%s is %s, which the workers' extraVolumeMounts bring to the workers alone: say %s.extraVolumes and %s.extraVolumeMounts, or %s.files.%s" $variable $path $.name $.name $.name $variable) -}}
{{- end -}}
{{- end -}}
{{- toJson $wrong -}}
{{- end -}}

{{/* Whether extraVolumeMounts bring a path: says yes or nothing. Takes a list of the path and the values that have them. */}}
{{- define "orderwatch.mounted" -}}
{{- $path := first . -}}
{{- range (last .).extraVolumeMounts -}}
{{- if hasPrefix (printf "%s/" (trimSuffix "/" .mountPath)) (printf "%s/" $path) -}}yes{{- end -}}
{{- end -}}
{{- end -}}

{{/* The variables of the workers that the page and the provision job get, too, as YAML. */}}
{{- define "orderwatch.sharedConfig" -}}
{{- range $name, $value := .Values.config }}
{{- if or (has $name (list "ORDERWATCH_MODELARTS_NOT_FOUND_GRACE" "ORDERWATCH_MODELARTS_TIMEOUT")) (not (regexMatch "^ORDERWATCH_(NATS_USER$|PROVISION$|PPROF_ADDR$|SLACK_|MODELARTS_)" $name)) }}
{{ $name }}: {{ toJson $value }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Takes a list of dicts, and returns all that they have as JSON; of what several have the last counts, also where it is false or
empty, which merge would not take. */}}
{{- define "orderwatch.over" -}}
{{- $all := dict -}}
{{- range $one := . -}}
{{- range $name, $value := $one }}{{ $_ := set $all $name $value }}{{ end -}}
{{- end -}}
{{- toJson $all -}}
{{- end -}}

{{/* The projected volume of files. Takes files, and the name of what the chart made of content. */}}
{{- define "orderwatch.volume" -}}
- name: files
  projected:
    defaultMode: 0440
    sources:
      {{- range $name, $file := .files }}
      {{- if not $file.path }}
      {{- $path := include "orderwatch.fileName" $name }}
      {{- if $file.content }}
      - {{ ternary "configMap" "secret" (eq (include "orderwatch.isPublic" $name) "yes") }}: {name: {{ $.made }}, items: [{key: {{ $path }}, path: {{ $path }}}]}
      {{- else if $file.configMap }}
      - configMap: {name: {{ quote $file.configMap }}, items: [{key: {{ quote $file.key }}, path: {{ $path }}}]}
      {{- else }}
      - secret: {name: {{ quote $file.secret }}, items: [{key: {{ quote $file.key }}, path: {{ $path }}}]}
      {{- end }}
      {{- end }}
      {{- end }}
{{- end -}}

{{/* The environment. Takes config and files. */}}
{{- define "orderwatch.env" -}}
{{- $lines := list }}
{{- range $name, $value := .config }}
{{- $lines = append $lines (printf "- {name: %s, value: %s}" $name (ternary (join "," $value) (toString $value) (kindIs "slice" $value) | quote)) }}
{{- end }}
{{- range $name, $file := .files }}
{{- $lines = append $lines (printf "- {name: %s, value: %s}" $name (default (printf "/etc/orderwatch/%s" (include "orderwatch.fileName" $name)) $file.path | quote)) }}
{{- end }}
{{- join "\n" $lines }}
{{- end -}}

{{/* The Secret and the ConfigMap of what is given as content. Takes root, component, name and files. */}}
{{- define "orderwatch.made" -}}
{{- range $kind := list "Secret" "ConfigMap" }}
{{- $made := dict }}
{{- range $name, $file := $.files }}
{{- if and $file.content (eq $kind (ternary "ConfigMap" "Secret" (eq (include "orderwatch.isPublic" $name) "yes"))) }}
{{- $_ := set $made (include "orderwatch.fileName" $name) (ternary ($file.content | b64enc) $file.content (eq $kind "Secret")) }}
{{- end }}
{{- end }}
{{- if $made }}
---
apiVersion: v1
kind: {{ $kind }}
metadata:
  name: {{ $.name }}
  namespace: {{ quote $.root.Release.Namespace }}
  labels:
    {{- include "orderwatch.labels" $ | nindent 4 }}
data:
  {{- toYaml $made | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}
