//! What every lock store must do, as one suite that runs against each of them.
//!
//! A [`Subject`] is a store under test together with a way to let its time pass. [`check`] runs every rule, each on keys
//! of its own, so that a shared server may be tested while others use it.

use std::time::Duration;

use super::served::claim;
use super::{Answer, Capability, Command};
use crate::clock::Moment;
use crate::lease::{Holder, Key, Lease, Owner, Ttl};

mod fencing;
mod subject;
#[cfg(test)]
mod tests;

pub use subject::{Immediate, Later, Subject};

/// How long a lease of the suite lasts, in milliseconds, as long as the machine is fast enough to look at it meanwhile.
const SHORT: u64 = 300;
/// The longest that such a lease becomes, in milliseconds.
const LONGEST: u64 = 64 * SHORT;
/// How far from the end of a lease the suite looks: a server's clock and ours don't agree to the millisecond.
const MARGIN: u64 = 50;

/// Runs every rule. `prefix` keeps the suite's keys apart from everybody else's.
///
/// # Panics
/// Where the store breaks a rule, naming the rule.
pub async fn check(subject: &mut dyn Subject, prefix: &str) {
    let mut suite = Suite { subject, prefix, owners: 0, span: SHORT };
    suite.excludes().await;
    suite.ends_leases_at_their_expiry().await;
    suite.checks_who_deletes().await;
    suite.checks_who_extends().await;
    suite.does_not_revive().await;
    suite.extends_from_now().await;
    suite.deletes_by_force().await;
    suite.confirms_the_owner_only().await;
    suite.takes_any_text().await;
    suite.answers_a_batch_in_order().await;
    suite.fences().await;
    suite.fences_in_batches().await;
    if suite.subject.capability().hand_over.is_some() {
        suite.hands_over().await;
        suite.fences_hand_overs().await;
    }
}

struct Suite<'a> {
    subject: &'a mut dyn Subject,
    prefix: &'a str,
    owners: u32,
    /// How long a short lease lasts, in milliseconds.
    span: u64,
}

