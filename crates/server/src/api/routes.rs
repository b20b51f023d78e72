//! The routes of the API, each with its handler and what is documented of it: so that a route can't be added and
//! forgotten in the document, and a test can ask for every one of them.
//!
//! The scope that an operation is documented with is the one that its handler asks for: it is read from the type of the
//! handler's arguments.

use axum::Router;
use axum::handler::Handler;
use axum::routing::{self, MethodRouter};
use utoipa::openapi::HttpMethod;

use super::Shared;
use super::document::Operation;
use crate::auth::{Granted, Scope, ScopeWord};

/// Routes, and what is documented of them.
#[derive(Default)]
pub(super) struct Routes {
    router: Router<Shared>,
    operations: Vec<Documented>,
}

/// An operation, and where it is.
pub(super) struct Documented {
    pub(super) path: &'static str,
    pub(super) method: HttpMethod,
    pub(super) operation: Operation,
}

/// The arguments of a handler that begins with a key: a tuple of extractors, after a marker of axum's.
pub(super) trait Keyed {
    /// What the key must be allowed to do.
    const SCOPE: ScopeWord;
}

macro_rules! keyed {
    ($($argument:ident),*) => {
        impl<M, S: Scope, $($argument),*> Keyed for (M, Granted<S>, $($argument,)*) {
            const SCOPE: ScopeWord = S::WORD;
        }
    };
}

keyed!(A);
keyed!(A, B);
keyed!(A, B, C);
keyed!(A, B, C, D);

macro_rules! methods {
    ($($name:ident = $method:ident),+) => {
        $(
            /// Adds an operation that needs a key.
            pub(super) fn $name<H, T>(self, path: &'static str, handler: H, operation: Operation) -> Self
            where
                H: Handler<T, Shared>,
                T: Keyed + 'static,
            {
                self.add(HttpMethod::$method, path, routing::$name(handler), operation.needs(T::SCOPE))
            }
        )+
    };
}

impl Routes {
    pub(super) fn new() -> Self {
        Self::default()
    }

    methods!(get = Get, put = Put, post = Post, delete = Delete);

    /// Adds something to look at whose handler asks for no key, or decides by itself whether it needs one.
    pub(super) fn open<H, T>(self, path: &'static str, handler: H, operation: Operation) -> Self
    where
        H: Handler<T, Shared>,
        T: 'static,
    {
        self.add(HttpMethod::Get, path, routing::get(handler), operation)
    }

    fn add(
        mut self,
        method: HttpMethod,
        path: &'static str,
        handler: MethodRouter<Shared>,
        operation: Operation,
    ) -> Self {
        self.router = self.router.route(path, handler);
        self.operations.push(Documented { path, method, operation });
        self
    }

    /// Adds others.
    pub(super) fn merge(mut self, others: Self) -> Self {
        self.router = self.router.merge(others.router);
        self.operations.extend(others.operations);
        self
    }

    /// The routes as a router, without the list.
    pub(super) fn into_router(self) -> Router<Shared> {
        self.router
    }

    /// What is documented of them.
    pub(super) fn into_operations(self) -> Vec<Documented> {
        self.operations
    }

    /// The paths of all of them, as they are written in the code, each once.
    pub(super) fn paths(&self) -> Vec<&'static str> {
        let mut paths: Vec<_> = self.operations.iter().map(|documented| documented.path).collect();
        paths.sort_unstable();
        paths.dedup();
        paths
    }
}
