//! The fuzzer's program: `cargo xtask fuzz` builds and runs it. `PABAL_FUZZ` names the target.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

/// What can be fuzzed: each takes any bytes, and panics where something is not as it must always be.
const TARGETS: &[(&str, fn(&[u8]))] = &[
    ("request", pabal_server::fuzzing::request),
    ("batch", pabal_server::fuzzing::batch),
    ("cursor", pabal_server::fuzzing::cursor),
    ("config", pabal_server::fuzzing::config),
    ("fcm_answer", pabal_fcm::fuzzing::classify),
    ("proxy_answer", pabal_fcm::fuzzing::proxy_answer),
    ("retry_after", pabal_fcm::fuzzing::retry_after),
];

fn target() -> fn(&[u8]) {
    static TARGET: OnceLock<fn(&[u8])> = OnceLock::new();
    *TARGET.get_or_init(|| {
        let name = std::env::var("PABAL_FUZZ").unwrap_or_default();
        let found = TARGETS.iter().find(|(known, _)| *known == name);
        found.map_or_else(|| panic!("PABAL_FUZZ names no target: '{name}'"), |(_, target)| *target)
    })
}

fuzz_target!(|bytes: &[u8]| target()(bytes));
