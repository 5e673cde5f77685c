{{/* What is wrong with the ways to NATS and to others, which the NetworkPolicy would cut off, and from the ingress to the page, as a
list in JSON. */}}
{{- define "orderwatch.checkWays" -}}
{{- $wrong := list -}}
{{- $v := .Values -}}
{{- $policy := $v.networkPolicy -}}
{{- if and $policy.enabled $policy.natsTo -}}
{{- range $owner := list $v $v.page $v.provision -}}
{{- range $url := splitList "," (toString (default "" $owner.config.ORDERWATCH_NATS_URL)) | compact -}}
{{- $port := include "orderwatch.port" (trim $url) -}}
{{- if ne $port (toString $policy.natsPort) -}}
{{- $wrong = append $wrong (printf "ORDERWATCH_NATS_URL names the port %s, but networkPolicy.natsPort is %v: the pods would not reach NATS" $port $policy.natsPort) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $policy.enabled $policy.httpsTo (not $policy.extraEgress) -}}
{{- $urls := dict -}}
{{- range $name := list "ORDERWATCH_MODELARTS_ENDPOINT" "ORDERWATCH_MODELARTS_IAM_ENDPOINT" "ORDERWATCH_SLACK_API_URL" -}}
{{- with get $v.config $name }}{{ $_ := set $urls (printf "config.%s" $name) . }}{{ end -}}
{{- end -}}
{{- range $v.extraEnv -}}
{{- /* By a proxy they are reached on its port. */ -}}
{{- if eq (upper .name) "HTTPS_PROXY" }}{{ $urls = dict (printf "%s of extraEnv" .name) (.value | default "") }}{{ end -}}
{{- end -}}
{{- range $name, $url := $urls -}}
{{- $port := include "orderwatch.port" $url -}}
{{- if and $url (ne $port (toString $policy.httpsPort)) (not (regexMatch "^https?://(localhost|127\\.|\\[::1\\])" $url)) -}}
{{- $wrong = append $wrong (printf "%s names the port %s, but networkPolicy.httpsPort is %v: the workers would not reach it; let them go there by networkPolicy.extraEgress" $name $port $policy.httpsPort) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with $v.page -}}
{{- if and .enabled .ingress.enabled -}}
{{- $public := get $v.config "ORDERWATCH_PUBLIC_URL" | default "" -}}
{{- $base := ternary "" (regexReplaceAll "^https?://[^/]*" $public "") (contains "{" $public) | trimSuffix "/" -}}
{{- if not (hasPrefix (printf "%s/" (trimSuffix "/" .ingress.path)) (printf "%s/" $base)) -}}
{{- $wrong = append $wrong (printf "page.ingress.path is %s, but the page answers below %s/ alone: config.ORDERWATCH_PUBLIC_URL says with its path where the page is found" .ingress.path $base) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $wrong -}}
{{- end -}}

{{/* The port of an address, such as nats://host or https://host:8443/path. */}}
{{- define "orderwatch.port" -}}
{{- $scheme := regexFind "^[a-z]+://" . -}}
{{- $port := regexFind ":[0-9]+$" (regexReplaceAll "^[a-z]+://|/.*$" . "") | trimPrefix ":" -}}
{{- $port | default (get (dict "https://" "443" "wss://" "443" "http://" "80" "ws://" "80") $scheme) | default "4222" -}}
{{- end -}}
