//! Commands as rows: what a dialect makes statements of, and what it answers.

use super::column::stored;
use crate::clock::Moment;
use crate::lease::{Holder, Lease, LeaseId, Ttl};
use crate::store::{Answer, Command};

/// Commands that are performed together: no two have the same key. Each list is in the order of its keys, so that two
/// processes lock rows in the same order.
#[derive(Debug, Default)]
pub(super) struct Wave {
    pub(super) saves: Vec<SaveRow>,
    pub(super) moves: Vec<MoveRow>,
    pub(super) deletes: Vec<DeleteRow>,
    pub(super) questions: Vec<QuestionRow>,
}

/// A lock to be saved unless somebody holds it.
#[derive(Debug)]
pub(super) struct SaveRow {
    /// Which command it is.
    pub(super) place: usize,
    pub(super) key: String,
    pub(super) owner: String,
    pub(super) ttl: Option<i64>,
}

/// A lease that gets a new owner, or a new end.
#[derive(Debug)]
pub(super) struct MoveRow {
    pub(super) place: usize,
    pub(super) key: String,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) ttl: Option<i64>,
}

/// A lock to be deleted: if `owner` holds it, or whoever does.
#[derive(Debug)]
pub(super) struct DeleteRow {
    pub(super) place: usize,
    pub(super) key: String,
    pub(super) owner: Option<String>,
    /// Its key as it was given, for wake-ups.
    pub(super) name: String,
}

/// Who holds a lock?
#[derive(Debug)]
pub(super) struct QuestionRow {
    pub(super) place: usize,
    pub(super) key: String,
}

/// What a statement tells of a row. Times are milliseconds, by the database's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It has been done. Deleting: whether somebody who waits has been told.
    Done { has_woken: bool },
    /// It has not: somebody else holds the lock, until its lease ends; without a number it has no end.
    Refused { remaining: Option<i64> },
    /// Who holds it, if anybody.
    Held { by: Option<(String, Option<i64>)> },
}

impl Wave {
    /// The commands at the given places, as rows.
    pub(super) fn of(commands: &[Command], places: &[usize], ignores_trailing_blanks: bool) -> Self {
        let column = |text: &str| stored(text, ignores_trailing_blanks).into_owned();
        let name = |holder: &Holder| match holder {
            Holder::Owner(owner) => column(owner.name().unwrap_or_default()),
            Holder::Lease(_) => String::new(), // nobody's name
        };
        let mut wave = Self::default();
        for &place in places {
            let command = &commands[place];
            let key = column(command.key().as_str());
            match command {
                Command::Save { owner, ttl, .. } => {
                    let owner = column(owner.name().unwrap_or_default());
                    wave.saves.push(SaveRow { place, key, owner, ttl: millis(*ttl) });
                }
                Command::HandOver { from, to, ttl, .. } => {
                    let to = column(to.name().unwrap_or_default());
                    wave.moves.push(MoveRow { place, key, from: name(from), to, ttl: millis(*ttl) });
                }
                Command::Extend { holder, ttl, .. } => {
                    let holder = name(holder);
                    let (from, to) = (holder.clone(), holder);
                    wave.moves.push(MoveRow { place, key, from, to, ttl: millis(*ttl) });
                }
                Command::Delete { key: given, holder } => {
                    let given = given.as_str().to_owned();
                    wave.deletes.push(DeleteRow { place, key, owner: Some(name(holder)), name: given });
                }
                Command::ForceDelete { key: given } => {
                    let given = given.as_str().to_owned();
                    wave.deletes.push(DeleteRow { place, key, owner: None, name: given });
                }
                Command::Confirm { .. } | Command::Exists { .. } => {
                    wave.questions.push(QuestionRow { place, key });
                }
            }
        }
        wave.saves.sort_by(|one, other| one.key.cmp(&other.key));
        wave.moves.sort_by(|one, other| one.key.cmp(&other.key));
        wave.deletes.sort_by(|one, other| one.key.cmp(&other.key));
        wave.questions.sort_by(|one, other| one.key.cmp(&other.key));
        wave
    }

    /// The same commands, in a wave for each kind; releases first, since they are what others wait for.
    pub(super) fn by_kind(self) -> Vec<Self> {
        let Self { saves, moves, deletes, questions } = self;
        let mut waves = Vec::new();
        if !deletes.is_empty() {
            waves.push(Self { deletes, ..Self::default() });
        }
        if !moves.is_empty() {
            waves.push(Self { moves, ..Self::default() });
        }
        if !saves.is_empty() {
            waves.push(Self { saves, ..Self::default() });
        }
        if !questions.is_empty() {
            waves.push(Self { questions, ..Self::default() });
        }
        waves
    }

    /// Which commands these are.
    pub(super) fn places(&self) -> Vec<usize> {
        let saves = self.saves.iter().map(|row| row.place);
        let moves = self.moves.iter().map(|row| row.place);
        let deletes = self.deletes.iter().map(|row| row.place);
        let questions = self.questions.iter().map(|row| row.place);
        saves.chain(moves).chain(deletes).chain(questions).collect()
    }

    /// How many statements change something.
    pub(super) fn changes(&self) -> usize {
        usize::from(!self.saves.is_empty())
            + usize::from(!self.moves.is_empty())
            + usize::from(!self.deletes.is_empty())
    }
}

/// The answer to a command. A lease is dated from before the request was sent; how long somebody else's lasts, from now.
pub(super) fn answer(command: &Command, seen: Option<Seen>, sent_at: Moment, now: Moment) -> Answer {
    let acquired =
        |expires_at: Option<Moment>| Answer::Acquired(Lease { id: LeaseId::default(), expires_at });
    match (command, seen) {
        (
            Command::Save { ttl, .. } | Command::HandOver { ttl, .. } | Command::Extend { ttl, .. },
            Some(Seen::Done { .. }),
        ) => acquired(ttl.expiry_from(sent_at)),
        (Command::Save { .. }, seen) => {
            let remaining = match seen {
                Some(Seen::Refused { remaining }) => remaining,
                _ => None,
            };
            Answer::Held { until: remaining.map(|remaining| now + span(remaining)) }
        }
        (Command::Delete { .. }, Some(Seen::Done { .. })) | (Command::ForceDelete { .. }, _) => Answer::Done,
        (Command::Confirm { owner, .. }, Some(Seen::Held { by: Some((by, remaining)) }))
            if stored(owner.name().unwrap_or_default(), false) == by
                || stored(owner.name().unwrap_or_default(), true) == by =>
        {
            acquired(remaining.map(|remaining| sent_at + span(remaining)))
        }
        (Command::Exists { .. }, seen) => Answer::Exists(matches!(seen, Some(Seen::Held { by: Some(_) }))),
        _ => Answer::NotOwned,
    }
}

fn span(millis: i64) -> std::time::Duration {
    std::time::Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

fn millis(ttl: Ttl) -> Option<i64> {
    let span = ttl.span()?.as_millis();
    // Far enough, and the database can add it to the present moment.
    Some(i64::try_from(span).unwrap_or(i64::MAX).min(1 << 53))
}
