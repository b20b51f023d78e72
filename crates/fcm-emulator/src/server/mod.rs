//! Sockets in, answers out. One concern per file: the listener, one connection, the routes, and what is behind each.

mod answer;
mod connection;
mod control;
mod listener;
mod route;
mod send;
mod token;

pub(crate) use listener::{Listening, listen};
