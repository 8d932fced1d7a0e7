//! Commands as rows: what a dialect makes statements of, and what it answers.

use super::STORE;
use super::column::stored;
use super::dialect::Sights;
use crate::clock::Moment;
use crate::error::{Error, ErrorKind};
use crate::lease::{Holder, Lease, LeaseId, Token, Ttl};
use crate::store::{Answer, Command, Reply};

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
    pub(super) fenced: bool,
}

/// A lease that gets a new owner, or a new end.
#[derive(Debug)]
pub(super) struct MoveRow {
    pub(super) place: usize,
    pub(super) key: String,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) ttl: Option<i64>,
    pub(super) fenced: bool,
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
    pub(super) fenced: bool,
}

/// What a statement tells of a row. Times are milliseconds, by the database's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It has been done. Deleting: whether somebody who waits has been told. Acquiring: the fencing token, if wanted.
    Done { has_woken: bool, token: Option<i64> },
    /// It has not: somebody else holds the lock, until its lease ends; without a number it has no end.
    Refused { remaining: Option<i64> },
    /// Who holds it, if anybody: the owner, for how long, and the last fencing token if that was asked for, too.
    Held { by: Option<(String, Option<i64>, Option<i64>)> },
}

impl Seen {
    /// Done, and nothing more to say.
    pub(super) const DONE: Self = Self::Done { has_woken: false, token: None };
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
                Command::Save { owner, ttl, fenced, .. } => {
                    let (ttl, fenced) = (millis(*ttl), *fenced);
                    let owner = column(owner.name().unwrap_or_default());
                    wave.saves.push(SaveRow { place, key, owner, ttl, fenced });
                }
                Command::HandOver { from, to, ttl, fenced, .. } => {
                    let (from, ttl, fenced) = (name(from), millis(*ttl), *fenced);
                    let to = column(to.name().unwrap_or_default());
                    wave.moves.push(MoveRow { place, key, from, to, ttl, fenced });
                }
                Command::Extend { holder, ttl, .. } => {
                    let holder = name(holder);
                    let (from, to, ttl) = (holder.clone(), holder, millis(*ttl));
                    wave.moves.push(MoveRow { place, key, from, to, ttl, fenced: false });
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
                    let fenced = matches!(command, Command::Confirm { fenced: true, .. });
                    wave.questions.push(QuestionRow { place, key, fenced });
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

    /// Whether any of them wants a fencing token.
    pub(super) fn is_fenced(&self) -> bool {
        self.gives_tokens() || self.asks_for_tokens()
    }

    /// Whether any of them gets a new fencing token if it is done.
    pub(super) fn gives_tokens(&self) -> bool {
        self.saves.iter().any(|row| row.fenced) || self.moves.iter().any(|row| row.fenced)
    }

    /// Whether any of them asks for the last fencing token.
    pub(super) fn asks_for_tokens(&self) -> bool {
        self.questions.iter().any(|row| row.fenced)
    }

    /// The keys of those that have been done and want a fencing token.
    pub(super) fn keys_to_fence(&self, sights: &Sights) -> Vec<&str> {
        let is_done = |place: usize| sights.iter().any(|(at, seen)| *at == place && *seen == Seen::DONE);
        let saves = self.saves.iter().filter(|row| row.fenced && is_done(row.place));
        let moves = self.moves.iter().filter(|row| row.fenced && is_done(row.place));
        let mut keys: Vec<&str> =
            saves.map(|row| row.key.as_str()).chain(moves.map(|row| row.key.as_str())).collect();
        keys.sort_unstable();
        keys
    }

    /// Adds the tokens to what is seen of those that want them.
    pub(super) fn fence(&self, tokens: &[(String, i64)], sights: &mut Sights) {
        let saves = self.saves.iter().filter(|row| row.fenced).map(|row| (row.place, &row.key));
        let moves = self.moves.iter().filter(|row| row.fenced).map(|row| (row.place, &row.key));
        for (place, key) in saves.chain(moves) {
            for (at, seen) in sights.iter_mut() {
                if *at == place
                    && let Seen::Done { token, .. } = seen
                {
                    *token = token_of(tokens, key);
                }
            }
        }
    }

    /// How many statements change something.
    pub(super) fn changes(&self) -> usize {
        usize::from(!self.saves.is_empty())
            + usize::from(!self.moves.is_empty())
            + usize::from(!self.deletes.is_empty())
    }
}

/// The token of a key. A table may take `Foo` for `foo`.
pub(super) fn token_of(tokens: &[(String, i64)], key: &str) -> Option<i64> {
    let exactly = tokens.iter().find(|(known, _)| known == key);
    let found =
        exactly.or_else(|| tokens.iter().find(|(known, _)| known.to_lowercase() == key.to_lowercase()));
    found.map(|(_, token)| *token)
}

/// The answer to a command. A lease is dated from before the request was sent; how long somebody else's lasts, from now.
pub(super) fn answer(command: &Command, seen: Option<Seen>, sent_at: Moment, now: Moment) -> Reply {
    let acquired = |expires_at, fenced: bool, token: Option<i64>| {
        let token = token.filter(|_| fenced).and_then(|token| u64::try_from(token).ok()).and_then(Token::new);
        if fenced && token.is_none() {
            let message = "the row of the lock's last fencing token is not there";
            // The lock itself may have been taken, and nobody will have it: it has to be asked for, and cleaned up.
            let asks = matches!(command, Command::Confirm { .. });
            let kind = if asks { ErrorKind::Storage } else { ErrorKind::Uncertain };
            return Err(Error::new(kind, STORE, "fence", message));
        }
        Ok(Answer::Acquired(Lease { id: LeaseId::default(), expires_at, token }))
    };
    Ok(match (command, seen) {
        (
            Command::Save { ttl, fenced, .. } | Command::HandOver { ttl, fenced, .. },
            Some(Seen::Done { token, .. }),
        ) => return acquired(ttl.expiry_from(sent_at), *fenced, token),
        (Command::Extend { ttl, .. }, Some(Seen::Done { .. })) => {
            return acquired(ttl.expiry_from(sent_at), false, None);
        }
        (Command::Save { .. }, seen) => {
            let remaining = match seen {
                Some(Seen::Refused { remaining }) => remaining,
                _ => None,
            };
            Answer::Held { until: remaining.map(|remaining| now + span(remaining)) }
        }
        (Command::Delete { .. }, Some(Seen::Done { .. })) | (Command::ForceDelete { .. }, _) => Answer::Done,
        (Command::Confirm { owner, fenced, .. }, Some(Seen::Held { by: Some((by, remaining, token)) }))
            if stored(owner.name().unwrap_or_default(), false) == by
                || stored(owner.name().unwrap_or_default(), true) == by =>
        {
            return acquired(remaining.map(|remaining| sent_at + span(remaining)), *fenced, token);
        }
        (Command::Exists { .. }, seen) => Answer::Exists(matches!(seen, Some(Seen::Held { by: Some(_) }))),
        _ => Answer::NotOwned,
    })
}

fn span(millis: i64) -> std::time::Duration {
    std::time::Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

fn millis(ttl: Ttl) -> Option<i64> {
    let span = ttl.span()?.as_millis();
    // Far enough, and the database can add it to the present moment.
    Some(i64::try_from(span).unwrap_or(i64::MAX).min(1 << 53))
}
