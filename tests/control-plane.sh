#!/usr/bin/env bash
# Applies k8s/ to a real control plane: etcd, Kubernetes' API server and its controllers. Minutes.
#
# `base`, every overlay, `base` with each component, `overlays/sharded` with all of them and the
# README's own overlay are each applied twice: without a warning, and the second time without a
# change. Every CronJob makes a Job, every Job its Pods. A privileged Pod is refused.
#
# There is no node: Pods stay pending. Of KEDA there is the definition of a ScaledJob, but no operator:
# in its place this script makes a Job of the template.
#
# Kubernetes is built from its Go modules once, which takes a quarter of an hour on two cores, and
# kept in ~/.cache/sitewatch (or $SITEWATCH_CACHE).
set -euo pipefail
cd "$(dirname "$0")/.."
./tests/install.sh control-plane

# Another version has its number in each `replace` of go.mod, too; then `go mod tidy` there.
sources=$PWD/tests/control-plane
kubernetes=$(sed -n 's|^.*k8s.io/kubernetes \(v[0-9.]*\) .*$|\1|p' "$sources/go.mod")
keda=v2.21.0

say() {
    printf '== %s\n' "$*"
}

fail() {
    printf '%s\n' "$@" >&2
    exit 1
}

work=$(mktemp -d)
fresh=
servers=()
finish() {
    # Nothing of theirs is kept, so they need not end well.
    [ ${#servers[@]} -eq 0 ] || kill -KILL "${servers[@]}" || true
    wait
    rm -rf "$work" "$fresh"
} 2>/dev/null
trap finish EXIT

cache=${SITEWATCH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sitewatch}
bin=$cache/control-plane-$(cat "$sources"/go.{mod,sum} | sha256sum | cut -c1-16)
if [ ! -d "$bin" ]; then
    say "Building Kubernetes $kubernetes"
    mkdir -p "$cache"
    fresh=$(mktemp -d -p "$cache")
    # Without its version, the API server calls itself another.
    (cd "$sources" && CGO_ENABLED=0 go build -trimpath \
        -ldflags="-s -w -X k8s.io/component-base/version.gitVersion=$kubernetes" -o "$fresh" tool)
    mv "$fresh" "$bin"
fi
PATH=$bin:$PATH
go mod download "github.com/kedacore/keda/v2@$keda"
scaled_job=$(go env GOMODCACHE)/github.com/kedacore/keda/v2@$keda/config/crd/bases/keda.sh_scaledjobs.yaml

# So that kubectl reads no settings of this machine.
export HOME=$work KUBECONFIG=$work/kubeconfig

# Runs a server until this script ends.
serve() {
    "$@" >"$work/$1.log" 2>&1 &
    servers+=($!)
}

# Waits so many seconds at most until a command succeeds.
await() {
    local seconds=$1 what=$2 end=$((SECONDS + $1))
    shift 2
    until "$@" >"$work/awaited" 2>&1; do
        if [ "$SECONDS" -ge "$end" ]; then
            tail -n 5 -- "$work"/*.log >&2
            fail "Waited $seconds s for $what:" "$(<"$work/awaited")"
        fi
        sleep 0.25
    done
}

read -r etcd peers api controllers < <(python3 - <<'PYTHON'
import socket
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(4)]
print(*(socket.getsockname()[1] for socket in sockets))
PYTHON
)
serve etcd --data-dir "$work/etcd" \
    --listen-client-urls "http://127.0.0.1:$etcd" --advertise-client-urls "http://127.0.0.1:$etcd" \
    --listen-peer-urls "http://127.0.0.1:$peers"

token=$(openssl rand -hex 16)
printf '%s,admin,admin,system:masters\n' "$token" >"$work/tokens.csv"
openssl genrsa -out "$work/accounts.key" 2048 2>/dev/null
# Privileged Pods are allowed here, or it would not be Pod Security that refuses one.
serve kube-apiserver --etcd-servers "http://127.0.0.1:$etcd" --allow-privileged \
    --bind-address 127.0.0.1 --secure-port "$api" --cert-dir "$work" \
    --advertise-address 192.0.2.1 --endpoint-reconciler-type none \
    --service-cluster-ip-range 10.96.0.0/16 --authorization-mode RBAC \
    --token-auth-file "$work/tokens.csv" --service-account-issuer https://control-plane.test \
    --service-account-key-file "$work/accounts.key" \
    --service-account-signing-key-file "$work/accounts.key"
cat >"$KUBECONFIG" <<YAML
apiVersion: v1
kind: Config
current-context: test
contexts: [{name: test, context: {cluster: test, user: admin, namespace: sitewatch}}]
users: [{name: admin, user: {token: $token}}]
clusters:
  - name: test
    cluster:
      server: https://127.0.0.1:$api
      certificate-authority: apiserver.crt
      # The certificate that it makes itself has no loopback address.
      tls-server-name: kubernetes
YAML
await 120 "the API server" kubectl get --raw /readyz
serve kube-controller-manager --kubeconfig "$KUBECONFIG" --leader-elect=false \
    --bind-address 127.0.0.1 --secure-port "$controllers" --cert-dir "$work" \
    --service-account-private-key-file "$work/accounts.key"

# On the server's side: as an annotation it would be too long.
kubectl apply --server-side -f "$scaled_job" >/dev/null
await 120 "KEDA's ScaledJob" kubectl get scaledjobs

k8s=$work/k8s
cp -r k8s "$work"

# Applies a directory of k8s/, and all that may be said is what was done.
apply() {
    local done=' (created|configured|unchanged)$' warnings
    kubectl apply -k "$k8s/$1" >"$work/said" 2>&1 ||
        fail "k8s/$1 is refused:" "$(grep -Ev "$done" "$work/said")"
    # Each is followed by the object that it is about.
    if warnings=$(grep -A1 -Ev "$done" "$work/said"); then
        fail "k8s/$1 is applied with a warning:" "$warnings"
    fi
}

# Whether everything has the Pods that it asks for, and no controller warns, as of a Pod that is
# refused. One also takes note of a Job that it has not made.
has_all_pods() {
    local counts warnings
    counts=$(kubectl get jobs,deployments,statefulsets -o jsonpath='{range .items[*]}
        {.kind} {.metadata.name}: {.status.active}{.status.replicas} of {.spec.parallelism}{.spec.replicas} Pods
        {end}') || return
    warnings=$(kubectl get events --no-headers --ignore-not-found \
        --field-selector type=Warning,reason!=UnexpectedJob) || return
    ! grep -Ev '^ *$|: ([0-9]+) of \1 Pods' <<<"$counts"$'\n'"$warnings"
}

has_scheduled_job() {
    kubectl get jobs -o yaml | grep -q cronjob-scheduled-timestamp
}

judge() {
    local directory=$1 name changed scheduled refused
    apply "$directory"
    apply "$directory"
    if changed=$(grep -v ' unchanged$' "$work/said"); then
        fail "k8s/$directory changes what it has applied itself:" "$changed"
    fi

    scheduled=$(kubectl get cronjobs -o name)
    [ -n "$scheduled" ] || fail "k8s/$directory has no CronJob"
    for name in $scheduled; do
        kubectl create job "by-hand-${name##*/}" --from="$name" >/dev/null
    done
    for name in $(kubectl get scaledjobs -o name); do
        printf '{apiVersion: batch/v1, kind: Job, metadata: {name: by-lag-%s}, spec: %s}\n' \
            "${name##*/}" "$(kubectl get "$name" -o jsonpath='{.spec.jobTargetRef}')" |
            kubectl create -f - >/dev/null
    done
    # Jobs that wait longer end by their own deadlines.
    await 40 "Pods of k8s/$directory" has_all_pods

    if [ "$directory" = base ]; then
        await 120 "a Job that the schedule makes" has_scheduled_job
        if refused=$(kubectl run privileged --image=sitewatch --privileged 2>&1); then
            fail "A privileged Pod is not refused"
        fi
        [[ $refused = *'violates PodSecurity "restricted:latest": privileged '* ]] ||
            fail "A privileged Pod is refused for another reason:" "$refused"
    fi
    say "k8s/$directory: $(wc -l <"$work/said") objects, $(kubectl get pods -o name | wc -l) Pods"
    # First what has Pods: their period of grace is what deleting a namespace waits for.
    kubectl delete cronjobs,scaledjobs,jobs,deployments,statefulsets --all --cascade=foreground \
        --timeout=2m >/dev/null
    kubectl delete namespace sitewatch --timeout=2m >/dev/null
}

# Writes an overlay of somebody's own: a part of k8s/ with components.
overlay() {
    local directory=$k8s/overlays/$1 part=$2
    shift 2
    mkdir "$directory"
    {
        printf 'namespace: sitewatch\nresources: [../../%s]\ncomponents:\n' "$part"
        printf '  - ../../components/%s\n' "$@"
    } >"$directory/kustomization.yaml"
}

components=(k8s/components/*)
components=("${components[@]##*/}")
for component in "${components[@]}"; do
    overlay "with-$component" base "$component"
done
overlay with-all overlays/sharded "${components[@]}"
readme=$k8s/overlays/as-in-the-readme
mkdir "$readme"
# shellcheck disable=SC2016 # Markdown's.
sed -n '/^apiVersion: kustomize/,/^```$/{/^```$/!p}' k8s/README.md >"$readme/kustomization.yaml"
cp k8s/base/sites.json "$readme"

say "Kubernetes $kubernetes"
judge base
for directory in "$k8s"/overlays/*; do
    judge "${directory#"$k8s/"}"
done
