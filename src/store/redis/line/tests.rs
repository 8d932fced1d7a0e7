use super::*;

fn key() -> Key {
    Key::new("k").unwrap()
}

fn me() -> Arc<str> {
    "p-1".into()
}

fn leave() -> Step {
    Step::Leave(key(), "p-1".into())
}

fn at(millis: u64) -> Moment {
    Moment::START + Duration::from_millis(millis)
}

#[test]
fn a_wait_subscribes_then_joins_and_the_subscription_lingers() {
    let mut lines = Lines::new("p".into());
    assert_eq!(lines.manner(at(0), "k", true), Manner::Plain);
    assert_eq!(lines.watch(at(0), &key(), true, || "c:".into()), Some(Step::Subscribe(key())));
    let deaf = Manner::InTurn { joins: None, known: None };
    assert_eq!(lines.manner(at(0), "k", true), deaf, "who can't hear doesn't stand in line");
    assert_eq!(lines.subscribed(&key()), Some(Step::Wake(key())));
    assert_eq!(lines.manner(at(1), "k", true), Manner::InTurn { joins: Some(me()), known: None });
    assert_eq!(lines.manner(at(1), "k", false), deaf, "who doesn't wait doesn't stand in line");
    lines.answered(at(1), "k", true, false, None);
    assert_eq!(lines.heard(at(2), "c:p-1"), Some(Step::Wake(key())));
    assert_eq!(lines.watch(at(2), &key(), false, String::new), None, "the place is kept");
    assert_eq!(lines.tick(at(251)), []);
    assert_eq!(lines.tick(at(252)), [leave()]);
    assert_eq!(lines.manner(at(253), "k", true), deaf, "who is leaving doesn't join");
    assert_eq!(lines.tick(at(1002)), []);
    assert_eq!(lines.left(&key(), "p-1"), None);
    assert_eq!(lines.tick(at(1002)), [Step::Unsubscribe(key(), "c:p-1".into())]);
    assert!(lines.is_empty() && lines.by_channel.is_empty());
}

#[test]
fn who_yields_for_a_whole_turn_passes_over_the_one_it_yielded_to_and_nobody_else() {
    let mut lines = Lines::new("p".into());
    let known = |lines: &mut Lines, millis| match lines.manner(at(millis), "k", true) {
        Manner::InTurn { known, .. } => known.map(|(name, passes_over)| (name.to_string(), passes_over)),
        Manner::Plain => None,
    };
    lines.watch(at(0), &key(), true, || "c:".into());
    lines.subscribed(&key());
    lines.answered(at(0), "k", true, false, Some("other"));
    assert_eq!(known(&mut lines, 4), Some(("other".into(), false)));
    lines.answered(at(4), "k", true, false, Some("other"));
    assert_eq!(known(&mut lines, 5), Some(("other".into(), true)));
    lines.answered(at(5), "k", true, false, Some("third"));
    assert_eq!(known(&mut lines, 9), Some(("third".into(), false)), "it has its turn first");
    lines.answered(at(9), "k", true, false, None);
    assert_eq!(known(&mut lines, 20), None);
}

#[test]
fn whoever_stands_far_back_asks_less_often_unless_it_is_woken_or_the_lease_is_over() {
    let mut lines = Lines::new("p".into());
    lines.watch(at(0), &key(), true, || "c:".into());
    lines.subscribed(&key());
    lines.manner(at(0), "k", true);
    lines.answered(at(0), "k", true, false, None);
    lines.ranked("k", 2, Some(at(100)));
    let held = Some(Answer::Held { until: Some(at(100)) });
    assert_eq!(lines.skips(at(1), "k"), held);
    assert_eq!(lines.skips(at(2), "k"), held);
    assert_eq!(lines.skips(at(3), "k"), None, "the third time it asks");
    lines.ranked("k", 2, Some(at(100)));
    assert_eq!(lines.skips(at(100), "k"), None, "the lease is over");
    assert!(lines.heard(at(4), "c:p-1").is_some());
    lines.ranked("k", 2, Some(at(100)));
    assert_eq!(lines.skips(at(4), "k"), None, "it was woken while the answer was on its way");
    lines.manner(at(4), "k", true);
    assert_eq!(lines.skips(at(4), "k"), held, "it has asked");
}

#[test]
fn c8_a_turn_that_comes_before_the_wait_is_known_is_not_lost() {
    let mut lines = Lines::new("p".into());
    lines.watch(at(0), &key(), true, || "c:".into());
    lines.subscribed(&key());
    lines.watch(at(1), &key(), false, String::new);
    assert!(matches!(lines.manner(at(2), "k", true), Manner::InTurn { joins: Some(_), .. }));
    assert_eq!(lines.heard(at(3), "c:p-1"), None, "the save that joins is under way");
    lines.answered(at(4), "k", true, false, None);
    assert_eq!(lines.watch(at(4), &key(), true, String::new), Some(Step::Wake(key())));
}

