#!/usr/bin/env bash
# Tests everything: installs what is missing, builds, checks style and types, runs the Rust and the Node.js suites, the
# examples' own tests, and the AdonisJS layer on AdonisJS 7 with Node.js 24.
#
# Usage: npm test
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/steps.sh

require_tools 20.19.0
require_servers
install_dependencies

typings_before=$(cat index.d.ts 2>/dev/null || true)
step 'Build the addon and the library' npm run build
typings_are_fresh() {
  if [ "$typings_before" != "$(cat index.d.ts)" ]; then
    echo 'index.d.ts was not what lib/ says. It has been generated anew: commit it.'
    return 1
  fi
}
step 'Typings at the root are those of the code' typings_are_fresh
loud_step 'Size of the addon' node scripts/check_size.mjs

bash scripts/test_rust.sh
bash scripts/test_node.sh

printf '\n%s\n' "${green}Everything passes: $((SECONDS / 60)) min $((SECONDS % 60)) s.${plain}"
