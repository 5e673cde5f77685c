{{/* What the program would refuse at its start, or Kubernetes when nobody looks any more, is refused here: all of it at once. */}}
{{- define "orderwatch.check" -}}
{{- $v := .Values -}}
{{- $wrong := include "orderwatch.checkNames" . | fromYamlArray -}}
{{- if not $v.image.repository -}}
{{- $wrong = append $wrong "image.repository is not set: name the image, such as registry.example/orderwatch" -}}
{{- end -}}
{{- range $name := list "ORDERWATCH_NATS_URL" "ORDERWATCH_MODELARTS_REGIONS" -}}
{{- if not (get $v.config $name) }}{{ $wrong = append $wrong (printf "config.%s is not set" $name) }}{{ end -}}
{{- end -}}
{{- $wrong = concat $wrong (include "orderwatch.checkModelArts" . | fromYamlArray) -}}
{{- $wrong = concat $wrong (include "orderwatch.checkTimes" $v.config | fromYamlArray) -}}
{{- $wrong = concat $wrong (include "orderwatch.checkOpen" $v.config | fromYamlArray) -}}
{{- $wrong = concat $wrong (include "orderwatch.checkOwner" (dict "owner" "" "config" $v.config "files" $v.files) | fromYamlArray) -}}
{{- $wrong = concat $wrong (include "orderwatch.checkOthers" (dict "owner" "" "own" $v) | fromYamlArray) -}}
{{- if and $v.config.ORDERWATCH_SLACK_CHANNEL (not (or $v.files.ORDERWATCH_SLACK_TOKEN_FILE $v.files.ORDERWATCH_SLACK_WEBHOOK_URL_FILE)) -}}
{{- $wrong = append $wrong "config.ORDERWATCH_SLACK_CHANNEL is set, but files.ORDERWATCH_SLACK_TOKEN_FILE is not: name the Secret with the bot's token" -}}
{{- end -}}
{{- if and $v.files.ORDERWATCH_SLACK_TOKEN_FILE (not $v.config.ORDERWATCH_SLACK_CHANNEL) -}}
{{- $wrong = append $wrong "files.ORDERWATCH_SLACK_TOKEN_FILE is set, but config.ORDERWATCH_SLACK_CHANNEL is not: name the channel to post in by its ID" -}}
{{- end -}}
{{- range $path := list "config.ORDERWATCH_SLACK_PROGRESS" "files.ORDERWATCH_SLACK_ROUTES_FILE" -}}
{{- $value := get (index $v (splitList "." $path | first)) (splitList "." $path | last) -}}
{{- if and $value (ne (toString $value) "false") (not $v.files.ORDERWATCH_SLACK_TOKEN_FILE) -}}
{{- $wrong = append $wrong (printf "%s needs files.ORDERWATCH_SLACK_TOKEN_FILE: a webhook can neither change its messages nor choose a channel" $path) -}}
{{- end -}}
{{- end -}}
{{- if eq (default "orders" $v.config.ORDERWATCH_SUBJECT_PREFIX) (default "orderwatch" $v.config.ORDERWATCH_SERVICE_PREFIX) -}}
{{- $wrong = append $wrong "config.ORDERWATCH_SERVICE_PREFIX must differ from config.ORDERWATCH_SUBJECT_PREFIX" -}}
{{- end -}}
{{- $inboxes := $v.config.ORDERWATCH_INBOX_PREFIXES | default list -}}
{{- range $inbox := ternary $inboxes (splitList "," (toString $inboxes)) (kindIs "slice" $inboxes) -}}
{{- $inbox = printf "%s." (trim $inbox) -}}
{{- range $own := list (default "orders" $v.config.ORDERWATCH_SUBJECT_PREFIX) (default "orderwatch" $v.config.ORDERWATCH_SERVICE_PREFIX) -}}
{{- if or (hasPrefix $inbox (printf "%s." $own)) (hasPrefix (printf "%s." $own) $inbox) -}}
{{- $wrong = append $wrong (printf "config.ORDERWATCH_INBOX_PREFIXES has %s, which meets the installation's own subjects below %s: name another prefix" (trimSuffix "." $inbox) $own) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $wrong = concat $wrong (include "orderwatch.checkWays" . | fromYamlArray) -}}
{{- if $v.page.enabled -}}
{{- $wrong = concat $wrong (include "orderwatch.checkPage" . | fromYamlArray) -}}
{{- $wrong = concat $wrong (include "orderwatch.checkOwner" (dict "owner" "page." "config" $v.page.config "files" $v.page.files "workers" $v) | fromYamlArray) -}}
{{- $wrong = concat $wrong (include "orderwatch.checkOthers" (dict "owner" "page." "own" $v.page) | fromYamlArray) -}}
{{- $wrong = concat $wrong (include "orderwatch.checkShared" (dict "root" . "name" "page" "own" $v.page) | fromYamlArray) -}}
{{- end -}}
{{- if $v.provision.enabled -}}
{{- $wrong = concat $wrong (include "orderwatch.checkOwner" (dict "owner" "provision." "config" $v.provision.config "files" $v.provision.files "workers" $v) | fromYamlArray) -}}
{{- $wrong = concat $wrong (include "orderwatch.checkOthers" (dict "owner" "provision." "own" $v.provision) | fromYamlArray) -}}
{{- $wrong = concat $wrong (include "orderwatch.checkShared" (dict "root" . "name" "provision" "own" $v.provision) | fromYamlArray) -}}
{{- end -}}
{{- if $v.keda.enabled -}}
{{- if not $v.keda.account -}}
{{- $wrong = append $wrong "keda.account is not set: name the NATS account that has the streams, $G where there are no accounts; KEDA reads 0 in a wrong one, and says nothing" -}}
{{- end -}}
{{- if lt (int $v.keda.maxReplicas) (int $v.keda.minReplicas) -}}
{{- $wrong = append $wrong "keda.maxReplicas is below keda.minReplicas" -}}
{{- end -}}
{{- end -}}
{{- $least := int (ternary $v.keda.minReplicas $v.replicas (default false $v.keda.enabled)) -}}
{{- if and $v.podDisruptionBudget.enabled (gt (int $v.podDisruptionBudget.maxUnavailable) 1) (ge (int $v.podDisruptionBudget.maxUnavailable) $least) -}}
{{- $wrong = append $wrong (printf "podDisruptionBudget.maxUnavailable is %v, and there are %d workers: all could be away at once; 1 lets nodes be drained, one after the other" $v.podDisruptionBudget.maxUnavailable $least) -}}
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
{{- $wrong = append $wrong (printf "%sfiles.%s must have one source, and has %s: say {secret: NAME, key: KEY}, {content: TEXT} or {path: PATH}; what another file of values set is taken away by null" $owner $name (join " and " $sources | default "none")) -}}
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
{{- if and .workers (not (include "orderwatch.login" .)) (include "orderwatch.login" .workers) -}}
{{- $wrong = append $wrong (printf "nothing says how %s logs in to NATS, though the workers log in: set %sconfig.ORDERWATCH_NATS_USER and %sfiles.ORDERWATCH_NATS_PASSWORD_FILE, or another login of its own" (trimSuffix "." $owner) $owner $owner) -}}
{{- end -}}
{{- if ne (empty .config.ORDERWATCH_NATS_USER) (empty .files.ORDERWATCH_NATS_PASSWORD_FILE) -}}
{{- $wrong = append $wrong (printf "%sconfig.ORDERWATCH_NATS_USER and %sfiles.ORDERWATCH_NATS_PASSWORD_FILE belong together" $owner $owner) -}}
{{- end -}}
{{- if ne (empty .files.ORDERWATCH_NATS_CERT_FILE) (empty .files.ORDERWATCH_NATS_KEY_FILE) -}}
{{- $wrong = append $wrong (printf "%sfiles.ORDERWATCH_NATS_CERT_FILE and %sfiles.ORDERWATCH_NATS_KEY_FILE belong together" $owner $owner) -}}
{{- end -}}
{{- toJson $wrong -}}
{{- end -}}

