//! Queue and store in one SQLite file, the embedded default.
