//! What keys may do, and the types by which handlers ask for it.

use serde::{Deserialize, Serialize};

/// The words of the scopes, as keys keep them and the API has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ScopeWord {
    Send,
    Read,
    Manage,
    Admin,
}

impl ScopeWord {
    pub(crate) const ALL: [ScopeWord; 4] = [Self::Send, Self::Read, Self::Manage, Self::Admin];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            ScopeWord::Send => "send",
            ScopeWord::Read => "read",
            ScopeWord::Manage => "manage",
            ScopeWord::Admin => "admin",
        }
    }
}

impl std::fmt::Display for ScopeWord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Something that a key may be allowed to do.
pub(crate) trait Scope: Send {
    /// Its word.
    const WORD: ScopeWord;
}

/// To send and to cancel notifications.
pub(crate) struct Sends;
/// To look at notifications, deliveries, devices and numbers.
pub(crate) struct Reads;
/// To register and remove devices, to forget users, to redrive and purge dead letters.
pub(crate) struct Manages;
/// To make and revoke keys; it includes all the others.
pub(crate) struct Administers;

impl Scope for Sends {
    const WORD: ScopeWord = ScopeWord::Send;
}

impl Scope for Reads {
    const WORD: ScopeWord = ScopeWord::Read;
}

impl Scope for Manages {
    const WORD: ScopeWord = ScopeWord::Manage;
}

impl Scope for Administers {
    const WORD: ScopeWord = ScopeWord::Admin;
}

/// The scopes of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scopes(u8);

impl Scopes {
    /// Those of a record. A word that this version does not know allows nothing.
    pub(crate) fn of<'a>(words: impl IntoIterator<Item = &'a String>) -> Self {
        let known = |word: &String| ScopeWord::ALL.into_iter().find(|scope| scope.as_str() == word);
        Self(words.into_iter().filter_map(known).fold(0, |bits, scope| bits | 1 << scope as u8))
    }

    /// Whether they allow what `scope` stands for.
    pub(crate) const fn include(self, scope: ScopeWord) -> bool {
        self.0 & (1 << scope as u8 | 1 << ScopeWord::Admin as u8) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(words: &[&str]) -> Scopes {
        Scopes::of(&words.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn each_word_allows_itself_and_admin_allows_all() {
        for scope in ScopeWord::ALL {
            for asked in ScopeWord::ALL {
                let is_allowed = asked == scope || scope == ScopeWord::Admin;
                assert_eq!(scopes(&[scope.as_str()]).include(asked), is_allowed, "{scope} {asked}");
            }
        }
        assert!(scopes(&["send", "manage"]).include(ScopeWord::Manage));
    }

    #[test]
    fn unknown_words_allow_nothing() {
        for words in [&[][..], &["devices"], &["Admin"], &["administer"]] {
            assert!(ScopeWord::ALL.iter().all(|scope| !scopes(words).include(*scope)), "{words:?}");
        }
    }
}