{{/* What is wrong with the variables and the volumes of others that the workers, the page or the job have, as a list in JSON. Takes
owner and own, its values. */}}
{{- define "orderwatch.checkOthers" -}}
{{- $wrong := list -}}
{{- $owner := .owner -}}
{{- $seen := list -}}
{{- range .own.extraEnv -}}
{{- if has .name $seen }}{{ $wrong = append $wrong (printf "%sextraEnv has %s twice: keep one" $owner .name) }}{{ end -}}
{{- $seen = append $seen .name -}}
{{- if eq (hasKey . "value") (hasKey . "valueFrom") -}}
{{- $wrong = append $wrong (printf "%sextraEnv: %s must have one of value and valueFrom" $owner .name) -}}
{{- end -}}
{{- end -}}
{{- range .own.extraVolumes -}}
{{- if eq (toString .name) "files" -}}
{{- $wrong = append $wrong (printf "%sextraVolumes: a volume of the chart's own is called files: choose another name" $owner) -}}
{{- else if lt (len .) 2 -}}
{{- $wrong = append $wrong (printf "%sextraVolumes: %v has no source, so Kubernetes would make an empty folder: say emptyDir: {}, or what it is, such as secret: {secretName: NAME}" $owner .name) -}}
{{- end -}}
{{- end -}}
{{- range .own.extraVolumeMounts -}}
{{- $path := .mountPath | toString -}}
{{- $below := printf "%s/" (trimSuffix "/" $path) -}}
{{- if not (hasPrefix "/" $path) -}}
{{- $wrong = append $wrong (printf "%sextraVolumeMounts: mountPath must be a path that begins with /" $owner) -}}
{{- else if or (hasPrefix $below "/etc/orderwatch/") (hasPrefix "/etc/orderwatch/" $below) (hasPrefix $below "/orderwatch/") -}}
{{- $wrong = append $wrong (printf "%sextraVolumeMounts: %s would hide the program or its files, which are /orderwatch and /etc/orderwatch: choose another path" $owner $path) -}}
{{- end -}}
{{- end -}}
{{- toJson $wrong -}}
{{- end -}}

