#!/usr/bin/env bash
# The JavaScript side, on what has been built: style, lints, types, the Japa suites, the examples, AdonisJS 7.
#
# Usage: npm run test:node
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/steps.sh
require_tools 20.19.0
require_servers

if [ ! -f build/index.js ]; then
  echo 'Nothing is built: run "npm run build" first' >&2
  exit 1
fi

loud_step 'TypeScript: format' npx prettier --check .
loud_step 'TypeScript: lints' npm run --silent lint
loud_step 'TypeScript: types' npm run --silent typecheck
step 'SQLite for the tests' node scripts/sqlite.mjs

suites() {
  node --import tsx __test__/run.ts "$@"
}
loud_step 'Node.js: engine, memory, custom stores, AdonisJS, processes and threads' \
  suites unit stores faults adonis lifecycle

# in_folder FOLDER COMMAND...
in_folder() {
  (cd "$1" && shift && "$@")
}

# What is left apart from databases: Redis, and the package as an app has it.
redis_and_examples() {
  loud_step 'Node.js: Redis: standalone, TLS, sentinels, cluster; DynamoDB (dynalite); package, documentation, types' \
    suites redis dynamodb package docs types

  step 'Pack the package' bash scripts/pack.sh

  step 'Example for AdonisJS 6: install' node scripts/example_app.mjs adonis6 --sqlite
  loud_step 'Example for AdonisJS 6: types' in_folder examples/adonis npm run typecheck
  loud_step 'Example for AdonisJS 6: tests' in_folder examples/adonis npm test
  loud_step 'Example for AdonisJS 6: PostgreSQL' in_folder examples/adonis node ../../scripts/with_database.mjs pg npm test database
  loud_step 'Example for AdonisJS 6: MariaDB' in_folder examples/adonis node ../../scripts/with_database.mjs mysql npm test database
  loud_step 'Empty app of AdonisJS 6, configured for each store' node __test__/adonis/configured_apps.mjs --adonis=6

  step 'Example for AdonisJS 7, Node.js 24: install' node scripts/example_app.mjs adonis7 --sqlite
  loud_step 'Example for AdonisJS 7: types' in_folder tmp/adonis7 npm run typecheck
  loud_step 'Example for AdonisJS 7: tests' in_folder tmp/adonis7 npm test
  loud_step 'Empty app of AdonisJS 7, configured for each store' node __test__/adonis/configured_apps.mjs --adonis=7
  loud_step 'AdonisJS 7: tests of the package' node __test__/adonis/adonis7.mjs

  step 'Example without AdonisJS: install' node scripts/example_app.mjs plain-node --sqlite
  loud_step 'Example without AdonisJS: tests' in_folder examples/plain-node npm test
  loud_step 'Example without AdonisJS: PostgreSQL' in_folder examples/plain-node node ../../scripts/with_database.mjs pg npm run test:database
  loud_step 'Example without AdonisJS: MariaDB' in_folder examples/plain-node node ../../scripts/with_database.mjs mysql npm run test:database
}

# Both wait for servers and installations for much of their time.
loud_pair 'Node.js: PostgreSQL, PgBouncer, MariaDB, SQLite; knex, Kysely' suites database -- \
  'Redis, DynamoDB, package, examples for AdonisJS 6 and 7, plain Node.js' redis_and_examples

loud_step 'docs/rules.md is what these tests show' node scripts/rules_table.mjs --check
