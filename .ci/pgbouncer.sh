#!/usr/bin/env bash
# Finds PgBouncer, or gets it, and prints its path. With a command as arguments, runs it with that path in
# PGBACKFILL_PGBOUNCER instead; without PgBouncer too, and says so. Starts nothing and must not know what it is for.
set -euo pipefail

say() { printf '%s\n' "$*" >&2; }

find_it() {
  PATH=$PATH:/usr/sbin:/usr/local/sbin:/opt/homebrew/bin command -v pgbouncer
}

# Debian starts the daemon after the installation, unless this script says no; nobody asked for one.
apt_install() {
  [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1 || return 1
  local no_daemons=/usr/sbin/policy-rc.d ours=false done=0
  if [ ! -e "$no_daemons" ]; then
    ours=true
    printf '#!/bin/sh\nexit 101\n' >"$no_daemons"
    chmod +x "$no_daemons"
  fi
  say "installing PgBouncer with apt-get"
  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends pgbouncer; } </dev/null >&2 || done=$?
  if [ "$ours" = true ]; then
    rm -f "$no_daemons"
  fi
  return "$done"
}

program=${PGBACKFILL_PGBOUNCER:-}
if [ -z "$program" ]; then
  program=$(find_it) || { apt_install && program=$(find_it); } || program=
fi
if [ -z "$program" ]; then
  say "warning: PgBouncer is not here and could not be got, so the tests through it are skipped"
  say "hint: Debian, Ubuntu: apt-get install pgbouncer; macOS: brew install pgbouncer"
fi

if [ "$#" -eq 0 ]; then
  printf '%s\n' "$program"
elif [ -n "$program" ]; then
  PGBACKFILL_PGBOUNCER=$program exec "$@"
else
  exec "$@"
fi
