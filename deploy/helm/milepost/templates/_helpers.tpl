{{- define "milepost.name" -}}
{{- $both := printf "%s-%s" .Release.Name .Chart.Name }}
{{- contains .Chart.Name .Release.Name | ternary .Release.Name $both | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- /* Of (root, role): what selects the pods of a role. */ -}}
{{- define "milepost.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .role }}
{{- end }}

{{- define "milepost.labels" -}}
{{ include "milepost.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{- define "milepost.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- /* How a container is kept in: the user of the image, and nothing to write on but what is mounted. */ -}}
{{- define "milepost.security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "milepost.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "milepost.secretVariable" -}}
- name: {{ .name }}
  valueFrom: {secretKeyRef: {name: {{ .secret | quote }}, key: {{ .key | quote }}}}
{{- end }}

{{- define "milepost.kafka" -}}
- {name: MILEPOST_KAFKA__BROKERS, value: {{ .Values.kafka.brokers | quote }}}
- {name: MILEPOST_KAFKA__TOPIC, value: {{ .Values.kafka.topic | quote }}}
- {name: MILEPOST_KAFKA__REFUSED_TOPIC, value: {{ .Values.kafka.refusedTopic | quote }}}
- {name: MILEPOST_KAFKA__GROUP, value: {{ .Values.kafka.group | quote }}}
{{- end }}

{{- define "milepost.clickhouse" -}}
- {name: MILEPOST_CLICKHOUSE__URL, value: {{ .Values.clickhouse.url | quote }}}
- {name: MILEPOST_CLICKHOUSE__DATABASE, value: {{ .Values.clickhouse.database | quote }}}
- {name: MILEPOST_CLICKHOUSE__USER, value: {{ .Values.clickhouse.user | quote }}}
{{- with .Values.clickhouse.password }}
{{- if .secret }}
{{ include "milepost.secretVariable" (dict "name" "MILEPOST_CLICKHOUSE__PASSWORD" "secret" .secret "key" .key) }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Of (root, role): what this role needs to know, and no secret of another one. */ -}}
{{- define "milepost.variables" -}}
{{- if or (has .role (list "ingest" "aggregate" "migrate")) (and (eq .role "embedded") .root.Values.kafka.brokers) }}
{{ include "milepost.kafka" .root }}
{{- end }}
{{- if has .role (list "aggregate" "query" "migrate") }}
{{ include "milepost.clickhouse" .root }}
{{- end }}
{{- if has .role (list "embedded" "ingest") }}
{{- with .root.Values.personKey }}
{{- if .secret }}
{{ include "milepost.secretVariable" (dict "name" "MILEPOST_PRIVACY__KEY" "secret" .secret "key" .key) }}
{{- end }}
{{- end }}
{{- end }}
{{- with .root.Values.env }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* Addresses, and the files of the Secrets below /etc/milepost. */ -}}
{{- define "milepost.listeners" -}}
- {name: MILEPOST_CONFIG, value: /etc/milepost/milepost.toml}
- {name: MILEPOST_LISTEN, value: "0.0.0.0:7171"}
- {name: MILEPOST_METRICS__LISTEN, value: "0.0.0.0:7172"}
- {name: MILEPOST_METRICS__GUARDED, value: {{ .Values.metrics.guarded | quote }}}
- {name: MILEPOST_TLS__REQUIRED, value: {{ .Values.tls.required | quote }}}
- {name: MILEPOST_AUTH__REQUIRED, value: {{ .Values.auth.required | quote }}}
{{- if .Values.tls.secret }}
- {name: MILEPOST_TLS__CERT, value: /etc/milepost/tls/tls.crt}
- {name: MILEPOST_TLS__KEY, value: /etc/milepost/tls/tls.key}
{{- end }}
{{- if .Values.auth.secret }}
- {name: MILEPOST_AUTH__TOKENS_FILE, value: /etc/milepost/auth/tokens.toml}
{{- end }}
{{- end }}

