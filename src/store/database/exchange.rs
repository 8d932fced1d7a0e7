//! Performing a batch, and what is tried again.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use super::Core;
use super::dialect::{Cause, Dialect, Failure, Table, Trouble};
use super::pool::{Lent, Refusal};
use super::wave::{Seen, Wave, answer};
use super::{STORE, watch};
use crate::error::{Error, ErrorKind};
use crate::store::{Command, Reply};

/// How long what will pass is waited for, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// How often a table is made that is missing again.
const MOST_TABLES: u32 = 3;

/// A batch on its way.
struct Exchange<'a, D: Dialect> {
    core: &'a Arc<Core<D>>,
    commands: &'a [Command],
    replies: Vec<Option<Reply>>,
    deadline: Instant,
    /// How much later something may end that ends by itself.
    grace: Duration,
    /// Why the last try came to nothing.
    trouble: Option<Cause>,
    tables_made: u32,
    /// Commands that go by themselves.
    alone: HashSet<usize>,
}

/// What becomes of a wave.
enum Next {
    /// On with the next one.
    On,
    /// From the start, with what is still open; at once or after a pause.
    Again { at_once: bool },
}

/// Performs commands and answers each, in order.
pub(super) async fn perform<D: Dialect>(
    core: &Arc<Core<D>>,
    commands: Vec<Command>,
    patience: Duration,
) -> Vec<Reply> {
    // A little less than the caller's, so that what could not even be sent is told as such.
    let deadline = Instant::now() + patience - patience / 20;
    let replies = commands.iter().map(|command| core.courtesy(command).map(Ok)).collect();
    let mut exchange = Exchange {
        core,
        commands: &commands,
        replies,
        deadline,
        grace: patience / 25,
        trouble: None,
        tables_made: 0,
        alone: HashSet::new(),
    };
    exchange.run().await;
    exchange.finish()
}

