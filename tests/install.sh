#!/usr/bin/env bash
# Installs what this machine lacks to build Sitewatch and to run its tests: a C toolchain with the
# headers of OpenSSL and zlib, PostgreSQL's server, Java 17 or newer, Maven, which fetches Kafka,
# PgBouncer, kcat, libfaketime, iproute2, what judges the units of cron/ and the manifests of k8s/
# (systemd's tools, Go, Python's venv), npm, which fetches AsyncAPI's schema, Prometheus' promtool,
# which judges metrics and alerts, Alertmanager, and Chromium, which shows whether the status page
# renders.
#
# Silent when nothing is missing. Looks for the tools themselves, wherever they came from; only when
# one is missing does it ask Debian's packages, as root or through sudo without a password.
# Otherwise it says what to install and exits with 1.
set -u

# `install.sh demo` leaves out what only the tests need; `install.sh builds` adds what only those of
# that name need: Debian's tools that make and judge a package, and a Debian to install it in;
# `install.sh connect` adds InfluxDB. `install.sh control-plane` is for that alone.
for=${1:-tests}
java=17
# From here on Go fetches the release that a module asks for.
go=21

missing=()  # in words
packages=() # in Debian's names

lacks() {
    missing+=("$1")
    shift
    packages+=("$@")
}

has() {
    command -v "$1" >/dev/null 2>&1
}

# Debian and Fedora keep the server off PATH.
has_postgresql() {
    local bin
    for bin in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin; do
        [ -x "$bin/initdb" ] && [ -x "$bin/postgres" ] && return 0
    done
    has initdb && has postgres
}

# Reads the version from a file beside Java; starting Java only to ask would be most of this run.
has_java() {
    local program=${JAVA_HOME:+$JAVA_HOME/bin/java} home version
    [ -x "$program" ] || program=$(command -v java) || return 1
    home=$(readlink -f "$program") || return 1
    home=${home%/bin/java}
    if [ -r "$home/release" ]; then
        version=$(<"$home/release")
        version=${version#*JAVA_VERSION=\"}
    else
        version=$("$program" -version 2>&1) || return 1
        version=${version#*\"}
    fi
    version=${version%%[!0-9]*}
    [ "${version:-0}" -ge "$java" ]
}

has_go() {
    local version
    version=$(go env GOVERSION 2>/dev/null) || return 1
    version=${version#go1.}
    [ "${version%%[!0-9]*}" -ge "$go" ] 2>/dev/null
}

look() {
    missing=()
    packages=()
    if [ "$for" = control-plane ]; then
        has_go || lacks "Go 1.$go or newer" golang-go
        has etcd || lacks "etcd; it need not run" etcd-server
        has openssl || lacks "OpenSSL" openssl
        has python3 || lacks "Python" python3
        return
    fi
    has cc && has make || lacks "a C compiler and make" build-essential
    has pkg-config || lacks "pkg-config" pkg-config
    pkg-config --exists openssl 2>/dev/null || lacks "OpenSSL's headers" libssl-dev
    pkg-config --exists zlib 2>/dev/null || lacks "zlib's headers" zlib1g-dev
    has_postgresql || lacks "PostgreSQL's server (initdb, postgres)" postgresql
    has_java || lacks "Java $java or newer" default-jre-headless
    has mvn || lacks "Maven (mvn)" maven
    [ "$for" = demo ] && return
    has pgbouncer || [ -x /usr/sbin/pgbouncer ] || lacks "PgBouncer" pgbouncer
    has kcat || lacks "kcat" kcat
    has systemd-analyze || lacks "systemd's tools (systemd-analyze); it need not run" systemd
    compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1' >/dev/null ||
        compgen -G '/usr/lib*/faketime/libfaketimeMT.so.1' >/dev/null ||
        lacks "libfaketime" libfaketime
    has flock && has unshare || lacks "flock and unshare" util-linux
    has ip || [ -x /usr/sbin/ip ] || lacks "iproute2 (ip)" iproute2
    [ -x /usr/sbin/cron ] || lacks "Debian's cron; it need not run" cron
    has proot || lacks "PRoot" proot
    [ -e /usr/share/zoneinfo/UTC ] || lacks "time zones" tzdata
    [ -d /etc/ssl/certs ] || lacks "CA certificates" ca-certificates
    has_go || lacks "Go 1.$go or newer" golang-go
    python3 -c 'import ensurepip, venv' 2>/dev/null || lacks "Python with venv" python3-venv
    has npm || lacks "npm" npm
    has promtool || lacks "Prometheus' promtool; Prometheus need not run" prometheus
    has prometheus-alertmanager || lacks "Alertmanager; it need not run" prometheus-alertmanager
    has chromium || has chromium-browser || has google-chrome || lacks "Chromium" chromium
    if [ "$for" = connect ]; then
        has influxd || lacks "InfluxDB; it need not run" influxdb
    fi
    [ "$for" = builds ] || return
    has dh || lacks "debhelper" debhelper
    has lintian || lacks "Lintian" lintian
    has mmdebstrap || lacks "mmdebstrap" mmdebstrap
}

install() {
    local root=()
    [ "$EUID" -eq 0 ] || root=(sudo -n)
    "${root[@]}" apt-get update -qq &&
        "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
            apt-get install -qq -y --no-install-recommends "${packages[@]}"
}

may_install() {
    has apt-get || return 1
    [ "$EUID" -eq 0 ] || { has sudo && sudo -n true 2>/dev/null; }
}

look
[ ${#missing[@]} -eq 0 ] && exit 0

if may_install; then
    printf 'Installing %s\n' "${packages[*]}" >&2
    install >&2
    look
    [ ${#missing[@]} -eq 0 ] && exit 0
fi

{
    echo 'Missing to build Sitewatch and to run its tests:'
    printf '  - %s\n' "${missing[@]}"
    echo 'On Debian and Ubuntu, as root:'
    echo "  apt-get install ${packages[*]}"
} >&2
exit 1
