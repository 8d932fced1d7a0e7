//! Whole fleets in virtual time: processes that are killed and restarted, a network that delays, loses and breaks.
//!
//! A seed that fails is printed; `LOQUET_SEED=n` runs it alone, `LOQUET_SEEDS=n` runs so many.
#![cfg(feature = "testing")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test stops at the first surprise

use std::num::NonZeroU32;
use std::time::Duration;

use loquet::clock::Moment;
use loquet::store::Capability;
use loquet::store::faulty::Dice;

mod network;
use network::{Network, Settings};
mod shell;
use shell::seeds;

/// Prints the seed if what runs for it panics.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {0} failed; run it alone with LOQUET_SEED={0}", self.0);
        }
    }
}

fn settings(seed: u64) -> Settings {
    let mut dice = Dice::new(seed ^ 0x5EED);
    let endless = dice.happens(300);
    let hand_over = [0, 1, 3][usize::try_from(dice.below(3)).unwrap()];
    Settings {
        capability: Capability {
            polls: true,
            tells_expiry: dice.happens(500),
            hand_over: NonZeroU32::new(hand_over),
            watches: dice.happens(500),
        },
        processes: 2 + usize::try_from(dice.below(3)).unwrap(),
        tasks: 1 + usize::try_from(dice.below(5)).unwrap(),
        rounds: 8,
        keys: 1 + dice.below(3),
        endless,
        faults: [0, 30, 150][usize::try_from(dice.below(3)).unwrap()],
        kills: if endless { 0 } else { u32::try_from(dice.below(4)).unwrap() },
        heals_at: Moment::START + Duration::from_millis(600),
        greedy: false,
    }
}

#[test]
fn whatever_the_network_does_there_is_one_holder_and_everybody_comes_to_their_end() {
    let (mut events, mut grants) = (0, 0);
    let seeds = seeds(2000);
    let runs = seeds.end - seeds.start;
    for seed in seeds {
        let guard = Seed(seed);
        let mut network = Network::new(seed, settings(seed));
        network.run(|_| true);
        network.check_the_end();
        (events, grants) = (events + network.events, grants + network.grants.len());
        drop(guard);
    }
    println!("{runs} runs, {events} events, {grants} grants");
    assert!(runs == 1 || grants > 0);
}

#[test]
fn the_same_seed_gives_the_same_history() {
    let history = || {
        let mut network = Network::new(7, settings(7));
        network.run(|_| true);
        (network.events, network.now, network.grants)
    };
    assert_eq!(history(), history());
}

#[test]
fn a_busy_process_does_not_keep_a_lock_to_itself() {
    for seed in seeds(50) {
        for watches in [true, false] {
            let _guard = Seed(seed);
            let bound = 1 + u32::try_from(seed % 5).unwrap();
            let capability =
                Capability { polls: true, tells_expiry: true, hand_over: NonZeroU32::new(bound), watches };
            let settings = Settings {
                capability,
                processes: 2,
                tasks: 8,
                rounds: 100,
                keys: 1,
                endless: true,
                faults: 0,
                kills: 0,
                heals_at: Moment::START,
                greedy: true,
            };
            let mut network = Network::new(seed, settings);
            network.run(|network| network.grants.len() < 1200); // as long as both are busy
            // Both may stand back at once; then it is the network that decides who goes first, and one may go twice.
            let mut run = 0;
            for pair in network.grants.windows(2) {
                run = if pair[0].0 == pair[1].0 { run + 1 } else { 0 };
                assert!(
                    run <= 2 * bound + 1,
                    "a run of {run} in one process, the bound being {bound} (watches: {watches})"
                );
            }
            let share = network.grants.iter().filter(|(process, _)| *process == 0).count();
            assert!((550..=650).contains(&share), "{share} of {} grants", network.grants.len());
        }
    }
}
