{{/* The name of everything: the release's, with plimsoll in it. */}}
{{- define "plimsoll.name" -}}
{{- if contains "plimsoll" .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-plimsoll" .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What selectors match; it never changes for a release. */}}
{{- define "plimsoll.match" -}}
app.kubernetes.io/name: plimsoll
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "plimsoll.labels" -}}
{{ include "plimsoll.match" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* With roll, other settings are another ConfigMap. */}}
{{- define "plimsoll.settings" -}}
{{- if eq .Values.settings.change "inPlace" -}}
{{- include "plimsoll.name" . -}}
{{- else -}}
{{- $all := printf "%s\n%s" .Values.settings.text .Values.settings.baseline -}}
{{- printf "%s-%s" (include "plimsoll.name" .) ($all | sha256sum | trunc 10) -}}
{{- end -}}
{{- end -}}
