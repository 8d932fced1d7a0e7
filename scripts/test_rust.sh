#!/usr/bin/env bash
# The Rust side: style, lints, unit, property and simulation tests, the tokio driver, loom models.
#
# Usage: npm run test:rust
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/steps.sh
require_tools 20.19.0
require_servers
install_dependencies

# rustup's minimal profile lacks these two; the tests themselves don't need them.
if cargo fmt --version >/dev/null 2>&1; then
  loud_step 'Rust: format' cargo fmt --check
else
  echo 'Left out: rustfmt is not installed (rustup component add rustfmt)'
fi
if cargo clippy --version >/dev/null 2>&1; then
  loud_step 'Rust: lints, with the addon' cargo clippy --quiet --lib -- -D warnings
  loud_step 'Rust: lints, without it' cargo clippy --quiet --all-targets --no-default-features --features testing -- -D warnings
else
  echo 'Left out: clippy is not installed (rustup component add clippy)'
fi

loud_step 'Rust: engine, stores, properties, simulation, driver; Redis: standalone, TLS, sentinels, cluster; PostgreSQL, PgBouncer, MariaDB, SQLite' \
  node scripts/with_redis.mjs node scripts/with_databases.mjs \
  cargo test --quiet --no-default-features --features testing
# A target folder of its own: the flag would otherwise rebuild everything each time.
loud_step 'Rust: loom models of what threads share' \
  env RUSTFLAGS='--cfg loquet_loom' CARGO_TARGET_DIR=target/loom \
  cargo test --quiet --no-default-features --lib loom