{{/* What is wrong with the workers' login to ModelArts, as a list in JSON. */}}
{{- define "orderwatch.checkModelArts" -}}
{{- $ways := list -}}
{{- range $way := list
  (list "files.ORDERWATCH_MODELARTS_TOKEN_FILE")
  (list "files.ORDERWATCH_MODELARTS_ACCESS_KEY_FILE" "files.ORDERWATCH_MODELARTS_SECRET_KEY_FILE" "files.ORDERWATCH_MODELARTS_SECURITY_TOKEN_FILE")
  (list "config.ORDERWATCH_MODELARTS_USER" "files.ORDERWATCH_MODELARTS_PASSWORD_FILE" "config.ORDERWATCH_MODELARTS_DOMAIN")
  (list "config.ORDERWATCH_MODELARTS_ECS_AGENCY") -}}
{{- $set := list }}{{ $missing := list -}}
{{- range $path := $way -}}
{{- $value := get (index $.Values (splitList "." $path | first)) (splitList "." $path | last) -}}
{{- if not (or (empty $value) (eq (toString $value) "false")) }}{{ $set = append $set $path }}{{ else if ne $path "files.ORDERWATCH_MODELARTS_SECURITY_TOKEN_FILE" }}{{ $missing = append $missing $path }}{{ end -}}
{{- end -}}
{{- if $set }}{{ $ways = append $ways (dict "set" $set "missing" $missing) }}{{ end -}}
{{- end -}}
{{- $wrong := list -}}
{{- $others := list -}}
{{- range .Values.extraEnv }}{{ $others = append $others .name }}{{ end -}}
{{- $byOthers := "" -}}
{{- range $way := list (list "HW_ACCESS_KEY" "HW_SECRET_KEY") (list "HW_AUTH_TOKEN") (list "HW_USER_NAME" "HW_USER_PASSWORD" "HW_DOMAIN_NAME") -}}
{{- $missing := list -}}
{{- range $name := $way }}{{ if not (has $name $others) }}{{ $missing = append $missing $name }}{{ end }}{{ end -}}
{{- if not $missing }}{{ $byOthers = "whole" }}{{ end -}}
{{- end -}}
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

{{/* Which variable says how workers, page or job log in to NATS; empty where none does. Takes config and files. */}}
{{- define "orderwatch.login" -}}
{{- $login := .config.ORDERWATCH_NATS_USER | default "" -}}
{{- range $name := list "ORDERWATCH_NATS_CREDS_FILE" "ORDERWATCH_NATS_NKEY_FILE" "ORDERWATCH_NATS_TOKEN_FILE" "ORDERWATCH_NATS_CERT_FILE" -}}
{{- if hasKey $.files $name }}{{ $login = $name }}{{ end -}}
{{- end -}}
{{- $login -}}
{{- end -}}

