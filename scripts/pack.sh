#!/usr/bin/env bash
# Packs what a build has made into build/loquet.tgz: the package with the binary of this machine inside, under a name that
# stays the same from version to version. The examples depend on it.
#
# Usage: scripts/pack.sh [--published]
#   --published   besides, into npm/: what would be published, the package without a binary and that of this platform
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# pack FOLDER DESTINATION
pack() {
  npm pack "$1" --silent --ignore-scripts --pack-destination "$2" >/dev/null
}

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT

node scripts/stage.mjs --self-contained --to "$directory/stage"
pack "$directory/stage/loquet" "$directory"

contents=$(tar -tzf "$directory"/loquet-*.tgz)
for file in package/package.json package/index.d.ts package/build/index.js 'package/build/native/.*\.node'; do
  if ! grep -qx "$file" <<<"$contents"; then
    echo "The package misses ${file#package/}" >&2
    exit 1
  fi
done

mv "$directory"/loquet-*.tgz build/loquet.tgz
echo "build/loquet.tgz: $(wc -c <build/loquet.tgz) bytes, $(wc -l <<<"$contents") files"

if [ "${1:-}" != --published ]; then exit; fi
node scripts/stage.mjs
for binary in npm/*/*.node npm/loquet; do
  case $binary in
    *.node) pack "./$(dirname "$binary")" npm ;;
    *) pack "./$binary" npm ;;
  esac
done
wc -c npm/*.tgz
