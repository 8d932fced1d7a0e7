// Temporary folders, and the servers in them, that end with this process (or thread), however it ends.
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A script in a server's folder that is run there once the server is gone: it removes what lies elsewhere. */
export const LEFTOVERS = 'leftovers.sh'

// A shell outside of our process group reads the names of folders from a pipe. The pipe ends when we do, a SIGKILL
// included; then it kills the processes that have left their ids in the folders, with their children, and removes these.
// The children are looked up while their parent is stopped, since it could make others meanwhile.
const KEEPER = `
trap '' INT TERM HUP
while IFS= read -r folder; do set -- "$@" "$folder"; done
for folder in "$@"; do
  if test -f "$folder/pid"; then
    pid=$(cat "$folder/pid")
    kill -STOP "$pid" && children=$(cat "/proc/$pid/task/$pid/children" || pgrep -P "$pid")
    kill -9 "$pid" $children
  fi
  test -f "$folder/${LEFTOVERS}" && (cd "$folder" && sh ./${LEFTOVERS})
  # Something may still be written, by a process that is about to notice that it has been killed.
  rm -rf "$folder" || { sleep 1; rm -rf "$folder"; }
done 2>/dev/null
`

let keeper

/**
 * Makes a temporary folder. A process that writes its id to the file `pid` in it is killed when this process ends, with
 * its children.
 */
export function makeFolder(kind) {
  if (keeper === undefined) {
    keeper = spawn('sh', ['-c', KEEPER, 'keeper'], {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    })
    keeper.unref()
    keeper.stdin.unref()
  }
  const folder = mkdtempSync(join(tmpdir(), `loquet-${kind}-`))
  keeper.stdin.write(`${folder}\n`)
  return folder
}

/** Runs the script that removes what a server has left elsewhere. */
export async function removeLeftovers(folder) {
  if (!existsSync(join(folder, LEFTOVERS))) return
  const script = spawn('sh', [`./${LEFTOVERS}`], { cwd: folder, stdio: 'ignore' })
  await new Promise((resolve) => script.on('close', resolve))
}

/** Removes a folder, once nothing runs in it any more. */
export function removeFolder(folder) {
  return rm(folder, { recursive: true, force: true, maxRetries: 5 })
}
