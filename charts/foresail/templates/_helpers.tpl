{{- define "foresail.name" -}}
{{- default .Chart.Name .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "foresail.selectorLabels" -}}
app.kubernetes.io/name: foresail-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "foresail.labels" -}}
{{ include "foresail.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: foresail
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "foresail.serviceAccountName" -}}
{{- default (ternary (include "foresail.name" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "foresail.image" -}}
{{- $image := .Values.image -}}
{{- $path := printf "%s/%s" (trimSuffix "/" $image.registry) $image.repository | trimPrefix "/" -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $path $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $path (default .Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The runtime image of one variant: (dict "context" $ "variant" "cpu"). */}}
{{- define "foresail.runtimeImage" -}}
{{- $values := .context.Values.runtime -}}
{{- $own := index $values.images .variant -}}
{{- if $own -}}
{{- $own -}}
{{- else -}}
{{- $path := printf "%s/%s" (trimSuffix "/" $values.image.registry) $values.image.repository | trimPrefix "/" -}}
{{- $suffix := ternary "" (printf "-%s" .variant) (eq .variant "cpu") -}}
{{- printf "%s:%s%s" $path (default .context.Chart.AppVersion $values.image.tag) $suffix -}}
{{- end -}}
{{- end -}}

{{/* What the operator does with models, in every namespace it looks after. A verb here is a verb it uses. */}}
{{- define "foresail.modelRules" -}}
- apiGroups: [foresail.dev]
  resources: [modeldeployments]
  verbs: [get, list, watch]
- apiGroups: [foresail.dev]
  resources: [modeldeployments/status]
  verbs: [patch]
- apiGroups: [foresail.dev]
  resources: [modeldeployments/finalizers]
  verbs: [update]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch]
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch]
# Descriptions of past revisions, and the autoscaler of a model that got a fixed size, are taken away.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [events]
  verbs: [create, list]
{{- end -}}
