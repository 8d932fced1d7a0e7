//! The scripts, and the names that they use.
//!
//! # Format
//! Everything about a lock is as `@verrou/core` has it: key = prefix + the lock's key, value = the owner's name, expiry
//! by `PX`. So processes that use either may share a server.
//!
//! Only while processes wait for each other, or where fencing tokens are wanted, there is more:
//!
//! | name | what it is |
//! |---|---|
//! | `<key>:loquet:line<0xFF>` | a sorted set: the processes in line, by the order of their arrival; expires by itself. No lock can have that name: keys are UTF-8, and that byte isn't |
//! | `<key>:loquet:fence<0xFF>` | the last fencing token of the key, in decimal digits; expires 7 days after the last acquisition that wanted one |
//! | `loquet:wake:<db>:<key>:<process>` | a channel: "it is your turn", or in milliseconds "somebody has the lock for so long, and you are next"; a process subscribes while it waits |
//!
//! A key in a cluster lies in the slot of its hash tag, and what belongs to it must lie in the same one. There the names
//! begin with a tag of that slot: `{<key>}` where the key has no braces of its own, otherwise a number in braces that
//! happens to hash to it (see [`names`]).
//!
//! # Fencing tokens
//! The next token of a key is the last one plus 1, or the server's clock in microseconds since the Unix epoch, whichever is
//! greater. So tokens grow on when the counter has expired, or has been lost with all else that the server remembered. Only
//! an acquisition or a hand-over that wants a token reads or writes the counter, in the step that takes the lock. A user who
//! may not ask for `TIME` lends the server the clock of this machine.
//!
//! # Fairness between processes
//! A process stands in line once, however many of its tasks wait. Whoever releases wakes the first in line, and only it:
//! a thousand waiting processes cost no more than one. `PUBLISH` tells how many have heard, so processes that have died
//! are skipped there and then. Whoever acquires tells the first of those who are still in line how long its lease lasts: it
//! may end before the one that the first was told of when it came, and should its holder die, nobody else would notice.
//! Whoever finds the lock free but isn't first wakes the first and holds back for one turn;
//! if the first doesn't come by then (it may be stopped), it is passed over. Processes that know nothing of the line, and
//! first tries on keys that nobody here has waited for lately, go past it: exclusion never depends on the line.

use std::sync::LazyLock;

use redis::{Cmd, Script};

/// The parts that more than one script has.
///
/// `wake(except, news)`: tells the first in line that it is its turn (`news` is empty) or how many milliseconds the lock is
/// held for, after taking out whoever has died; returns who was told. A user who may not publish finds everybody dead, and
/// the others poll.
///
/// What stands before it is done first: most releases find no line, and making the function costs more than looking.
macro_rules! with_wake {
    ($before:literal, $body:expr) => {
        concat!(
            $before,
            "
local function wake(except, news)
  if ARGV[1] == '' then return nil end
  while true do
    local first = redis.call('zrange', KEYS[2], 0, 0)[1]
    if not first or first == except then return first end
    local heard = redis.pcall(ARGV[1], ARGV[2] .. first, news)
    if type(heard) == 'number' and heard > 0 then return first end
    redis.call('zrem', KEYS[2], first)
  end
end
",
            $body
        )
    };
}

