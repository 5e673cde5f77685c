{{/* A pod. Takes root, component, command, config, files, made (the name of what the chart made of content), resources, annotations,
labels, port (0: it listens nowhere), metrics (the port of /metrics), contents, the files whose content restarts it, and own, the
values with the variables and volumes of others: what brings secrets to one kind of pods brings them to no other. */}}
{{- define "orderwatch.pod" -}}
{{- $v := .root.Values -}}
metadata:
  labels:
    {{- include "orderwatch.selector" . | nindent 4 }}
    {{- with .labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- $contents := list }}
  {{- range $name, $file := .contents }}
  {{- with $file.content }}{{ $contents = append $contents (list $name .) }}{{ end }}
  {{- end }}
  {{- $annotations := dict }}
  {{- if $contents }}{{ $_ := set $annotations "checksum/files" (toJson $contents | sha256sum) }}{{ end }}
  {{- if and .port $v.scrapeAnnotations (not $v.serviceMonitor.enabled) }}
  {{- $annotations = merge $annotations (dict "prometheus.io/scrape" "true" "prometheus.io/port" (toString .metrics)) }}
  {{- end }}
  {{- $annotations = mergeOverwrite $annotations (deepCopy (default dict .annotations)) }}
  {{- with $annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "orderwatch.serviceAccount" . | quote }}
  # Nothing here calls the Kubernetes API.
  automountServiceAccountToken: false
  # Otherwise each Service of the namespace adds variables, and those of one whose name begins with orderwatch- look like
  # misspelt ones.
  enableServiceLinks: false
  {{- if .port }}
  terminationGracePeriodSeconds: 30
  {{- else }}
  restartPolicy: Never
  {{- end }}
  {{- with $v.priorityClassName }}
  priorityClassName: {{ quote . }}
  {{- end }}
  {{- with $v.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $v.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $v.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $v.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    # Lets the process read its files.
    fsGroup: 65532
    seccompProfile: {type: RuntimeDefault}
  {{- if .port }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: {{ quote $v.topologyKey }}
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "orderwatch.selector" . | nindent 10 }}
  {{- end }}
  containers:
    - name: orderwatch
      image: {{ include "orderwatch.image" .root | quote }}
      imagePullPolicy: {{ $v.image.pullPolicy }}
      args: [{{ .command }}]
      env:
        {{- include "orderwatch.env" . | nindent 8 }}
        {{- with .own.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- if .port }}
      ports:
        - {name: http, containerPort: {{ .port }}}
        {{- if ne .metrics .port }}
        - {name: metrics, containerPort: {{ .metrics }}}
        {{- end }}
      livenessProbe:
        httpGet: {path: /livez, port: http}
        periodSeconds: 10
        timeoutSeconds: 3
        failureThreshold: 6
      readinessProbe:
        httpGet: {path: /readyz, port: http}
        periodSeconds: 5
        timeoutSeconds: 3
      {{- end }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
      {{- with .resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- if or .files .own.extraVolumeMounts }}
      volumeMounts:
        {{- if .files }}
        - {name: files, mountPath: /etc/orderwatch, readOnly: true}
        {{- end }}
        {{- with .own.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- end }}
  {{- if or .files .own.extraVolumes }}
  volumes:
    {{- if .files }}
    {{- include "orderwatch.volume" . | nindent 4 }}
    {{- end }}
    {{- with .own.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- end }}
{{- end -}}
