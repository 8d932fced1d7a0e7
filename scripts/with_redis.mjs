// Runs a command with private Redis servers, which end with it: `node scripts/with_redis.mjs cargo test …`.
//
// Where they are it learns from its environment:
//   LOQUET_TEST_REDIS            redis://127.0.0.1:port, nothing else on it
//   LOQUET_TEST_REDIS_TLS        rediss://127.0.0.1:port
//   LOQUET_TEST_REDIS_TLS_CA     a file: the authority that has signed its certificate
//   LOQUET_TEST_REDIS_TLS_CERT, LOQUET_TEST_REDIS_TLS_KEY   files: what a client may show
//   LOQUET_TEST_REDIS_SENTINELS  127.0.0.1:port,… of three sentinels; their primary is called mymaster
//   LOQUET_TEST_REDIS_CLUSTER    127.0.0.1:port,… of three primaries
import { spawn } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { constants } from 'node:os'
import { join } from 'node:path'

import { startCluster, startSentinels, startStandalone, startTls } from './redis/servers.mjs'

const [command, ...args] = process.argv.slice(2)
if (command === undefined) {
  console.error('Usage: node scripts/with_redis.mjs COMMAND [ARGUMENT…]')
  process.exit(2)
}

function list(servers) {
  return servers.map(({ host, port }) => `${host}:${port}`).join()
}

/** Writes a text to a file in a server's folder, which goes with it. */
async function file(server, name, text) {
  const path = join(server.folder, name)
  await writeFile(path, text)
  return path
}

const startedAt = performance.now()
const [standalone, tls, group, cluster] = await Promise.all([
  startStandalone(),
  startTls(),
  startSentinels(),
  startCluster(),
])
const env = {
  ...process.env,
  LOQUET_TEST_REDIS: standalone.url,
  LOQUET_TEST_REDIS_TLS: tls.url,
  LOQUET_TEST_REDIS_TLS_CA: await file(tls, 'authority.pem', tls.ca),
  LOQUET_TEST_REDIS_TLS_CERT: await file(tls, 'client.pem', tls.cert),
  LOQUET_TEST_REDIS_TLS_KEY: await file(tls, 'client-key.pem', tls.key),
  LOQUET_TEST_REDIS_SENTINELS: list(group.sentinels),
  LOQUET_TEST_REDIS_CLUSTER: list(cluster.nodes),
}
const took = ((performance.now() - startedAt) / 1000).toFixed(1)
console.error(`Redis: a standalone server, TLS, sentinels, a cluster: started in ${took} s`)

const child = spawn(command, args, { env, stdio: 'inherit' })
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
child.on('error', (error) => {
  console.error(error.message)
  process.exitCode = 127
})
child.on('exit', (code, signal) => {
  process.exit(code ?? 128 + constants.signals[signal])
})
