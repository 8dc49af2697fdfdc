//! Where answers come from: an [`Engine`] in this process, or a server. Both give the same bytes.

use std::sync::Arc;

use serde::Deserialize;

use super::text::{self, Format};
use super::{Ask, AskError, PageRequest, Parameters};
use crate::engine::Engine;
use crate::remote::Remote;

/// A source of answers.
pub enum Source {
    /// This process.
    Here(Arc<Engine>),
    /// A server.
    There(Remote),
}

impl Source {
    /// Answers as text.
    pub fn query(&self, metric: &str, parameters: &Parameters, format: Format) -> Result<String, AskError> {
        match self {
            Self::Here(engine) => {
                let ask = Ask::read(metric, parameters, engine.now())?;
                text::write(format, ask.metric.spec(), &super::answer(engine, &ask)?)
            }
            Self::There(remote) => get(
                remote,
                &format!("/v1/metrics/{}", escaped(metric)),
                parameters,
                &[("format", format.name())],
            ),
        }
    }

    /// One page of an explanation, as JSON.
    pub fn explain(
        &self,
        metric: &str,
        parameters: &Parameters,
        page: &PageRequest,
    ) -> Result<String, AskError> {
        match self {
            Self::Here(engine) => {
                let ask = Ask::read(metric, parameters, engine.now())?;
                text::explanation(&super::explain(engine, &ask, page)?)
            }
            Self::There(remote) => {
                let size = page.size.to_string();
                let page = [("page_size", size.as_str()), ("page_token", &page.token)];
                get(remote, &format!("/v1/metrics/{}/explain", escaped(metric)), parameters, &page)
            }
        }
    }
}

fn get(
    remote: &Remote,
    path: &str,
    parameters: &Parameters,
    more: &[(&str, &str)],
) -> Result<String, AskError> {
    let url = remote.url(path);
    let failed = |error: ureq::Error| AskError::Failed(format!("{url}: {error}"));
    let mut response = remote
        .get(path)
        .query_pairs(parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())))
        .query_pairs(more.iter().copied())
        .call()
        .map_err(failed)?;
    let body = response.body_mut().with_config().limit(u64::MAX).read_to_string().map_err(failed)?;
    if response.status().is_success() {
        Ok(body)
    } else {
        Err(refusal(&url, response.status().as_u16(), &body))
    }
}

/// What a server says of a question that it does not answer.
#[derive(Deserialize)]
struct Refusal {
    error: RefusalError,
}

#[derive(Deserialize)]
struct RefusalError {
    field: Option<String>,
    message: String,
}

fn refusal(url: &str, status: u16, body: &str) -> AskError {
    match (status, serde_json::from_str::<Refusal>(body)) {
        (404, Ok(refusal)) => AskError::Unknown(refusal.error.message),
        (400, Ok(Refusal { error: RefusalError { field: Some(field), message } })) => {
            AskError::Bad { field, message }
        }
        (_, Ok(refusal)) => AskError::Failed(format!("{url}: {}", refusal.error.message)),
        (_, Err(_)) => AskError::Failed(format!("{url}: answered {status}; is this a Milepost server?")),
    }
}

/// A name as one segment of a path.
fn escaped(name: &str) -> String {
    name.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests;
