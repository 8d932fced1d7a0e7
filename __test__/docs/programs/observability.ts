import { sample } from '../program.js'
import type { Program } from '../program.js'
import { ASSERT, bootApp, USE } from './surroundings.js'

const PAGE = 'docs/observability.md'

export const observability: Record<string, Program> = {
  'Observability: channels': {
    parts: [
      `${ASSERT}
      import { Verrou } from 'loquet'
      import { memoryStore } from 'loquet/drivers/memory'
      const warnings: string[] = []
      console.warn = (text: string) => void warnings.push(text)`,
      sample(`${PAGE}#channels`),
      `const verrou = new Verrou({ default: 'memory', stores: { memory: { driver: memoryStore() } } })
      await verrou.createLock('report').acquire()
      const other = verrou.createLock('report')
      assert.equal(await other.acquire({ retry: { timeout: 1001 } }), false)
      await verrou.close({ release: true })
      assert.equal(warnings.length, 2)
      assert.match(warnings[0], /^report: refused after \\d{4,} ms$/)
      assert.equal(warnings[1], 'report has been lost: closed')`,
    ],
  },

  'Observability: figures': {
    parts: [
      ASSERT,
      sample(`${PAGE}#figures`),
      `const held = verrou.createLock('report')
      await held.acquire()
      const waiting = [1, 2].map(() => verrou.createLock('report').run(() => {}))
      const scrape = async () => (await fetch('http://127.0.0.1:9464/metrics')).text()
      assert.match(await scrape(), /^lock_waiters{store="memory"} 2$/m)
      await held.release()
      await Promise.all(waiting)
      const text = await scrape()
      server.close()
      assert.match(text, /^lock_wait_seconds_count{store="memory"} 3$/m)
      assert.match(text, /^lock_wait_seconds{store="memory",quantile="0.5"} 0\\.\\d+$/m)
      assert.match(text, /^lock_hold_seconds_count{store="memory"} 3$/m)
      assert.match(text, /^lock_leases{store="memory"} 0$/m)`,
    ],
  },

  'Observability: OpenTelemetry': {
    parts: [
      `${ASSERT}
      import { context, trace as api } from '@opentelemetry/api'
      import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
      import {
        BasicTracerProvider,
        InMemorySpanExporter,
        SimpleSpanProcessor,
      } from '@opentelemetry/sdk-trace-base'
      import { LockFactory } from 'loquet'
      import { MemoryStore } from 'loquet/drivers/memory'
      context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
      const exporter = new InMemorySpanExporter()
      const spanProcessors = [new SimpleSpanProcessor(exporter)]
      api.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors }))
      `,
      sample(`${PAGE}#opentelemetry`),
      `const locks = new LockFactory(new MemoryStore(), { name: 'memory' })
      const holder = locks.createLock('report')
      await holder.acquire()
      // Waits, and is granted by somebody who is no part of the request.
      const request = tracer.startSpan('request')
      const waiting = context.with(api.setSpan(context.active(), request), () =>
        locks.createLock('report').run(() => {})
      )
      await holder.release()
      await waiting
      await locks.createLock('other').acquire()
      await locks.close({ release: true })

      const told = exporter.getFinishedSpans().map(({ name, attributes, parentSpanContext, status }) => [
        name,
        attributes['lock.key'],
        attributes['lock.outcome'],
        parentSpanContext?.spanId === request.spanContext().spanId,
        status.code === SpanStatusCode.ERROR,
      ])
      assert.deepEqual(told, [
        ['lock.acquire', 'report', 'acquired', false, false],
        ['lock.hold', 'report', 'released', false, false],
        ['lock.acquire', 'report', 'acquired', true, false],
        ['lock.hold', 'report', 'released', true, false],
        ['lock.acquire', 'other', 'acquired', false, false],
        ['lock.hold', 'other', 'lost', false, true],
      ])`,
    ],
  },

  'Observability: config/lock.ts': {
    parts: [
      ASSERT,
      sample(`${PAGE}#adonisjs-events`),
      `const lock = lockConfig
      ${bootApp()}
      const emitter = await app.container.make('emitter')
      const acquired = new Promise<string>((resolve) => {
        emitter.once('lock:acquired', ({ key }) => resolve(key))
      })
      ${USE}
      assert.equal(await acquired, 'order.1')
      await app.terminate()`,
    ],
  },

  'Observability: start/events.ts': {
    main: (module) => `
      import { defineConfig, stores } from '@adonisjs/lock'
      const lock = defineConfig({
        default: 'memory',
        events: true,
        stores: { memory: stores.memory() },
      })
      ${bootApp()}
      void locks
      await import('${module}')
      await app.terminate()`,
    parts: [
      `${ASSERT}
      import locks from '@adonisjs/lock/services/main'`,
      sample(`${PAGE}#adonisjs-events:2`),
      `const told: unknown[] = []
      logger.error = ((bindings: object) => void told.push(bindings)) as typeof logger.error
      const heard = new Promise<void>((resolve) => emitter.once('lock:lost', () => resolve()))
      await locks.createLock('report', 5).acquire()
      // The end of a lease alone keeps no process alive.
      const alive = setInterval(() => {}, 1000)
      await heard
      clearInterval(alive)
      await new Promise(setImmediate)
      assert.deepEqual(told, [{ key: 'report', reason: 'expired' }])`,
    ],
  },
}
