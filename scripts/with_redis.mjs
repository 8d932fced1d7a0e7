// Runs a command with private Redis servers, which end with it: `node scripts/with_redis.mjs cargo test …`.
//
// Where they are it learns from its environment:
//   LOQUET_TEST_REDIS            redis://127.0.0.1:port, nothing else on it
//   LOQUET_TEST_REDIS_TLS        rediss://127.0.0.1:port
//   LOQUET_TEST_REDIS_TLS_CA     a file: the authority that has signed its certificate
//   LOQUET_TEST_REDIS_TLS_CERT, LOQUET_TEST_REDIS_TLS_KEY   files: what a client may show
//   LOQUET_TEST_REDIS_SENTINELS  127.0.0.1:port,… of three sentinels; their primary is called mymaster
//   LOQUET_TEST_REDIS_CLUSTER    127.0.0.1:port,… of three primaries
import { startCluster, startSentinels, startStandalone, startTls } from './redis/servers.mjs'
import { fileFor, runWith } from './servers/run_with.mjs'

function list(servers) {
  return servers.map(({ host, port }) => `${host}:${port}`).join()
}

await runWith('Redis: a standalone server, TLS, sentinels, a cluster', async () => {
  const [standalone, tls, group, cluster] = await Promise.all([
    startStandalone(),
    startTls(),
    startSentinels(),
    startCluster(),
  ])
  return {
    LOQUET_TEST_REDIS: standalone.url,
    LOQUET_TEST_REDIS_TLS: tls.url,
    LOQUET_TEST_REDIS_TLS_CA: await fileFor(tls, 'authority.pem', tls.ca),
    LOQUET_TEST_REDIS_TLS_CERT: await fileFor(tls, 'client.pem', tls.cert),
    LOQUET_TEST_REDIS_TLS_KEY: await fileFor(tls, 'client-key.pem', tls.key),
    LOQUET_TEST_REDIS_SENTINELS: list(group.sentinels),
    LOQUET_TEST_REDIS_CLUSTER: list(cluster.nodes),
  }
})
