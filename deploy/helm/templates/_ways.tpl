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
{{- if and $policy.enabled (not $policy.extraEgress) -}}
{{- range $name, $whom := dict "dnsTo" "the DNS" "natsTo" "NATS" "httpsTo" "ModelArts and Slack" -}}
{{- if not (get $policy $name) -}}
{{- $wrong = append $wrong (printf "networkPolicy.%s is empty, and so is networkPolicy.extraEgress: the pods would not reach %s; with a policy of your own set networkPolicy.enabled: false" $name $whom) -}}
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
{{- if eq (upper .name) "HTTPS_PROXY" }}{{ $urls = dict (printf "%s of extraEnv" .name) (regexReplaceAll "^([^:/]+(:[0-9]+)?/?)$" (.value | default "") "http://${1}") }}{{ end -}}
{{- end -}}
{{- range $name, $url := $urls -}}
{{- $port := include "orderwatch.port" $url -}}
{{- if and $url (ne $port (toString $policy.httpsPort)) (not (regexMatch "^https?://(localhost|127\\.|\\[::1\\])" $url)) -}}
{{- $wrong = append $wrong (printf "%s names the port %s, but networkPolicy.httpsPort is %v: the workers would not reach it; let them go there by networkPolicy.extraEgress" $name $port $policy.httpsPort) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $policy.enabled $v.serviceMonitor.enabled (not $policy.metricsFrom) -}}
{{- $wrong = append $wrong "networkPolicy.metricsFrom is empty: Prometheus would not reach the metrics, though serviceMonitor.enabled is set; name the namespace of Prometheus" -}}
{{- end -}}
{{- with $v.page -}}
{{- if and .enabled $policy.enabled -}}
{{- $others := false -}}
{{- range $policy.pageFrom }}{{ if or .ipBlock (not (contains "ingress" (toJson .))) }}{{ $others = true }}{{ end }}{{ end -}}
{{- if and .ingress.enabled (not $policy.pageFrom) -}}
{{- $wrong = append $wrong "networkPolicy.pageFrom is empty: the ingress would not reach the page; name its namespace" -}}
{{- else if not (or .ingress.enabled $others (eq .service.type "ClusterIP")) -}}
{{- $wrong = append $wrong (printf "page.service.type is %s, but networkPolicy.pageFrom has an ingress at the most: it would let nobody else reach the page; add {ipBlock: {cidr: 10.0.0.0/8}} with the addresses that people come by, or the pods of the load balancer" .service.type) -}}
{{- end -}}
{{- end -}}
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
{{- $scheme := regexFind "^[a-z0-9]+://" . -}}
{{- $port := regexFind ":[0-9]+$" (regexReplaceAll "^[a-z0-9]+://|/.*$" . "") | trimPrefix ":" -}}
{{- $port | default (get (dict "https://" "443" "wss://" "443" "http://" "80" "ws://" "80" "socks5://" "1080") $scheme) | default "4222" -}}
{{- end -}}
