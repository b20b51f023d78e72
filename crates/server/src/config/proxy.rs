//! The proxy on the way to Google: what `fcm.proxy` says, or else what the environment does.
//!
//! The key wins over the environment as a whole: with it, `NO_PROXY` says nothing either. Whether a URL is one that can
//! be used is the channel's to say.

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

/// The value of the key that means no proxy, whatever the environment says.
const OFF: &str = "off";
/// The variables that name a proxy. As curl has it, small letters count first; an empty one is none.
const PROXY_VARIABLES: [&str; 2] = ["https_proxy", "HTTPS_PROXY"];
/// The variables that name what goes past it.
const NO_PROXY_VARIABLES: [&str; 2] = ["no_proxy", "NO_PROXY"];

/// A proxy, as it was named.
#[derive(Debug, Clone, Deserialize)]
#[serde(from = "String")]
pub struct ProxySetting {
    /// Where it is, with our password perhaps.
    pub url: SecretString,
    /// What goes past it, as in `NO_PROXY`.
    pub except: String,
    /// The key or the variable that named it.
    pub named_by: String,
}

/// By the key.
impl From<String> for ProxySetting {
    fn from(url: String) -> Self {
        Self { url: SecretString::from(url), except: String::new(), named_by: "fcm.proxy".to_owned() }
    }
}

/// What holds: the key's word, or else the environment's.
pub(super) fn chosen(key: Option<ProxySetting>, variables: &[(String, String)]) -> Option<ProxySetting> {
    match key {
        Some(setting) if setting.url.expose_secret() == OFF => None,
        Some(setting) => Some(setting),
        None => of_environment(variables),
    }
}

fn of_environment(variables: &[(String, String)]) -> Option<ProxySetting> {
    let (named_by, url) = first(PROXY_VARIABLES, variables)?;
    let except = first(NO_PROXY_VARIABLES, variables).map(|(_, list)| list).unwrap_or_default();
    Some(ProxySetting {
        url: SecretString::from(url),
        except: except.to_owned(),
        named_by: named_by.to_owned(),
    })
}

/// The first of two variables that is there and not empty.
fn first<'a>(names: [&'static str; 2], variables: &'a [(String, String)]) -> Option<(&'static str, &'a str)> {
    let value = |name: &'static str| {
        let found = variables.iter().find(|(known, value)| known == name && !value.trim().is_empty());
        found.map(|(_, value)| (name, value.as_str()))
    };
    names.into_iter().find_map(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: Option<&str>, variables: &[(&str, &str)], expect: Option<(&str, &str, &str)>) {
        let variables: Vec<(String, String)> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let setting = chosen(key.map(|url| ProxySetting::from(url.to_owned())), &variables);
        let found =
            setting.map(|setting| (setting.url.expose_secret().to_owned(), setting.except, setting.named_by));
        let expect = expect.map(|(url, except, by)| (url.to_owned(), except.to_owned(), by.to_owned()));
        assert_eq!(found, expect, "{key:?} {variables:?}");
    }

    #[test]
    fn the_environment_is_asked_where_the_key_says_nothing() {
        let (upper, lower) = (("HTTPS_PROXY", "http://u:1"), ("https_proxy", "http://l:1"));
        check(None, &[], None);
        check(None, &[upper], Some(("http://u:1", "", "HTTPS_PROXY")));
        check(None, &[upper, lower], Some(("http://l:1", "", "https_proxy")));
        check(None, &[upper, ("https_proxy", " ")], Some(("http://u:1", "", "HTTPS_PROXY")));
        check(None, &[upper, ("NO_PROXY", "a,b")], Some(("http://u:1", "a,b", "HTTPS_PROXY")));
        check(None, &[upper, ("NO_PROXY", "a"), ("no_proxy", "b")], Some(("http://u:1", "b", "HTTPS_PROXY")));
        check(None, &[("HTTPS_PROXY", ""), ("HTTP_PROXY", "http://h:1"), ("ALL_PROXY", "http://a:1")], None);
    }

    #[test]
    fn the_key_wins_over_all_of_the_environment() {
        let environment = [("HTTPS_PROXY", "http://u:1"), ("NO_PROXY", "*")];
        check(Some("http://k:1"), &environment, Some(("http://k:1", "", "fcm.proxy")));
        check(Some("off"), &environment, None);
    }
}
