/**
 * Opens stores of a module for the members of a fleet.
 */
import type { LockStore } from 'loquet/types'

import type { Way } from '../../fleet/orders.js'

/** A module that exports a class of stores over a file. */
export interface ModuleWay {
  url: string
  name: string
  filename: string
}

/** What a member is told. */
export function wayTo(settings: ModuleWay): Way {
  return { opener: 'stores/fleet/open.ts', settings }
}

export async function openStore(_peer: 'loquet', { url, name, filename }: ModuleWay) {
  const module = (await import(url)) as Record<string, new (filename: string) => LockStore>
  return { store: new module[name](filename) }
}
