//! Single rules of the machine, each in the smallest schedule that shows it.
#![cfg(feature = "testing")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test stops at the first surprise

use std::num::NonZeroU32;
use std::time::Duration;

use loquet::clock::Moment;
use loquet::engine::machine::{OpId, TURN};
use loquet::engine::{Effect, Effects, Machine, Outcome, Request, Retry, WaiterId};
use loquet::error::{Error, ErrorKind, Result};
use loquet::lease::{Holder, Key, Lease, Owner, Ticket, Ttl};
use loquet::store::{Capability, Save};

const POLLED: Capability =
    Capability { polls: true, tells_expiry: true, hand_over: NonZeroU32::new(2), watches: true };
const WAIT: Retry = Retry { attempts: None, delay: Duration::from_millis(100), timeout: None };
const HELD: Result<Save> = Ok(Save::Held { until: None });
const FREE: Result<Save> = Ok(Save::Acquired(LEASE));
const LEASE: Lease =
    Lease { id: loquet::lease::LeaseId { slot: 0, serial: 0 }, expires_at: None, token: None };

fn at(millis: u64) -> Moment {
    Moment::START + Duration::from_millis(millis)
}

fn uncertain() -> Error {
    Error::new(ErrorKind::Uncertain, "test", "save", "reply lost")
}

fn key() -> Key {
    Key::new("k").unwrap()
}

fn owner(number: u32) -> Owner {
    Owner::named(&format!("owner-{number}"))
}

fn request(number: u32, retry: Retry) -> Request {
    Request {
        ticket: Ticket { tenant: 0, number },
        key: key(),
        owner: owner(number),
        ttl: Ttl::FOREVER,
        fenced: false,
        retry,
    }
}

/// A machine whose effects are read one by one.
struct Bench {
    machine: Machine,
    effects: Effects,
}

impl Bench {
    fn new(capability: Capability) -> Self {
        Self { machine: Machine::new(capability), effects: Effects::new() }
    }

    fn acquire(&mut self, now: Moment, number: u32, retry: Retry) -> WaiterId {
        self.machine.acquire(now, request(number, retry), &mut self.effects)
    }

    fn tick(&mut self, now: Moment) {
        self.machine.tick(now, &mut self.effects);
    }

    /// The only effect there is.
    fn only(&mut self) -> Effect {
        let effect = self.effects.pop_front().expect("an effect");
        assert!(self.effects.is_empty(), "{effect:?} and {:?}", self.effects);
        effect
    }

    fn save(&mut self) -> OpId {
        match self.only() {
            Effect::Save { op, .. } => op,
            other => panic!("not a save: {other:?}"),
        }
    }

    /// Answers the save that is the only effect.
    fn answer_save(&mut self, now: Moment, reply: Result<Save>) {
        let op = self.save();
        self.machine.saved(now, op, reply, &mut self.effects);
    }

    fn nothing(&mut self) {
        self.effects.retain(|effect| !matches!(effect, Effect::Watch { .. }));
        assert!(self.effects.is_empty(), "{:?}", self.effects);
    }

    fn settled(&mut self) -> (u32, Outcome) {
        self.effects.retain(|effect| !matches!(effect, Effect::Watch { .. }));
        match self.effects.pop_front() {
            Some(Effect::Settle { ticket, outcome, .. }) => (ticket.number, outcome),
            other => panic!("not a settlement: {other:?}"),
        }
    }
}

#[test]
fn c10_a_lone_waiter_on_a_polled_store_makes_exactly_n_saves_spaced_by_its_delay() {
    for latency in [0, 1, 30] {
        for attempts in 2..7 {
            let mut bench = Bench::new(Capability { watches: false, ..POLLED });
            let retry = Retry { attempts: NonZeroU32::new(attempts), ..WAIT };
            bench.acquire(at(0), 1, retry);
            let mut now = at(0);
            for attempt in 1..=attempts {
                now = now + Duration::from_millis(latency);
                bench.answer_save(now, HELD);
                if attempt < attempts {
                    bench.nothing();
                    let next = bench.machine.next_deadline().unwrap();
                    assert_eq!(next.since(now), WAIT.delay);
                    now = next;
                    bench.tick(now);
                }
            }
            assert!(matches!(bench.settled(), (1, Outcome::Refused)));
            bench.nothing();
            assert!(bench.machine.next_deadline().is_none() && bench.machine.is_idle());
        }
    }
}

