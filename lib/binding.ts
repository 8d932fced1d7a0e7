/**
 * Finds the addon: beside the library where it was built there, otherwise in the package of this platform.
 */
import { readFileSync } from 'node:fs'

import { shared } from './copies.js'
import { E_LOCK_UNSUPPORTED_PLATFORM } from './errors.js'
import { isThere, load, version } from './require.cjs'

interface Report {
  header?: { glibcVersionRuntime?: string }
}

/** The functions of the addon. */
export type Binding = typeof import('#binding')

/** There is a package for each: `loquet-linux-x64-gnu`. They are built from the targets that package.json lists. */
const PLATFORMS = [
  'linux-x64-gnu',
  'linux-x64-musl',
  'linux-arm64-gnu',
  'linux-arm64-musl',
  'darwin-x64',
  'darwin-arm64',
  'win32-x64-msvc',
  'win32-arm64-msvc',
]

const FROM_SOURCE =
  'Or build it from the sources ("npm run build:native" in a clone of the repository, with Rust) and name the file in ' +
  'the environment variable LOQUET_BINARY'

/**
 * The addon; the same for all copies of the package on this thread, so that they have one clock and one set of
 * connections.
 *
 * @throws E_LOCK_UNSUPPORTED_PLATFORM if none fits
 */
export function loadBinding(): Binding {
  return shared('binding', find)
}

function find(): Binding {
  const named = process.env.LOQUET_BINARY
  if (named) return open(named, `LOQUET_BINARY names ${named}, which can't be loaded`)

  const platform = platformOf()
  const built = `./native/loquet.${platform}.node`
  if (isThere(built)) return open(built, `The addon that was built here (${built}) can't be loaded`)

  const name = `loquet-${platform}`
  if (!PLATFORMS.includes(platform)) {
    throw unsupported(`There is no binary for it. There are those for ${PLATFORMS.join(', ')}`)
  }
  const found = versionOf(name)
  if (found !== version) {
    throw unsupported(
      `${name} is version ${found}, this is version ${version}. Reinstall both together: remove node_modules and the ` +
        'lockfile, then install again'
    )
  }
  return open(name, `${name} is installed, but can't be loaded here`)
}

/** As in the names of the packages: `linux-x64-gnu`. */
function platformOf(): string {
  const { platform, arch } = process
  if (platform === 'linux') return `linux-${arch}-${isMusl() ? 'musl' : 'gnu'}`
  return platform === 'win32' ? `win32-${arch}-msvc` : `${platform}-${arch}`
}

/** Whether the C library is musl (Alpine Linux) instead of glibc. */
function isMusl(): boolean {
  try {
    return readFileSync('/usr/bin/ldd', 'utf8').includes('musl')
  } catch {
    // Images without a shell lack it. The report takes some milliseconds, and is not the same in every runtime.
    const report = process.report?.getReport() as Report | undefined
    return report?.header !== undefined && report.header.glibcVersionRuntime === undefined
  }
}

function versionOf(name: string): string {
  try {
    return (load(`${name}/package.json`) as { version: string }).version
  } catch (cause) {
    throw unsupported(
      `The package ${name} is not installed. It is an optional dependency of this one. Package managers leave it out ` +
        'when told to (npm --omit=optional, --no-optional), when the lockfile was made on another platform, and when ' +
        'node_modules was copied from another platform. Remove node_modules and the lockfile, then install again on ' +
        'this machine',
      cause
    )
  }
}

function open(path: string, complaint: string): Binding {
  try {
    return load(path) as Binding
  } catch (cause) {
    throw unsupported(complaint, cause)
  }
}

function unsupported(reason: string, cause?: unknown): E_LOCK_UNSUPPORTED_PLATFORM {
  const { platform, arch } = process
  const libc = platform === 'linux' ? `, ${isMusl() ? 'musl' : 'glibc'}` : ''
  const here = `${platform} ${arch}${libc}, Node.js ${process.versions.node}`
  return new E_LOCK_UNSUPPORTED_PLATFORM([`${here}: ${reason}. ${FROM_SOURCE}`], { cause })
}
