// A Redis server that talks TLS only. Clients may show a certificate but needn't.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { makeCertificates } from '../servers/certificates.mjs'
import { commonArguments, startServer } from './server.mjs'

export async function startTls(options = {}) {
  const certificates = options.certificates ?? (await makeCertificates())
  const files = {
    'ca.crt': certificates.ca,
    'server.crt': certificates.server.cert,
    'server.key': certificates.server.key,
  }
  const server = await startServer({
    password: options.requirepass,
    tls: { ca: certificates.ca, ...certificates.client },
    argv: (server) => {
      const paths = Object.entries(files).map(([name, content]) => {
        const path = join(server.folder, name)
        writeFileSync(path, content)
        return path
      })
      return [
        ...commonArguments(server),
        ...['--port', '0', '--tls-port', server.port],
        ...[
          '--tls-ca-cert-file',
          paths[0],
          '--tls-cert-file',
          paths[1],
          '--tls-key-file',
          paths[2],
        ],
        ...['--tls-auth-clients', options.requireClientCertificate ? 'yes' : 'optional'],
        ...(options.requirepass === undefined ? [] : ['--requirepass', options.requirepass]),
        ...(options.args ?? []),
      ]
    },
  }).catch((error) => {
    if (!/tls-port|tls-ca-cert-file/.test(error.message)) throw error
    throw new Error('this redis-server was built without TLS', { cause: error })
  })
  return Object.assign(server, { ca: certificates.ca, ...certificates.client, certificates })
}
