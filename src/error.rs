//! One error for everything that can go wrong below a lock.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// What sort of failure it is. Each kind has one stable code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The caller doesn't hold the lock that it wants to release or extend.
    NotOwned,
    /// A value given by the caller can't be used.
    InvalidArgument,
    /// The store failed and nothing was changed.
    Storage,
    /// The store failed and nobody knows whether the change was made: the reply was lost.
    Uncertain,
    /// The lock space has been closed.
    Closed,
}

impl ErrorKind {
    /// The code under which JavaScript sees the error.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotOwned => "E_LOCK_NOT_OWNED",
            Self::InvalidArgument => "E_INVALID_ARGUMENTS_EXCEPTION",
            Self::Storage | Self::Uncertain => "E_LOCK_STORAGE_ERROR",
            Self::Closed => "E_LOCK_CLOSED",
        }
    }
}

/// An error with its context. Small, since it travels in every answer; cheap to clone, so that every waiter of a failed
/// batch can have it.
#[derive(Clone)]
pub struct Error(Box<Context>);

#[derive(Clone)]
struct Context {
    kind: ErrorKind,
    store: &'static str,
    operation: &'static str,
    message: String,
    source: Option<Arc<dyn StdError + Send + Sync>>,
    is_out_of_time: bool,
}

impl Error {
    /// An error of `kind` that `store` reports for `operation`. `message` must not carry secrets.
    #[must_use]
    pub fn new(
        kind: ErrorKind,
        store: &'static str,
        operation: &'static str,
        message: impl Into<String>,
    ) -> Self {
        let message = message.into();
        Self(Box::new(Context { kind, store, operation, message, source: None, is_out_of_time: false }))
    }

    /// An error about a value that the caller gave.
    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, "loquet", "validate", message)
    }

    /// Adds the driver's own error as the source.
    #[must_use]
    pub fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }

    /// Marks that the store has tried for as long as it may: whoever waits for the same has waited long enough too.
    #[must_use]
    pub fn out_of_time(mut self) -> Self {
        self.0.is_out_of_time = true;
        self
    }

    /// Whether the store has tried for as long as it may.
    #[must_use]
    pub fn is_out_of_time(&self) -> bool {
        self.0.is_out_of_time
    }

    /// What sort of failure it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the same operation may succeed when tried again.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Storage | ErrorKind::Uncertain)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Context { message, store, operation, .. } = &*self.0;
        write!(formatter, "{message} ({store}, {operation})")
    }
}

/// Written by hand: the source's own `Debug` may show a connection string, so only its `Display` is printed.
impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Context { kind, store, operation, message, source, is_out_of_time } = &*self.0;
        formatter
            .debug_struct("Error")
            .field("code", &kind.code())
            .field("store", store)
            .field("operation", operation)
            .field("message", message)
            .field("source", &source.as_ref().map(ToString::to_string))
            .field("is_out_of_time", is_out_of_time)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_ref().map(|source| source.as_ref() as &(dyn StdError + 'static))
    }
}

/// The result of whatever can fail with [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Driver {
        #[allow(dead_code)] // only its Debug output matters here
        url: &'static str,
    }
    impl fmt::Display for Driver {
        fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("connection refused")
        }
    }
    impl StdError for Driver {}

    #[test]
    fn debug_shows_the_sources_words_but_not_its_fields() {
        let error = Error::new(ErrorKind::Storage, "redis", "save", "no answer")
            .with_source(Driver { url: "redis://:secret@host" });
        let shown = format!("{error:?} {error}");
        assert!(shown.contains("connection refused") && shown.contains("E_LOCK_STORAGE_ERROR"));
        assert!(!shown.contains("secret"));
        assert!(error.is_retryable() && error.source().is_some());
    }
}
