//! What others do to the store, and what comes of it.

use loquet::lease::{Key, Owner, Ttl};
use loquet::store::served::{claim, perform};
use loquet::store::{Answer, Command};

use super::World;

impl World {
    pub fn force(&mut self, key: &Key) {
        for person in &self.people {
            if person.key == *key && self.store.lease_of(self.now, key.as_str(), &person.owner).is_some() {
                self.forced.insert(person.owner.clone());
            }
        }
        self.beliefs.retain(|belief| belief.key != *key);
        self.foreigners.retain(|(other, _)| other != key);
        self.store.force_delete(self.now, key.as_str());
        self.machine.woken(self.now, key.as_str(), &mut self.effects);
        self.settle_effects();
    }

    pub fn take_as_foreigner(&mut self, key: Key, ttl: Ttl) {
        if !self.allows_foreigners() {
            return;
        }
        self.last_ticket += 1;
        let owner = Owner::named(&format!("foreigner-{}", self.last_ticket));
        if let Answer::Acquired(_) = perform(
            &mut self.store,
            self.now,
            &Command::Save { key: key.clone(), owner: owner.clone(), ttl, fenced: false, waits: false },
        ) {
            self.foreigners.push((key, owner));
        }
    }

    pub fn release_as_foreigner(&mut self, choice: usize) {
        if self.foreigners.is_empty() {
            return;
        }
        let (key, owner) = self.foreigners.swap_remove(choice % self.foreigners.len());
        let answer =
            perform(&mut self.store, self.now, &Command::Delete { key: key.clone(), holder: claim(&owner) });
        self.note_freed(&key, &answer);
    }

    pub(super) fn note_freed(&mut self, key: &Key, answer: &Answer) {
        if *answer == Answer::Done && self.watched.contains(key) {
            self.wakes.push(key.clone());
        }
    }

    /// A wake-up for nothing.
    pub fn wake(&mut self, key: &Key) {
        self.machine.woken(self.now, key.as_str(), &mut self.effects);
        self.settle_effects();
    }

    pub fn deliver_wakes(&mut self) {
        for key in std::mem::take(&mut self.wakes) {
            self.wake(&key);
        }
    }
}