{{/* What is wrong with the page, as a list in JSON. */}}
{{- define "orderwatch.checkPage" -}}
{{- $wrong := list -}}
{{- $workers := .Values -}}
{{- $config := .Values.page.config -}}
{{- $files := .Values.page.files -}}
{{- $auth := $config.ORDERWATCH_PAGE_AUTH -}}
{{- if not $auth -}}
{{- $wrong = append $wrong "page.config.ORDERWATCH_PAGE_AUTH says who may see the page: set basic (users in page.files.ORDERWATCH_PAGE_USERS_FILE), proxy (whom a proxy names), or none if all who reach it may see all orders" -}}
{{- end -}}
{{- if ne (eq $auth "basic") (not (empty $files.ORDERWATCH_PAGE_USERS_FILE)) -}}
{{- $wrong = append $wrong "page.files.ORDERWATCH_PAGE_USERS_FILE must be set with page.config.ORDERWATCH_PAGE_AUTH: basic, and only then" -}}
{{- end -}}
{{- range $name := list "ORDERWATCH_PAGE_USER_HEADER" "ORDERWATCH_PAGE_TRUSTED_PROXIES" -}}
{{- if ne (eq $auth "proxy") (not (empty (get $config $name))) -}}
{{- $wrong = append $wrong (printf "page.config.%s must be set with page.config.ORDERWATCH_PAGE_AUTH: proxy, and only then" $name) -}}
{{- end -}}
{{- end -}}
{{- $teams := or $workers.files.ORDERWATCH_TEAMS_FILE $files.ORDERWATCH_TEAMS_FILE -}}
{{- if and $config.ORDERWATCH_PAGE_TEAM_HEADER (not (and $teams (eq $auth "proxy"))) -}}
{{- $wrong = append $wrong "page.config.ORDERWATCH_PAGE_TEAM_HEADER needs page.config.ORDERWATCH_PAGE_AUTH: proxy, and files.ORDERWATCH_TEAMS_FILE" -}}
{{- end -}}
{{- if and $teams (eq $auth "proxy") (not $config.ORDERWATCH_PAGE_TEAM_HEADER) -}}
{{- $wrong = append $wrong "page.config.ORDERWATCH_PAGE_TEAM_HEADER must be set, since files.ORDERWATCH_TEAMS_FILE keeps teams apart: without it all users of the page see all orders" -}}
{{- end -}}
{{- $user := $config.ORDERWATCH_PAGE_ACTIONS_NATS_USER | default "" -}}
{{- $creds := $files.ORDERWATCH_PAGE_ACTIONS_NATS_CREDS_FILE -}}
{{- if ne (empty $user) (empty $files.ORDERWATCH_PAGE_ACTIONS_NATS_PASSWORD_FILE) -}}
{{- $wrong = append $wrong "page.config.ORDERWATCH_PAGE_ACTIONS_NATS_USER and page.files.ORDERWATCH_PAGE_ACTIONS_NATS_PASSWORD_FILE belong together" -}}
{{- end -}}
{{- if and $user $creds -}}
{{- $wrong = append $wrong "page.config.ORDERWATCH_PAGE_ACTIONS_NATS_USER and page.files.ORDERWATCH_PAGE_ACTIONS_NATS_CREDS_FILE are two logins: keep one" -}}
{{- end -}}
{{- $public := $workers.config.ORDERWATCH_PUBLIC_URL | default "" -}}
{{- $template := contains "{" $public -}}
{{- if eq (toString $config.ORDERWATCH_PAGE_ACTIONS) "true" -}}
{{- if eq $auth "none" -}}
{{- $wrong = append $wrong "page.config.ORDERWATCH_PAGE_ACTIONS lets everybody who reaches the page cancel: set page.config.ORDERWATCH_PAGE_AUTH to basic or proxy" -}}
{{- end -}}
{{- if and (eq $auth "proxy") (or (not $public) $template) -}}
{{- $wrong = append $wrong "config.ORDERWATCH_PUBLIC_URL must be where the page is found, and no template, with page.config.ORDERWATCH_PAGE_ACTIONS and ORDERWATCH_PAGE_AUTH: proxy" -}}
{{- end -}}
{{- if and (not $user) (not $creds) (or $config.ORDERWATCH_NATS_USER $files.ORDERWATCH_NATS_CREDS_FILE $files.ORDERWATCH_NATS_NKEY_FILE $files.ORDERWATCH_NATS_TOKEN_FILE) -}}
{{- $wrong = append $wrong "page.config.ORDERWATCH_PAGE_ACTIONS_NATS_USER is not set: the page's own login may only read, so actions need one of their own, with page.files.ORDERWATCH_PAGE_ACTIONS_NATS_PASSWORD_FILE" -}}
{{- end -}}
{{- if and $user (eq $user ($config.ORDERWATCH_NATS_USER | default "")) -}}
{{- $wrong = append $wrong "page.config.ORDERWATCH_PAGE_ACTIONS_NATS_USER must not be page.config.ORDERWATCH_NATS_USER, which is to read alone" -}}
{{- end -}}
{{- end -}}
{{- if and $config.ORDERWATCH_NATS_JS_API_PREFIX (or $config.ORDERWATCH_NATS_JS_DOMAIN (and (not (hasKey $config "ORDERWATCH_NATS_JS_DOMAIN")) $workers.config.ORDERWATCH_NATS_JS_DOMAIN)) -}}
{{- $wrong = append $wrong "page.config.ORDERWATCH_NATS_JS_API_PREFIX and ORDERWATCH_NATS_JS_DOMAIN are two ways to JetStream: keep one; page.config.ORDERWATCH_NATS_JS_DOMAIN: \"\" takes that of the workers away" -}}
{{- end -}}
{{- if and $config.ORDERWATCH_NATS_USER (eq $config.ORDERWATCH_NATS_USER ($workers.config.ORDERWATCH_NATS_USER | default "")) -}}
{{- $wrong = append $wrong "page.config.ORDERWATCH_NATS_USER must not be config.ORDERWATCH_NATS_USER, who may write: the page is to read alone, so it needs a user of its own" -}}
{{- end -}}
{{- /* What a path leads to is each pod's own, and a server with a token has one for all. */ -}}
{{- range $name := list "ORDERWATCH_NATS_CREDS_FILE" "ORDERWATCH_NATS_NKEY_FILE" -}}
{{- $file := get $files $name | default dict -}}
{{- if and $file (not $file.path) (eq (toJson $file) (toJson (get $workers.files $name))) -}}
{{- $wrong = append $wrong (printf "page.files.%s must not be files.%s, a login that may write: the page is to read alone, so it needs one of its own" $name $name) -}}
{{- end -}}
{{- end -}}
{{- $proxies := $config.ORDERWATCH_PAGE_TRUSTED_PROXIES | default list -}}
{{- if and (regexMatch "/0+(,|\\s|$)" (ternary (join "," $proxies) (toString $proxies) (kindIs "slice" $proxies))) (not (and $workers.networkPolicy.enabled (eq $workers.page.service.type "ClusterIP"))) -}}
{{- $wrong = append $wrong "page.config.ORDERWATCH_PAGE_TRUSTED_PROXIES has a network of all addresses: everybody who reaches the page could say who they are; name the proxy's own, such as 10.0.0.0/8" -}}
{{- end -}}
{{- if and (eq $auth "basic") (ne .Values.page.service.type "ClusterIP") (not .Values.page.ingress.enabled) (not (regexMatch "^(https://|http://(localhost|127\\.0\\.0\\.1)([:/]|$))" $public)) -}}
{{- $wrong = append $wrong (printf "passwords of ORDERWATCH_PAGE_AUTH: basic could be read on the way to page.service, of type %s: use page.ingress; or, where a load balancer has the certificate, set config.ORDERWATCH_PUBLIC_URL to the https address" .Values.page.service.type) -}}
{{- end -}}
{{- with .Values.page.ingress -}}
{{- if .enabled -}}
{{- if not .host -}}
{{- $wrong = append $wrong "page.ingress.host is not set: name the host under which people find the page" -}}
{{- else if and $public (not $template) (ne (lower .host) (regexReplaceAll "^https?://([^/?#:]*).*$" $public "${1}" | lower)) -}}
{{- $wrong = append $wrong "page.ingress.host is not the host of config.ORDERWATCH_PUBLIC_URL: links would not lead to the page, and with ORDERWATCH_PAGE_AUTH: proxy it answers 421" -}}
{{- end -}}
{{- if and (eq $auth "basic") (not .tlsSecret) (not (hasPrefix "https://" $public)) -}}
{{- $wrong = append $wrong "passwords of ORDERWATCH_PAGE_AUTH: basic could be read on the way to page.ingress: set page.ingress.tlsSecret; or, where a certificate comes from elsewhere, config.ORDERWATCH_PUBLIC_URL to the https address" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $wrong -}}
{{- end -}}

