import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/**
 * Collects garbage, also when node was started without `--expose-gc`.
 *
 * @type {() => void}
 */
export const collect = globalThis.gc ?? (setFlagsFromString('--expose-gc'), runInNewContext('gc'))

/**
 * Collects garbage until nothing more can be expected to go: finalizers run between the
 * collections, and pages are given back to the system a little later.
 */
export async function settleMemory() {
  for (let turn = 0; turn < 3; turn++) {
    collect()
    await sleep(50)
  }
}
