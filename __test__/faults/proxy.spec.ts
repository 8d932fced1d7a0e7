/**
 * The fault proxy in front of a server that answers lines: `<n` gets `>n` back, after it has been written down.
 */
import { test } from '@japa/runner'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { sleep, until } from '../unit/observe.js'
import { FAULTS } from './plan.js'
import type { Fault } from './plan.js'
import { FaultProxy } from './proxy.js'

/** A server and what it has performed. */
class LineServer {
  readonly performed: string[] = []
  #server!: Server
  #sockets = new Set<Socket>()

  async start(): Promise<this> {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket)
      let rest = ''
      socket.setEncoding('utf8').on('data', (text: string) => {
        const lines = (rest + text).split('\n')
        rest = lines.pop()!
        for (const line of lines) {
          this.performed.push(line)
          socket.write(`>${line.slice(1)}\n`)
        }
      })
      socket.on('error', () => {})
      socket.on('close', () => this.#sockets.delete(socket))
    })
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    return this
  }

  get target() {
    return { host: '127.0.0.1', port: (this.#server.address() as AddressInfo).port }
  }

  get connections(): number {
    return this.#sockets.size
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }
}

/** A client, what it has heard, and whether its connection has ended. */
class Client {
  heard = ''
  isOver = false
  readonly socket: Socket

  constructor(port: number) {
    this.socket = connect(port, '127.0.0.1').setEncoding('utf8').setNoDelay(true)
    this.socket.on('data', (text: string) => {
      this.heard += text
    })
    this.socket.on('error', () => {})
    this.socket.on('close', () => {
      this.isOver = true
    })
  }

  say(line: string): this {
    this.socket.write(`${line}\n`)
    return this
  }

  over(): Promise<void> {
    return until(() => this.isOver)
  }

  hears(text: string): Promise<void> {
    return until(() => this.heard === text)
  }
}

test.group('fault proxy', (group) => {
  let server: LineServer
  let proxy: FaultProxy
  group.each.setup(async () => {
    server = await new LineServer().start()
    proxy = await FaultProxy.start(server.target, 1)
    return async () => {
      await proxy.stop()
      await server.stop()
    }
  })

  test('passes everything on until it is told otherwise, farewells too', async ({ assert }) => {
    const client = new Client(proxy.port).say('<1').say('<2')
    await client.hears('>1\n>2\n')
    client.socket.end('<3\n')
    await client.over()
    await until(() => server.connections === 0 && proxy.open === 0)
    assert.deepEqual(server.performed, ['<1', '<2', '<3'])
    assert.equal(proxy.cuts, 0)
    assert.deepInclude(proxy.statistics, { connections: 1, refusals: 0, requestBytes: 9 })
  })

  test('request-lost: the server never sees it', async ({ assert }) => {
    const client = new Client(proxy.port).say('<1')
    await client.hears('>1\n')
    const happened = proxy.next('request-lost')
    client.say('<2')
    await Promise.all([happened, client.over()])
    await until(() => server.connections === 0)
    assert.deepEqual(server.performed, ['<1'])
    assert.equal(client.heard, '>1\n')
  })

  test('request-torn: the server sees a part of it', async ({ assert }) => {
    const happened = proxy.next('request-torn')
    // Half of it: one line, and a part of the second one.
    const client = new Client(proxy.port).say('<1\n<222222222')
    await Promise.all([happened, client.over()])
    await until(() => server.connections === 0)
    assert.deepEqual(server.performed, ['<1'])
    assert.equal(client.heard, '')
  })

  test('request-stray: it arrives when the client has learned that it is lost', async ({
    assert,
  }) => {
    proxy.rage({ bytesBetween: 1e9, delay: [100, 100] })
    const happened = proxy.next('request-stray')
    const client = new Client(proxy.port).say('<1')
    await Promise.all([happened, client.over()])
    assert.deepEqual(server.performed, [])
    await until(() => server.performed.length === 1)
    assert.equal(client.heard, '')
  })

  test('reply-lost: the server has performed it, the client hears nothing', async ({ assert }) => {
    const happened = proxy.next('reply-lost', (request) => request.includes('<2'))
    const client = new Client(proxy.port).say('<1')
    await client.hears('>1\n')
    client.say('<2')
    await Promise.all([happened, client.over()])
    assert.deepEqual(server.performed, ['<1', '<2'])
    assert.equal(client.heard, '>1\n')
    assert.equal(proxy.statistics.faults['reply-lost'], 1)
    assert.equal(proxy.cuts, 1)
  })

  test('reply-torn: the client hears a part of it', async ({ assert }) => {
    const happened = proxy.next('reply-torn')
    const client = new Client(proxy.port).say(`<${'long'.repeat(1_000)}`)
    await Promise.all([happened, client.over()])
    assert.lengthOf(server.performed, 1)
    assert.isBelow(client.heard.length, 4_000)
    assert.isTrue(`>${'long'.repeat(1_000)}`.startsWith(client.heard))
  })

  test('what is late arrives, and in order', async ({ assert }) => {
    for (const fault of ['request-late', 'reply-late'] as const) {
      const happened = proxy.next(fault)
      const client = new Client(proxy.port).say('<1')
      await happened
      client.say('<2').say('<3')
      await client.hears('>1\n>2\n>3\n')
      assert.isFalse(client.isOver)
    }
    assert.equal(proxy.cuts, 0)
  })

  test('half-open: requests arrive, replies do not, until calm', async ({ assert }) => {
    proxy.rage({ bytesBetween: 1e9, silence: [1e6, 1e6] })
    const happened = proxy.next('half-open')
    const client = new Client(proxy.port).say('<1')
    await happened
    client.say('<2')
    await until(() => server.performed.length === 2)
    assert.isFalse(client.isOver)
    proxy.calm()
    await client.over()
    assert.equal(client.heard, '')
  })

  test('black-hole: nothing arrives, and it is cut after a while', async ({ assert }) => {
    const happened = proxy.next('black-hole')
    const client = new Client(proxy.port).say('<1')
    await happened
    await client.say('<2').over()
    assert.deepEqual([server.performed, client.heard], [[], ''])
  })

  test('refused: for a while there is no connection', async ({ assert }) => {
    const happened = proxy.next('refused')
    const client = new Client(proxy.port).say('<1')
    await Promise.all([happened, client.over()])
    await new Client(proxy.port).say('<1').over()
    await until(async () => {
      const again = new Client(proxy.port).say('<2')
      await until(() => again.isOver || again.heard !== '')
      again.socket.destroy()
      return again.heard !== ''
    })
    assert.isAbove(proxy.statistics.refusals, 0)
    assert.deepEqual(server.performed, ['<2'])
  })

  test('silence: nothing arrives and nobody is told, until it is calm', async ({ assert }) => {
    const client = new Client(proxy.port).say('<1')
    await until(() => client.heard === '>1\n')
    proxy.silence()
    const late = new Client(proxy.port).say('<3')
    client.say('<2')
    await until(() => proxy.open === 2)
    // Whatever would be passed on has been.
    await sleep(20)
    assert.deepEqual(server.performed, ['<1'])
    assert.isFalse(client.isOver || late.isOver)
    proxy.calm()
    await Promise.all([client.over(), late.over()])
    const again = new Client(proxy.port).say('<4')
    await until(() => again.heard === '>4\n')
    assert.deepEqual(server.performed, ['<1', '<4'])
  })

  test('a server that is down is seen as one that hangs up', async ({ assert }) => {
    const { target } = server
    await server.stop()
    await new Client(proxy.port).over()
    server = await new LineServer().start()
    assert.isAbove(target.port, 0)
  })

  test('in its rage it does everything, and every client comes through', async ({ assert }) => {
    const weights = Object.fromEntries(FAULTS.map((fault) => [fault, 1]))
    proxy.rage({ bytesBetween: 20, weights, delay: [1, 3], silence: [1, 5], refusal: [1, 5] })
    const isDone = () => FAULTS.every((fault) => proxy.statistics.faults[fault] > 2)
    let answers = 0
    await until(async () => {
      const client = new Client(proxy.port)
      for (let n = 0; n < 5 && !client.isOver; n++) {
        const before = client.heard.length
        client.say(`<${n}`)
        await until(() => client.isOver || client.heard.endsWith(`>${n}\n`))
        if (client.heard.length > before) answers++
      }
      client.socket.destroy()
      return isDone()
    })
    assert.isAbove(answers, 0)
    proxy.calm()
    const client = new Client(proxy.port)
    for (let n = 0; n < 50; n++) client.say(`<${n}`)
    await until(() => client.heard.endsWith('>49\n'))
  })

  test('a seed decides what happens to which connection, and where', async ({ assert }) => {
    const faultsOf = async (seed: number): Promise<Fault[]> => {
      const seeded = await FaultProxy.start(server.target, seed)
      const weights = { 'request-lost': 1, 'reply-lost': 1 }
      seeded.rage({ bytesBetween: 30, weights })
      const seen: Fault[] = []
      while (seen.length < 20) {
        const client = new Client(seeded.port)
        let said = 0
        while (!client.isOver) {
          client.say('<1')
          said++
          await until(() => client.isOver || client.heard === '>1\n'.repeat(said))
        }
        const { faults } = seeded.statistics
        const lost = seen.filter((fault) => fault === 'request-lost').length
        seen.push(faults['request-lost'] > lost ? 'request-lost' : 'reply-lost')
      }
      await seeded.stop()
      return seen
    }
    const [first, again, other] = [await faultsOf(7), await faultsOf(7), await faultsOf(8)]
    assert.deepEqual(first, again)
    assert.notDeepEqual(first, other)
  })
})
