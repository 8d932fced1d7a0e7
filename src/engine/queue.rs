//! The per-key FIFO queues and the waiters in them.
//!
//! Waiters live in one table and are linked to their neighbours by index, so joining, leaving from anywhere (a timeout,
//! a cancellation) and being granted are O(1) each, and a waiter costs one table entry. A waiter may also stand outside
//! every queue: an attempt that doesn't wait needs a deadline and a ticket, but no place in line.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use slab::Slab;

use super::machine::Request;
use crate::clock::Moment;
use crate::lease::{Key, KeyMap, Owner, Ticket, Ttl};

/// No neighbour, no queue.
const NONE: u32 = u32::MAX;

/// Names one waiter for ever: the serial tells a new waiter from an old one in the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WaiterId {
    /// Place in the table.
    pub index: u32,
    /// Number of the waiter.
    pub serial: u32,
}

/// Somebody who wants a lock.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) ticket: Ticket,
    pub(super) owner: Owner,
    pub(super) ttl: Ttl,
    pub(super) fenced: bool,
    pub(super) delay: Duration,
    /// When it came.
    pub(super) since: Moment,
    /// When `retry.timeout` is used up.
    pub(super) timeout_at: Moment,
    /// When it gives up or has its last chance, whichever comes first; what the deadline heap holds for it.
    pub(super) due_at: Moment,
    /// When its next chance comes; counts only for the head of a polled queue.
    pub(super) next_chance: Moment,
    /// A save for it was never answered, so the lock may come to be its own without anybody knowing.
    pub(super) doubtful: bool,
    /// Chances left; `u32::MAX` means that they aren't counted.
    pub(super) chances: u32,
    serial: u32,
    queue: u32,
    previous: u32,
    next: u32,
}

impl Waiter {
    /// One chance less; tells whether it was the last.
    pub(super) fn use_chance(&mut self, now: Moment) -> bool {
        self.next_chance = now + self.delay;
        if self.chances != u32::MAX {
            self.chances = self.chances.saturating_sub(1);
        }
        self.chances == 0
    }
}

/// What a queue is doing about its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Waiting for a wake-up or for `next_try`.
    Idle,
    /// A command that may bring the lock is under way.
    Asking,
}

/// The waiters for one key, in the order of their arrival.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools)] // each of them is independent of the others
pub(super) struct Queue {
    pub(super) key: Key,
    pub(super) phase: Phase,
    /// A wake-up came while asking: the answer may be older than it.
    pub(super) recheck: bool,
    /// When the store was asked last.
    pub(super) last_asked: Moment,
    /// When it is asked again unless something wakes the queue earlier.
    pub(super) next_try: Moment,
    /// When the holder's lease ends, as far as the last answer told.
    pub(super) held_until: Moment,
    /// What was told of its end while the store was asked: the answer may be older.
    pub(super) told_end: Moment,
    /// Whether `next_try` is when a lease ends, and not a poll.
    pub(super) awaits_end: bool,
    /// Tells the present `next_try` from earlier ones in the deadline heap.
    pub(super) stamp: u32,
    /// Others go first until `next_try`, whatever wakes the queue.
    pub(super) stands_back: bool,
    /// When a local holder last released truly, unless somebody else has had the lock since: the next grant belongs to the
    /// same run.
    pub(super) released_at: Option<Moment>,
    /// Local turns in a row, after the first.
    pub(super) run: u32,
    /// Whether somebody waits who found the lock held; a store that watches has been told so.
    pub(super) is_contended: bool,
    /// How many stand in it.
    count: u32,
    /// Where others see how many these are, once somebody has asked for it.
    shown: Option<Arc<AtomicU32>>,
    /// How many waiters have which delay; kept for polled stores only.
    delays: BTreeMap<Duration, u32>,
    head: u32,
    tail: u32,
}

impl Queue {
    /// How many stand in it.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// The same for other threads, from now on until the queue is closed.
    pub(super) fn show_count(&mut self) -> Arc<AtomicU32> {
        Arc::clone(self.shown.get_or_insert_with(|| Arc::new(AtomicU32::new(self.count))))
    }

    fn set_count(&mut self, count: u32) {
        self.count = count;
        if let Some(shown) = &self.shown {
            shown.store(count, Ordering::Relaxed);
        }
    }
}

