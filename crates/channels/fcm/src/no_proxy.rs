//! What goes past a proxy: the list that programs take from `NO_PROXY`.
//!
//! There is no standard for it. This reads what the common readers agree on: names stand for themselves and all names
//! below them, with or without a dot in front; a port narrows an entry down; `*` is everything; an address may be a
//! network. What means nothing matches nothing.

use std::convert::Infallible;
use std::net::IpAddr;
use std::str::FromStr;

/// What goes past a proxy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NoProxy(Vec<Entry>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    hosts: Hosts,
    /// `None` for every port.
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Hosts {
    All,
    /// An address, and how many of its first bits count.
    Network(IpAddr, u32),
    /// A name and all names below it.
    Domain(String),
}

impl NoProxy {
    /// Whether connections to this host and port go past the proxy.
    pub(crate) fn holds(&self, host: &str, port: u16) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let meant = |entry: &Entry| entry.port.is_none_or(|only| only == port) && entry.hosts.hold(&host);
        self.0.iter().any(meant)
    }
}

impl Hosts {
    fn hold(&self, host: &str) -> bool {
        match self {
            Hosts::All => true,
            Hosts::Network(network, bits) => {
                host.parse().is_ok_and(|address| first_bits(*network, *bits) == first_bits(address, *bits))
            }
            Hosts::Domain(domain) => match host.strip_suffix(domain.as_str()) {
                Some(before) => before.is_empty() || before.ends_with('.'),
                None => false,
            },
        }
    }
}

/// The first bits of an address, the rest zero; with the kind of address, since 0.0.0.0/0 is no IPv6 network.
fn first_bits(address: IpAddr, bits: u32) -> (bool, u128) {
    match address {
        IpAddr::V4(v4) => (false, u128::from(u32::from(v4).checked_shr(32 - bits.min(32)).unwrap_or(0))),
        IpAddr::V6(v6) => (true, u128::from(v6).checked_shr(128 - bits.min(128)).unwrap_or(0)),
    }
}

impl FromStr for NoProxy {
    type Err = Infallible;

    fn from_str(list: &str) -> Result<Self, Infallible> {
        Ok(Self(list.split(',').filter_map(|entry| Entry::parse(entry.trim())).collect()))
    }
}

impl Entry {
    /// `None` for what means nothing, as an empty entry.
    fn parse(text: &str) -> Option<Self> {
        if let Some(hosts) = network(text) {
            return Some(Self { hosts, port: None });
        }
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) => (name, Some(port.parse().ok()?)),
            None => (text, None),
        };
        let hosts = match name.trim_matches('.') {
            "*" => Hosts::All,
            bare => match network(bare) {
                Some(network) => network,
                None => Hosts::Domain(domain(bare)?),
            },
        };
        Some(Self { hosts, port })
    }
}

/// `example.com`, also written `*.example.com`.
fn domain(text: &str) -> Option<String> {
    let name = text.strip_prefix("*.").unwrap_or(text);
    (!name.is_empty() && !name.contains(['*', '/', ':'])).then(|| name.to_ascii_lowercase())
}

/// `10.0.0.1`, `10.0.0.0/8`, `fd00::/8`, `[::1]`.
fn network(text: &str) -> Option<Hosts> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let (address, bits) = bare.split_once('/').map_or((bare, None), |(address, bits)| (address, Some(bits)));
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.map_or(Some(most), |bits| bits.parse().ok().filter(|bits| *bits <= most))?;
    Some(Hosts::Network(address, bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past(list: &str, host: &str, port: u16) -> bool {
        list.parse::<NoProxy>().unwrap().holds(host, port)
    }

    #[test]
    fn names_stand_for_themselves_and_what_is_below() {
        for list in ["googleapis.com", ".googleapis.com", "*.googleapis.com", " x.org , GoogleApis.com", "*"]
        {
            assert!(past(list, "fcm.googleapis.com", 443), "{list}");
            assert!(past(list, "googleapis.com.", 443), "{list}");
        }
        for list in ["", ",", "apis.com", "fcm.googleapis.com", "*apis.com", ".", "com.googleapis", "*.*"] {
            assert!(!past(list, "oauth2.googleapis.com", 443), "{list}");
        }
    }

    #[test]
    fn a_port_narrows_an_entry_down() {
        assert!(past("googleapis.com:443", "fcm.googleapis.com", 443));
        assert!(!past("googleapis.com:8443", "fcm.googleapis.com", 443));
        assert!(past("*:443", "a", 443) && !past("*:443", "a", 80));
        assert!(past("[fd00::1]:9", "fd00::1", 9) && !past("[fd00::1]:9", "fd00::1", 8));
        assert!(!past("googleapis.com:https", "googleapis.com", 443), "means nothing, matches nothing");
    }

    #[test]
    fn addresses_may_be_networks() {
        for list in ["10.1.2.3", "10.0.0.0/8", "10.1.2.3:443", "0.0.0.0/0", "10.1.2.2/31"] {
            assert!(past(list, "10.1.2.3", 443), "{list}");
        }
        for list in ["10.1.2.4", "11.0.0.0/8", "10.0.0.0/33", "::/0", "10.1.2.3/x", "0.1.2.3"] {
            assert!(!past(list, "10.1.2.3", 443), "{list}");
        }
        assert!(past("fd00::/8", "fd12::1", 443) && past("::/0", "fd12::1", 443));
        assert!(!past("fd00::/8", "fe80::1", 443));
        assert!(
            !past("10.0.0.0/8", "fcm.googleapis.com", 443),
            "a name is no address before it is looked up"
        );
    }
}
