//! Sockets in, answers out. One concern per file: the listener, one connection, the routes, and what is behind each.

mod answer;
mod bearer;
mod connection;
mod control;
mod guard;
mod iid;
mod listener;
mod own;
mod percent;
mod query;
mod route;
mod send;
mod token;
mod topics;

pub(crate) use listener::{Listening, listen};
