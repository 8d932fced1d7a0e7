/**
 * Where long holders hold: all kinds of native stores at once, so that what takes time takes it once.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { TestContext } from '@japa/runner/core'

import { configOf, SERVERS } from '../database/backends.js'
import { FaultProxy } from '../faults/proxy.js'
import { startStandalone } from '../redis/servers.js'
import { TalkingProgram } from './talking_programs.js'

type Current = TestContext['test']

/** One store, and how programs are told where it is. */
export interface LongPlace {
  title: string
  /** The store's options as JSON. */
  options: string
  /** Through a proxy to a server; files have none. */
  through(proxy: FaultProxy): string
  /** Where the server listens; `undefined` for a file. */
  target?: { host: string; port: number }
  /** SIGKILL to the server. */
  kill?(): Promise<void>
  restart?(): Promise<void>
  stop(): Promise<void>
}

async function redis(): Promise<LongPlace> {
  const server = await startStandalone()
  const optionsOf = ({ host, port }: { host: string; port: number }) =>
    JSON.stringify({ host, port })
  return {
    title: 'Redis',
    options: optionsOf(server),
    through: optionsOf,
    target: server,
    kill: () => server.kill(),
    restart: () => server.restart(),
    stop: () => server.stop(),
  }
}

async function database(title: 'Postgres' | 'MariaDB'): Promise<LongPlace> {
  const server = await SERVERS[title]()
  return {
    title,
    options: JSON.stringify(configOf(server)),
    through: (proxy) => JSON.stringify(configOf(server, proxy)),
    target: server,
    kill: () => server.kill(),
    restart: () => server.restart(),
    stop: () => server.stop(),
  }
}

/** The first who uses it makes it. */
async function sqlite(): Promise<LongPlace> {
  const folder = mkdtempSync(join(tmpdir(), 'loquet-sqlite-'))
  const connection = { filename: join(folder, 'locks.sqlite3') }
  const options = JSON.stringify({ client: 'better-sqlite3', connection })
  return {
    title: 'SQLite',
    options,
    through: () => options,
    stop: async () => rmSync(folder, { recursive: true, force: true }),
  }
}

/** Starts one of each kind. */
export function startPlaces(): Promise<LongPlace[]> {
  return Promise.all([redis(), database('Postgres'), database('MariaDB'), sqlite()])
}

/** Those that are servers. */
export function serversOf(places: LongPlace[]): LongPlace[] {
  return places.filter(({ target }) => target !== undefined)
}

/** Does something in each of the places at the same time. What fails says where. */
export async function everywhere(
  places: LongPlace[],
  act: (place: LongPlace) => Promise<void>
): Promise<void> {
  const outcomes = await Promise.allSettled(places.map(act))
  for (const [index, outcome] of outcomes.entries()) {
    if (outcome.status === 'fulfilled') continue
    const { reason } = outcome
    if (reason instanceof Error) reason.message = `${places[index].title}: ${reason.message}`
    throw reason
  }
}

/** What a holder does meanwhile, see `fixtures/server/keep.mjs`. */
export type Way =
  'blocked for' | 'blocked until told' | 'looking until' | 'watching until told' | 'watching'

export interface Holding {
  ttl: number
  autoExtend?: object | true
  way: Way
  limit?: string | number
}

/** Starts a program that ends with the test. */
export function start(current: Current, name: string, args: string[]): TalkingProgram {
  const program = new TalkingProgram(`server/${name}.mjs`, args)
  current.cleanup(() => program.kill())
  return program
}

/** Starts a holder. It says `granted` first. */
export function startHolder(current: Current, options: string, key: string, holding: Holding) {
  const { ttl, autoExtend = true, way, limit = '' } = holding
  const leash = JSON.stringify(autoExtend)
  return start(current, 'keep', [options, key, String(ttl), leash, way, String(limit)])
}

/** Starts somebody who wants what the holder has. It says `refused` first. */
export function startCompetitor(
  current: Current,
  options: string,
  key: string,
  way: 'tries' | 'waits'
): TalkingProgram {
  return start(current, 'compete', [options, key, way])
}

/** A proxy that ends with the test. */
export async function startProxy(current: Current, place: LongPlace): Promise<FaultProxy> {
  const proxy = await FaultProxy.start(place.target!)
  current.cleanup(() => proxy.stop())
  return proxy
}

/** A lease that was lost, though nothing had been done to its holder yet. */
export class TooBusy extends Error {}

/** Waits until somebody else has tried to get the lock. */
export async function untilRefused(competitor: TalkingProgram): Promise<void> {
  const { what } = await competitor.heard(['refused', 'granted'])
  if (what === 'granted') throw new TooBusy('somebody else has got it')
}

/**
 * Tries something that works where a lease is extended in time, with ever longer leases: the machine may be busy with other
 * things for longer than a short one lasts.
 *
 * @param ttl - Milliseconds that suffice on an idle machine
 */
export async function withLease(
  ttl: number,
  attempt: (ttl: number, round: number) => Promise<void>
): Promise<void> {
  for (let round = 1; ; round++) {
    try {
      return await attempt(ttl * 3 ** (round - 1), round)
    } catch (error) {
      if (!(error instanceof TooBusy) || round === 3) throw error
    }
  }
}
