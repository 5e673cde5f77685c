{{- define "orderwatch.check" -}}
{{- end -}}
