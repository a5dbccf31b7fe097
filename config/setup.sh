#!/usr/bin/env bash
# Makes everything ready that the hotline needs on this machine; `make run` and `make test` call it.
# A second run finds all of it in place and is over in a second. What it does, step by step:
#   1. programs of the system: Redis and the softphone (with --test also SIPp, PostgreSQL, SoX,
#      Kamailio)
#   2. .venv with exactly the Python packages of the lock file, each checked by its hash
#   3. Asterisk: the system's own, or one unpacked into the state folder (.hotline)
#   4. the speech models
#   5. the topics and emergencies, learnt from queues/
# Everything it says goes to standard error.
set -euo pipefail
exec 1>&2
cd "$(dirname "$0")/.."

say() { echo "setup: $*"; }
fail() {
  echo "setup: $*"
  exit 1
}
has() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ]; }

mode=run
lock=requirements.lock
if [ "${1:-}" = --test ]; then
  mode='test'
  lock=requirements-test.lock
elif [ $# -gt 0 ]; then
  echo "usage: config/setup.sh [--test]"
  exit 2
fi
state=${HOTLINE_STATE:-.hotline}
if ! mkdir -p "$state" || [ ! -w "$state" ]; then
  fail "the state folder $state cannot be written"
fi
state=$(cd "$state" && pwd)
exec 9>"$state/setup.lock"
flock --timeout 1800 9 || fail "another set-up has been at work for half an hour"

# A Python of 3.11 or newer that can make virtual environments; the name alone proves nothing
# (pyenv leaves names behind that only say "command not found").
find_python() {
  local name
  for name in python3.13 python3.12 python3.11 python3; do
    if "$name" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
      >/dev/null 2>&1; then
      command -v "$name"
      return
    fi
  done
  return 1
}

# ---- 1. programs of the system

missing=()
has redis-server || missing+=(redis-server)
has baresip || missing+=(baresip-core)
if [ "$mode" = test ]; then
  has sipp || missing+=(sip-tester)
  has sox || missing+=(sox)
  has kamailio || missing+=(kamailio)
  has postgres || compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null ||
    missing+=(postgresql)
fi
[ -x .venv/bin/python ] || find_python >/dev/null || missing+=(python3-venv)

# The services in these packages must not start by themselves: the hotline runs its own, from its
# state folder. Packages ask policy-rc.d before they start one.
install_packages() {
  local policy=/usr/sbin/policy-rc.d status=0
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
  fi
  apt-get update -qq || say "apt-get update had errors (see above); going on"
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" || status=$?
  if [ "$(trap -p EXIT)" ]; then
    rm -f "$policy"
    trap - EXIT
  fi
  return "$status"
}

if [ ${#missing[@]} -gt 0 ]; then
  has apt-get || fail "please install what Debian calls: ${missing[*]}"
  if [ "$(id -u)" != 0 ]; then
    say "these packages are missing; install them and start again:"
    fail "  sudo apt-get install --no-install-recommends ${missing[*]}"
  fi
  say "installing ${missing[*]}"
  install_packages "${missing[@]}" || fail "could not install ${missing[*]}"
fi

# ---- 2. .venv: made anew when it is half made or its Python or place has changed, brought up to
# date where it stands when the lock has

digest() { sha256sum <"$1"; }
place=$(.venv/bin/python -V 2>/dev/null || true)" $PWD"
if [ ! -s .venv/.lock ] || [ "$(cat .venv/.place 2>/dev/null)" != "$place" ]; then
  python=$(find_python) || fail "no Python 3.11 or newer with venv: apt-get install python3-venv"
  say "making .venv with $("$python" -V)"
  rm -rf .venv
  "$python" -m venv .venv
  echo "$(.venv/bin/python -V) $PWD" >.venv/.place
fi
case $(cat .venv/.lock 2>/dev/null) in
  "$(digest "$lock")" | "$(digest requirements-test.lock)") ;; # the test lock holds all of the other
  *)
    say "installing the packages of $lock"
    rm -f .venv/.lock
    .venv/bin/python -m pip install -qq --disable-pip-version-check --require-hashes --no-deps \
      -r "$lock"
    digest "$lock" >.venv/.lock
    ;;
esac
project=$(sha256sum <pyproject.toml)
if [ "$(cat .venv/.project 2>/dev/null)" != "$project" ]; then
  .venv/bin/python -m pip install -qq --disable-pip-version-check --no-deps \
    --no-build-isolation --editable .
  echo "$project" >.venv/.project
fi

# ---- 3. Asterisk

if [ ! -e "$state/asterisk-dist/.complete" ]; then
  .venv/bin/python -m ivr.asterisk.install "$state"
fi

# ---- 4. speech models; the optional one is asked for at most once a day

models=$state/models
if [ ! -e "$models/whisper-base/model.bin" ]; then
  say "fetching the speech model whisper-base"
  .venv/bin/hotline models fetch whisper-base --models-dir "$models"
fi
if [ ! -e "$models/vosk/pl" ] && [ -z "$(find "$models/.no-vosk-pl" -mtime -1 2>/dev/null)" ]; then
  say "fetching the speech model vosk-pl (optional: faster answers)"
  if ! .venv/bin/hotline models fetch vosk-pl --models-dir "$models"; then
    say "vosk-pl cannot be had here; whisper-base does the work. Next try in a day, or: hotline models fetch"
    touch "$models/.no-vosk-pl"
  fi
fi
# ---- 5. what callers say is learnt once; after an edit the service learns anew when it starts

if [ ! -e "$state/cache/understanding.joblib" ]; then
  say "learning topics and emergencies (four minutes the first time)"
  HOTLINE_SERVICE__STATE_DIR=$state .venv/bin/hotline topics train
fi
say "ready"
