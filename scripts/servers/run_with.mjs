// Runs a command with servers that end with it.
import { spawn } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { constants } from 'node:os'
import { join } from 'node:path'

/** Writes a text to a file in a server's folder, which goes with it. */
export async function fileFor(server, name, text) {
  const path = join(server.folder, name)
  await writeFile(path, text)
  return path
}

/**
 * Runs the command that this process was called with, and ends with it.
 *
 * @param what - The servers, in words
 * @param start - Starts them and resolves to what the command gets to know: variables of its environment
 */
export async function runWith(what, start) {
  const [command, ...args] = process.argv.slice(2)
  if (command === undefined) {
    console.error(`Usage: node ${process.argv[1]} COMMAND [ARGUMENT…]`)
    process.exit(2)
  }

  const startedAt = performance.now()
  const env = { ...process.env, ...(await start()) }
  const took = ((performance.now() - startedAt) / 1000).toFixed(1)
  console.error(`${what}: started in ${took} s`)

  const child = spawn(command, args, { env, stdio: 'inherit' })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.on('error', (error) => {
    console.error(error.message)
    process.exitCode = 127
  })
  child.on('exit', (code, signal) => {
    process.exit(code ?? 128 + constants.signals[signal])
  })
}
