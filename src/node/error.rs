//! Errors on their way to JavaScript: the stable code becomes `error.code`.

use crate::error::{Error, ErrorKind};

/// A napi error that bears one of our codes.
pub(super) type CodedError = napi::Error<&'static str>;

/// The result of a function that JavaScript calls.
pub(super) type Result<T> = std::result::Result<T, CodedError>;

impl From<Error> for CodedError {
    fn from(error: Error) -> Self {
        Self::new(error.kind().code(), error.to_string())
    }
}

/// Something that only a defect of the JavaScript side can cause.
pub(super) fn internal(message: &str) -> CodedError {
    CodedError::new(ErrorKind::InvalidArgument.code(), format!("loquet: {message}"))
}
