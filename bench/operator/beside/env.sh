# Sourced with O, this folder: whose requests count, what is created, and what belongs to it.
# shellcheck shell=bash disable=SC2034,SC2154
AUDIT_USERS='["system:serviceaccount:foresail-system:foresail"]'
ARGS=(--template "$O/../model.yaml" --cr foresail.dev/v1alpha1/modeldeployments
    --child apps/v1/deployments --child v1/services --child autoscaling/v2/horizontalpodautoscalers
    --child v1/configmaps --child policy/v1/poddisruptionbudgets
    --child discovery.k8s.io/v1/endpointslices)
