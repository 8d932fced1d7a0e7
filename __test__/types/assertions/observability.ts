/**
 * What is published about locks.
 */
import type { EventsList } from '@adonisjs/core/types'
import type { LockFactory, LossReason, Verrou, errors } from 'loquet'
import type {} from 'loquet/lock_provider'
import type {
  AcquireMessage,
  ContendedKey,
  DurationSummary,
  ExtendMessage,
  HoldMessage,
  LockMessage,
  LostMessage,
  ReleaseMessage,
  StoreFactory,
  StoreStats,
} from 'loquet/types'
import { check, some } from './equal.js'
import type { Equal } from './equal.js'

/** All kinds have these. */
for (const message of [
  some<AcquireMessage>(),
  some<HoldMessage>(),
  some<ExtendMessage>(),
  some<ReleaseMessage>(),
  some<LostMessage>(),
]) {
  const base: LockMessage = message
  check<Equal<typeof base.key, string>>()
  check<Equal<typeof base.store, string | undefined>>()
  check<Equal<typeof base.owner, string | undefined>>()
}

check<Equal<AcquireMessage['outcome'], 'acquired' | 'refused' | 'failed' | undefined>>()
check<Equal<AcquireMessage['ttl'], number | null>>()
check<Equal<AcquireMessage['waited'], number | undefined>>()
check<Equal<AcquireMessage['attempts'], number | undefined>>()
check<Equal<HoldMessage['outcome'], 'released' | 'lost' | undefined>>()
check<Equal<HoldMessage['held'], number | undefined>>()
check<Equal<ExtendMessage['outcome'], 'extended' | 'failed' | undefined>>()
check<Equal<ExtendMessage['ttl'], number>>()
check<Equal<ExtendMessage['isAutomatic'], boolean>>()
check<Equal<ReleaseMessage['outcome'], 'released' | 'failed' | undefined>>()
check<Equal<LostMessage['reason'], LossReason>>()
check<Equal<LostMessage['error'], errors.E_LOCK_LOST>>()

/** Figures, by the names of the stores. */
check<Equal<ReturnType<LockFactory['stats']>, StoreStats>>()
check<
  Equal<
    ReturnType<Verrou<{ a: StoreFactory; b: StoreFactory }>['stats']>,
    { a?: StoreStats; b?: StoreStats }
  >
>()
check<Equal<StoreStats['wait'], DurationSummary>>()
check<Equal<StoreStats['hold'], DurationSummary>>()
check<Equal<StoreStats['contended'], readonly ContendedKey[]>>()
check<Equal<keyof StoreStats, 'wait' | 'hold' | 'contended' | Counts>>()
check<Equal<Pick<StoreStats, Counts>, Readonly<Record<Counts, number>>>>()
check<Equal<DurationSummary, Readonly<Record<Spans, number>>>>()
check<Equal<ContendedKey, { readonly key: string; readonly waiters: number }>>()
type Counts = 'waiters' | 'leases' | 'roundTrips' | 'reconnects'
type Spans = 'count' | 'min' | 'max' | 'mean' | 'p50' | 'p90' | 'p99' | 'p999'

/** AdonisJS's emitter knows the events of locks. */
check<Equal<EventsList['lock:acquired'], AcquireMessage>>()
check<Equal<EventsList['lock:refused'], AcquireMessage>>()
check<Equal<EventsList['lock:extended'], ExtendMessage>>()
check<Equal<EventsList['lock:released'], HoldMessage>>()
check<Equal<EventsList['lock:lost'], LostMessage>>()