{{- define "milepost.mounts" -}}
- {name: config, mountPath: /etc/milepost/milepost.toml, subPath: milepost.toml, readOnly: true}
{{- if .Values.tls.secret }}
- {name: tls, mountPath: /etc/milepost/tls, readOnly: true}
{{- end }}
{{- if .Values.auth.secret }}
- {name: auth, mountPath: /etc/milepost/auth, readOnly: true}
{{- end }}
{{- end }}

{{- define "milepost.volumes" -}}
- {name: config, configMap: {name: {{ include "milepost.name" . }}}}
{{- if .Values.tls.secret }}
- {name: tls, secret: {secretName: {{ .Values.tls.secret | quote }}}}
{{- end }}
{{- if .Values.auth.secret }}
- {name: auth, secret: {secretName: {{ .Values.auth.secret | quote }}}}
{{- end }}
{{- end }}

{{- define "milepost.probe" -}}
httpGet: {path: {{ .path }}, port: metrics, scheme: {{ if and .root.Values.metrics.guarded .root.Values.tls.secret }}HTTPS{{ else }}HTTP{{ end }}}
{{- end }}

{{- /* Of (root, role): the pod of a role. */ -}}
{{- define "milepost.pod" -}}
{{- $root := .root -}}
{{- $embedded := eq .role "embedded" -}}
{{- $settings := index $root.Values .role -}}
metadata:
  labels:
    {{- include "milepost.labels" . | nindent 4 }}
    {{- with $root.Values.pods.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    # What a process reads at its start only: another one means other pods.
    checksum/config: {{ $root.Values.config | sha256sum }}
    {{- with $root.Values.pods.annotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ $root.Values.pods.serviceAccount }}
  automountServiceAccountToken: false
  # Variables of services called milepost would be taken for settings.
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ $root.Values.pods.terminationGracePeriodSeconds }}
  securityContext:
    {{- include "milepost.podSecurity" $root | nindent 4 }}
  containers:
  - name: milepost
    image: {{ include "milepost.image" $root | quote }}
    imagePullPolicy: {{ $root.Values.image.pullPolicy }}
    args: [serve]
    env:
    {{- if $embedded }}
    - {name: MILEPOST_DATA, value: /var/lib/milepost}
    {{- else }}
    - {name: MILEPOST_ROLE, value: {{ .role }}}
    {{- end }}
    {{- include "milepost.listeners" $root | nindent 4 }}
    {{- with include "milepost.variables" . | trim }}
    {{- . | nindent 4 }}
    {{- end }}
    ports:
    - {name: milepost, containerPort: 7171}
    - {name: metrics, containerPort: 7172}
    # A start may take long: the Model is loaded, or brought up to date.
    startupProbe:
      {{- include "milepost.probe" (dict "root" $root "path" "/readyz") | nindent 6 }}
      periodSeconds: 2
      failureThreshold: {{ div (get $settings "startSeconds" | default 600) 2 }}
    livenessProbe:
      {{- include "milepost.probe" (dict "root" $root "path" "/healthz") | nindent 6 }}
      periodSeconds: 10
      timeoutSeconds: 5
    readinessProbe:
      {{- include "milepost.probe" (dict "root" $root "path" "/readyz") | nindent 6 }}
      periodSeconds: 2
      timeoutSeconds: 2
    resources:
      {{- toYaml $settings.resources | nindent 6 }}
    securityContext:
      {{- include "milepost.security" $root | nindent 6 }}
    volumeMounts:
    {{- include "milepost.mounts" $root | nindent 4 }}
    {{- if $embedded }}
    - {name: data, mountPath: /var/lib/milepost}
    {{- end }}
  volumes:
  {{- include "milepost.volumes" $root | nindent 2 }}
  {{- include "milepost.placement" . | nindent 2 }}
{{- end }}

{{- define "milepost.placement" -}}
topologySpreadConstraints:
- maxSkew: 1
  topologyKey: {{ .root.Values.pods.spreadOver }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "milepost.selector" . | nindent 6 }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
{{ toYaml . }}
{{- end }}
{{- with .root.Values.pods }}
{{- with .priorityClass }}
priorityClassName: {{ . }}
{{- end }}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
{{ toYaml . }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}
