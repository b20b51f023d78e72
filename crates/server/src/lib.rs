//! The HTTP API, configuration and wiring.
