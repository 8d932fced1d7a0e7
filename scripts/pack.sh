#!/usr/bin/env bash
# Packs what a build has made into build/loquet.tgz: the package as people install it, under a name that stays the same
# from version to version. The examples depend on it.
#
# Usage: scripts/pack.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ ! -f build/index.js ] || ! compgen -G 'build/native/*.node' >/dev/null; then
  echo 'Nothing to pack: run "npm run build" first' >&2
  exit 1
fi

# An earlier tarball lies where the package's files are and would end up inside the new one.
rm -f build/loquet.tgz

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
npm pack --silent --ignore-scripts --pack-destination "$directory" >/dev/null

contents=$(tar -tzf "$directory"/loquet-*.tgz)
for file in package/package.json package/index.d.ts package/build/index.js 'package/build/native/.*\.node'; do
  if ! grep -qx "$file" <<<"$contents"; then
    echo "The package misses ${file#package/}" >&2
    exit 1
  fi
done

mv "$directory"/loquet-*.tgz build/loquet.tgz
echo "build/loquet.tgz: $(wc -c <build/loquet.tgz) bytes, $(wc -l <<<"$contents") files"
