//! One error for every seam: *what* went wrong, whether the same call may succeed later, what was being done, and
//! the cause. Callers ask `kind` and `is_temporary`; nobody reads messages to decide.

use std::fmt;

/// The result of a call over a seam.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in words that hold for every backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The backend can't be reached, or does not answer.
    Unavailable,
    /// There is no room: disk full, memory limit reached.
    Full,
    /// Another process holds what must be held alone.
    Locked,
    /// What is stored can't be read as what it should be.
    Corrupt,
    /// The stored schema is newer than this program.
    SchemaTooNew,
    /// The queue belongs to another store, layout or shard count.
    BoundElsewhere,
    /// A named limit would be passed.
    LimitReached,
    /// The request contradicts what is stored (an unknown app, say).
    Conflict,
    /// A bug of ours or of a library.
    Unexpected,
}

/// A failed call over a seam.
pub struct Error {
    kind: ErrorKind,
    temporary: bool,
    operation: &'static str,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind` while doing `operation` (a method's name: `settle`); `message` is for people.
    /// Unavailable, Full and Locked count as temporary.
    pub fn new(kind: ErrorKind, operation: &'static str, message: impl Into<String>) -> Self {
        let temporary = matches!(kind, ErrorKind::Unavailable | ErrorKind::Full | ErrorKind::Locked);
        Self { kind, temporary, operation, message: message.into(), source: None }
    }

    /// With the error that caused it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether the same call may succeed later without anybody's help.
    pub fn is_temporary(&self) -> bool {
        self.temporary
    }

    /// What went wrong, for people, with its cause; without what was being done.
    pub fn message(&self) -> String {
        match &self.source {
            Some(source) => format!("{}: {source}", self.message),
            None => self.message.clone(),
        }
    }

    /// What was being done.
    pub fn operation(&self) -> &'static str {
        self.operation
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.operation, self.message())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let retry = if self.temporary { "temporary" } else { "permanent" };
        write!(f, "Error({:?}, {retry}, {self})", self.kind)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
