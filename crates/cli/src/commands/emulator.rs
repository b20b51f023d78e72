//! `pabal emulator fcm`: the same as the binary `fcm-emulator`, with this program's exit codes.

use std::io::ErrorKind;
use std::process::ExitCode;

use anyhow::Result;
use fcm_emulator::cli::{Args, Error};
use fcm_emulator::{IdentityError, StartError};

use crate::failure::Failure;

pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    fcm_emulator::cli::run(args).await.map_err(explained)?;
    Ok(ExitCode::SUCCESS)
}

/// A failure with the exit code of its cause: what is wrong with an option's value is wrong configuration, as in `serve`.
fn explained(error: Error) -> anyhow::Error {
    let code: Option<fn(String) -> Failure> = match &error {
        Error::Start(StartError::Listen { source, .. }) if source.kind() == ErrorKind::AddrInUse => {
            Some(Failure::Unavailable)
        }
        Error::ReadFaults { .. } | Error::Faults { .. } => Some(Failure::Configuration),
        Error::Start(StartError::NotLoopback(_) | StartError::Listen { .. } | StartError::Faults(_)) => {
            Some(Failure::Configuration)
        }
        Error::Start(StartError::Identity(identity)) | Error::Write(identity) => match identity {
            IdentityError::KeyGeneration => None,
            _ => Some(Failure::Configuration),
        },
        _ => None,
    };
    let error = anyhow::Error::from(error);
    match code {
        Some(failure) => failure(format!("{error:#}")).into(),
        None => error,
    }
}