#[test]
fn c10_a_refusal_before_the_wait_is_one_of_the_chances() {
    let mut bench = Bench::new(Capability { watches: false, ..POLLED });
    let retry = Retry { attempts: NonZeroU32::new(3), ..WAIT };
    bench.machine.wait(at(0), request(1, retry), None, &mut bench.effects);
    bench.nothing();
    bench.tick(at(100));
    bench.answer_save(at(100), HELD);
    bench.nothing();
    bench.tick(at(200));
    bench.answer_save(at(200), HELD);
    assert!(matches!(bench.settled(), (1, Outcome::Refused)));
    bench.nothing();
}

#[test]
fn after_a_run_of_hand_overs_others_get_their_turn_even_if_the_own_release_wakes() {
    let mut bench = Bench::new(POLLED);
    bench.acquire(at(0), 0, WAIT);
    bench.answer_save(at(0), FREE);
    assert!(matches!(bench.settled(), (0, Outcome::Acquired(_))));
    for number in 1..5 {
        bench.acquire(at(1), number, WAIT);
        if number == 1 {
            bench.answer_save(at(1), HELD);
        }
        bench.nothing();
    }
    for number in 0..2 {
        let (release, holder) = (Ticket { tenant: 9, number }, Holder::Owner(owner(number)));
        bench.machine.release(at(2), release, &key(), holder, &mut bench.effects);
        let Effect::HandOver { op, to, .. } = bench.only() else { panic!("no hand-over") };
        assert_eq!(to, owner(number + 1));
        bench.machine.handed_over(at(2), op, Ok(Some(LEASE)), &mut bench.effects);
        assert!(matches!(bench.settled(), (_, Outcome::Released)));
        assert!(matches!(bench.settled(), (granted, Outcome::Acquired(_)) if granted == number + 1));
    }
    let (release, holder) = (Ticket { tenant: 9, number: 9 }, Holder::Owner(owner(2)));
    bench.machine.release(at(3), release, &key(), holder, &mut bench.effects);
    let Effect::Delete { op, .. } = bench.only() else { panic!("the run goes on") };
    bench.machine.deleted(at(3), op, Ok(true), &mut bench.effects);
    assert!(matches!(bench.settled(), (9, Outcome::Released)));
    bench.machine.woken(at(3), "k", &mut bench.effects);
    bench.nothing();
    bench.acquire(at(200), 5, WAIT); // long after the last answer: a first chance that would be a save
    bench.nothing();
    assert_eq!(bench.machine.next_deadline(), Some(at(3) + TURN));
    bench.tick(at(3) + TURN);
    bench.save();
}

#[test]
fn what_the_next_in_line_fails_by_is_not_what_the_holder_fails_by() {
    for is_out_of_time in [false, true] {
        let mut bench = Bench::new(POLLED);
        bench.acquire(at(0), 0, WAIT);
        bench.answer_save(at(0), FREE);
        bench.settled();
        bench.acquire(at(1), 1, WAIT);
        bench.answer_save(at(1), HELD);
        bench.nothing();
        let (release, holder) = (Ticket { tenant: 9, number: 9 }, Holder::Owner(owner(0)));
        bench.machine.release(at(2), release, &key(), holder.clone(), &mut bench.effects);
        let Effect::HandOver { op, .. } = bench.only() else { panic!("no hand-over") };
        let error = Error::new(ErrorKind::Storage, "test", "hand over", "no table for its token");
        if is_out_of_time {
            // The store has taken its time already: the holder needn't wait once more.
            bench.machine.handed_over(at(3), op, Err(error.out_of_time()), &mut bench.effects);
            assert!(matches!(bench.settled(), (9, Outcome::Failed(_))));
            continue;
        }
        bench.machine.handed_over(at(3), op, Err(error), &mut bench.effects);
        let Effect::Delete { op, holder: from, .. } = bench.only() else { panic!("not released") };
        assert_eq!(from, holder);
        bench.machine.deleted(at(4), op, Ok(true), &mut bench.effects);
        assert!(matches!(bench.settled(), (9, Outcome::Released)));
        bench.answer_save(at(5), FREE);
        assert!(matches!(bench.settled(), (1, Outcome::Acquired(_))));
    }
}

