//! Conformance suites, simulated channel and clock, started servers.
