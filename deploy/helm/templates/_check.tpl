{{/* What the program would refuse at its start, or Kubernetes when nobody looks any more, is refused here: all of it at once. */}}
{{- define "orderwatch.check" -}}
{{- $v := .Values -}}
{{- $wrong := list -}}
{{- if not $v.image.repository -}}
{{- $wrong = append $wrong "image.repository is not set: name the image, such as registry.example/orderwatch" -}}
{{- end -}}
{{- range $name := list "ORDERWATCH_NATS_URL" "ORDERWATCH_MODELARTS_REGIONS" -}}
{{- if not (get $v.config $name) }}{{ $wrong = append $wrong (printf "config.%s is not set" $name) }}{{ end -}}
{{- end -}}
{{- $wrong = concat $wrong (include "orderwatch.checkModelArts" . | fromYamlArray) -}}
{{- $wrong = concat $wrong (include "orderwatch.checkOwner" (dict "owner" "" "config" $v.config "files" $v.files) | fromYamlArray) -}}
{{- if and $v.config.ORDERWATCH_SLACK_CHANNEL (not (or $v.files.ORDERWATCH_SLACK_TOKEN_FILE $v.files.ORDERWATCH_SLACK_WEBHOOK_URL_FILE)) -}}
{{- $wrong = append $wrong "config.ORDERWATCH_SLACK_CHANNEL is set, but files.ORDERWATCH_SLACK_TOKEN_FILE is not: name the Secret with the bot's token" -}}
{{- end -}}
{{- if and $v.files.ORDERWATCH_SLACK_TOKEN_FILE (not $v.config.ORDERWATCH_SLACK_CHANNEL) -}}
{{- $wrong = append $wrong "files.ORDERWATCH_SLACK_TOKEN_FILE is set, but config.ORDERWATCH_SLACK_CHANNEL is not: name the channel to post in by its ID" -}}
{{- end -}}
{{- $wrong = concat $wrong (include "orderwatch.checkWays" . | fromYamlArray) -}}
{{- with $v.page -}}
{{- if .enabled -}}
{{- $auth := .config.ORDERWATCH_PAGE_AUTH -}}
{{- if not (has $auth (list "basic" "proxy" "none")) -}}
{{- $wrong = append $wrong "page.config.ORDERWATCH_PAGE_AUTH says who may see the page: set basic (users in page.files.ORDERWATCH_PAGE_USERS_FILE), proxy (whom a proxy names), or none if all who reach it may see all orders" -}}
{{- end -}}
{{- if ne (eq $auth "basic") (not (empty .files.ORDERWATCH_PAGE_USERS_FILE)) -}}
{{- $wrong = append $wrong "page.files.ORDERWATCH_PAGE_USERS_FILE must be set with page.config.ORDERWATCH_PAGE_AUTH: basic, and only then" -}}
{{- end -}}
{{- if ne (eq $auth "proxy") (and .config.ORDERWATCH_PAGE_USER_HEADER .config.ORDERWATCH_PAGE_TRUSTED_PROXIES | empty | not) -}}
{{- $wrong = append $wrong "page.config.ORDERWATCH_PAGE_USER_HEADER and page.config.ORDERWATCH_PAGE_TRUSTED_PROXIES must be set with page.config.ORDERWATCH_PAGE_AUTH: proxy, and only then" -}}
{{- end -}}
{{- if and .ingress.enabled (not .ingress.host) -}}
{{- $wrong = append $wrong "page.ingress.host is not set: name the host under which people find the page" -}}
{{- end -}}
{{- $wrong = concat $wrong (include "orderwatch.checkOwner" (dict "owner" "page." "config" .config "files" .files) | fromYamlArray) -}}
{{- $wrong = concat $wrong (include "orderwatch.checkShared" (dict "root" $ "name" "page" "own" .) | fromYamlArray) -}}
{{- end -}}
{{- end -}}
{{- if $v.provision.enabled -}}
{{- $wrong = concat $wrong (include "orderwatch.checkShared" (dict "root" . "name" "provision" "own" $v.provision) | fromYamlArray) -}}
{{- $wrong = concat $wrong (include "orderwatch.checkOwner" (dict "owner" "provision." "config" $v.provision.config "files" $v.provision.files) | fromYamlArray) -}}
{{- end -}}
{{- if $v.keda.enabled -}}
{{- if not $v.keda.account -}}
{{- $wrong = append $wrong "keda.account is not set: name the NATS account that has the streams, $G where there are no accounts; KEDA reads 0 in a wrong one, and says nothing" -}}
{{- end -}}
{{- if lt (int $v.keda.maxReplicas) (int $v.keda.minReplicas) -}}
{{- $wrong = append $wrong "keda.maxReplicas is below keda.minReplicas" -}}
{{- end -}}
{{- end -}}
{{- if $wrong -}}
{{- fail (printf "\n- %s\n" (join "\n- " $wrong)) -}}
{{- end -}}
{{- end -}}

