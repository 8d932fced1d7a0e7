#!/usr/bin/env bash
# From a fresh clone to a running application: builds the package, installs it into the AdonisJS example, starts the
# example's server and lets racing HTTP requests fight for orders. Succeeds if of each burst for one order exactly one
# request was processed. May be run again at any time.
#
# Usage: npm run quickstart [-- [--adonis=6|7] [--tests]]
#   --adonis=7   the same application on AdonisJS 7 (Node.js 24 or later), in tmp/adonis7
#   --tests      type-check the application and run its own tests too; those of locks in Redis need redis-server
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

adonis=6
with_tests=false
for argument in "$@"; do
  case $argument in
    --adonis=6 | --adonis=7) adonis=${argument#*=} ;;
    --tests) with_tests=true ;;
    *)
      echo "Unknown option: $argument" >&2
      sed -n 's/^# \{0,1\}//; /^Usage/,/^set/ { /^set/d; p }' "${BASH_SOURCE[0]}" >&2
      exit 2
      ;;
  esac
done

source scripts/steps.sh

logs=$(mktemp -d)
server=''
finish() {
  if [ -n "$server" ]; then
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
  fi
  rm -rf "$logs"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- What has to be there --------------------------------------------------------------------------------------------

if [ "$adonis" = 7 ]; then
  require_tools 24.0.0
else
  require_tools 20.19.0
fi

# --- The package -----------------------------------------------------------------------------------------------------

install_dependencies
step 'Build the addon and the library' npm run build
step 'Pack the package' bash scripts/pack.sh

# --- The application -------------------------------------------------------------------------------------------------

app=examples/adonis

# The sources of examples/adonis with what AdonisJS 7 wants otherwise laid over them. Installed dependencies stay.
copy_application() {
  mkdir -p tmp/adonis7 &&
    find tmp/adonis7 -mindepth 1 -maxdepth 1 ! -name node_modules -exec rm -rf {} + &&
    tar -C examples/adonis -cf - --exclude=./node_modules --exclude=./build --exclude=./tmp \
      --exclude=./adonis7 --exclude=./.env . | tar -C tmp/adonis7 -xf - &&
    cp -R examples/adonis/adonis7/. tmp/adonis7
}
if [ "$adonis" = 7 ]; then
  app=tmp/adonis7
  step 'Copy the application for AdonisJS 7' copy_application
fi

in_app() {
  (cd "$app" && "$@")
}

step "Install it into $app" in_app npm run reinstall
if $with_tests; then
  step "Type-check $app" in_app npm run typecheck
  if command -v "${LOQUET_REDIS_SERVER:-redis-server}" >/dev/null; then
    step "Test $app" in_app npm test
  else
    echo 'redis-server is missing: the tests of locks in Redis are left out'
    step "Test $app with locks in memory" in_app npm test functional
  fi
fi

# --- The race --------------------------------------------------------------------------------------------------------

# Resolves when the server answers, fails if it ended instead.
await_server() {
  node --input-type=module -e '
    import { setTimeout } from "node:timers/promises"
    const [url, server] = process.argv.slice(1)
    const deadline = Date.now() + 60_000
    for (;;) {
      try {
        const response = await fetch(url)
        if (response.ok) break
      } catch {}
      try {
        process.kill(Number(server), 0)
      } catch {
        console.error("The server ended while it started")
        process.exit(1)
      }
      if (Date.now() > deadline) {
        console.error("The server does not answer")
        process.exit(1)
      }
      await setTimeout(100)
    }
  ' "$url" "$server" || {
    cat "$logs/server"
    return 1
  }
}

# Ends the server as a process manager would, and fails unless it ends well.
stop_server() {
  local pid=$server
  server=''
  kill "$pid"
  for _ in {1..150}; do
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  if kill -0 "$pid" 2>/dev/null; then
    echo 'The server does not end'
    kill -9 "$pid"
  fi
  wait "$pid" || {
    cat "$logs/server"
    return 1
  }
}

port=$(node -e '
  const server = require("node:net").createServer()
  server.listen(0, "127.0.0.1", () => {
    console.log(server.address().port)
    server.close()
  })
')
url=http://127.0.0.1:$port

cd "$app"
NODE_ENV=development HOST=127.0.0.1 PORT=$port LOG_LEVEL=info LOCK_STORE=memory PAYMENT_TIME=2000 \
  APP_KEY=$(node -p 'crypto.randomBytes(24).toString("hex")') \
  node --import '#typescript' --enable-source-maps bin/server.ts >"$logs/server" 2>&1 &
server=$!
cd - >/dev/null

step 'Start the AdonisJS server with LOCK_STORE=memory' await_server

printf '\n%s\n\n' "${bold}Bursts of requests for the same order, four orders at once:${plain}"
if ! in_app node ace burst --url "$url"; then
  printf '\n%s\n' "${red}The end of the server's log:${plain}" >&2
  tail -n 40 "$logs/server" >&2
  exit 1
fi
echo

step 'Stop the server' stop_server

cat <<END

${green}It works.${plain} The code is in examples/adonis/app/controllers; its README says how to run the server and the bursts by hand.
END