#[test]
fn a_turn_that_nobody_wants_is_passed_on() {
    let mut lines = Lines::new("p".into());
    lines.watch(at(0), &key(), true, || "c:".into());
    lines.subscribed(&key());
    lines.answered(at(0), "k", true, false, None);
    lines.watch(at(1), &key(), false, String::new);
    assert_eq!(lines.heard(at(2), "c:p-1"), Some(leave()));
    lines.watch(at(3), &key(), true, String::new);
    assert_eq!(lines.left(&key(), "p-1"), Some(Step::Wake(key())), "now it may join again");
}

#[test]
fn c6_a_lost_subscription_is_made_again_and_every_waiter_asks() {
    let mut lines = Lines::new("p".into());
    lines.watch(at(0), &key(), true, || "c:".into());
    lines.subscribed(&key());
    lines.answered(at(0), "k", true, false, None);
    assert!(lines.unheard(&key()));
    assert_eq!(lines.retry(&key()), Some(Step::Subscribe(key())));
    assert_eq!(lines.retry(&key()), None, "it is under way");
    assert_eq!(lines.subscribed(&key()), Some(Step::Wake(key())));
}

#[test]
fn without_subscriptions_a_wait_asks_in_turn_at_once() {
    let mut lines = Lines::new("p".into());
    lines.watch(at(0), &key(), true, || "c:".into());
    assert_eq!(lines.is_deaf(), Some(vec![Step::Wake(key())]));
    assert_eq!(lines.is_deaf(), None, "said once");
    let other = Key::new("o").unwrap();
    assert_eq!(lines.watch(at(0), &other, true, || "d:".into()), Some(Step::Wake(other.clone())));
    assert_eq!(lines.manner(at(0), "o", true), Manner::InTurn { joins: None, known: None });
}

#[test]
fn a_release_that_woke_somebody_makes_the_next_acquire_polite() {
    let mut lines = Lines::new("p".into());
    lines.released(at(0), &key(), None, "c:");
    assert_eq!(lines.manner(at(0), "k", true), Manner::Plain);
    lines.released(at(0), &key(), Some("other"), "c:");
    assert_eq!(
        lines.manner(at(1), "k", true),
        Manner::InTurn { joins: None, known: Some(("other".into(), false)) }
    );
}

#[test]
fn c8_the_first_in_line_asks_if_it_is_told_of_an_end_before_the_one_that_it_knows() {
    let mut lines = Lines::new("p".into());
    let asks = Some(Step::Wake(key()));
    lines.watch(at(0), &key(), true, || "c:".into());
    lines.subscribed(&key());
    let learn = |lines: &mut Lines, millis, end| {
        lines.manner(at(millis), "k", true);
        lines.answered(at(millis), "k", true, false, None);
        lines.ranked("k", 1, end);
    };
    learn(&mut lines, 0, Some(at(60_000)));
    assert_eq!(lines.told_end(at(1), "c:p-1", at(60_001)), None, "it will ask before");
    assert_eq!(lines.told_end(at(2), "c:p-1", at(2_000)), asks, "the lease that it knows of is gone");
    assert_eq!(lines.skips(at(2), "k"), None, "that ask isn't left out");
    learn(&mut lines, 3, Some(at(2_000)));
    assert_eq!(lines.told_end(at(4), "c:p-1", at(2_000)), None);
    assert_eq!(lines.told_end(at(2_000), "c:p-1", at(3_000)), asks, "what it knew of is over");
    learn(&mut lines, 2_001, None);
    assert_eq!(lines.told_end(at(2_002), "c:p-1", at(4_000)), asks, "it knew of no end");
    learn(&mut lines, 2_003, Some(at(4_000)));
    lines.manner(at(2_004), "k", true);
    assert_eq!(lines.told_end(at(2_005), "c:p-1", at(9_000)), asks, "the answer under way may be older");
}

#[test]
fn c8_an_end_that_is_told_before_the_wait_is_known_is_not_lost() {
    let mut lines = Lines::new("p".into());
    lines.watch(at(0), &key(), true, || "c:".into());
    lines.subscribed(&key());
    lines.watch(at(1), &key(), false, String::new);
    assert_eq!(lines.told_end(at(2), "c:p-1", at(9)), None, "nobody here wants to know");
    lines.manner(at(3), "k", true);
    assert_eq!(lines.told_end(at(4), "c:p-1", at(9)), None, "the save that joins is under way");
    lines.answered(at(5), "k", true, false, None);
    lines.ranked("k", 0, None);
    assert_eq!(lines.watch(at(5), &key(), true, String::new), Some(Step::Wake(key())));
}