{{/* Which times are out of their bounds, as a list in JSON. Takes the workers' config. A row is a variable, its default, the least,
and the most: a variable and its default, or a time. */}}
{{- define "orderwatch.checkTimes" -}}
{{- $wrong := list -}}
{{- range $row := list
  (list "MODELARTS_TIMEOUT" "15s" "1ns" "" "29.5s")
  (list "MODELARTS_NOT_FOUND_GRACE" "2m" "1ns" "" "")
  (list "POLL_INITIAL" "5s" "100ms" "POLL_MAX" "1m")
  (list "POLL_MAX" "1m" "100ms" "POLL_MAX_SWEPT" "")
  (list "TIMEOUT" "2h" "1s" "TIMEOUT_MAX" "48h") -}}
{{- $name := printf "ORDERWATCH_%s" (index $row 0) -}}
{{- $other := printf "ORDERWATCH_%s" (index $row 3) -}}
{{- $value := get $ $name | toString | default (index $row 1) -}}
{{- $most := get $ $other | toString | default (index $row 4) -}}
{{- $ns := include "orderwatch.nanoseconds" $value | int64 -}}
{{- if lt $ns (include "orderwatch.nanoseconds" (index $row 2) | int64) -}}
{{- $wrong = append $wrong (printf "config.%s is %s: it must be %s" $name $value (index $row 2 | printf "at least %s" | replace "at least 1ns" "more than 0")) -}}
{{- else if and $most (gt $ns (include "orderwatch.nanoseconds" $most | int64)) -}}
{{- $wrong = append $wrong (printf "config.%s is %s: it must be at most %s%s" $name $value (ternary "" (printf "config.%s, " $other) (eq (index $row 3) "")) $most) -}}
{{- end -}}
{{- end -}}
{{- $longest := get $ "ORDERWATCH_TIMEOUT_MAX" | toString | default "48h" -}}
{{- $kept := get $ "ORDERWATCH_EVENTS_MAX_AGE" | toString | default "2160h" -}}
{{- if lt (include "orderwatch.nanoseconds" $kept | int64) (include "orderwatch.nanoseconds" (printf "%s168h" $longest) | int64) -}}
{{- $wrong = append $wrong (printf "config.ORDERWATCH_EVENTS_MAX_AGE is %s: it must be at least 168h more than config.ORDERWATCH_TIMEOUT_MAX, %s" $kept $longest) -}}
{{- end -}}
{{- $sweep := get $ "ORDERWATCH_SWEEP_EVERY" | toString | default "5s" -}}
{{- $ns := include "orderwatch.nanoseconds" $sweep | int64 -}}
{{- if and $ns (lt $ns (include "orderwatch.nanoseconds" "100ms" | int64)) -}}
{{- $wrong = append $wrong (printf "config.ORDERWATCH_SWEEP_EVERY is %s: it must be at least 100ms, or 0 to list no orders" $sweep) -}}
{{- end -}}
{{- toJson $wrong -}}
{{- end -}}