/// Makes the next `token` of the counter, the last of the keys, which was `last`. The last argument is the caller's clock, for
/// users who may not ask for the server's.
macro_rules! next_token {
    () => {
        "
local time = redis.pcall('time')
time = time.err and tonumber(ARGV[#ARGV]) or time[1] * 1000000 + time[2]
token = math.max((tonumber(last) or 0) + 1, time)
redis.call('set', KEYS[#KEYS], string.format('%.0f', token), 'PX', 604800000)
"
    };
}

/// One script, by its digest where the server knows it already.
pub(super) struct Lua {
    text: &'static str,
    digest: LazyLock<String>,
}

impl Lua {
    /// A call by digest, or with the whole text.
    pub(super) fn call(&self, in_full: bool, keys: usize) -> Cmd {
        let mut command = if in_full {
            let mut command = redis::cmd("EVAL");
            command.arg(self.text);
            command
        } else {
            let mut command = redis::cmd("EVALSHA");
            command.arg(self.digest.as_str());
            command
        };
        command.arg(keys);
        command
    }
}

macro_rules! lua {
    ($text:expr) => {{
        const TEXT: &str = $text;
        Lua { text: TEXT, digest: LazyLock::new(|| Script::new(TEXT).get_hash().to_owned()) }
    }};
}

/// Acquires in turn. Keys: lock, line. Arguments: command that publishes, channels, who we are in line (empty: we aren't),
/// whom we know to have been woken (empty: nobody), whether that one is passed over (`1`), owner, TTL (empty: none), how
/// long the line lasts. With a fencing token there is the counter as a further key, and the caller's clock in microseconds as
/// a further argument. Without a line there is no such key, and the first three arguments are empty.
///
/// Returns `{1, token}`: acquired (0: no token was wanted); `{0, ms, place}`: held so long by somebody (`-1`: without end), and our place in line (0 is
/// the first); `{2, name}`: free, but that one's turn. Unless acquired, we are in line afterwards.
pub(super) static ACQUIRE: Lua = lua!(with_wake!(
    "",
    concat!(
        "
local me = ARGV[3]
local held = redis.call('exists', KEYS[1]) == 1
local first = nil
if not held then
  if ARGV[4] ~= '' and redis.call('zrange', KEYS[2], 0, 0)[1] == ARGV[4] then
    if ARGV[5] == '1' then redis.call('zrem', KEYS[2], ARGV[4]) else first = ARGV[4] end
  end
  first = first or wake(me, '')
  if not first or first == me then
    local token = 0
    if ARGV[9] then
      local last = redis.call('get', KEYS[#KEYS])
",
        next_token!(),
        "
    end
    if ARGV[7] == '' then
      redis.call('set', KEYS[1], ARGV[6])
    else
      redis.call('set', KEYS[1], ARGV[6], 'PX', ARGV[7])
    end
    if first then
      redis.call('zrem', KEYS[2], me)
      if ARGV[7] ~= '' then wake(nil, ARGV[7]) end
    end
    return {1, token}
  end
end
if me ~= '' then
  if not redis.call('zscore', KEYS[2], me) then
    local last = redis.call('zrange', KEYS[2], -1, -1, 'WITHSCORES')[2]
    redis.call('zadd', KEYS[2], (tonumber(last) or 0) + 1, me)
  end
  redis.call('pexpire', KEYS[2], ARGV[8])
end
if held then
  return {0, redis.call('pttl', KEYS[1]), me ~= '' and redis.call('zrank', KEYS[2], me) or 0}
end
return {2, first}
"
    )
));

/// Releases. Keys: lock, line. Arguments: command that publishes, channels, who we are in line, owner.
///
/// Returns 0: not ours; 1: released; a name: released, and that one was woken. Our own place in line is given up: we have
/// just had our turn.
pub(super) static RELEASE: Lua = lua!(with_wake!(
    "
if redis.call('get', KEYS[1]) ~= ARGV[4] then return 0 end
redis.call('del', KEYS[1])
if ARGV[3] ~= '' then redis.call('zrem', KEYS[2], ARGV[3]) end
if ARGV[1] == '' or redis.call('exists', KEYS[2]) == 0 then return 1 end
",
    "
return wake(nil, '') or 1
"
));

/// Releases whoever holds it. Keys and the first three arguments as for [`RELEASE`]. Returns how many locks there were.
pub(super) static RELEASE_BY_FORCE: Lua = lua!(with_wake!(
    "",
    "
local were = redis.call('del', KEYS[1])
wake(nil, '')
return were
"
));

/// Leaves the line. Keys and arguments as for [`RELEASE_BY_FORCE`]. If it was our turn, it is the next one's now; if the
/// lock is held, whoever is first now may not know for how long.
pub(super) static LEAVE: Lua = lua!(with_wake!(
    "",
    "
redis.call('zrem', KEYS[2], ARGV[3])
local left = redis.call('pttl', KEYS[1])
if left == -2 then wake(nil, '') elseif left >= 0 then wake(nil, left) end
return 1
"
));

/// Passes the lock on within a process. Key: lock. Arguments: old owner, new owner, TTL (empty: none). Returns 1, or 0 if
/// the old owner doesn't hold it. With a fencing token there is the counter as a second key, and the caller's clock in
/// microseconds as a fourth argument; then it returns `{1, token}`.
///
/// A server that is out of memory refuses `SET` as the first write of a script, so there the lock is deleted first.
pub(super) static HAND_OVER: Lua = lua!(concat!(
    "
if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
local last = ARGV[4] and redis.call('get', KEYS[2])
local function set()
  if ARGV[3] == '' then return redis.pcall('set', KEYS[1], ARGV[2]) end
  return redis.pcall('set', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
local done = set()
if done.err then
  redis.call('del', KEYS[1])
  done = set()
  if done.err then return done end
end
if not ARGV[4] then return 1 end
local token
",
    next_token!(),
    "
return {1, token}
"
));

/// Moves the end of a lease. Key: lock. Arguments: owner, TTL (empty: none). Returns 1, or 0 if it isn't the owner's.
pub(super) static EXTEND: Lua = lua!(
    "
if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '' then redis.call('persist', KEYS[1]) else redis.call('pexpire', KEYS[1], ARGV[2]) end
return 1
"
);

/// Moves the ends of many leases. Keys: locks. Arguments, two for each: owner, TTL (empty: none). Returns for each what
/// [`EXTEND`] does; a key that holds no lock isn't the owner's. What the server refuses is an error in its place only.
pub(super) static EXTEND_MANY: Lua = lua!(
    "
local done = {}
for place, key in ipairs(KEYS) do
  local ttl = ARGV[2 * place]
  if redis.pcall('get', key) ~= ARGV[2 * place - 1] then
    done[place] = 0
  else
    local answer
    if ttl == '' then answer = redis.pcall('persist', key) else answer = redis.pcall('pexpire', key, ttl) end
    done[place] = type(answer) == 'table' and answer or 1
  end
end
return done
"
);

/// Asks for a lease. Key: lock. Argument: owner. Returns its remaining milliseconds (`-1`: without end), or nothing if it
/// isn't the owner's. With the counter of fencing tokens as a second key it returns `{ms, token}`: that of the last
/// acquisition that wanted one, which is the owner's if it was such.
pub(super) static CONFIRM: Lua = lua!(
    "
if redis.call('get', KEYS[1]) ~= ARGV[1] then return false end
if KEYS[2] then return {redis.call('pttl', KEYS[1]), redis.call('get', KEYS[2])} end
return redis.call('pttl', KEYS[1])
"
);

/// The names that belong to a key.
pub(super) struct Names {
    /// The sorted set of those in line.
    pub(super) line: Vec<u8>,
    /// The counter of fencing tokens.
    pub(super) fence: Vec<u8>,
    /// What the channels of those in line begin with.
    pub(super) channels: String,
}

/// The names that belong to a key: readable ones on a single server, ones in the key's own slot in a cluster.
pub(super) fn names(key: &str, db: i64, is_cluster: bool) -> Names {
    let tag = if is_cluster { tag(key) } else { String::new() };
    if tag.is_empty() {
        return named(key, format!("loquet:wake:{db}:{key}:"));
    }
    let stem = if tag == key { format!("{{{key}}}") } else { format!("{{{tag}}}:{key}") };
    let channels = format!("loquet:wake:{stem}:");
    named(&stem, channels)
}

fn named(stem: &str, channels: String) -> Names {
    let name = |what: &[u8]| [stem.as_bytes(), what].concat();
    Names { line: name(b":loquet:line\xFF"), fence: name(b":loquet:fence\xFF"), channels }
}

/// A hash tag in whose slot the key lies.
fn tag(key: &str) -> String {
    let own = hash_tag(key);
    // In braces, it must read as itself again.
    if !own.contains(['{', '}']) {
        return own.to_owned();
    }
    let wanted = slot(key);
    (0..u32::MAX).map(|number| number.to_string()).find(|tag| slot(tag) == wanted).unwrap_or_default()
}

/// The part of a key that decides where it lies: what stands in the first pair of braces, if that is anything.
fn hash_tag(key: &str) -> &str {
    let inner = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag);
    inner.filter(|tag| !tag.is_empty()).unwrap_or(key)
}

/// The cluster's slot of a key.
pub(super) fn slot(key: &str) -> u16 {
    crc16::State::<crc16::XMODEM>::calculate(hash_tag(key).as_bytes()) % 16_384
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_cluster_specification() {
        assert_eq!(slot("123456789"), 0x31C3);
        assert_eq!(slot("{user1000}.following"), slot("{user1000}.followers"));
        assert_eq!(slot("foo{}{bar}"), crc16::State::<crc16::XMODEM>::calculate(b"foo{}{bar}") % 16_384);
        assert_eq!(slot("foo{{bar}}zap"), slot("{bar"));
    }

    #[test]
    fn c20_what_belongs_to_a_key_lies_in_its_slot_whatever_its_braces() {
        for key in
            ["k", "a{b}c", "{}", "}{", "{", "}", "a}b", "a{b", "{{x}}", "{}{y}", "{a}{b}", "ключ{}", "{x"]
        {
            let names = names(key, 0, true);
            let line = String::from_utf8_lossy(&names.line).into_owned();
            assert_eq!(slot(&line), slot(key), "{key} {line}");
            let fence = String::from_utf8_lossy(&names.fence).into_owned();
            assert_eq!(slot(&fence), slot(key), "{key} {fence}");
            assert_eq!(slot(&format!("{}p", names.channels)), slot(key), "{key} {}", names.channels);
        }
    }

    #[test]
    fn different_keys_have_different_names() {
        let keys = ["k", "{k}", "a{k}", "k}", "{k}{k}", "{}k"];
        for is_cluster in [true, false] {
            let names = keys.map(|key| names(key, 0, is_cluster));
            let mut lines: Vec<_> = names.into_iter().flat_map(|names| [names.line, names.fence]).collect();
            lines.sort();
            lines.dedup();
            assert_eq!(lines.len(), 2 * keys.len(), "{lines:?}");
        }
    }
}
