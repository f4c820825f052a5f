# Sourced by the other scripts: where they stand, what versions are pinned, and how they speak.
# shellcheck shell=bash

# The newest line of Spark, and the oldest one that is supported. The rest of the scripts name versions by these alone.
export SPARK_4=4.3.0
export SPARK_35=3.5.9

unset CDPATH
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
export CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/hearth
mkdir -p "$CACHE"

# Query metadata comes from .sqlx; nothing here may depend on a database that happens to run.
export SQLX_OFFLINE=true
# Nothing may ask.
export DEBIAN_FRONTEND=noninteractive PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1

say() { printf 'hearth: %s\n' "$*" >&2; }

fail() {
  say "$*"
  exit 1
}

root() { [ "$(id -u)" = 0 ]; }

# Whether packages can be installed here for everybody.
apt() { root && command -v apt-get >/dev/null; }

# apt_install PACKAGE...: installs Debian packages without a question, with fresh lists when the old ones do not do.
apt_install() {
  say "installing $* with apt-get"
  local install=(apt-get install -qqy --no-install-recommends "$@")
  "${install[@]}" >/dev/null 2>&1 </dev/null || {
    apt-get update -qq >/dev/null </dev/null && "${install[@]}" >/dev/null </dev/null
  }
}

# one_at_a_time NAME: waits until no other run of these scripts holds NAME, and holds it until this script ends.
one_at_a_time() {
  command -v flock >/dev/null || return 0
  exec 9>"$CACHE/$1.lock"
  flock 9
}