#[test]
fn c13_a_hand_over_that_comes_to_nothing_leaves_no_line_behind_when_the_next_has_left() {
    let failed = || Err(Error::new(ErrorKind::Storage, "test", "hand over", "no table for its token"));
    for (reply, was_live) in [(failed(), true), (failed(), false), (Err(uncertain()), false)] {
        let mut bench = Bench::new(POLLED);
        let waiter = bench.acquire(at(1), 1, WAIT);
        bench.answer_save(at(1), HELD);
        bench.nothing();
        let (release, holder) = (Ticket { tenant: 9, number: 9 }, Holder::Owner(owner(0)));
        bench.machine.release_lease(at(2), release, &key(), holder, was_live, &mut bench.effects);
        let Effect::HandOver { op, .. } = bench.only() else { panic!("no hand-over") };
        assert!(bench.machine.cancel(at(3), waiter, &mut bench.effects));
        bench.nothing();
        let is_uncertain = reply.as_ref().is_err_and(|error| error.kind() == ErrorKind::Uncertain);
        bench.machine.handed_over(at(4), op, reply, &mut bench.effects);
        if is_uncertain {
            let Effect::Confirm { op, .. } = bench.only() else { panic!("no question") };
            bench.machine.confirmed(at(5), op, Ok(None), &mut bench.effects);
        }
        bench.effects.retain(|effect| !matches!(effect, Effect::Watch { .. }));
        let Effect::Delete { op, .. } = bench.only() else { panic!("not released") };
        bench.machine.deleted(at(6), op, Ok(false), &mut bench.effects);
        assert!(matches!(bench.settled(), (9, Outcome::NotOwned)));
        bench.nothing();
        assert!(bench.machine.next_deadline().is_none() && bench.machine.is_idle(), "{:?}", bench.machine);
    }
}

#[test]
fn c8_a_hand_over_of_a_lease_that_was_over_does_not_leave_the_next_waiting_for_ever() {
    let mut bench = Bench::new(Capability { polls: false, watches: false, ..POLLED });
    bench.acquire(at(1), 1, WAIT);
    bench.answer_save(at(1), HELD);
    let (release, holder) = (Ticket { tenant: 9, number: 9 }, Holder::Owner(owner(0)));
    bench.machine.release_lease(at(2), release, &key(), holder, false, &mut bench.effects);
    let Effect::HandOver { op, .. } = bench.only() else { panic!("no hand-over") };
    bench.machine.handed_over(at(3), op, Err(uncertain()), &mut bench.effects);
    let Effect::Confirm { op, .. } = bench.only() else { panic!("no question") };
    bench.machine.confirmed(at(4), op, Ok(None), &mut bench.effects);
    let Effect::Delete { op, .. } = bench.only() else { panic!("not released") };
    bench.machine.deleted(at(5), op, Ok(false), &mut bench.effects);
    assert!(matches!(bench.settled(), (9, Outcome::NotOwned)));
    bench.answer_save(at(6), FREE);
    assert!(matches!(bench.settled(), (1, Outcome::Acquired(_))));
}

#[test]
fn c6_a_save_that_went_through_after_all_is_not_taken_for_somebody_elses_lock() {
    for retry in [WAIT, Retry::ONCE] {
        let mut bench = Bench::new(POLLED);
        bench.acquire(at(0), 1, retry);
        bench.answer_save(at(1), Err(uncertain()));
        let Effect::Confirm { op, .. } = bench.only() else { panic!("no question") };
        bench.machine.confirmed(at(2), op, Ok(None), &mut bench.effects);
        // Only now the first save arrives at the store, so that the second one finds the lock held: by ourselves.
        bench.answer_save(at(3), HELD);
        let Effect::Confirm { op, .. } = bench.only() else { panic!("waits for itself") };
        bench.machine.confirmed(at(4), op, Ok(Some(LEASE)), &mut bench.effects);
        assert!(matches!(bench.settled(), (1, Outcome::Acquired(_))));
        bench.nothing();
    }
}

#[test]
fn c6_a_lost_reply_costs_no_chance_and_leaves_nothing_behind() {
    let mut bench = Bench::new(Capability { watches: false, ..POLLED });
    bench.acquire(at(0), 1, Retry { attempts: NonZeroU32::new(2), ..WAIT });
    bench.answer_save(at(1), Err(uncertain()));
    let Effect::Confirm { op, .. } = bench.only() else { panic!("no question") };
    bench.machine.confirmed(at(2), op, Ok(None), &mut bench.effects);
    for now in [at(3), at(103)] {
        bench.tick(now);
        bench.answer_save(now, HELD);
        let Effect::Confirm { op, .. } = bench.only() else { panic!("no question") };
        bench.machine.confirmed(now, op, Ok(None), &mut bench.effects);
    }
    // The first save may still be on its way.
    let Some(Effect::Delete { op, holder, .. }) = bench.effects.pop_front() else { panic!("no clean-up") };
    assert_eq!(holder, Holder::Owner(owner(1)));
    assert!(matches!(bench.settled(), (1, Outcome::Refused)));
    bench.machine.deleted(at(104), op, Ok(false), &mut bench.effects);
    bench.nothing();
}

