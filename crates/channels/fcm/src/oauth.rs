//! Access tokens of one project: kept, refreshed early, and asked for once however many need one.
//!
//! ```text
//! none ──first send──▶ asking ──▶ fresh ──most of its life is over──▶ ageing ──its end──▶ none
//!                        ▲                                              │
//!                        └──── a send uses it still, and has the next one asked for ─────┘
//! ```
//!
//! There is no task in the background: an idle project asks for nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use pabal_core::chance::Chance;
use tokio::time::Instant;

use crate::account::ServiceAccount;
use crate::dial::Dialer;
use crate::flight::Flight;
use crate::token_request::{Grant, TokenError, assertion, exchange};
use crate::wall::Wall;

/// How much of its life a token is used before the next one is asked for, at least and at most. Nodes that started
/// together drift apart by drawing from between.
const FRESH_SHARE: (f64, f64) = (0.75, 0.85);
/// How long before its end a token is no longer used, at most: it must live until the request is read.
const END_MARGIN_MAX: Duration = Duration::from_secs(10);
/// The same as a share of its life, for a token that lives shortly.
const END_MARGIN_SHARE: u32 = 10;
/// How long after a refresh that failed the next is tried while the old token is still good.
const REFRESH_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// A token that may be sent. Has no `Debug`, so that no log line can hold it.
#[derive(Clone)]
pub(crate) struct Token {
    /// The `Authorization` header.
    pub(crate) authorization: HeaderValue,
    /// Which of the tokens of this run it is.
    number: u64,
    refresh_at: Instant,
    ends_at: Instant,
}

/// Where the tokens of one project come from.
pub(crate) struct Tokens {
    project: String,
    account: ServiceAccount,
    dialer: Arc<Dialer>,
    wall: Arc<Wall>,
    chance: Arc<dyn Chance>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    token: Option<Token>,
    asking: Option<Flight<Result<Token, TokenError>>>,
    /// Tokens asked for so far.
    number: u64,
}

impl Tokens {
    pub(crate) fn new(
        project: String,
        account: ServiceAccount,
        dialer: Arc<Dialer>,
        wall: Arc<Wall>,
        chance: Arc<dyn Chance>,
    ) -> Arc<Self> {
        Arc::new(Self { project, account, dialer, wall, chance, state: Mutex::default() })
    }

    /// A token that is good now.
    pub(crate) async fn token(self: &Arc<Self>) -> Result<Token, TokenError> {
        let asking = {
            let mut state = self.lock();
            let now = Instant::now();
            match &state.token {
                Some(token) if now < token.refresh_at => return Ok(token.clone()),
                Some(token) if now < token.ends_at => {
                    let token = token.clone();
                    self.ask(&mut state);
                    return Ok(token);
                }
                Some(_) | None => self.ask(&mut state),
            }
        };
        landed(asking).await
    }

    /// Another token than the one that was refused.
    pub(crate) async fn instead_of(self: &Arc<Self>, refused: &Token) -> Result<Token, TokenError> {
        let asking = {
            let mut state = self.lock();
            match &state.token {
                Some(token) if token.number != refused.number => return Ok(token.clone()),
                Some(_) | None => {
                    state.token = None;
                    self.ask(&mut state)
                }
            }
        };
        landed(asking).await
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a token, unless that is under way.
    fn ask(self: &Arc<Self>, state: &mut State) -> Flight<Result<Token, TokenError>> {
        if let Some(asking) = state.asking.as_ref().filter(|asking| !asking.is_over()) {
            return asking.clone();
        }
        state.number += 1;
        let (tokens, number) = (Arc::clone(self), state.number);
        let asking = Flight::start(async move {
            let asked = tokens.fetch().await.map(|grant| tokens.token_of(grant, number));
            tokens.keep(&asked);
            asked
        });
        state.asking = Some(asking.clone());
        asking
    }

    /// Keeps a new token; if there is none, leaves the old one its time before the next is asked for.
    fn keep(&self, asked: &Result<Token, TokenError>) {
        let mut state = self.lock();
        match asked {
            Ok(token) => {
                tracing::debug!(project = self.project, "access token received");
                state.token = Some(token.clone());
            }
            Err(error) => {
                tracing::warn!(project = self.project, ?error, "no access token");
                if let Some(old) = &mut state.token {
                    old.refresh_at = Instant::now() + REFRESH_AGAIN_AFTER;
                }
            }
        }
    }

    /// Asks; if the time is refused and the answer's own shows that ours is off, corrects it and asks again.
    async fn fetch(&self) -> Result<Grant, TokenError> {
        let (granted, clock_was_off) = self.ask_once().await?;
        match granted {
            Err(error) if error.is_about_time() && clock_was_off => self.ask_once().await?.0,
            granted => granted,
        }
    }

    /// One exchange, and whether its answer showed that the clock is off.
    async fn ask_once(&self) -> Result<(Result<Grant, TokenError>, bool), TokenError> {
        let form = assertion(&self.account, self.wall.now())?;
        let answer = exchange(&self.dialer, self.account.token_uri(), form).await?;
        let clock_was_off = answer.date.as_deref().is_some_and(|date| self.wall.learn(date));
        Ok((answer.grant(), clock_was_off))
    }

    fn token_of(&self, grant: Grant, number: u64) -> Token {
        let now = Instant::now();
        let (least, most) = FRESH_SHARE;
        let share = least + (most - least) * self.chance.unit();
        Token {
            authorization: grant.authorization,
            number,
            refresh_at: now + grant.life.mul_f64(share),
            ends_at: now + (grant.life - END_MARGIN_MAX.min(grant.life / END_MARGIN_SHARE)),
        }
    }
}

async fn landed(asking: Flight<Result<Token, TokenError>>) -> Result<Token, TokenError> {
    let gone = || Err(TokenError::Unavailable("no token: the request for it was given up".to_owned()));
    asking.result().await.unwrap_or_else(gone)
}