{{/* How long a time such as 1h30m is. */}}
{{- define "orderwatch.nanoseconds" -}}
{{- $then := toDate "2006" "2000" -}}
{{- sub (dateModify (printf "+%s" .) $then).UnixNano $then.UnixNano -}}
{{- end -}}

{{/* What of the workers' config shows something to strangers, as a list in JSON. */}}
{{- define "orderwatch.checkOpen" -}}
{{- $wrong := list -}}
{{- if ne (toString .ORDERWATCH_ALLOW_INSECURE) "true" -}}
{{- range $name := list "ORDERWATCH_MODELARTS_ENDPOINT" "ORDERWATCH_MODELARTS_IAM_ENDPOINT" "ORDERWATCH_SLACK_API_URL" -}}
{{- $url := get $ $name -}}
{{- if and (hasPrefix "http://" $url) (not (regexMatch "^http://(localhost|127\\.[0-9.]+|\\[::1\\])(:[0-9]+)?(/|$)" $url)) -}}
{{- $wrong = append $wrong (printf "config.%s is plain http, which anybody on the way can read and answer: make it https, or set config.ORDERWATCH_ALLOW_INSECURE: true" $name) -}}
{{- end -}}
{{- end -}}
{{- $addr := .ORDERWATCH_PPROF_ADDR -}}
{{- if and $addr (not (regexMatch "^(localhost|127\\.[0-9.]+|\\[::1\\]):" $addr)) -}}
{{- $wrong = append $wrong "config.ORDERWATCH_PPROF_ADDR shows the process's memory to everybody who reaches it: it must be on 127.0.0.1, [::1] or localhost, unless config.ORDERWATCH_ALLOW_INSECURE is true" -}}
{{- end -}}
{{- end -}}
{{- toJson $wrong -}}
{{- end -}}
