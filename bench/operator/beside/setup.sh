#!/usr/bin/env bash
# Starts the operator, with the chart's account and rights, as a process inside the namespaces of a control plane that
# a driver has started, and leaves RUN/operator.pid. A driver that gives several operators the same work takes this
# folder with `env.sh` beside. It says RUN (its folder, with admin.kubeconfig, pki/ca.crt and log/), KUBECTL, PYTHON (of
# this project's .venv), and API (the API server's address).
set -euo pipefail
root=$(cd "$(dirname "$0")/../../.." && pwd)
export KUBECONFIG=${KUBECONFIG:-$RUN/admin.kubeconfig}
account=/run/secrets/kubernetes.io/serviceaccount
address=127.0.0.1:18500

"$KUBECTL" kustomize "$root/deploy" >"$RUN/shipped.yaml"
export API=${API:-10.254.0.1}
(cd "$root" && "$PYTHON" -m bench.operator.shipped "$RUN/shipped.yaml" objects) >"$RUN/objects.yaml"
(cd "$root" && "$PYTHON" -m bench.operator.shipped "$RUN/shipped.yaml" environment) >"$RUN/operator.env"
"$KUBECTL" apply --server-side -f "$RUN/objects.yaml" >/dev/null
"$KUBECTL" apply --server-side -k "$root/deploy/metrics-api" >/dev/null
"$KUBECTL" wait --for=condition=Established crd/modeldeployments.foresail.dev --timeout=30s
"$KUBECTL" -n foresail-system rollout status deployment/foresail-activator --timeout=60s >/dev/null

mount -t tmpfs none /run # private to this mount namespace
mkdir -p "$account"
"$KUBECTL" -n foresail-system create token foresail --duration=4h | tr -d '\n' >"$account/token"
printf foresail-system >"$account/namespace"
cp "$RUN/pki/ca.crt" "$account/ca.crt"

# The image leaves the kubernetes package out, which kopf would import where it is.
command="import sys; sys.modules['kubernetes'] = None; from foresail_operator.__main__ import main; main()"
(
    cd "$root"
    set -a
    # shellcheck source=/dev/null
    . "$RUN/operator.env"
    KUBECONFIG='' KUBERNETES_SERVICE_HOST=$API KUBERNETES_SERVICE_PORT=6443 \
        FORESAIL_HTTP_HOST=0.0.0.0 FORESAIL_HTTP_PORT=${address#*:} FORESAIL_POD_NAMESPACE=foresail-system \
        FORESAIL_RUNTIME_IMAGE=foresail-runtime:bench \
        exec setsid "$PYTHON" -c "$command" >>"$RUN/log/operator.log" 2>&1 </dev/null
) &
echo $! >"$RUN/operator.pid"
for _ in $(seq 150); do
    if curl -s "http://$address/metrics" | grep -q '^foresail_operator_leading 1'; then
        echo "operator ready"
        exit 0
    fi
    kill -0 "$(cat "$RUN/operator.pid")" || break
    sleep 0.2
done
tail -n 5 "$RUN/log/operator.log"
exit 1
