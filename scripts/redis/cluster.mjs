// A cluster of three primaries, whose slots can be moved while it is used.
import { commonArguments, HOST, startServer, until } from './server.mjs'

const SLOTS = 16_384
const NODES = 3

/** How many keys a MIGRATE takes at a time. */
const BATCH = 100

function startNode(requirepass) {
  return startServer({
    password: requirepass,
    argv: (server) => [
      ...commonArguments(server),
      ...['--cluster-enabled', 'yes', '--cluster-config-file', 'nodes.conf'],
      ...['--cluster-node-timeout', '1500'],
      ...(requirepass === undefined
        ? []
        : ['--requirepass', requirepass, '--masterauth', requirepass]),
    ],
  })
}

class Cluster {
  /** The node ids, in the order of the nodes. */
  #ids

  constructor(nodes, ids) {
    this.nodes = nodes
    this.#ids = ids
  }

  async slotOf(key) {
    const node = this.nodes.find(({ isRunning }) => isRunning)
    return Number(await node.cli('CLUSTER', 'KEYSLOT', key))
  }

  async ownerOf(slot) {
    for (const node of this.nodes) {
      if (!node.isRunning) continue
      const [ranges] = await node.send(['CLUSTER', 'SLOTS'])
      const range = ranges.find(([first, last]) => first <= slot && slot <= last)
      const owner = this.nodes.find(({ port }) => port === range?.[2][1])
      if (owner !== undefined) return owner
    }
    throw new Error(`nobody serves slot ${slot}`)
  }

  async beginMove(slot, from, to) {
    await this.#agreed()
    const source = this.#node(from)
    const target = this.#node(to)
    await target.cli('CLUSTER', 'SETSLOT', slot, 'IMPORTING', this.#idOf(source))
    await source.cli('CLUSTER', 'SETSLOT', slot, 'MIGRATING', this.#idOf(target))
    const moveKeys = async (count = Number.POSITIVE_INFINITY) => {
      let moved = 0
      while (moved < count) {
        const batch = Math.min(BATCH, count - moved)
        const [keys] = await source.sendForBytes(['CLUSTER', 'GETKEYSINSLOT', slot, batch])
        if (keys.length === 0) break
        const auth = source.password === undefined ? [] : ['AUTH', source.password]
        // A key that expires on the way is none that has to be moved: the answer is NOKEY then.
        await source.cli(
          ...[
            'MIGRATE',
            HOST,
            target.port,
            '',
            0,
            5000,
            ...auth,
            'KEYS',
            ...keys.map((key) => Buffer.from(key, 'latin1')),
          ]
        )
        moved += keys.length
      }
      return moved
    }
    const finish = async () => {
      await moveKeys()
      // The target first: otherwise the slot would be nobody's for a moment.
      for (const node of new Set([target, source, ...this.nodes])) {
        if (node.isRunning) await node.cli('CLUSTER', 'SETSLOT', slot, 'NODE', this.#idOf(target))
      }
      await this.#agreed()
    }
    return { moveKeys, finish }
  }

  async moveSlot(slot, from, to) {
    const move = await this.beginMove(slot, from, to)
    await move.finish()
  }

  async reshard(count) {
    for (let moved = 0; moved < count; moved++) {
      const slot = Math.floor(Math.random() * SLOTS)
      const source = this.nodes.indexOf(await this.ownerOf(slot))
      await this.moveSlot(slot, source, (source + 1) % this.nodes.length)
    }
  }

  /** Resolves when all nodes agree that the cluster works. */
  async settled() {
    await until('all nodes of the cluster agree that it works', async () => {
      const states = await Promise.all(this.nodes.map((node) => node.cli('CLUSTER', 'INFO')))
      return states.every(
        (state) =>
          /^cluster_state:ok\r$/m.test(state) &&
          /^cluster_slots_ok:16384\r$/m.test(state) &&
          state.includes(`cluster_known_nodes:${this.nodes.length}\r`)
      )
    })
  }

  async stop() {
    await Promise.all(this.nodes.map((node) => node.stop()))
  }

  /**
   * Resolves when the nodes that run agree on who has which slots since which epoch. A node that takes a slot over makes
   * an epoch out of the highest one that it has heard of: if it hadn't heard of the last one yet, two nodes would have
   * the same, and the slot might go back to the one that gave it away.
   */
  #agreed() {
    return until('the nodes of the cluster agree on the slots', async () => {
      const running = this.nodes.filter(({ isRunning }) => isRunning)
      const views = await Promise.all(running.map((node) => node.cli('CLUSTER', 'NODES')))
      const [first, ...others] = views.map((view) => this.#claimsOf(view))
      const epochs = first.map(({ epoch }) => epoch)
      const isSettled = new Set(epochs).size === epochs.length
      return isSettled && others.every((view) => JSON.stringify(view) === JSON.stringify(first))
    })
  }

  /** The epoch and the slots of each node, out of what one node answers to CLUSTER NODES. */
  #claimsOf(view) {
    const fields = view
      .trim()
      .split('\n')
      .map((line) => line.split(' '))
    return this.#ids.map((id) => {
      const [, , , , , , epoch, , ...slots] = fields.find(([name]) => name === id) ?? []
      // In brackets: slots that are on their way, which only the two nodes know of.
      return { epoch, slots: slots.filter((range) => !range.startsWith('[')) }
    })
  }

  #node(place) {
    return typeof place === 'number' ? this.nodes[place] : place
  }

  #idOf(node) {
    return this.#ids[this.nodes.indexOf(node)]
  }
}

export async function startCluster(options = {}) {
  const nodes = []
  for (let index = 0; index < NODES; index++) nodes.push(await startNode(options.requirepass))
  for (const [index, node] of nodes.entries()) {
    const [first, end] = [index, index + 1].map((step) => Math.floor((step * SLOTS) / NODES))
    const slots = Array.from({ length: end - first }, (_, offset) => first + offset)
    // Different epochs, as nobody has been elected: otherwise they would have to sort it out first.
    await node.cli('CLUSTER', 'SET-CONFIG-EPOCH', index + 1)
    await node.cli('CLUSTER', 'ADDSLOTS', ...slots)
  }
  for (const node of nodes.slice(1)) await nodes[0].cli('CLUSTER', 'MEET', HOST, node.port)
  const ids = await Promise.all(nodes.map((node) => node.cli('CLUSTER', 'MYID')))
  const cluster = new Cluster(nodes, ids)
  await cluster.settled()
  return cluster
}
