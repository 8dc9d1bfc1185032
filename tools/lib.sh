# Sourced by the scripts beside it. Decides where the checkout is, where downloads live (OUTRIGGER_CACHE, else the
# user's cache directory, so that they survive a clone), how a script speaks, and how a Debian package gets installed.
# shellcheck shell=bash disable=SC2034

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cache=${OUTRIGGER_CACHE:-${XDG_CACHE_HOME:-${HOME:?}/.cache}/outrigger}

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { say "$@"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# apt_install PACKAGE...: installs what is missing of them, never at the price of removing something else.
apt_install() {
    local package missing=() as_root=()
    have apt-get || die "please install by hand: $*"
    for package in "$@"; do
        dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
    done
    [ "${#missing[@]}" -gt 0 ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        have sudo || die "please install, as root: apt-get install ${missing[*]}"
        as_root=(sudo)
    fi
    as_root+=(env DEBIAN_FRONTEND=noninteractive)
    local install=(apt-get install -y -q --no-install-recommends --no-remove "${missing[@]}")
    say "installing ${missing[*]}"
    if ! "${as_root[@]}" "${install[@]}" >/dev/null 2>&1; then
        "${as_root[@]}" apt-get update -q >&2 || say "apt-get update failed; trying with the lists there are"
        "${as_root[@]}" "${install[@]}" >&2 || die "apt-get cannot install ${missing[*]}"
    fi
}

# wait_for SECONDS WHAT COMMAND...: asks until it succeeds.
wait_for() {
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || { say "gave up waiting for $what"; return 1; }
        sleep 0.2
    done
}
