# What the scripts share: to be sourced. Checks the tools that have to be there, and runs steps with their times.

bold='' dim='' red='' green='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
  bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' plain=$'\e[0m'
fi
padding='.......................................................'

# Seconds that a step may take. The longest take less than a third of it on two idle cores.
longest_step=${LOQUET_LONGEST_STEP:-2700}

# bounded COMMAND...: runs a command in a process group of its own. If it takes longer than a step may, says what it was
# doing; in any case ends what it leaves running, which would otherwise keep whoever reads our output waiting. With
# `in_this_shell` set it does neither, for functions that wait for a child of this shell.
bounded() {
  local status=0 pid watcher traps
  if [ -n "${in_this_shell:-}" ]; then
    "$@" </dev/null
    return
  fi
  set -m
  "$@" </dev/null &
  pid=$!
  (
    sleep "$longest_step"
    echo "Not done after $longest_step s. What was running:"
    ps -e -L -o pgid,pid,lwp,stat,etimes,wchan:24,args | awk -v group="$pid" 'NR == 1 || $1 == group' | cut -c 1-160
    kill -TERM -- "-$pid"
    sleep 10
    kill -KILL -- "-$pid"
  ) >&2 2>/dev/null &
  watcher=$!
  disown "$watcher"
  set +m
  traps=$(trap -p INT TERM)
  trap 'kill -TERM -- "-$pid" "-$watcher" 2>/dev/null; exit 130' INT TERM
  wait "$pid" || status=$?
  trap - INT TERM
  eval "$traps"
  kill -TERM -- "-$watcher" "-$pid" 2>/dev/null || true
  return "$status"
}

# step TITLE COMMAND...: runs a command in silence and says how long it took. What it printed is shown if it fails.
step() {
  local title=$1 start=$SECONDS log
  shift
  log=$(mktemp)
  printf '%s %s ' "$title" "${dim}${padding:${#title}}${plain}"
  if bounded "$@" >"$log" 2>&1; then
    printf '%4d s\n' "$((SECONDS - start))"
    rm -f "$log"
  else
    printf '%s\n\n' "${red}failed${plain}"
    cat "$log" >&2
    rm -f "$log"
    printf '\n%s\n' "${red}Failed: $title${plain}" >&2
    exit 1
  fi
}

# loud_step TITLE COMMAND...: the same, with what the command prints.
loud_step() {
  local title=$1 start=$SECONDS
  shift
  printf '\n%s\n' "${bold}== $title${plain}"
  if bounded "$@"; then
    printf '%s\n' "${dim}== $title: $((SECONDS - start)) s${plain}"
  else
    printf '\n%s\n' "${red}Failed: $title${plain}" >&2
    exit 1
  fi
}

# loud_pair TITLE COMMAND... -- TITLE COMMAND...: two commands side by side. What the second prints comes after the first.
loud_pair() {
  local start=$SECONDS first=() log status=0 pid
  while [ "$1" != -- ]; do
    first+=("$1")
    shift
  done
  shift
  log=$(mktemp)
  (loud_step "$@") >"$log" 2>&1 &
  pid=$!
  (loud_step "${first[@]}") || status=1
  wait "$pid" || status=1
  cat "$log"
  rm -f "$log"
  printf '%s\n' "${dim}== both: $((SECONDS - start)) s${plain}"
  [ "$status" = 0 ] || exit 1
}

# at_least WANTED ACTUAL: compares versions.
at_least() {
  [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]
}

# Whether Debian's packages may be installed without asking anybody.
may_install() {
  command -v apt-get >/dev/null && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

install_packages() {
  as_root apt-get update &&
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
}

# require_tools NODE_VERSION: Node.js and Rust have to be there; what Debian's packages can bring is installed if we may.
require_tools() {
  local node_wanted=$1 node_found rust_wanted rust_found install_cc=false missing=()

  # A shell that is older than the installation of Rust doesn't know where it is.
  if ! command -v cargo >/dev/null && [ -x "$HOME/.cargo/bin/cargo" ]; then
    PATH=$HOME/.cargo/bin:$PATH
  fi

  node_found=$(node --version 2>/dev/null || true)
  if [ -z "$node_found" ]; then
    missing+=("Node.js $node_wanted or later: see https://nodejs.org/en/download")
  elif ! at_least "$node_wanted" "${node_found#v}"; then
    missing+=("Node.js $node_wanted or later (this is $node_found): see https://nodejs.org/en/download")
  elif ! command -v npm >/dev/null; then
    missing+=('npm, which comes with Node.js unless a distribution packs it apart: apt-get install npm')
  fi

  rust_wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
  rust_found=$(rustc --version 2>/dev/null | cut -d ' ' -f 2 || true)
  if [ -z "$rust_found" ] || ! command -v cargo >/dev/null; then
    missing+=("Rust $rust_wanted or later (rustc and cargo): see https://rustup.rs")
  elif ! at_least "$rust_wanted" "$rust_found"; then
    missing+=("Rust $rust_wanted or later (this is $rust_found): rustup update, or see https://rustup.rs")
  fi

  # Rust links with it.
  if ! command -v cc >/dev/null; then
    if may_install; then
      install_cc=true
    else
      missing+=('a C compiler, which Rust links with: sudo apt-get install gcc libc6-dev')
    fi
  fi

  if [ "${#missing[@]}" -gt 0 ]; then
    echo 'Something is missing:' >&2
    printf '  - %s\n' "${missing[@]}" >&2
    exit 1
  fi
  if $install_cc; then
    step 'Install gcc: cc is missing, Rust links with it' install_packages gcc libc6-dev
  fi
}

# The oldest ones that all tests run on.
redis_wanted=7.0.0
postgres_wanted=13
mariadb_wanted=10.6

# first_program NAME...: the first of the programs that exists.
first_program() {
  local name
  for name in "$@"; do
    if command -v "$name"; then return; fi
  done
  return 1
}

# Where the servers are. Debian keeps some of them outside of the PATH; the newest PostgreSQL comes first.
redis_program() { first_program "${LOQUET_REDIS_SERVER:-redis-server}"; }
postgres_program() {
  if [ -n "${LOQUET_POSTGRES_BIN:-}" ]; then
    first_program "$LOQUET_POSTGRES_BIN/postgres"
  else
    # shellcheck disable=SC2046
    first_program postgres $(printf '%s\n' /usr/lib/postgresql/*/bin/postgres | sort -rV)
  fi
}
mariadb_program() {
  if [ -n "${LOQUET_MARIADBD:-}" ]; then
    first_program "$LOQUET_MARIADBD"
  else
    first_program mariadbd /usr/sbin/mariadbd
  fi
}
pgbouncer_program() {
  if [ -n "${LOQUET_PGBOUNCER:-}" ]; then
    first_program "$LOQUET_PGBOUNCER"
  else
    first_program pgbouncer /usr/sbin/pgbouncer
  fi
}

# require_version TITLE WANTED PROGRAM ANOTHER: asks a server for its version. ANOTHER says how to name another one.
require_version() {
  local found
  found=$("$3" --version | grep -oE '[0-9]+\.[0-9]+(\.[0-9]+)?' | head -n 1)
  if ! at_least "$2" "$found"; then
    echo "The tests need $1 $2 or later, $3 is $found: name another with $4" >&2
    exit 1
  fi
}

# require_servers: what the tests' private servers are made of has to be there too. Installed if we may.
require_servers() {
  local packages=()

  redis_program >/dev/null || packages+=(redis-server)
  postgres_program >/dev/null || packages+=(postgresql)
  mariadb_program >/dev/null || packages+=(mariadb-server)
  pgbouncer_program >/dev/null || packages+=(pgbouncer)
  # It makes their certificates.
  command -v openssl >/dev/null || packages+=(openssl)
  if [ "${#packages[@]}" -gt 0 ]; then
    if ! may_install; then
      {
        echo 'Something is missing that the tests start servers with:'
        printf '  - %s\n' "${packages[@]}"
        echo "On Debian and Ubuntu: sudo apt-get install ${packages[*]}"
        echo "Elsewhere: Redis ($redis_wanted or later, with TLS): https://redis.io/docs/latest/operate/oss_and_stack/install,"
        echo "  PostgreSQL ($postgres_wanted or later): https://www.postgresql.org/download,"
        echo "  MariaDB ($mariadb_wanted or later): https://mariadb.org/download, PgBouncer: https://www.pgbouncer.org/install.html"
        echo 'Those that are not in the PATH can be named: LOQUET_REDIS_SERVER=/path/to/redis-server,'
        echo '  LOQUET_POSTGRES_BIN=/path/to/bin (with initdb and postgres), LOQUET_MARIADBD=/path/to/mariadbd,'
        echo '  LOQUET_PGBOUNCER=/path/to/pgbouncer'
      } >&2
      exit 1
    fi
    step "Install ${packages[*]}: private servers" install_servers "${packages[@]}"
  fi

  require_version Redis "$redis_wanted" "$(redis_program)" LOQUET_REDIS_SERVER
  require_version PostgreSQL "$postgres_wanted" "$(postgres_program)" LOQUET_POSTGRES_BIN
  require_version MariaDB "$mariadb_wanted" "$(mariadb_program)" LOQUET_MARIADBD
}

# The packages start servers of their own, which the tests don't need.
install_servers() {
  local package
  install_packages "$@" || return 1
  command -v systemctl >/dev/null || return 0
  for package in "$@"; do
    case $package in
      mariadb-server) as_root systemctl disable --now mariadb || true ;;
      redis-server | postgresql | pgbouncer) as_root systemctl disable --now "$package" || true ;;
    esac
  done
}

# Whether node_modules has what package-lock.json asks for.
dependencies_are_current() {
  node --input-type=module -e '
    import { readFileSync } from "node:fs"
    const read = (path) => JSON.parse(readFileSync(path, "utf8")).packages
    const installed = read("node_modules/.package-lock.json")
    const isCurrent = Object.entries(read("package-lock.json")).every(
      ([path, entry]) =>
        path === "" || entry.optional || entry.devOptional || installed[path]?.version === entry.version
    )
    process.exit(isCurrent ? 0 : 1)
  ' 2>/dev/null
}

install_dependencies() {
  if ! dependencies_are_current; then
    # Nothing of it has to be compiled but SQLite, which the tests see to: sqlite.mjs.
    step 'Install the build tools' npm ci --ignore-scripts --no-audit --no-fund
  fi
}
