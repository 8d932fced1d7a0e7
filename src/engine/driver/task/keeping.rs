//! Leases that are kept: what the [keeper](crate::engine::keeper) wants, and what comes of it.

use super::super::super::keeper::{Extended, Extension, KeptId};
use super::super::super::machine::Outcome;
use super::super::super::op::dated;
use super::super::crossings::bounded;
use super::super::outbox::Sender;
use super::super::{Asker, Claim};
use super::Task;
use crate::clock::Moment;
use crate::lease::{Holder, Key, Owner, Ttl};
use crate::store::{Answer, Command, Reply};

impl Task {
    /// Before anybody is told of the grant: however busy the holder's thread is, its lease is extended from now on.
    pub(super) fn begin_keeping(&mut self, now: Moment, claim: &Claim, outcome: &Outcome) {
        if let (Outcome::Acquired(lease), Some(leash)) = (outcome, &claim.leash) {
            self.keeper.keep(now, &claim.key, &claim.owner, claim.ttl, lease.expires_at, leash.clone());
        }
    }

    /// Asks for the extensions that are due, and tells of leases that are over.
    pub(super) fn keep(&mut self, now: Moment) {
        if self.keeper.is_empty() {
            return;
        }
        let outlet = &self.outlet;
        let found = self.keeper.tick(now, |tenant| outlet.last_turn(tenant));
        for extension in found.extensions {
            let Extension { id, key, owner, ttl } = extension;
            let number = self.crossings.begin(now, &key, &owner, ttl);
            let sender =
                Sender::Keep { id, key: key.clone(), owner: owner.clone(), ttl, issued: now, number };
            let holder = Holder::Owner(owner);
            self.outbox.put(now, sender, Command::Extend { key, holder, ttl });
        }
        for leash in found.lost {
            self.outlet.lost(&leash);
        }
    }

    /// An extension by hand is to be sent.
    pub(super) fn extend_by_hand(
        &mut self,
        now: Moment,
        key: &Key,
        owner: &Owner,
        ttl: Ttl,
        asker: Asker<Reply>,
    ) -> Sender {
        self.keeper.extending_by_hand(now, key, owner, ttl);
        let number = self.crossings.begin(now, key, owner, ttl);
        Sender::Extend { key: key.clone(), owner: owner.clone(), ttl, issued: now, number, asker }
    }

    /// An extension has been answered.
    pub(super) fn extended(&mut self, now: Moment, extension: Sender, mut reply: Reply) {
        match extension {
            Sender::Extend { key, owner, ttl, issued, number, asker } => {
                if let Ok(Answer::Acquired(lease)) = &mut reply {
                    *lease = dated(*lease, issued, ttl);
                }
                // The keeper knows by itself what has crossed, and makes good what the holder wanted.
                self.keeper.extended_by_hand(now, &key, &owner, issued, outcome_of(&reply));
                let sure = self.crossings.end(&key, &owner, number);
                if let Ok(Answer::Acquired(lease)) = &mut reply {
                    *lease = bounded(*lease, sure);
                    self.machine.extended(key.as_str(), lease.expires_at);
                    self.board.extended(&key, &owner, lease.expires_at);
                } else if matches!(reply, Ok(Answer::NotOwned)) {
                    self.board.released(now, &key, &owner);
                }
                self.answer(asker, reply);
            }
            Sender::Keep { id, key, owner, ttl, issued, number } => {
                self.crossings.end(&key, &owner, number);
                match self.kept(now, id, &key, (ttl, issued), reply) {
                    Extended::Until(end) => self.board.extended(&key, &owner, Some(end)),
                    Extended::NotOwned => self.board.released(now, &key, &owner),
                    Extended::Failed => {}
                }
            }
            _ => {} // nothing else is an extension
        }
    }

    /// An extension that the keeper has wanted has been answered: how it ended.
    fn kept(
        &mut self,
        now: Moment,
        id: KeptId,
        key: &Key,
        (ttl, issued): (Ttl, Moment),
        mut reply: Reply,
    ) -> Extended {
        if let Ok(Answer::Acquired(lease)) = &mut reply {
            *lease = dated(*lease, issued, ttl);
            // One that was released meanwhile tells nothing of whoever has the lock by now.
            if self.keeper.is_kept(id) {
                self.machine.extended(key.as_str(), lease.expires_at);
            }
        }
        let outcome = outcome_of(&reply);
        if let Some(leash) = self.keeper.extended(now, id, issued, outcome) {
            self.outlet.lost(&leash);
        }
        outcome
    }
}

/// What the answer to an extension means, once it is dated.
fn outcome_of(reply: &Reply) -> Extended {
    match reply {
        Ok(Answer::Acquired(lease)) => Extended::Until(lease.expires_at.unwrap_or(Moment::NEVER)),
        Ok(Answer::NotOwned) => Extended::NotOwned,
        _ => Extended::Failed,
    }
}
