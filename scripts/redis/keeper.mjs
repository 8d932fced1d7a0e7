// Temporary folders, and the servers in them, that end with this process (or thread), however it ends.
import { spawn } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

// A shell outside of our process group reads the names of folders from a pipe. The pipe ends when we do, a SIGKILL
// included; then it kills the processes that have left their ids in the folders, and removes these.
const KEEPER = `
trap '' INT TERM HUP
while IFS= read -r folder; do set -- "$@" "$folder"; done
for folder in "$@"; do
  test -f "$folder/pid" && kill -9 "$(cat "$folder/pid")" 2>/dev/null
  rm -rf "$folder"
done
`

let keeper

/** Makes a temporary folder. A process that writes its id to the file `pid` in it is killed when this process ends. */
export function makeFolder() {
  if (keeper === undefined) {
    keeper = spawn('sh', ['-c', KEEPER, 'keeper'], {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    })
    keeper.unref()
    keeper.stdin.unref()
  }
  const folder = mkdtempSync(join(tmpdir(), 'loquet-redis-'))
  keeper.stdin.write(`${folder}\n`)
  return folder
}

/** Removes a folder, once nothing runs in it any more. */
export function removeFolder(folder) {
  return rm(folder, { recursive: true, force: true })
}