#[test]
fn a_lease_is_dated_from_before_its_request_was_sent() {
    let mut bench = Bench::new(POLLED);
    let ttl = Ttl::from_millis(50).unwrap();
    bench.machine.acquire(at(0), Request { ttl, ..request(1, WAIT) }, &mut bench.effects);
    bench.answer_save(at(30), Ok(Save::Acquired(Lease { expires_at: Some(at(80)), ..LEASE })));
    let (_, Outcome::Acquired(lease)) = bench.settled() else { panic!("not acquired") };
    assert_eq!(lease.expires_at, Some(at(50)));
}

#[test]
fn c8_a_lease_that_is_shortened_wakes_whoever_waits_for_its_end() {
    let mut bench = Bench::new(Capability { polls: false, watches: false, ..POLLED });
    bench.acquire(at(0), 1, WAIT);
    bench.answer_save(at(0), HELD); // without end
    assert_eq!(bench.machine.next_deadline(), None);
    bench.machine.extended("k", Some(at(20)));
    assert_eq!(bench.machine.next_deadline(), Some(at(20)));
    bench.tick(at(20));
    bench.answer_save(at(20), FREE);
    assert!(matches!(bench.settled(), (1, Outcome::Acquired(_))));
}

#[test]
fn a_lease_that_has_expired_when_its_answer_comes_is_not_handed_out() {
    for retry in [Retry::ONCE, WAIT] {
        let mut bench = Bench::new(POLLED);
        let request = Request { ttl: Ttl::from_millis(50).unwrap(), ..request(1, retry) };
        bench.machine.acquire(at(0), request, &mut bench.effects);
        bench.answer_save(at(50), FREE);
        let deleted = bench.effects.iter().any(|effect| matches!(effect, Effect::Delete { .. }));
        assert_eq!(
            deleted,
            retry.is_single(),
            "whoever stays asks for the same owner again, so it isn't deleted"
        );
        bench.effects.retain(|effect| !matches!(effect, Effect::Delete { .. }));
        if retry.is_single() {
            assert!(matches!(bench.settled(), (1, Outcome::Refused)));
        } else {
            bench.nothing();
            let next = bench.machine.next_deadline().unwrap();
            bench.tick(next);
            bench.answer_save(next, FREE);
            assert!(matches!(bench.settled(), (1, Outcome::Acquired(_))));
        }
    }
}

#[test]
fn c22_whoever_waits_for_a_store_that_cannot_be_reached_hears_of_it_with_the_first() {
    let mut bench = Bench::new(POLLED);
    for number in 1..=3 {
        bench.acquire(at(0), number, WAIT);
    }
    let late = Error::new(ErrorKind::Storage, "test", "acquire", "no answer").out_of_time();
    bench.answer_save(at(5000), Err(late));
    for number in 1..=3 {
        let (settled, outcome) = bench.settled();
        assert!(settled == number && matches!(outcome, Outcome::Failed(_)));
    }
    bench.nothing();
    assert!(bench.machine.is_idle());
}

#[test]
fn c8_the_end_of_a_lease_is_awaited_though_the_one_who_polled_in_the_meantime_leaves() {
    let mut bench = Bench::new(POLLED);
    let polls = bench.acquire(at(0), 1, WAIT);
    let op = bench.save();
    bench.machine.saved(at(0), op, Ok(Save::Held { until: Some(at(2_000)) }), &mut bench.effects);
    bench.acquire(at(10), 2, Retry { delay: Duration::from_secs(60), ..WAIT });
    assert_eq!(bench.machine.next_deadline(), Some(at(100)));
    assert!(bench.machine.cancel(at(20), polls, &mut bench.effects));
    assert_eq!(bench.machine.next_deadline(), Some(at(2_000)));
}

#[test]
fn c8_an_end_that_is_told_while_the_store_is_asked_is_kept_in_mind() {
    let patient = Retry { delay: Duration::from_secs(60), ..WAIT };
    let mut bench = Bench::new(POLLED);
    bench.acquire(at(0), 1, patient);
    let op = bench.save();
    bench.machine.extended("k", Some(at(30)));
    // The answer may be older than that.
    let held = Ok(Save::Held { until: Some(at(50_000)) });
    bench.machine.saved(at(5), op, held, &mut bench.effects);
    assert!(matches!(bench.only(), Effect::Watch { waiting: true, .. }));
    assert_eq!(bench.machine.next_deadline(), Some(at(30)));
    bench.tick(at(30));
    // It was told once.
    let op = bench.save();
    bench.machine.saved(at(31), op, Ok(Save::Held { until: Some(at(40_000)) }), &mut bench.effects);
    assert_eq!(bench.machine.next_deadline(), Some(at(40_000)));
}
