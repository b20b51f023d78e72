//! What the demo tells: what happens here, and where to look next.

use pabal_core::ids::DeliveryId;

use super::campaign::NOTIFICATIONS;
use super::folder::Folder;
use super::progress::Progress;
use super::report::{Report, thousands};
use super::stage::Stage;

/// What happens here.
pub(super) fn welcome(progress: &Progress, folder: &Folder, stage: &Stage, sent_before: usize) {
    let port = if stage.on_another_port { " (port 8080 is taken, so this is a free one)" } else { "" };
    progress.say(&format!(
        "Pabal demo\n  server    {}{port}\n  emulator  {}, in place of Firebase: it throttles, fails and loses answers\n  data      ./{}",
        stage.server.url,
        page_of(&stage.emulator.base_url()),
        folder.path().display(),
    ));
    let all = thousands(NOTIFICATIONS as u64);
    progress.say(&match sent_before {
        0 => format!("Sending {all} notifications to a challenge app's people through the HTTP API.\n"),
        NOTIFICATIONS => format!(
            "All {all} notifications were accepted by an earlier start: none is sent again. For a new run remove \
             ./{}.\n",
            folder.path().display(),
        ),
        some => format!(
            "{} of {all} notifications were accepted by an earlier start: going on with the rest, and sending none \
             of them again.\n",
            thousands(some as u64),
        ),
    });
}

/// Where to look next.
pub(super) fn where_to_look(progress: &Progress, folder: &Folder, stage: &Stage, report: &Report) {
    let key_file = folder.api_key_file();
    let program = called_as(&std::env::args().next().unwrap_or_default());
    progress.say("Where to look next:");
    progress.say(&format!(
        "  what arrived, on phones and browsers:\n    {}",
        page_of(&stage.emulator.base_url())
    ));
    let show = |what: &str, id: Option<DeliveryId>| {
        if let Some(id) = id {
            progress.say(&format!(
                "  {what}, attempt by attempt:\n    curl -H \"Authorization: Bearer $(cat {})\" {}/v1/deliveries/{id}",
                key_file.display(),
                stage.server.url,
            ));
        }
    };
    show("a delivery that took several attempts", report.example_retried);
    show("a delivery that is dead", report.example_dead);
    let id = report.example_retried.or(report.example_dead);
    if let Some(id) = id {
        progress.say(&format!(
            "  the same for people:\n    PABAL_URL={} PABAL_API_KEY=$(cat {}) {program} status {id}",
            stage.server.url,
            key_file.display(),
        ));
    }
    progress.say(&format!(
        "  one of your own:\n    PABAL_URL={} PABAL_API_KEY=$(cat {}) {program} send --to-user runner-0001 --title 안녕",
        stage.server.url,
        key_file.display(),
    ));
    progress.say("\nServing until Ctrl-C. A second start goes on from here and accepts nothing twice.");
}

/// The emulator's page.
fn page_of(emulator: &str) -> String {
    format!("{emulator}/emulator/")
}

/// How whoever started this program starts it again: out of the repository cargo does it.
fn called_as(program: &str) -> String {
    let path = std::path::Path::new(program);
    let built_here = path.components().any(|part| part.as_os_str() == "target");
    match path.file_name() {
        Some(name) if !built_here && path.components().count() == 1 => name.to_string_lossy().into_owned(),
        Some(_) if !built_here => program.to_owned(),
        _ => "cargo run --release --".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_name_the_program_as_it_was_started() {
        assert_eq!(called_as("pabal"), "pabal");
        assert_eq!(called_as("/usr/local/bin/pabal"), "/usr/local/bin/pabal");
        assert_eq!(called_as("target/release/pabal"), "cargo run --release --");
    }
}
