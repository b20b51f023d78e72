//! Which dead letters: as options, as a query, and as the filter of a redrive.

use serde_json::{Value, json};

use crate::fields::id;
use crate::moment::SpanArgs;
use crate::path::Query;

/// Which dead letters: those that fit all of these.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct FilterArgs {
    /// Those that died for this reason, as unregistered.
    #[arg(long)]
    reason: Option<String>,
    /// Those of this channel.
    #[arg(long)]
    channel: Option<String>,
    /// Those of this user.
    #[arg(long)]
    user: Option<String>,
    /// Those of this notification.
    #[arg(long, value_name = "ID", value_parser = id)]
    notification: Option<String>,
    /// By the time of death.
    #[command(flatten)]
    span: SpanArgs,
}

impl FilterArgs {
    /// The parameters. Times are reckoned now: the pages of a list must all have the same.
    fn parts(&self) -> Vec<(&'static str, String)> {
        let parts = [
            ("reason", self.reason.clone()),
            ("channel", self.channel.clone()),
            ("user", self.user.clone()),
            ("notification", self.notification.clone()),
            ("since", self.span.since()),
            ("until", self.span.until()),
        ];
        parts.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    /// Whether it leaves nothing out.
    pub(super) fn is_empty(&self) -> bool {
        self.parts().is_empty()
    }

    /// As a query.
    pub(super) fn query(&self) -> Query {
        self.parts().iter().fold(Query::default(), |query, (name, value)| query.with(name, Some(value)))
    }

    /// As the filter of a redrive.
    pub(super) fn json(&self) -> Value {
        self.parts().into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect()
    }
}
