import { channel, tracingChannel } from 'node:diagnostics_channel'
import type { ApplicationService, EventsList } from '@adonisjs/core/types'
import type {
  AcquireMessage,
  ExtendMessage,
  HoldMessage,
  LostMessage,
} from '../types/diagnostics.js'

type LockEvent = Extract<keyof EventsList, `lock:${string}`>

/** What the handlers of a tracing channel hear that they don't want. */
const ignore = () => {}
const IGNORED = { start: ignore, end: ignore, asyncStart: ignore, error: ignore }

/**
 * Emits what is published about the locks of this process as events of the app, to those who listen.
 *
 * @returns Ends that
 */
export async function emitLockEvents(app: ApplicationService): Promise<() => void> {
  const emitter = await app.container.make('emitter')
  const logger = await app.container.make('logger')

  function emit<Name extends LockEvent>(name: Name, message: EventsList[Name]): void {
    if (!emitter.hasListeners(name)) return
    // A listener that fails must cost nobody a lock.
    emitter.emit(name, message as never).catch((error: unknown) => {
      logger.error({ err: error, key: message.key }, `A listener of "${name}" has failed`)
    })
  }

  const acquires = tracingChannel<unknown, AcquireMessage>('loquet:acquire')
  const extensions = tracingChannel<unknown, ExtendMessage>('loquet:extend')
  const holds = tracingChannel<unknown, HoldMessage>('loquet:hold')
  const losses = channel('loquet:lost')

  const onAcquire = {
    ...IGNORED,
    asyncEnd(message: AcquireMessage) {
      if (message.outcome === 'acquired') emit('lock:acquired', message)
      else if (message.outcome === 'refused') emit('lock:refused', message)
    },
  }
  const onExtend = {
    ...IGNORED,
    asyncEnd(message: ExtendMessage) {
      if (message.outcome === 'extended') emit('lock:extended', message)
    },
  }
  const onHold = {
    ...IGNORED,
    asyncEnd(message: HoldMessage) {
      if (message.outcome === 'released') emit('lock:released', message)
    },
  }
  const onLost = (message: unknown) => emit('lock:lost', message as LostMessage)

  acquires.subscribe(onAcquire)
  extensions.subscribe(onExtend)
  holds.subscribe(onHold)
  losses.subscribe(onLost)
  return () => {
    acquires.unsubscribe(onAcquire)
    extensions.unsubscribe(onExtend)
    holds.unsubscribe(onHold)
    losses.unsubscribe(onLost)
  }
}
