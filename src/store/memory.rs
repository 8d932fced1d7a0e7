//! Locks in the memory of this process.
//!
//! A table of leases, an index of their places by key, and one of their expiries. Saving, deleting, extending are O(1) (plus
//! amortised O(log n) for the expiry index). An expired lease is as good as none from the very moment it ends; its memory is
//! freed by the next saves (two each) or by [`MemoryStore::sweep`].
//!
//! Each acquisition has a serial that is never used again. Whoever presents place and serial holds the lease; so an
//! owner needs no name until somebody asks for one, and releasing hashes no strings of the caller.
//!
//! The serial of an acquisition that wants a fencing token is that token. There is one counter of tokens for the whole
//! store, and another one for all other serials, which stays below it: a serial tells which of the two it is from.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use slab::Slab;

use super::{Bid, Capability, ImmediateStore, Save};
use crate::clock::{Moment, unix_micros};
use crate::deadline::Deadlines;
use crate::figures::Spans;
use crate::lease::{Holder, Key, Lease, LeaseId, Owner, Token, Ttl};

/// Tables above this many places give memory back when they have become mostly empty.
const SHRINK_ABOVE: usize = 1024;

/// Tokens are no less than this, other serials less: there would have to be a million locks a second for 35 years. Counted
/// in microseconds since the epoch, this was in 2005.
const FIRST_TOKEN: u64 = 1 << 50;

#[derive(Debug)]
struct Entry {
    key: Key,
    owner: Owner,
    serial: u64,
    granted_at: Moment,
    expires_at: Moment,
    tenant: u32,
    /// Whether it is extended for as long as it is held.
    is_kept: bool,
}

/// A store that keeps its locks in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    entries: Slab<Entry>,
    /// Places by the hash of their key: the keys themselves are in the entries alone. Keys may come from users, so hashes are
    /// seeded at random.
    by_key: HashTable<u32>,
    hasher: RandomState,
    expiries: Deadlines<Place>,
    last_serial: u64,
    last_token: u64,
    holds: Spans,
}

/// A lease's identity in the order of the expiry index.
type Place = (u32, u64);

impl MemoryStore {
    /// Whether somebody holds a live lease of the key.
    #[must_use]
    pub fn exists(&self, now: Moment, key: &str) -> bool {
        self.place_of(key).is_some_and(|slot| self.live(now, slot).is_some())
    }

    /// Makes the holder's lease end `ttl` from now. `None` if the claim doesn't hold; an expired lease isn't revived.
    pub fn extend(&mut self, now: Moment, key: &str, holder: &Holder, ttl: Ttl) -> Option<Lease> {
        let slot = self.find(now, key, holder)?;
        Some(self.renew(now, slot, ttl))
    }

    /// As [`extend`](Self::extend), for a lease known by its identity alone.
    pub fn extend_lease(&mut self, now: Moment, id: LeaseId, ttl: Ttl) -> Option<Lease> {
        self.held(now, id)?;
        Some(self.renew(now, id.slot, ttl))
    }

    /// Deletes the lock whoever holds it; tells whether anybody did.
    pub fn force_delete(&mut self, now: Moment, key: &str) -> bool {
        let Some(slot) = self.place_of(key) else {
            return false;
        };
        let was_live = self.live(now, slot).is_some();
        self.remove(now, slot);
        was_live
    }

    /// The lease of the owner with the given name, if it is live.
    #[must_use]
    pub fn lease_of(&self, now: Moment, key: &str, owner: &Owner) -> Option<Lease> {
        let slot = self.find(now, key, &Holder::Owner(owner.clone()))?;
        self.entries.get(slot as usize).map(|entry| entry.lease(slot))
    }

    /// Names the owner of a live lease, so that the name can release it too. Tells whether the lease was live.
    pub fn name_owner(&mut self, now: Moment, id: LeaseId, owner: Owner) -> bool {
        let is_held = self.held(now, id).is_some();
        if is_held && let Some(entry) = self.entries.get_mut(id.slot as usize) {
            entry.owner = owner;
        }
        is_held
    }

    /// Frees up to `limit` expired leases; returns when the next one expires.
    pub fn sweep(&mut self, now: Moment, limit: usize) -> Option<Moment> {
        for _ in 0..limit {
            let entries = &self.entries;
            let Some((slot, _)) = self.expiries.pop_due(now, |at, id| is_live(entries, at, id)) else {
                break;
            };
            self.remove_popped(now, slot);
        }
        self.give_memory_back();
        let entries = &self.entries;
        self.expiries.next(|at, id| is_live(entries, at, id))
    }