impl Suite<'_> {
    async fn excludes(&mut self) {
        let (key, first, second) = self.case("excludes");
        assert!(!self.exists(&key).await, "a key that nobody locked exists");
        let lease = self.acquire(&key, &first, Ttl::FOREVER).await;
        assert_eq!(lease.expires_at, None, "a lease without end ends");
        assert!(self.exists(&key).await, "a locked key doesn't exist");
        self.refuse(&key, &second).await;
        self.refuse(&key, &first).await; // not re-entrant
        assert_eq!(self.delete(&key, &first).await, Answer::Done);
        assert!(!self.exists(&key).await, "a released key exists");
        self.acquire(&key, &second, Ttl::FOREVER).await;
        assert_eq!(self.delete(&key, &second).await, Answer::Done);
    }

    async fn ends_leases_at_their_expiry(&mut self) {
        let (key, first, second) = self.case("expiry");
        while self.lasts(&key, &first, &second).await.is_none() {
            self.look_longer(&key).await;
        }
        self.pass_rest().await;
        assert!(!self.exists(&key).await, "an expired lease exists");
        assert_eq!(self.delete(&key, &first).await, Answer::NotOwned, "an expired lease can be released");
        self.acquire(&key, &second, Ttl::FOREVER).await;
        assert_eq!(
            self.delete(&key, &first).await,
            Answer::NotOwned,
            "the old owner releases the new one's lock"
        );
        assert_eq!(self.delete(&key, &second).await, Answer::Done);
    }

    /// A lease lasts to its end. Nothing where the machine was too slow to tell.
    async fn lasts(&mut self, key: &Key, owner: &Owner, stranger: &Owner) -> Option<()> {
        let start = self.subject.now();
        let lease = self.acquire(key, owner, self.short()).await;
        assert!(lease.expires_at.is_some(), "a lease with an end doesn't end");
        let held = self.one(save(key, stranger, self.short())).await;
        self.was_in_time(start)?;
        let Capability { tells_expiry, watches, .. } = self.subject.capability();
        if tells_expiry && !watches {
            assert!(matches!(held, Answer::Held { until: Some(_) }), "the end isn't told: {held:?}");
        }
        self.refuses_to_the_end(start, key, stranger).await
    }

    async fn checks_who_deletes(&mut self) {
        let (key, owner, stranger) = self.case("delete");
        assert_eq!(self.delete(&key, &owner).await, Answer::NotOwned);
        self.acquire(&key, &owner, Ttl::FOREVER).await;
        assert_eq!(self.delete(&key, &stranger).await, Answer::NotOwned);
        self.refuse(&key, &stranger).await;
        assert_eq!(self.delete(&key, &owner).await, Answer::Done);
        assert_eq!(self.delete(&key, &owner).await, Answer::NotOwned);
    }

    async fn checks_who_extends(&mut self) {
        let (key, owner, stranger) = self.case("extend");
        assert_eq!(self.extend(&key, &owner, self.short()).await, Answer::NotOwned);
        self.acquire(&key, &owner, Ttl::FOREVER).await;
        assert_eq!(self.extend(&key, &stranger, self.short()).await, Answer::NotOwned);
        let extended = self.extend(&key, &owner, self.short()).await;
        assert!(matches!(extended, Answer::Acquired(Lease { expires_at: Some(_), .. })), "{extended:?}");
        self.pass_end().await;
        assert!(!self.exists(&key).await, "an extension that shortened the lease had no effect");
    }

    async fn does_not_revive(&mut self) {
        let (key, owner, other) = self.case("revive");
        self.acquire(&key, &owner, self.short()).await;
        self.pass_end().await;
        assert_eq!(self.extend(&key, &owner, Ttl::FOREVER).await, Answer::NotOwned);
        assert!(!self.exists(&key).await, "an extension revived an expired lease");
        self.acquire(&key, &other, Ttl::FOREVER).await;
        assert_eq!(self.extend(&key, &owner, Ttl::FOREVER).await, Answer::NotOwned);
        assert_eq!(self.delete(&key, &other).await, Answer::Done);
    }

    async fn extends_from_now(&mut self) {
        let (key, owner, other) = self.case("extend-from-now");
        while self.lasts_anew(&key, &owner, &other).await.is_none() {
            self.look_longer(&key).await;
        }
        assert_eq!(self.delete(&key, &owner).await, Answer::Done);
    }

    /// An extended lease lasts for its new TTL. Nothing where the machine was too slow to tell.
    async fn lasts_anew(&mut self, key: &Key, owner: &Owner, stranger: &Owner) -> Option<()> {
        let start = self.subject.now();
        self.acquire(key, owner, self.short()).await;
        self.pass(self.span / 3 * 2).await;
        let again = self.subject.now();
        let extended = self.extend(key, owner, self.short()).await;
        self.was_in_time(start)?;
        assert!(matches!(extended, Answer::Acquired(_)), "{extended:?}");
        self.refuses_to_the_end(again, key, stranger).await
    }

    async fn deletes_by_force(&mut self) {
        let (key, owner, other) = self.case("force");
        let force = Command::ForceDelete { key: key.clone() };
        assert_eq!(self.one(force.clone()).await, Answer::Done, "freeing a free lock fails");
        self.acquire(&key, &owner, Ttl::FOREVER).await;
        assert_eq!(self.one(force).await, Answer::Done);
        assert!(!self.exists(&key).await);
        assert_eq!(self.delete(&key, &owner).await, Answer::NotOwned);
        assert_eq!(self.extend(&key, &owner, self.short()).await, Answer::NotOwned);
        self.acquire(&key, &other, Ttl::FOREVER).await;
        assert_eq!(self.delete(&key, &other).await, Answer::Done);
    }

    async fn confirms_the_owner_only(&mut self) {
        let (key, owner, other) = self.case("confirm");
        let confirm =
            |owner: &Owner| Command::Confirm { key: key.clone(), owner: owner.clone(), fenced: false };
        assert_eq!(self.one(confirm(&owner)).await, Answer::NotOwned);
        self.acquire(&key, &owner, Ttl::FOREVER).await;
        assert!(matches!(self.one(confirm(&owner)).await, Answer::Acquired(_)));
        assert_eq!(self.one(confirm(&other)).await, Answer::NotOwned);
        assert_eq!(self.delete(&key, &owner).await, Answer::Done);
        assert_eq!(self.one(confirm(&owner)).await, Answer::NotOwned);
    }

    async fn takes_any_text(&mut self) {
        let long = "long".repeat(200);
        let texts =
            [" ", "a b", "a:b", "{a}b", "'; DROP TABLE locks; --", "\"\\%_*?[]", "ключ", "\u{1F512}", &long];
        let mut owners = Vec::new();
        let mut keys = Vec::new();
        for text in texts {
            let Ok(key) = Key::new(&format!("{}any-text:{text}", self.prefix)) else {
                continue;
            };
            let owner = self.owner();
            self.acquire(&key, &owner, Ttl::FOREVER).await;
            keys.push(key);
            owners.push(owner);
        }
        for (key, owner) in keys.iter().zip(&owners) {
            assert_eq!(self.delete(key, owner).await, Answer::Done, "{key:?} isn't its own lock");
        }
    }

    async fn answers_a_batch_in_order(&mut self) {
        let (key, owner, other) = self.case("batch");
        let (second, ..) = self.case("batch-2");
        let answers = self
            .all(vec![
                save(&key, &owner, Ttl::FOREVER),
                save(&key, &other, Ttl::FOREVER),
                Command::Delete { key: second.clone(), holder: claim(&owner) },
                save(&second, &other, Ttl::FOREVER),
                Command::Exists { key: key.clone() },
                Command::Delete { key: key.clone(), holder: claim(&owner) },
                Command::Exists { key: key.clone() },
                Command::Delete { key: second, holder: claim(&other) },
            ])
            .await;
        let words: Vec<_> = answers.iter().map(word).collect();
        let expected = ["acquired", "held", "not owned", "acquired", "exists", "done", "exists not", "done"];
        assert_eq!(words, expected, "a batch isn't answered in order, or one answer spoils its neighbours");
        assert!(self.all(Vec::new()).await.is_empty(), "an empty batch has answers");
    }

    async fn hands_over(&mut self) {
        let (key, from, to) = self.case("hand-over");
        let hand_over = |from: &Owner, to: &Owner, ttl| Command::HandOver {
            key: key.clone(),
            from: claim(from),
            to: to.clone(),
            ttl,
            fenced: false,
        };
        assert_eq!(
            self.one(hand_over(&from, &to, self.short())).await,
            Answer::NotOwned,
            "a free lock was handed over"
        );
        assert!(!self.exists(&key).await);
        self.acquire(&key, &from, Ttl::FOREVER).await;
        assert_eq!(
            self.one(hand_over(&to, &from, self.short())).await,
            Answer::NotOwned,
            "a stranger handed it over"
        );
        loop {
            let start = self.subject.now();
            let moved = self.one(hand_over(&from, &to, self.short())).await;
            assert!(matches!(moved, Answer::Acquired(Lease { expires_at: Some(_), .. })), "{moved:?}");
            assert_eq!(
                self.delete(&key, &from).await,
                Answer::NotOwned,
                "the old owner releases the new one's lock"
            );
            assert_eq!(self.extend(&key, &from, self.short()).await, Answer::NotOwned);
            if self.refuses_to_the_end(start, &key, &from).await.is_some() {
                break;
            }
            self.look_longer(&key).await;
            self.acquire(&key, &from, Ttl::FOREVER).await;
        }
        self.pass_rest().await;
        assert!(!self.exists(&key).await, "a lease that was handed over keeps the old end");
        assert_eq!(
            self.one(hand_over(&to, &from, self.short())).await,
            Answer::NotOwned,
            "an expired lease handed over"
        );
    }

    /// A lease that began after `start` is respected until shortly before its end. Nothing where the machine was too slow
    /// to tell.
    async fn refuses_to_the_end(&mut self, start: Moment, key: &Key, stranger: &Owner) -> Option<()> {
        self.pass(self.span / 3 * 2).await;
        let answer = self.one(save(key, stranger, Ttl::FOREVER)).await;
        self.was_in_time(start)?;
        assert!(matches!(answer, Answer::Held { .. }), "{key:?} is held but was given away: {answer:?}");
        Some(())
    }

    /// Whether a lease that began after `start` was still to be respected when the last answer came. If it wasn't, the
    /// answer says nothing about the store.
    fn was_in_time(&self, start: Moment) -> Option<()> {
        let passed = self.subject.now().since(start);
        (passed < Duration::from_millis(self.span - MARGIN)).then_some(())
    }

    /// Makes leases longer, for a machine that is too slow for short ones, and frees the lock of the rule, which begins anew.
    async fn look_longer(&mut self, key: &Key) {
        self.span *= 2;
        assert!(self.span <= LONGEST, "the machine is too slow to look at {key:?} within {LONGEST} ms");
        assert_eq!(self.one(Command::ForceDelete { key: key.clone() }).await, Answer::Done);
    }

    fn short(&self) -> Ttl {
        Ttl::from_millis(self.span).unwrap_or(Ttl::FOREVER)
    }

    /// Lets time pass until a lease has ended that was looked at shortly before.
    async fn pass_rest(&mut self) {
        self.pass(self.span / 3 + 2 * MARGIN).await;
    }

    /// Lets time pass until the short leases have ended that exist.
    async fn pass_end(&mut self) {
        self.pass(self.span + 2 * MARGIN).await;
    }

    /// A key and two owners that nobody else uses.
    fn case(&mut self, name: &str) -> (Key, Owner, Owner) {
        let key = Key::new(&format!("{}{name}", self.prefix));
        assert!(key.is_ok(), "{key:?}");
        let key = key.unwrap_or_else(|_| unreachable!("checked above"));
        (key, self.owner(), self.owner())
    }

    fn owner(&mut self) -> Owner {
        self.owners += 1;
        Owner::named(&format!("{}owner-{}", self.prefix, self.owners))
    }

    async fn pass(&mut self, millis: u64) {
        self.subject.pass(Duration::from_millis(millis)).await;
    }

    async fn all(&mut self, batch: Vec<Command>) -> Vec<Answer> {
        let commands = batch.len();
        let replies = self.subject.execute(batch).await;
        assert_eq!(replies.len(), commands, "a command has no answer, or two");
        let failed = replies.iter().find_map(|reply| reply.as_ref().err());
        assert!(failed.is_none(), "{failed:?}");
        replies.into_iter().flatten().collect()
    }

    async fn one(&mut self, command: Command) -> Answer {
        self.all(vec![command]).await.remove(0)
    }

    async fn acquire(&mut self, key: &Key, owner: &Owner, ttl: Ttl) -> Lease {
        let answer = self.one(save(key, owner, ttl)).await;
        assert!(matches!(answer, Answer::Acquired(_)), "{key:?} is free but was refused: {answer:?}");
        if let Answer::Acquired(lease) = answer { lease } else { unreachable!("checked above") }
    }

    async fn refuse(&mut self, key: &Key, owner: &Owner) {
        let answer = self.one(save(key, owner, Ttl::FOREVER)).await;
        assert!(matches!(answer, Answer::Held { .. }), "{key:?} is held but was given away: {answer:?}");
    }

    async fn exists(&mut self, key: &Key) -> bool {
        self.one(Command::Exists { key: key.clone() }).await == Answer::Exists(true)
    }

    async fn delete(&mut self, key: &Key, owner: &Owner) -> Answer {
        self.one(Command::Delete { key: key.clone(), holder: Holder::Owner(owner.clone()) }).await
    }

    async fn extend(&mut self, key: &Key, owner: &Owner, ttl: Ttl) -> Answer {
        self.one(Command::Extend { key: key.clone(), holder: Holder::Owner(owner.clone()), ttl }).await
    }
}

fn save(key: &Key, owner: &Owner, ttl: Ttl) -> Command {
    Command::Save { key: key.clone(), owner: owner.clone(), ttl, fenced: false, waits: false }
}

fn word(answer: &Answer) -> &'static str {
    match answer {
        Answer::Acquired(_) => "acquired",
        Answer::Held { .. } => "held",
        Answer::NotOwned => "not owned",
        Answer::Done => "done",
        Answer::Exists(true) => "exists",
        Answer::Exists(false) => "exists not",
    }
}
