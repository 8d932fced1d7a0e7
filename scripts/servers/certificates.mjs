// A throw-away certificate authority, and what it has signed: for a server on this machine and for a client.
import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

import { makeFolder, removeFolder } from './keeper.mjs'

const DAYS = '2'
const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']

async function openssl(folder, ...args) {
  try {
    await promisify(execFile)('openssl', args, { cwd: folder, timeout: 60_000 })
  } catch (error) {
    if (error.code !== 'ENOENT') throw error
    throw new Error('openssl is missing (Debian, Ubuntu: apt-get install openssl)', {
      cause: error,
    })
  }
}

async function sign(folder, name, subject, extensions) {
  await writeFile(join(folder, `${name}.ext`), extensions)
  await openssl(
    folder,
    ...['req', ...NEW_KEY, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', subject]
  )
  await openssl(
    folder,
    ...['x509', '-req', '-in', `${name}.csr`, '-out', `${name}.crt`, '-days', DAYS],
    ...['-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial', '-extfile', `${name}.ext`]
  )
}

export async function makeCertificates() {
  const folder = makeFolder('certificates')
  try {
    await openssl(
      folder,
      ...['req', '-x509', ...NEW_KEY, '-keyout', 'ca.key', '-out', 'ca.crt', '-days', DAYS],
      ...['-subj', '/CN=loquet test authority', '-addext', 'keyUsage=critical,keyCertSign,cRLSign']
    )
    await sign(
      folder,
      'server',
      '/CN=localhost',
      'basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\nsubjectAltName=IP:127.0.0.1,DNS:localhost\n'
    )
    await sign(
      folder,
      'client',
      '/CN=client',
      'basicConstraints=CA:FALSE\nextendedKeyUsage=clientAuth\n'
    )
    const read = (name) => readFile(join(folder, name), 'utf8')
    return {
      ca: await read('ca.crt'),
      server: { cert: await read('server.crt'), key: await read('server.key') },
      client: { cert: await read('client.crt'), key: await read('client.key') },
    }
  } finally {
    await removeFolder(folder)
  }
}
