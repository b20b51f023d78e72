//! Questions before what can't be taken back. They are asked at a terminal only: a script says `--yes`.

use std::io::{BufRead, IsTerminal};

use anyhow::Result;

use crate::failure::Failure;

/// Whether to ask.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct ConfirmArgs {
    /// Don't ask: do it.
    #[arg(long, short = 'y')]
    yes: bool,
}

impl ConfirmArgs {
    /// Goes on if that is wanted.
    ///
    /// # Errors
    /// If the answer is another than yes, or there is nobody to ask.
    pub(crate) fn ask(self, what: &str) -> Result<()> {
        if self.yes {
            return Ok(());
        }
        if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
            let problem =
                format!("{what}: that is to be confirmed, and there is no terminal to ask at; add --yes");
            return Err(Failure::Usage(problem).into());
        }
        eprint!("{what}. This can't be taken back. Go on? [y/N] ");
        let mut answer = String::new();
        std::io::stdin().lock().read_line(&mut answer)?;
        if ["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) {
            return Ok(());
        }
        Err(Failure::Usage("not confirmed: nothing was done".to_owned()).into())
    }
}
