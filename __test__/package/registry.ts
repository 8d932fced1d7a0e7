/**
 * A registry of npm's with what this package needs and nothing else, so that installing it is what a person's install
 * is, without a network and without anything being published.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

interface Manifest {
  name: string
  version: string
  main?: string
}

/** Milliseconds that npm may take; on an idle machine it takes a few seconds. */
const LIMIT = 150_000

/**
 * Runs npm, apart from the settings of whoever runs the tests, and of npm if that does. Nothing that it needs is on another
 * machine: a proxy would look for our registry on its own, and npm tries again for minutes.
 */
export async function npm(cwd: string, ...args: string[]) {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^npm_|_proxy$|^ACTIONS_ID_/i.test(name)
  )
  try {
    return await run('npm', args, {
      cwd,
      timeout: LIMIT,
      killSignal: 'SIGKILL',
      env: {
        ...Object.fromEntries(inherited),
        npm_config_userconfig: join(cwd, '.npmrc'),
        npm_config_loglevel: 'error',
        npm_config_noproxy: '127.0.0.1',
        npm_config_update_notifier: 'false',
        npm_config_fetch_retries: '1',
        npm_config_fetch_retry_mintimeout: '1000',
        npm_config_fetch_timeout: '60000',
      },
    })
  } catch (error) {
    const { killed, stderr } = error as { killed?: boolean; stderr?: string }
    if (!killed) throw error
    throw new Error(`npm ${args[0]} took longer than ${LIMIT} ms\n${stderr}`, { cause: error })
  }
}

export async function readManifest(folder: string): Promise<Manifest> {
  return JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as Manifest
}

/**
 * Starts a registry of the packages that lie in the given folders. Those in `unpacked` are known, but can't be downloaded.
 *
 * @param temporary - Where it may put tarballs
 */
export async function startRegistry(temporary: string, packed: string[], unpacked: string[]) {
  const documents = new Map<string, object>()
  const tarballs = new Map<string, Buffer>()
  const downloaded: string[] = []

  const server = createServer((request, response) => {
    const path = decodeURIComponent(request.url!.slice(1))
    const tarball = tarballs.get(path)
    if (tarball !== undefined) {
      downloaded.push(path)
      response.end(tarball)
      return
    }
    const document = documents.get(path)
    response.writeHead(document === undefined ? 404 : 200, { 'content-type': 'application/json' })
    response.end(JSON.stringify(document ?? { error: 'not found' }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`

  const add = (manifest: Manifest, tarball: Buffer | undefined) => {
    const { name, version } = manifest
    const path = `${name.replace('/', '-')}-${version}.tgz`
    const integrity = createHash('sha512')
      .update(tarball ?? '')
      .digest('base64')
    if (tarball !== undefined) tarballs.set(path, tarball)
    const dist = { tarball: `${url}${path}`, integrity: `sha512-${integrity}` }
    documents.set(name, {
      name,
      'dist-tags': { latest: version },
      'versions': { [version]: { ...manifest, dist } },
    })
  }
  for (const folder of packed) {
    const { stdout } = await npm(
      temporary,
      ...['pack', folder, '--silent', '--ignore-scripts', '--pack-destination', temporary]
    )
    add(await readManifest(folder), await readFile(join(temporary, stdout.trim())))
  }
  for (const folder of unpacked) add(await readManifest(folder), undefined)

  return {
    url,
    /** The tarballs that have been asked for. */
    downloaded,
    close: () => new Promise((resolve) => server.close(resolve)),
  }
}
