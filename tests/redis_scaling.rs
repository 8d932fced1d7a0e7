//! How locks in Redis behave with many processes, in virtual time; see `docs/performance.md`, "Many processes".
//!
//! `LOQUET_SEED=n` runs one seed again, `LOQUET_SEEDS=n` runs more of them.
#![cfg(feature = "testing")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test stops at the first surprise

use std::time::Duration;

use loquet::clock::Moment;
use loquet::lease::{Key, Owner, Ttl};
use loquet::store::Command;
use loquet::store::faulty::Dice;
use loquet::store::redis::model::{Channels, Errand, Member, Server};

mod redis_fleet;
use redis_fleet::{Figures, Fleet, Loss, Settings};
mod shell;
use shell::seeds;

/// Runs a fleet to its end, in which nobody may wait longer than that.
fn run_to_the_end(seed: u64, settings: Settings, longest: Duration) -> Fleet {
    let mut fleet = Fleet::new(seed, settings);
    fleet.remember();
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut count = 0_u64;
        fleet.run(|fleet| {
            count += 1;
            !count.is_multiple_of(64) || fleet.longest_present_wait() < longest
        });
        let wait = fleet.longest_present_wait();
        assert!(wait < longest, "somebody has waited for {wait:?}");
        fleet.check_the_end();
    }));
    if let Err(panic) = outcome {
        println!("{}", fleet.history());
        println!("seed {seed} failed; run it alone with LOQUET_SEED={seed}\n{settings:?}");
        std::panic::resume_unwind(panic);
    }
    fleet
}

/// A small fleet whose shape depends on the seed.
fn small(seed: u64) -> Settings {
    let mut dice = Dice::new(seed ^ 0x5EED);
    let mut below = |end| dice.below(end);
    let processes = usize::try_from(2 + below(5)).unwrap();
    Settings {
        tasks: usize::try_from(1 + below(4)).unwrap(),
        rounds: Some(20),
        body: Duration::from_micros(below(2) * below(6000)),
        body_spread: Duration::from_micros(below(2) * below(3000)),
        pause: [Duration::ZERO, Duration::from_micros(below(8000)), Duration::from_millis(below(2500))]
            [usize::try_from(below(3)).unwrap()],
        trip_spread: Duration::from_micros([100, 1000, 20][usize::try_from(below(3)).unwrap()]),
        ..Settings::usual(processes)
    }
}

#[test]
fn c8_nobody_is_forgotten_though_nobody_polls() {
    for seed in seeds(400) {
        let delay = Duration::from_secs(6000);
        run_to_the_end(seed, Settings { delay, ttl: Ttl::FOREVER, ..small(seed) }, Duration::from_secs(5));
    }
}

#[test]
fn c6_whatever_the_network_does_there_is_one_holder_and_everybody_comes_to_their_end() {
    for seed in seeds(400) {
        let rate = [20, 100][usize::try_from(seed % 2).unwrap()];
        let faults = (rate, Moment::START + Duration::from_secs(3));
        let ttl = Ttl::from_millis(500).unwrap();
        let settings = Settings { ttl, faults, ..small(seed) };
        run_to_the_end(seed, settings, Duration::from_secs(60));
    }
}

#[test]
fn c8_the_others_go_on_when_processes_are_lost() {
    for seed in seeds(200) {
        let loss = if seed % 2 == 0 { Loss::Killed } else { Loss::Stopped };
        let at = Moment::START + Duration::from_millis(100 + seed);
        let settings = Settings { losses: Some((at, 500, loss)), ..small(seed) };
        run_to_the_end(seed, settings, Duration::from_secs(5));
    }
}

/// Those in line may know of the end of a longer lease only, or of none. Whoever has had the lock stays away for long, so
/// that nobody who comes again sees the new lease for them.
#[test]
fn c8_the_end_of_a_lease_whose_holder_was_killed_is_noticed_though_nobody_polls() {
    let mut killed = 0;
    for seed in seeds(400) {
        let ttl = if seed % 2 == 0 { Ttl::FOREVER } else { Ttl::from_millis(60_000).unwrap() };
        let settings = Settings {
            tasks: 1,
            rounds: Some(5),
            body: Duration::from_millis(100),
            pause: Duration::from_secs(10),
            delay: Duration::from_secs(6000),
            ttl,
            doomed: Some(Ttl::from_millis(300).unwrap()),
            ..small(seed)
        };
        killed += run_to_the_end(seed, settings, Duration::from_millis(1500)).figures.killed_holders;
    }
    assert!(killed > 0, "no holder was killed while others waited");
}

