//! Who asks: the bearer of an access token, and whether it may do this for that project.

use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};

use super::answer::{self, Answer};
use crate::envelope::{ApiError, Operation};
use crate::faults::active::ActiveFaults;
use crate::oauth::Refusal;
use crate::state::State;

/// The index of a project, if the bearer may act for it.
pub(super) fn of_project(
    state: &State,
    headers: &HeaderMap,
    project: &str,
    operation: Operation,
) -> Result<usize, ApiError> {
    let account = account(state, headers, operation)?;
    match state.project(project) {
        Some(asked) if asked == account => Ok(asked),
        Some(_) | None => Err(ApiError::no_permission(operation, project)),
    }
}

/// The index of the bearer's own account, which is its project's too.
pub(super) fn account(state: &State, headers: &HeaderMap, operation: Operation) -> Result<usize, ApiError> {
    let token = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer ").or_else(|| value.strip_prefix("bearer ")))
        .ok_or_else(|| ApiError::credentials_missing(operation))?;
    state.grants.sender(token.trim(), state.clock.now_s()).map_err(|refusal| match refusal {
        Refusal::Unknown => ApiError::credentials_unknown(operation),
        Refusal::Expired => ApiError::credentials_expired(operation),
        Refusal::Scope => ApiError::insufficient_scopes(operation),
    })
}

/// The answer to one who may not.
pub(super) fn refused(faults: &ActiveFaults, error: &ApiError) -> Answer {
    if error.http() != StatusCode::UNAUTHORIZED {
        return answer::api_error(error, None);
    }
    answer::challenge(if faults.faults().html_401 {
        unauthorized_page()
    } else {
        answer::api_error(error, None)
    })
}

pub(super) fn unauthorized_page() -> Answer {
    answer::html_error(StatusCode::UNAUTHORIZED, "Unauthorized", "Your request was not authorized.")
}