    /// Marks a lease as one that is extended for as long as it is held. `None` if the claim doesn't hold.
    pub fn keep_lease(&mut self, now: Moment, id: LeaseId, ttl: Ttl) -> Option<Lease> {
        let lease = self.extend_lease(now, id, ttl)?;
        self.entries.get_mut(id.slot as usize)?.is_kept = true;
        Some(lease)
    }

    /// All leases that were acquired on behalf of `tenant` and wouldn't end without it: those without end, and
    /// those that are kept.
    #[must_use]
    pub fn leases_bound_to(&self, tenant: u32) -> Vec<LeaseId> {
        self.entries
            .iter()
            .filter(|(_, entry)| {
                entry.tenant == tenant && (entry.is_kept || entry.expires_at == Moment::NEVER)
            })
            .map(|(slot, entry)| entry.lease(to_slot(slot)).id)
            .collect()
    }

    /// How many leases are stored, expired ones that haven't been freed included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// How long leases were held that are over: until they were released, freed by force or expired. Those that have expired
    /// count when their memory is freed.
    #[must_use]
    pub fn holds(&self) -> &Spans {
        &self.holds
    }

    /// Whether no lease is stored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn insert(&mut self, now: Moment, key: &Key, Bid { owner, ttl, ticket, fenced }: Bid<'_>) -> Lease {
        let serial = self.next_serial(fenced);
        let expires_at = ttl.expiry_from(now).unwrap_or(Moment::NEVER);
        let entry = Entry {
            key: key.clone(),
            owner: owner.clone(),
            serial,
            granted_at: now,
            expires_at,
            tenant: ticket.tenant,
            is_kept: false,
        };
        let slot = to_slot(self.entries.insert(entry));
        let (entries, hasher) = (&self.entries, &self.hasher);
        let hash = hasher.hash_one(key.as_str());
        self.by_key.insert_unique(hash, slot, |slot| hash_of(entries, hasher, *slot));
        self.expiries.arm(expires_at, (slot, serial));
        lease(LeaseId { slot, serial }, ttl.expiry_from(now))
    }

    fn next_serial(&mut self, fenced: bool) -> u64 {
        if fenced {
            let token = Token::after(Token::new(self.last_token), unix_micros().max(FIRST_TOKEN));
            self.last_token = token.number();
            self.last_token
        } else {
            self.last_serial += 1;
            self.last_serial
        }
    }

    fn renew(&mut self, now: Moment, slot: u32, ttl: Ttl) -> Lease {
        let expires_at = ttl.expiry_from(now).unwrap_or(Moment::NEVER);
        let mut id = LeaseId { slot, serial: 0 };
        if let Some(entry) = self.entries.get_mut(slot as usize) {
            id.serial = entry.serial;
            let before = std::mem::replace(&mut entry.expires_at, expires_at);
            if before != expires_at {
                self.retire(before);
                self.expiries.arm(expires_at, (slot, id.serial));
            }
        }
        lease(id, ttl.expiry_from(now))
    }

    fn remove(&mut self, now: Moment, slot: u32) {
        if let Some(expires_at) = self.remove_popped(now, slot) {
            self.retire(expires_at);
        }
    }

    /// Removes an entry that the expiry index doesn't hold, or no longer.
    fn remove_popped(&mut self, now: Moment, slot: u32) -> Option<Moment> {
        let entry = self.entries.try_remove(slot as usize)?;
        self.holds.record(entry.granted_at, entry.expires_at.min(now));
        if let Ok(found) =
            self.by_key.find_entry(self.hasher.hash_one(entry.key.as_str()), |other| *other == slot)
        {
            found.remove();
        }
        Some(entry.expires_at)
    }

    fn retire(&mut self, expires_at: Moment) {
        if expires_at != Moment::NEVER {
            let entries = &self.entries;
            self.expiries.retire(|at, id| is_live(entries, at, id));
        }
    }

    /// Where the lease of a key is, be it live or expired.
    fn place_of(&self, key: &str) -> Option<u32> {
        let is_it =
            |slot: &u32| self.entries.get(*slot as usize).is_some_and(|entry| entry.key.as_str() == key);
        self.by_key.find(self.hasher.hash_one(key), is_it).copied()
    }

    fn live(&self, now: Moment, slot: u32) -> Option<&Entry> {
        self.entries.get(slot as usize).filter(|entry| entry.expires_at > now)
    }

    fn held(&self, now: Moment, id: LeaseId) -> Option<&Entry> {
        self.live(now, id.slot).filter(|entry| entry.serial == id.serial)
    }

    /// The place of the lease that `holder` holds. An unnamed owner holds nothing by name.
    fn find(&self, now: Moment, key: &str, holder: &Holder) -> Option<u32> {
        match holder {
            Holder::Lease(id) => {
                self.held(now, *id).filter(|entry| entry.key.as_str() == key).map(|_| id.slot)
            }
            Holder::Owner(owner) => {
                let slot = self.place_of(key)?;
                let entry = self.live(now, slot)?;
                (owner.name().is_some() && entry.owner == *owner).then_some(slot)
            }
        }
    }

    fn give_memory_back(&mut self) {
        if self.entries.is_empty() {
            if self.entries.capacity() > SHRINK_ABOVE {
                self.entries = Slab::new();
                self.by_key = HashTable::new();
                self.expiries.clear();
            }
        } else if self.by_key.capacity() > SHRINK_ABOVE && self.by_key.len() * 4 < self.by_key.capacity() {
            self.entries.shrink_to_fit();
            let (entries, hasher) = (&self.entries, &self.hasher);
            self.by_key.shrink_to_fit(|slot| hash_of(entries, hasher, *slot));
        }
    }
}

