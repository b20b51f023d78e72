//! Generated requests against a real server, each answer held against `/openapi.json`: see `crates/server/api-tests`.

use anyhow::Result;

use super::{Counts, python};
use crate::{run, setup};

const TESTS: &str = "crates/server/api-tests";

/// The suite `api`.
pub(super) fn generated_requests() -> Result<Counts> {
    setup::install(setup::PYTHON)?;
    run::cargo(&["build", "--locked", "-p", "pabal-cli", "-p", "fcm-emulator"])?;
    let binaries = run::root().join("target/debug");
    let (pabal, emulator) = (binaries.join("pabal"), binaries.join("fcm-emulator"));
    let tests = run::root().join(TESTS);
    let python = python::environment(&tests.join("requirements.txt"))?;
    let script = tests.join("run.py");
    let variables = [
        ("PABAL", python::text(&pabal)?),
        ("FCM_EMULATOR", python::text(&emulator)?),
        ("PYTHONDONTWRITEBYTECODE", "1"),
        ("PYTHONUNBUFFERED", "1"),
        ("NO_COLOR", "1"),
    ];
    Counts::of_program(python::text(&python)?, &[python::text(&script)?], &variables)
}