{{/* What is wrong with the files and the login to NATS of the workers, the page or the job, as a list in JSON. */}}
{{- define "orderwatch.checkOwner" -}}
{{- $wrong := list -}}
{{- $owner := .owner -}}
{{- range $name, $file := .files -}}
{{- $sources := without (keys $file) "key" | sortAlpha -}}
{{- if ne (len $sources) 1 -}}
{{- $wrong = append $wrong (printf "%sfiles.%s must have one source, and has %s: say {secret: NAME, key: KEY}, {content: TEXT} or {path: PATH}" $owner $name (join " and " $sources | default "none")) -}}
{{- end -}}
{{- end -}}
{{- $logins := list -}}
{{- range $name := list "ORDERWATCH_NATS_CREDS_FILE" "ORDERWATCH_NATS_NKEY_FILE" "ORDERWATCH_NATS_TOKEN_FILE" -}}
{{- if hasKey $.files $name }}{{ $logins = append $logins (printf "%sfiles.%s" $owner $name) }}{{ end -}}
{{- end -}}
{{- if .config.ORDERWATCH_NATS_USER }}{{ $logins = append $logins (printf "%sconfig.ORDERWATCH_NATS_USER" $owner) }}{{ end -}}
{{- if gt (len $logins) 1 -}}
{{- $wrong = append $wrong (printf "%s are two ways to log in to NATS: keep one" (join " and " $logins)) -}}
{{- end -}}
{{- if ne (empty .config.ORDERWATCH_NATS_USER) (empty .files.ORDERWATCH_NATS_PASSWORD_FILE) -}}
{{- $wrong = append $wrong (printf "%sconfig.ORDERWATCH_NATS_USER and %sfiles.ORDERWATCH_NATS_PASSWORD_FILE belong together" $owner $owner) -}}
{{- end -}}
{{- if ne (empty .files.ORDERWATCH_NATS_CERT_FILE) (empty .files.ORDERWATCH_NATS_KEY_FILE) -}}
{{- $wrong = append $wrong (printf "%sfiles.ORDERWATCH_NATS_CERT_FILE and %sfiles.ORDERWATCH_NATS_KEY_FILE belong together" $owner $owner) -}}
{{- end -}}
{{- toJson $wrong -}}
{{- end -}}

{{/* What is wrong with the workers' login to ModelArts, as a list in JSON. */}}
{{- define "orderwatch.checkModelArts" -}}
{{- $ways := list -}}
{{- range $way := list
  (list "files.ORDERWATCH_MODELARTS_TOKEN_FILE")
  (list "files.ORDERWATCH_MODELARTS_ACCESS_KEY_FILE" "files.ORDERWATCH_MODELARTS_SECRET_KEY_FILE")
  (list "config.ORDERWATCH_MODELARTS_USER" "files.ORDERWATCH_MODELARTS_PASSWORD_FILE" "config.ORDERWATCH_MODELARTS_DOMAIN")
  (list "config.ORDERWATCH_MODELARTS_ECS_AGENCY") -}}
{{- $set := list }}{{ $missing := list -}}
{{- range $path := $way -}}
{{- $value := get (index $.Values (splitList "." $path | first)) (splitList "." $path | last) -}}
{{- if or (empty $value) (eq (toString $value) "false") }}{{ $missing = append $missing $path }}{{ else }}{{ $set = append $set $path }}{{ end -}}
{{- end -}}
{{- if $set }}{{ $ways = append $ways (dict "set" $set "missing" $missing) }}{{ end -}}
{{- end -}}
{{- $wrong := list -}}
{{- $byOthers := false -}}
{{- range .Values.extraEnv }}{{ if hasPrefix "HW_" .name }}{{ $byOthers = true }}{{ end }}{{ end -}}
{{- if gt (len $ways) 1 -}}
{{- $wrong = append $wrong (printf "%s and %s are two ways to log in to ModelArts: keep one" (index $ways 0).set (index $ways 1).set) -}}
{{- else if $ways -}}
{{- range (first $ways).missing -}}
{{- $wrong = append $wrong (printf "%s is not set, but %s is: they belong together" . (first (first $ways).set)) -}}
{{- end -}}
{{- else if not $byOthers -}}
{{- $wrong = append $wrong "nothing says how to log in to ModelArts: set files.ORDERWATCH_MODELARTS_TOKEN_FILE; or files.ORDERWATCH_MODELARTS_ACCESS_KEY_FILE and _SECRET_KEY_FILE; or config.ORDERWATCH_MODELARTS_USER and _DOMAIN with files.ORDERWATCH_MODELARTS_PASSWORD_FILE; or config.ORDERWATCH_MODELARTS_ECS_AGENCY" -}}
{{- end -}}
{{- toJson $wrong -}}
{{- end -}}