impl ImmediateStore for MemoryStore {
    /// Nothing happens to a lock in memory that its engine doesn't see, so nothing is ever polled.
    fn capability(&self) -> Capability {
        Capability {
            polls: false,
            tells_expiry: true,
            hand_over: Some(std::num::NonZeroU32::MAX),
            watches: false,
        }
    }

    fn save(&mut self, now: Moment, key: &Key, bid: Bid<'_>) -> Save {
        if let Some(slot) = self.place_of(key.as_str()) {
            match self.live(now, slot) {
                Some(entry) => {
                    return Save::Held { until: entry.expiry() };
                }
                None => self.remove(now, slot),
            }
        }
        let entries = &self.entries;
        if let Some((slot, _)) = self.expiries.pop_due(now, |at, id| is_live(entries, at, id)) {
            self.remove_popped(now, slot);
        }
        Save::Acquired(self.insert(now, key, bid))
    }

    fn hand_over(
        &mut self,
        now: Moment,
        key: &Key,
        from: &Holder,
        Bid { owner, ttl, ticket, fenced }: Bid<'_>,
    ) -> Option<Lease> {
        let slot = self.find(now, key.as_str(), from)?;
        let serial = self.next_serial(fenced);
        let entry = self.entries.get_mut(slot as usize)?;
        let before = entry.expires_at;
        self.holds.record(entry.granted_at, now);
        entry.granted_at = now;
        entry.serial = serial;
        entry.owner = owner.clone();
        entry.tenant = ticket.tenant;
        entry.is_kept = false;
        entry.expires_at = ttl.expiry_from(now).unwrap_or(Moment::NEVER);
        let lease = entry.lease(slot);
        let expires_at = entry.expires_at;
        self.retire(before);
        self.expiries.arm(expires_at, (slot, serial));
        Some(lease)
    }

    fn delete(&mut self, now: Moment, key: &Key, holder: &Holder) -> bool {
        let Some(slot) = self.find(now, key.as_str(), holder) else {
            return false;
        };
        self.remove(now, slot);
        true
    }

    fn key_of(&self, now: Moment, id: LeaseId) -> Option<&Key> {
        self.held(now, id).map(|entry| &entry.key)
    }

    fn delete_lease(&mut self, now: Moment, id: LeaseId) -> bool {
        let is_held = self.held(now, id).is_some();
        if is_held {
            self.remove(now, id.slot);
        }
        is_held
    }
}

impl Entry {
    fn expiry(&self) -> Option<Moment> {
        (self.expires_at != Moment::NEVER).then_some(self.expires_at)
    }

    fn lease(&self, slot: u32) -> Lease {
        lease(LeaseId { slot, serial: self.serial }, self.expiry())
    }
}

fn lease(id: LeaseId, expires_at: Option<Moment>) -> Lease {
    let token = if id.serial < FIRST_TOKEN { None } else { Token::new(id.serial) };
    Lease { id, expires_at, token }
}

/// What the place of a stored lease is found by.
fn hash_of(entries: &Slab<Entry>, hasher: &RandomState, slot: u32) -> u64 {
    entries.get(slot as usize).map_or(0, |entry| hasher.hash_one(entry.key.as_str()))
}

/// Whether an entry of the expiry index still speaks of a stored lease (expired or not).
fn is_live(entries: &Slab<Entry>, at: Moment, (slot, serial): Place) -> bool {
    entries.get(slot as usize).is_some_and(|entry| entry.serial == serial && entry.expires_at == at)
}

/// Slots are `u32`: four thousand million leases would need hundreds of gigabytes before this saturates.
fn to_slot(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
