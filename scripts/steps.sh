# What the scripts share: to be sourced. Checks the tools that have to be there, and runs steps with their times.

bold='' dim='' red='' green='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
  bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' plain=$'\e[0m'
fi
padding='.......................................................'

# step TITLE COMMAND...: runs a command in silence and says how long it took. What it printed is shown if it fails.
step() {
  local title=$1 start=$SECONDS log
  shift
  log=$(mktemp)
  printf '%s %s ' "$title" "${dim}${padding:${#title}}${plain}"
  if "$@" >"$log" 2>&1 </dev/null; then
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
  if "$@" </dev/null; then
    printf '%s\n' "${dim}== $title: $((SECONDS - start)) s${plain}"
  else
    printf '\n%s\n' "${red}Failed: $title${plain}" >&2
    exit 1
  fi
}

# at_least WANTED ACTUAL: compares versions.
at_least() {
  [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]
}

install_packages() {
  apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
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
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
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
    step 'Install the build tools' npm ci --no-audit --no-fund
  fi
}