/// All waiters and all queues.
#[derive(Debug, Default)]
pub(super) struct Lobby {
    waiters: Slab<Waiter>,
    pub(super) queues: Slab<Queue>,
    by_key: KeyMap<u32>,
    last_serial: u32,
    last_stamp: u32,
    counts_delays: bool,
}

impl Lobby {
    pub(super) fn new(counts_delays: bool) -> Self {
        Self { counts_delays, ..Self::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiters.is_empty() && self.queues.is_empty()
    }

    pub(super) fn waiter_count(&self) -> usize {
        self.waiters.len()
    }

    pub(super) fn queue_of(&self, key: &str) -> Option<u32> {
        // Asked on every uncontended acquire and release: an empty map is not worth hashing for.
        if self.by_key.is_empty() { None } else { self.by_key.get(key).copied() }
    }

    pub(super) fn queue(&self, queue: u32) -> Option<&Queue> {
        self.queues.get(queue as usize)
    }

    pub(super) fn queue_mut(&mut self, queue: u32) -> Option<&mut Queue> {
        self.queues.get_mut(queue as usize)
    }

    pub(super) fn get(&self, id: WaiterId) -> Option<&Waiter> {
        self.waiters.get(id.index as usize).filter(|waiter| waiter.serial == id.serial)
    }

    pub(super) fn get_mut(&mut self, id: WaiterId) -> Option<&mut Waiter> {
        self.waiters.get_mut(id.index as usize).filter(|waiter| waiter.serial == id.serial)
    }

    pub(super) fn head(&self, queue: u32) -> Option<WaiterId> {
        let index = self.queue(queue)?.head;
        self.waiters.get(index as usize).map(|waiter| WaiterId { index, serial: waiter.serial })
    }

    /// The queue that the waiter stands first in, if it does.
    pub(super) fn queue_with_head(&self, id: WaiterId) -> Option<u32> {
        let queue = self.get(id)?.queue;
        self.queue(queue).filter(|line| line.head == id.index).map(|_| queue)
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = (WaiterId, Ticket)> + '_ {
        self.waiters.iter().map(|(index, waiter)| {
            (WaiterId { index: to_index(index), serial: waiter.serial }, waiter.ticket)
        })
    }

    /// A waiter outside every queue: whoever makes a request. Gives back the key.
    pub(super) fn add(&mut self, now: Moment, request: Request) -> (WaiterId, Key) {
        let Request { ticket, key, owner, ttl, fenced, retry } = request;
        self.last_serial = self.last_serial.wrapping_add(1);
        let serial = self.last_serial;
        let timeout_at = retry.timeout_at(now);
        let index = to_index(self.waiters.insert(Waiter {
            ticket,
            owner,
            ttl,
            fenced,
            delay: retry.delay,
            since: now,
            timeout_at,
            due_at: timeout_at,
            next_chance: now,
            doubtful: false,
            chances: u32::MAX,
            serial,
            queue: NONE,
            previous: NONE,
            next: NONE,
        }));
        (WaiterId { index, serial }, key)
    }

    /// Puts a waiter at the end of the key's queue; tells which queue and whether it was made for it.
    pub(super) fn join(&mut self, id: WaiterId, key: &Key) -> (u32, bool) {
        let (queue, is_new) = match self.by_key.get(key) {
            Some(&queue) => (queue, false),
            None => (self.open(key), true),
        };
        let counts_delays = self.counts_delays;
        if let Some(line) = self.queues.get_mut(queue as usize) {
            line.set_count(line.count + 1);
            let previous = std::mem::replace(&mut line.tail, id.index);
            if previous == NONE {
                line.head = id.index;
            }
            if let Some(waiter) = self.waiters.get_mut(id.index as usize) {
                waiter.queue = queue;
                waiter.previous = previous;
                if counts_delays {
                    *line.delays.entry(waiter.delay).or_insert(0) += 1;
                }
            }
            if let Some(neighbour) = self.waiters.get_mut(previous as usize) {
                neighbour.next = id.index;
            }
        }
        (queue, is_new)
    }

    /// Takes a waiter out, wherever it stands.
    pub(super) fn remove(&mut self, id: WaiterId) -> Option<(Waiter, Option<u32>)> {
        self.get(id)?;
        let waiter = self.waiters.try_remove(id.index as usize)?;
        if self.waiters.is_empty() && self.waiters.capacity() > 1024 {
            self.waiters = Slab::new();
        }
        let Some(line) = self.queues.get_mut(waiter.queue as usize) else {
            return Some((waiter, None));
        };
        line.set_count(line.count - 1);
        if line.head == id.index {
            line.head = waiter.next;
        }
        if line.tail == id.index {
            line.tail = waiter.previous;
        }
        if let Some(count) = line.delays.get_mut(&waiter.delay) {
            *count -= 1;
            if *count == 0 {
                line.delays.remove(&waiter.delay);
            }
        }
        if let Some(neighbour) = self.waiters.get_mut(waiter.previous as usize) {
            neighbour.next = waiter.next;
        }
        if let Some(neighbour) = self.waiters.get_mut(waiter.next as usize) {
            neighbour.previous = waiter.previous;
        }
        let queue = waiter.queue;
        Some((waiter, Some(queue)))
    }

    /// The shortest delay in a polled queue: so often somebody in it has a chance.
    pub(super) fn shortest_delay(&self, queue: u32) -> Option<Duration> {
        self.queue(queue)?.delays.first_key_value().map(|(delay, _)| *delay)
    }

    /// Removes an empty queue that isn't asking; tells its key if it was watched.
    pub(super) fn close(&mut self, queue: u32) -> Option<Queue> {
        self.queue(queue).filter(|line| line.head == NONE && line.phase == Phase::Idle)?;
        let line = self.queues.try_remove(queue as usize)?;
        self.by_key.remove(&line.key);
        Some(line)
    }

    /// A stamp that no queue has borne before.
    pub(super) fn new_stamp(&mut self) -> u32 {
        self.last_stamp = self.last_stamp.wrapping_add(1);
        self.last_stamp
    }

    fn open(&mut self, key: &Key) -> u32 {
        let stamp = self.new_stamp();
        let queue = to_index(self.queues.insert(Queue {
            key: key.clone(),
            phase: Phase::Idle,
            recheck: false,
            last_asked: Moment::START,
            next_try: Moment::NEVER,
            held_until: Moment::NEVER,
            told_end: Moment::NEVER,
            awaits_end: false,
            stamp,
            stands_back: false,
            released_at: None,
            run: 0,
            is_contended: false,
            count: 0,
            shown: None,
            delays: BTreeMap::new(),
            head: NONE,
            tail: NONE,
        }));
        self.by_key.insert(key.clone(), queue);
        queue
    }
}

/// Table places are `u32`: four thousand million waiters would need hundreds of gigabytes before this saturates.
pub(super) fn to_index(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(NONE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Retry;

    fn request(number: u32) -> Request {
        Request {
            ticket: Ticket { tenant: 0, number },
            key: Key::new("k").unwrap(),
            owner: Owner::unnamed(),
            ttl: Ttl::FOREVER,
            fenced: false,
            retry: Retry::ONCE,
        }
    }

    fn lobby_with(count: u32) -> (Lobby, u32, Vec<WaiterId>) {
        let mut lobby = Lobby::new(true);
        let mut queue = 0;
        let ids = (0..count)
            .map(|number| {
                let (id, key) = lobby.add(Moment::START, request(number));
                queue = lobby.join(id, &key).0;
                id
            })
            .collect();
        (lobby, queue, ids)
    }

    #[test]
    fn c8_waiters_leave_from_anywhere_and_the_order_stays() {
        let (mut lobby, queue, ids) = lobby_with(5);
        for gone in [2, 0, 4] {
            assert!(lobby.remove(ids[gone]).is_some());
            assert!(lobby.remove(ids[gone]).is_none(), "an old id names nobody");
        }
        assert_eq!(lobby.head(queue), Some(ids[1]));
        lobby.remove(ids[1]);
        assert_eq!(lobby.head(queue), Some(ids[3]));
        assert!(lobby.close(queue).is_none(), "a queue with a waiter stays");
        lobby.remove(ids[3]);
        assert!(lobby.close(queue).is_some());
        assert!(lobby.is_empty());
    }

    #[test]
    fn an_id_does_not_name_the_next_waiter_in_the_same_place() {
        let (mut lobby, _, ids) = lobby_with(1);
        lobby.remove(ids[0]);
        let (next, _) = lobby.add(Moment::START, request(0));
        assert_eq!(next.index, ids[0].index);
        assert!(lobby.get(ids[0]).is_none());
    }
}
