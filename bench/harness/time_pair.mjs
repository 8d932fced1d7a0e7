import { measure } from 'mitata'

/**
 * Microseconds of one call, awaited before the next one begins: the median of mitata's batches of
 * 4,096 calls, so that the scavenges in between count and an interrupted batch doesn't.
 *
 * @param {() => unknown} pair
 * @param {number} [cpuTime] - How many nanoseconds of CPU it takes at least
 */
export async function timePair(pair, cpuTime = 200e6) {
  const { p50 } = await measure(pair, {
    gc: false,
    min_samples: 12,
    min_cpu_time: cpuTime,
    // Batches whatever the first calls took: they are slow while the code is cold
    warmup_threshold: Number.POSITIVE_INFINITY,
    batch_threshold: Number.POSITIVE_INFINITY,
  })
  return p50 / 1_000
}
