/**
 * Opens stores in memory for the threads of a fleet.
 */
import { memoryStore } from 'loquet/drivers/memory'

import type { Way } from './orders.js'

/** What a member is told. */
export function wayTo(shared: string): Way {
  return { opener: 'fleet/open_memory.ts', settings: shared }
}

export async function openStore(_peer: 'loquet', shared: string) {
  return { store: memoryStore({ shared }).factory() }
}
