/**
 * Fails if a binary is larger than people should have to download, and says how large it is.
 *
 *     node scripts/check_size.mjs [folder]
 *
 * The folder is build/native unless named.
 */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const MOST = 12_000_000

const folder = process.argv[2] ?? fileURLToPath(new URL('../build/native', import.meta.url))
const binaries = readdirSync(folder).filter((name) => name.endsWith('.node'))
if (binaries.length === 0) {
  console.error(`There is no binary in ${folder}`)
  process.exit(1)
}
for (const name of binaries) {
  const { size } = statSync(join(folder, name))
  const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`
  console.log(`${name}: ${megabytes(size)} of ${megabytes(MOST)}`)
  if (size > MOST) process.exitCode = 1
}
