//! Who the emulator is: the service accounts it knows and the certificate authority it vouches with.
//!
//! All of it is made up at the first start and, with a state folder, kept: a client's files stay good when a demo
//! restarts.

mod account;
mod state_dir;
mod tls;

pub(crate) use account::{Account, GOOGLE_TOKEN_URI};
pub(crate) use state_dir::{StateDir, write_private};
pub(crate) use tls::{Authority, SERVED_NAMES};

/// The emulator's identity can't be made, read or kept.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The crypto library refused.
    #[error("cannot generate an RSA key of 2,048 bits")]
    KeyGeneration,
    /// A project id that can't be one.
    #[error("`{0}` is no project id: use 1 to 63 of a-z, A-Z, 0-9 and `-`")]
    ProjectId(String),
    /// More projects than [`crate::limits::MAX_PROJECTS`], or none.
    #[error("{0} projects given; 1 to {max} are possible", max = crate::limits::MAX_PROJECTS)]
    ProjectCount(usize),
    /// The same project twice.
    #[error("the project `{0}` is given twice")]
    DuplicateProject(String),
    /// A file of the state folder can't be read or written.
    #[error("cannot {action} {path}", path = path.display())]
    File {
        /// "read", "write" or "create".
        action: &'static str,
        /// Which file.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file of the state folder isn't what it should be.
    #[error("{path} is damaged: {problem}; delete it to have a new one made", path = path.display())]
    Damaged {
        /// Which file.
        path: std::path::PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Certificates can't be made.
    #[error("cannot make the TLS certificates")]
    Certificate(#[from] rcgen::Error),
    /// rustls doesn't take them.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
}
