{{- define "foresail.name" -}}
{{- default .Chart.Name .Release.Name | replace "." "-" | trunc 50 | trimSuffix "-" -}}{{/* a Service's has no dot */}}
{{- end -}}

{{- define "foresail.selectorLabels" -}}
app.kubernetes.io/name: foresail-operator
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "foresail.labels" -}}
{{ include "foresail.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: foresail
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* The Lease by which one of the operator's pods leads: each release has its own. */}}
{{- define "foresail.leaseName" -}}
{{- include "foresail.name" . }}-operator
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
{{- $own := index (default dict $values.images) .variant -}}
{{- if $own -}}
{{- $own -}}
{{- else -}}
{{- $registry := default .context.Values.image.registry $values.image.registry | trimSuffix "/" -}}
{{- $path := printf "%s/%s" $registry $values.image.repository | trimPrefix "/" -}}
{{- $suffix := ternary "" (printf "-%s" .variant) (eq .variant "cpu") -}}
{{- printf "%s:%s%s" $path (default .context.Chart.AppVersion $values.image.tag) $suffix -}}
{{- end -}}
{{- end -}}

{{- define "foresail.proxyImage" -}}
{{- $image := .Values.proxy.image -}}
{{- $registry := default .Values.image.registry $image.registry | trimSuffix "/" -}}
{{- $path := printf "%s/%s" $registry $image.repository | trimPrefix "/" -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $path $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $path (default .Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{/* Whether there is a metrics API: "true" or nothing. APIServices are cluster-wide. */}}
{{- define "foresail.metricsApi" -}}
{{- $wish := default (dict "create" true) .Values.metricsApi -}}{{/* values of an older release, reused, have none */}}
{{- if and $wish.create (not .Values.watchNamespaces) -}}true{{- end -}}
{{- end -}}

{{/* Name of the metrics API's Service; its Secret has -tls behind it. */}}
{{- define "foresail.metricsApiName" -}}
{{- include "foresail.name" . }}-metrics-api
{{- end -}}

{{/* Every metric of the metrics API, in the custom API's words. */}}
{{- define "foresail.metricNames" -}}
concurrency requests_per_second latency_p95_milliseconds queued_requests
{{- end -}}

{{/* Whether a group is to be registered: "true" or nothing. It has to be free for us or ours already, in each of its
     versions. Where the cluster can't be looked at (helm template, Argo CD), only what metricsApi.groups names is: nobody
     else's APIService may be written over. The API server's own v1. tells whether it can.
     (dict "context" $ "group" "custom.metrics.k8s.io" "versions" (list "v1beta2" "v1beta1")) */}}
{{- define "foresail.registersGroup" -}}
{{- $wish := default dict .context.Values.metricsApi -}}
{{- $groups := default list $wish.groups -}}
{{- $seen := lookup "apiregistration.k8s.io/v1" "APIService" "" "v1." -}}
{{- $free := has .group $groups | or (and $seen (not $groups)) -}}
{{- range .versions -}}
{{- $found := lookup "apiregistration.k8s.io/v1" "APIService" "" (printf "%s.%s" . $.group) -}}
{{- if $found -}}
{{- $service := $found.spec.service | default dict -}}
{{- $ours := and (eq ($service.namespace | default "") $.context.Release.Namespace) (eq ($service.name | default "") (include "foresail.metricsApiName" $.context)) -}}
{{- if not $ours -}}{{- $free = false -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- if $free -}}true{{- end -}}
{{- end -}}

{{- define "foresail.activatorName" -}}
{{- include "foresail.name" . }}-activator
{{- end -}}

{{/* The ConfigMap in which the activator asks for replicas. */}}
{{- define "foresail.wakeName" -}}
{{- include "foresail.name" . }}-wake
{{- end -}}

{{- define "foresail.activatorSelectorLabels" -}}
app.kubernetes.io/name: foresail-activator
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "foresail.activatorLabels" -}}
{{ include "foresail.labels" . | replace "app.kubernetes.io/name: foresail-operator" "app.kubernetes.io/name: foresail-activator" }}
{{- end -}}

{{/* What the operator does with models, in every namespace it looks after. A verb here is a verb it uses. */}}
{{- define "foresail.modelRules" -}}
- apiGroups: [foresail.dev]
  resources: [modeldeployments]
  verbs: [list, watch]
- apiGroups: [foresail.dev]
  resources: [modeldeployments/status]
  verbs: [patch]
# Asked for by the admission plugin OwnerReferencesPermissionEnforcement (OpenShift has it on): children name the
# model as an owner whose deletion waits for them. Nothing is ever sent there.
- apiGroups: [foresail.dev]
  resources: [modeldeployments/finalizers]
  verbs: [update]
# Those of proxies are taken away when a model's load is balanced without them again.
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
# Raised at once when the load asks for it, before the autoscaler's next look.
- apiGroups: [apps]
  resources: [deployments/scale]
  verbs: [get, update]
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
# Descriptions of past revisions, and the autoscaler of a model that got a fixed size, are taken away.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch, create, patch, delete]
# The activator's place in a model's Service.
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch, create, patch, delete]
# Asked for by OpenShift's RestrictedEndpointsAdmission before a slice may name pods' addresses. Nothing is ever sent there.
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices/restricted]
  verbs: [create]
# Patched for the annotation that lets the least loaded go first, and only when a scale-in is near.
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch, patch]
- apiGroups: [""]
  resources: [events]
  verbs: [create, list]
{{- end -}}