/// A process that waits again just when it would have forgotten the key stands in line once, and hears of its turn.
#[test]
fn c8_a_place_that_is_being_taken_is_not_forgotten() {
    let at = |millis| Moment::START + Duration::from_millis(millis);
    let key = Key::new("k").unwrap();
    let save = || {
        let (key, owner) = (key.clone(), Owner::named("o"));
        Command::Save { key, owner, ttl: Ttl::FOREVER, fenced: false, waits: true }
    };
    let (mut member, mut other) = (Member::new("here".into()), Member::new("there".into()));
    let (mut server, mut heard_by) = (Server::default(), Channels::default());
    let Some(Errand::Subscribe(_, channel)) = member.watch(at(0), &key, true) else {
        panic!("a wait subscribes");
    };
    heard_by.insert(channel);
    member.subscribed(&key);
    member.watch(at(0), &key, false);

    let call = other.prepare(at(1), save());
    server.perform(at(1), &call, &heard_by);
    let call = member.prepare(at(990), save());
    for errand in member.tick(at(1005)) {
        if let Errand::Unsubscribe(_, channel) = errand {
            heard_by.remove(&channel);
        }
    }
    let (value, _) = server.perform(at(1020), &call, &heard_by);
    member.understand(at(990), at(1021), &call, &value).unwrap();
    let line = server.line_of(at(1021), &key, &member);
    assert_eq!(line.len(), 1, "{line:?}");
    let first = server.first_of(at(1021), &key, &member).unwrap();
    assert!(heard_by.iter().any(|channel| channel.ends_with(&*first)), "{first} hears nothing: {heard_by:?}");
}

#[test]
fn the_same_seed_gives_the_same_history() {
    let history = || {
        let mut fleet = Fleet::new(7, small(7));
        fleet.run(|_| true);
        (fleet.events, fleet.now, fleet.figures.clone())
    };
    assert_eq!(history(), history());
}

#[test]
fn commands_a_hand_over_and_the_longest_wait_do_not_grow_with_the_number_of_processes() {
    // What a process does for its turn is shared by as many tasks as have theirs then. It may have 17 in a row: where
    // fewer tasks wait in each process, the others wait for so much longer.
    for (tasks, commands, longest) in
        [(1, 4.0, 3.0), (2, 3.5, 9.0), (3, 2.5, 6.0), (10, 1.6, 3.0), (100, 1.6, 3.0)]
    {
        for processes in [1, 2, 8, 32, 64] {
            let settings = Settings { tasks, ..Settings::usual(processes) };
            let mut fleet = Fleet::new(1, settings);
            let figures = fleet.run_rounds(if tasks < 10 { 20 } else { 4 });
            let sent = figures.commands_a_grant();
            assert!(sent <= commands, "{processes} x {tasks}: {sent} commands a hand-over: {figures:?}");
            let wait = figures.longest_in_fair_shares();
            assert!(wait <= longest, "{processes} x {tasks}: {wait} fair shares: {figures:?}");
            let idle = figures.between(settings.body);
            assert!(idle <= Duration::from_millis(1), "{processes} x {tasks}: {idle:?} between two bodies");
            assert!(
                figures.overtakings <= processes as u64,
                "{processes} x {tasks}: somebody has pushed in: {figures:?}"
            );
        }
    }
}

#[test]
fn lost_processes_cost_the_others_little() {
    for tasks in [1, 100] {
        for (share, loss) in
            [(50, Loss::Killed), (500, Loss::Killed), (50, Loss::Stopped), (500, Loss::Stopped)]
        {
            let settings = Settings { tasks, ..Settings::usual(40) };
            let at = Moment::START + Duration::from_secs(2);
            let mut fleet = Fleet::new(1, Settings { losses: Some((at, share, loss)), ..settings });
            let figures = fleet.run_rounds(if tasks == 1 { 20 } else { 4 });
            let wait = figures.longest_in_fair_shares();
            assert!(wait <= 3.0, "{share} {loss:?} of 40 x {tasks}: {wait} fair shares: {figures:?}");
            let idle = figures.between(settings.body);
            assert!(idle <= Duration::from_millis(2), "{share} {loss:?} of 40 x {tasks}: {idle:?}");
        }
    }
}

fn row(settings: &Settings, seed: u64, rounds: u64) -> Figures {
    let mut fleet = Fleet::new(seed, *settings);
    fleet.run_rounds(rounds).clone()
}

/// The tables of `docs/performance.md`; run it with `--release`.
#[test]
#[ignore = "a table, not a test"]
fn table() {
    let head = "commands a hand-over | over the body | longest wait | longest gap | server busy |";
    let rule = "---: | ---: | ---: | ---: | ---: |";
    for tasks in [100, 10, 1] {
        println!("\n| processes, {tasks} each | {head}\n| ---: | {rule}");
        for processes in [1, 2, 8, 32, 100, 300, 1000] {
            let settings = Settings { tasks, ..Settings::usual(processes) };
            let figures = row(&settings, 1, if tasks == 1 { 30 } else { 4 });
            println!("| {processes} | {}", figures.cells(settings.body));
        }
    }
    println!("\n| 1,000 processes, 100 each | {head}\n| --- | {rule}");
    let lost = [("5 %", 50), ("50 %", 500)];
    for (how, loss) in [("killed", Loss::Killed), ("stopped", Loss::Stopped)] {
        for (share, thousandths) in lost {
            let losses = Some((Moment::START + Duration::from_secs(5), thousandths, loss));
            let settings = Settings { losses, ..Settings::usual(1000) };
            println!("| {share} {how} | {}", row(&settings, 1, 4).cells(settings.body));
        }
    }
}
