#!/usr/bin/env bash
# From a fresh clone to a running application: builds the package, installs it into the AdonisJS example, starts the
# example's server and lets racing HTTP requests fight for orders. Succeeds if of each burst for one order exactly one
# request was processed. May be run again at any time.
#
# Usage: npm run quickstart [-- [--adonis=6|7] [--tests]]
#   --adonis=7   the same application on AdonisJS 7, in tmp/adonis7: on Node.js 24, which comes as a package where this is
#                an older one
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

require_tools 20.19.0

# --- The package -----------------------------------------------------------------------------------------------------

install_dependencies
step 'Build the addon and the library' npm run build
step 'Pack the package' bash scripts/pack.sh

# --- The application -------------------------------------------------------------------------------------------------

app=examples/adonis
if [ "$adonis" = 7 ]; then
  app=tmp/adonis7
fi

# With the programs of its packages first in the PATH: a Node.js may be among them.
in_app() {
  (cd "$app" && PATH=$PWD/node_modules/.bin:$PATH && "$@")
}

step "Install it into $app" node scripts/example_app.mjs "adonis$adonis"
if $with_tests; then
  step "Type-check $app" in_app npm run typecheck
  step 'Prepare SQLite for the tests' node scripts/example_app.mjs "adonis$adonis" --sqlite
  if command -v "${LOQUET_REDIS_SERVER:-redis-server}" >/dev/null; then
    step "Test $app" in_app npm test
  else
    echo 'redis-server is missing: the tests of locks in Redis are left out'
    step "Test $app without locks in Redis" in_app npm test functional database dynamodb
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
PATH=$PWD/node_modules/.bin:$PATH \
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

in_this_shell=true step 'Stop the server' stop_server

cat <<END

${green}It works.${plain} The code is in examples/adonis/app/controllers; its README says how to run the server and the bursts by hand.
END
