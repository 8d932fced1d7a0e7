//! The machine under random schedules and a manual clock, against a model: never two live leases, first come first
//! served, everybody is answered exactly once, nothing is left behind.
#![cfg(feature = "testing")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test stops at the first surprise

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use loquet::engine::Retry;
use loquet::lease::Ttl;
use loquet::store::Capability;
use proptest::prelude::*;

mod shell;
mod world;
use shell::Draw;
use world::{Fate, World, key, retry};

#[derive(Clone, Debug)]
enum Step {
    Acquire { key: u8, ttl: Ttl, retry: Retry },
    Release(usize),
    ReleaseLate(usize),
    ReleaseWrongly(usize),
    Cancel(usize),
    Extend(usize, Ttl),
    Force(u8),
    Advance(u64),
    Leap(u64),
    Perform(usize, Fate),
    Answer(usize),
    AnswerAll,
    ForeignTake(u8, Ttl),
    ForeignRelease(usize),
    Wake(u8),
    DeliverWakes,
}

/// A schedule that prints itself in few lines.
#[derive(Clone)]
struct Schedule(Vec<Step>);

impl fmt::Debug for Schedule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|step| writeln!(formatter, "  {step:?}"))
    }
}

impl Draw {
    fn key(&mut self) -> u8 {
        self.one_of(&[0, 1, 2])
    }

    fn ttl(&mut self) -> Ttl {
        Ttl::from_millis(self.one_of(&[0, 100, 20, 1000, 1])).unwrap_or(Ttl::FOREVER)
    }

    fn retry(&mut self) -> Retry {
        let delay = self.one_of(&[10, 250, 30, 5, 0]);
        match self.below(10) {
            0..3 => retry(0, delay, None),
            3..5 => retry(0, delay, Some(self.one_of(&[25, 100, 0]))),
            5..7 => retry(2 + u32::try_from(self.below(4)).unwrap(), delay, None),
            7 => retry(4, 30, Some(50)),
            8 => retry(1, 10, Some(30)),
            _ => Retry::ONCE,
        }
    }

    fn fate(&mut self) -> Fate {
        match self.below(16) {
            11 => Fate::LostRequest,
            12 => Fate::LostReply,
            13 => Fate::LostSilently,
            14 => Fate::TimedOutAfter,
            15 => Fate::TimedOutBefore,
            _ => Fate::Fine,
        }
    }

    fn step(&mut self) -> Step {
        match self.below(92) {
            0..14 => Step::Acquire { key: self.key(), ttl: self.ttl(), retry: self.retry() },
            14..34 => Step::Perform(self.any(), self.fate()),
            34..54 => Step::Answer(self.any()),
            54..56 => Step::AnswerAll,
            56..66 => Step::Release(self.any()),
            66..72 => Step::Advance(self.below(40)),
            72..74 => Step::Leap(self.below(300)),
            74..78 => Step::Cancel(self.any()),
            78..80 => Step::Extend(self.any(), self.ttl()),
            80..82 => Step::ForeignTake(self.key(), self.ttl()),
            82..84 => Step::ForeignRelease(self.any()),
            84..87 => Step::DeliverWakes,
            87 => Step::Wake(self.key()),
            88 => Step::Force(self.key()),
            89 => Step::ReleaseWrongly(self.any()),
            _ => Step::ReleaseLate(self.any()),
        }
    }
}

fn schedules() -> impl Strategy<Value = Schedule> {
    prop::collection::vec(any::<u64>(), 1..300)
        .prop_map(|numbers| Schedule(numbers.into_iter().map(|number| Draw(number).step()).collect()))
}

/// A store that tells no ends must be polled: nobody could know of a lease that was made by a lost save.
fn capabilities() -> impl Strategy<Value = Capability> {
    any::<[bool; 5]>().prop_map(|[polls, tells_expiry, watches, hands_over, for_ever]| Capability {
        polls,
        tells_expiry: tells_expiry || !polls,
        hand_over: NonZeroU32::new(if for_ever { u32::MAX } else { 2 }).filter(|_| hands_over),
        watches,
    })
}

fn run(capability: Capability, repeats_releases: bool, steps: Vec<Step>) -> u64 {
    let mut world = World::new(capability);
    world.repeats_releases = repeats_releases;
    for step in steps {
        match step {
            Step::Acquire { key: number, ttl, retry } => {
                world.acquire(key(number), ttl, retry);
            }
            Step::Release(choice) => world.release(choice),
            Step::ReleaseLate(choice) => world.release_late(choice),
            Step::ReleaseWrongly(choice) => world.release_wrongly(choice),
            Step::Cancel(choice) => world.cancel(choice),
            Step::Extend(choice, ttl) => world.extend(choice, ttl),
            Step::Force(number) => world.force(&key(number)),
            Step::Advance(millis) => world.advance(Duration::from_millis(millis)),
            Step::Leap(millis) => world.leap(world.now + Duration::from_millis(millis)),
            Step::Perform(choice, fate) => world.perform(choice, fate),
            Step::Answer(choice) => world.answer(choice),
            Step::AnswerAll => world.answer_all(),
            Step::ForeignTake(number, ttl) => world.take_as_foreigner(key(number), ttl),
            Step::ForeignRelease(choice) => world.release_as_foreigner(choice),
            Step::Wake(number) => world.wake(&key(number)),
            Step::DeliverWakes => world.deliver_wakes(),
        }
    }
    world.finish()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("LOQUET_CASES").map_or(4000, |cases| cases.parse().unwrap()),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_happens_the_contract_is_kept(
        capability in capabilities(),
        repeats_releases in any::<bool>(),
        schedule in schedules(),
    ) {
        run(capability, repeats_releases, schedule.0);
    }
}
