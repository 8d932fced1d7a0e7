import type { Channel, TracingChannel } from 'node:diagnostics_channel'

/** The five channels of a tracing channel. */
export function channelsOf(tracing: TracingChannel<unknown, object>): Channel[] {
  const { start, end, asyncStart, asyncEnd, error } = tracing
  return [start, end, asyncStart, asyncEnd, error] as Channel[]
}

/**
 * Calls back as soon as one of the channels has a subscriber or a store, maybe at once, and maybe more than once. Node.js tells
 * nobody of that, so the two methods that bring it about are covered, on these channels only, by ones that tell.
 */
export function onFirstSubscriber(channels: Channel[], callback: () => void): void {
  for (const one of channels) {
    if (one.hasSubscribers) callback()
    cover(one, 'subscribe', callback)
    cover(one, 'bindStore', callback)
  }
}

function cover(target: Channel, name: 'subscribe' | 'bindStore', callback: () => void): void {
  // Another copy of this package may have covered it before; otherwise it is in the prototype, which Node.js exchanges.
  const covered = Object.getOwnPropertyDescriptor(target, name)?.value as unknown
  Object.defineProperty(target, name, {
    configurable: true,
    writable: true,
    enumerable: false,
    value(this: Channel, ...parameters: unknown[]): unknown {
      callback()
      const method: unknown = covered ?? Reflect.get(Object.getPrototypeOf(this) as object, name)
      return Reflect.apply(method as (...given: unknown[]) => unknown, this, parameters)
    },
  })
}
