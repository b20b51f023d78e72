//! Documents that programs of ours print: each is written where its readers look for it, and a test of the crate that
//! prints it compares the two, so that a document can't go stale unseen.

use anyhow::{Context, Result};

use crate::run;

/// A document, or a part of one.
struct Generated {
    path: &'static str,
    place: Place,
    /// The arguments of `pabal` that print it.
    printed_by: &'static [&'static str],
}

/// Where in its file it stands.
enum Place {
    /// It is the whole file.
    Whole,
    /// Between the lines `<!-- begin generated: pabal … -->`, with what it is printed by, and `<!-- end generated -->`.
    Marked,
}

const END: &str = "<!-- end generated -->";

const ALL: [Generated; 3] = [
    Generated {
        path: "docs/guide/configuration.md",
        place: Place::Marked,
        printed_by: &["config", "reference"],
    },
    Generated { path: "docs/guide/cli.md", place: Place::Whole, printed_by: &["help-markdown"] },
    Generated { path: "docs/openapi.json", place: Place::Whole, printed_by: &["openapi"] },
];

/// Writes them all anew.
pub(crate) fn all() -> Result<()> {
    run::cargo(&["build", "--locked", "-p", "pabal-cli"])?;
    for document in &ALL {
        write(document)?;
    }
    Ok(())
}

fn write(document: &Generated) -> Result<()> {
    let path = run::root().join(document.path);
    let arguments = [&["run", "--quiet", "--locked", "-p", "pabal-cli", "--"], document.printed_by].concat();
    let printed = run::output(&run::cargo_path(), &arguments)?;
    let before = std::fs::read_to_string(&path).unwrap_or_default();
    let after = match document.place {
        Place::Whole => printed,
        Place::Marked => between_marks(&before, &document.printed_by.join(" "), &printed)
            .with_context(|| format!("{} has not both marks", document.path))?,
    };
    if after == before {
        println!("{} is as it is printed", document.path);
        return Ok(());
    }
    println!("{} is written anew", document.path);
    std::fs::write(&path, after).with_context(|| format!("{} could not be written", document.path))
}

/// `text` with `part` between its marks.
fn between_marks(text: &str, printed_by: &str, part: &str) -> Option<String> {
    let begin = format!("<!-- begin generated: pabal {printed_by} -->\n");
    let (before, rest) = text.split_once(&begin)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{begin}{part}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_between_the_marks_is_replaced_and_nothing_else() {
        let text = |part: &str| format!("a\n<!-- begin generated: pabal x y -->\n{part}{END}\nb\n");
        assert_eq!(between_marks(&text("old\n"), "x y", "new\n"), Some(text("new\n")));
        assert_eq!(between_marks(&text("old\n"), "x z", "new\n"), None);
        assert_eq!(between_marks("<!-- begin generated: pabal x y -->\n", "x y", "new\n"), None);
    }
}