impl<D: Dialect> Exchange<'_, D> {
    async fn run(&mut self) {
        let mut pause = FIRST_PAUSE;
        while self.replies.iter().any(Option::is_none) {
            let at_once = self.round().await;
            let now = Instant::now();
            if now >= self.deadline {
                return;
            }
            if !at_once {
                sleep_until(self.deadline.min(now + pause)).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }

    /// Performs what is open once. Tells whether to go on at once.
    async fn round(&mut self) -> bool {
        let mut lent = match self.core.pool.lend(self.deadline).await {
            Ok(lent) => lent,
            Err(refusal) => return self.refused(refusal),
        };
        self.look_for_tables(&mut lent).await;
        for wave in self.waves() {
            let next;
            (lent, next) = match self.attempt(lent, wave).await {
                (Some(lent), next) => (lent, next),
                (None, Next::On) => return true, // what is left needs another connection
                (None, Next::Again { at_once }) => return at_once,
            };
            if let Next::Again { at_once } = next {
                lent.give_back();
                return at_once;
            }
        }
        lent.give_back();
        true
    }

    /// What is open, in waves: for each key in the order of its commands.
    fn waves(&self) -> Vec<Wave> {
        let mut layers: Vec<(HashSet<&str>, Vec<usize>)> = Vec::new();
        for (place, command) in self.commands.iter().enumerate() {
            if self.replies[place].is_some() {
                continue;
            }
            let key = command.key().as_str();
            // After the last wave that has the key.
            let mut at = layers.iter().rposition(|(keys, _)| keys.contains(key)).map_or(0, |at| at + 1);
            if self.alone.contains(&place) {
                at = layers.len();
            }
            while layers
                .get(at)
                .is_some_and(|(_, places)| places.iter().any(|place| self.alone.contains(place)))
            {
                at += 1;
            }
            if at == layers.len() {
                layers.push((HashSet::new(), Vec::new()));
            }
            layers[at].0.insert(key);
            layers[at].1.push(place);
        }
        let waves = layers
            .into_iter()
            .map(|(_, places)| Wave::of(self.commands, &places, D::IGNORES_TRAILING_BLANKS));
        if D::SEPARATES_KINDS { waves.flat_map(Wave::by_kind).collect() } else { waves.collect() }
    }

    /// Performs a wave. Gives the connection back if it can still be used.
    async fn attempt<'p>(&mut self, mut lent: Lent<'p, D>, wave: Wave) -> (Option<Lent<'p, D>>, Next) {
        let (places, is_fenced) = (wave.places(), wave.is_fenced());
        match self.send(&mut lent, &wave).await {
            Ok(()) => (Some(lent), Next::On),
            Err(None) => {
                // It has taken too long: nobody knows what the database still does.
                drop(lent);
                self.lost(&places, &Cause::Words("the database did not answer in time"));
                (None, Next::Again { at_once: true })
            }
            Err(Some(Failure::Apart)) => (Some(lent), self.split(&places)),
            Err(Some(Failure::Sql(error))) => match self.core.pool.dialect.trouble(&error) {
                Trouble::Lost => {
                    drop(lent);
                    self.core.pool.forget();
                    self.core.pool.end_suspects(self.deadline).await;
                    self.lost(&places, &Cause::from(error));
                    (None, Next::Again { at_once: true })
                }
                Trouble::Passing => {
                    self.trouble = Some(Cause::from(error));
                    (self.recover(lent).await, Next::Again { at_once: false })
                }
                Trouble::Elsewhere => {
                    self.trouble = Some(Cause::from(error));
                    drop(lent);
                    self.core.pool.forget();
                    (None, Next::Again { at_once: false })
                }
                Trouble::Pooled if self.core.pool.dialect.become_pooled() => {
                    self.core.tell_of_pooler();
                    drop(lent);
                    self.core.pool.forget();
                    (None, Next::Again { at_once: true })
                }
                Trouble::NoTable => {
                    let mut lent = self.recover(lent).await;
                    let next = self.no_table(lent.as_mut(), &places, is_fenced, error).await;
                    (lent, next)
                }
                _ if places.len() > 1 => (self.recover(lent).await, self.split(&places)),
                _ => {
                    let cause = Cause::from(error);
                    for place in places {
                        self.replies[place] = Some(Err(self.storage(place, &cause.to_string(), &cause)));
                    }
                    (self.recover(lent).await, Next::On)
                }
            },
        }
    }

    /// The connection, if it can be used again.
    async fn recover<'p>(&self, mut lent: Lent<'p, D>) -> Option<Lent<'p, D>> {
        let connection = lent.connection()?;
        let recovering = self.core.pool.dialect.recover(connection);
        matches!(timeout_at(self.deadline, recovering).await, Ok(Ok(()))).then_some(lent)
    }

    /// Sends a wave and notes the answers. An error without failure: it took too long.
    async fn send(&mut self, lent: &mut Lent<'_, D>, wave: &Wave) -> Result<(), Option<Failure>> {
        let core = self.core;
        let connection = lent.connection().ok_or(None)?;
        let sent_at = core.clock.now();
        core.pool.traffic.count_round_trip();
        let performing = core.pool.dialect.perform(connection, wave);
        let limit = if D::ENDS_BY_ITSELF { self.deadline + self.grace } else { self.deadline };
        let mut sights = match timeout_at(limit, performing).await {
            Ok(sights) => sights.map_err(Some)?.into_iter().collect::<HashMap<_, _>>(),
            Err(_) => return Err(None),
        };
        let now = core.clock.now();
        for place in wave.places() {
            let command = &self.commands[place];
            let seen = sights.remove(&place);
            if let (Command::Delete { key, .. }, Some(Seen::Done { has_woken, .. })) = (command, &seen) {
                core.released(now, key, *has_woken);
            }
            self.replies[place] = Some(answer(command, seen, sent_at, now));
        }
        if !wave.saves.is_empty() {
            watch::keep_tidy(core);
        }
        Ok(())
    }

    /// One of these spoils it for all: from now on each of them goes by itself.
    fn split(&mut self, places: &[usize]) -> Next {
        self.alone.extend(places);
        Next::Again { at_once: true }
    }

    /// There is no connection.
    fn refused(&mut self, refusal: Refusal) -> bool {
        match refusal {
            Refusal::Exhausted => {
                self.trouble.get_or_insert(Cause::Words("all connections are in use"));
                false
            }
            Refusal::TooLate => {
                self.trouble.get_or_insert(Cause::Words("connecting takes too long"));
                false
            }
            Refusal::Sql(error, Trouble::Final | Trouble::NoTable) => {
                let cause = Cause::from(error);
                for place in self.open() {
                    self.replies[place] = Some(Err(self.storage(place, &cause.to_string(), &cause)));
                }
                true
            }
            Refusal::Sql(error, Trouble::Pooled) if self.core.pool.dialect.become_pooled() => {
                self.trouble = Some(Cause::from(error));
                self.core.tell_of_pooler();
                true
            }
            Refusal::Sql(error, _) => {
                self.trouble = Some(Cause::from(error));
                false
            }
        }
    }

    /// Nobody knows what has become of these. What only asks may ask again.
    fn lost(&mut self, places: &[usize], cause: &Cause) {
        for &place in places {
            let command = &self.commands[place];
            if !matches!(command, Command::Confirm { .. } | Command::Exists { .. }) {
                let words = format!("the reply was lost: {cause}");
                let error = Error::new(ErrorKind::Uncertain, STORE, operation(command), words);
                let error = error.with_source(cause.clone());
                let has_hung = matches!(cause, Cause::Words(_));
                self.replies[place] = Some(Err(if has_hung { error.out_of_time() } else { error }));
            }
        }
    }

    async fn no_table(
        &mut self,
        lent: Option<&mut Lent<'_, D>>,
        places: &[usize],
        is_fenced: bool,
        error: sqlx::Error,
    ) -> Next {
        let settings = &self.core.settings;
        // All databases name the one that they miss.
        let (table, name, content) = match settings.token_table() {
            name if is_fenced && error.to_string().contains(&name) => (Table::Tokens, name, "fencing tokens"),
            _ => (Table::Locks, settings.table.clone(), "locks"),
        };
        let problem = if settings.creates_table {
            self.tables_made += 1;
            match self.create_table(lent, table).await {
                Ok(()) if self.tables_made <= MOST_TABLES => return Next::Again { at_once: true },
                Ok(()) => "it is missing again as soon as it is made".to_owned(),
                Err(Some(problem)) => format!("it could not be made: {problem}"),
                // A lost connection, or others who write: with another try.
                Err(None) => return Next::Again { at_once: false },
            }
        } else {
            "run the migration that makes it, or set autoCreateTable".to_owned()
        };
        let words = format!("the table \"{name}\" for {content} is missing: {problem}");
        let cause = Cause::from(error);
        // Those that want no token have failed only because they were with those that do.
        let fails = |place: &usize| table == Table::Locks || wants_token(&self.commands[*place]);
        for place in places.iter().copied().filter(fails) {
            self.replies[place] = Some(Err(self.storage(place, &words, &cause)));
        }
        Next::Again { at_once: true }
    }

    /// Makes the tables that are missing. If that fails, using them will tell why.
    async fn look_for_tables(&self, lent: &mut Lent<'_, D>) {
        let core = self.core;
        if !core.settings.creates_table {
            return;
        }
        if !core.is_looked_for.swap(true, Ordering::Relaxed) {
            self.look_for_table(lent, Table::Locks).await;
        }
        if self.commands.iter().any(wants_token) && !core.are_tokens_looked_for.swap(true, Ordering::Relaxed)
        {
            self.look_for_table(lent, Table::Tokens).await;
        }
    }

    async fn look_for_table(&self, lent: &mut Lent<'_, D>, table: Table) {
        let dialect = &self.core.pool.dialect;
        let looking = async {
            let Some(connection) = lent.connection() else { return };
            let made = match dialect.lacks_table(connection, table).await {
                Ok(true) => dialect.create_table(connection, table).await,
                other => other.map(drop),
            };
            if made.is_err() {
                let _ = dialect.recover(connection).await; // the next statement will tell
            }
        };
        let _ = timeout_at(self.deadline, looking).await; // so will that
    }

    /// An error without words: it may work in a moment.
    async fn create_table(&self, lent: Option<&mut Lent<'_, D>>, table: Table) -> Result<(), Option<String>> {
        let dialect = &self.core.pool.dialect;
        let connection = lent.and_then(Lent::connection).ok_or(None)?;
        match timeout_at(self.deadline, dialect.create_table(connection, table)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => match dialect.trouble(&error) {
                Trouble::Lost | Trouble::Passing => Err(None),
                _ => Err(Some(error.to_string())),
            },
            Err(_) => Err(Some("it takes too long".to_owned())),
        }
    }

    fn storage(&self, place: usize, words: &str, cause: &Cause) -> Error {
        let error = Error::new(ErrorKind::Storage, STORE, operation(&self.commands[place]), words);
        error.with_source(cause.clone())
    }

    fn open(&self) -> Vec<usize> {
        (0..self.replies.len()).filter(|place| self.replies[*place].is_none()).collect()
    }

    /// The replies, or that nothing was done in time.
    fn finish(self) -> Vec<Reply> {
        let cause = self.trouble.unwrap_or(Cause::Words("it did not answer"));
        let too_late = |command: &Command| {
            let words = format!("the database could not perform the command in time: {cause}");
            let error = Error::new(ErrorKind::Storage, STORE, operation(command), words);
            Err(error.with_source(cause.clone()).out_of_time())
        };
        let replies = self.replies.into_iter().zip(self.commands);
        replies.map(|(reply, command)| reply.unwrap_or_else(|| too_late(command))).collect()
    }
}

fn wants_token(command: &Command) -> bool {
    let (Command::Save { fenced, .. } | Command::Confirm { fenced, .. } | Command::HandOver { fenced, .. }) =
        command
    else {
        return false;
    };
    *fenced
}

fn operation(command: &Command) -> &'static str {
    match command {
        Command::Save { .. } => "save",
        Command::Confirm { .. } => "confirm",
        Command::HandOver { .. } => "hand over",
        Command::Delete { .. } => "delete",
        Command::ForceDelete { .. } => "force delete",
        Command::Extend { .. } => "extend",
        Command::Exists { .. } => "exists",
    }
}
