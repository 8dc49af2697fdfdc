//! What may go wrong with ClickHouse, as what the caller can do about it.

use clickhouse::error::Error as ClientError;

use super::Timeouts;
use crate::StoreError;

/// Why ClickHouse could not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It may do it later: it cannot be reached, is busy, or somebody has to mend something there first. Try again, with the same
    /// data.
    #[error("ClickHouse cannot do it now: {0}")]
    Unavailable(String),
    /// What was sent is at fault: it is refused however often it is sent.
    #[error("ClickHouse refuses what was sent: {0}")]
    Rejected(String),
    /// A setting is wrong: which one, and what to do.
    #[error("{0}")]
    Setting(String),
    /// Its tables are not those of this Milepost: what to do.
    #[error("{0}")]
    Schema(String),
    /// What is kept is not what was written.
    #[error("{0}")]
    Corrupt(String),
}

/// Codes of ClickHouse that speak of the rows of an insert, by their names. Everything else speaks of the server, the connection or the settings, and must
/// never cost an event.
const ROWS: [(u32, &str); 16] = [
    (6, "CANNOT_PARSE_TEXT"),
    (27, "CANNOT_PARSE_INPUT_ASSERTION_FAILED"),
    (38, "CANNOT_PARSE_DATE"),
    (41, "CANNOT_PARSE_DATETIME"),
    (53, "TYPE_MISMATCH"),
    (69, "ARGUMENT_OUT_OF_BOUND"),
    (70, "CANNOT_CONVERT_TYPE"),
    (72, "CANNOT_PARSE_NUMBER"),
    (117, "INCORRECT_DATA"),
    (128, "TOO_LARGE_ARRAY_SIZE"),
    (131, "TOO_LARGE_STRING_SIZE"),
    (321, "VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE"),
    (349, "CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN"),
    (407, "DECIMAL_OVERFLOW"),
    (469, "VIOLATED_CONSTRAINT"),
    (691, "UNKNOWN_ELEMENT_OF_ENUM"),
];

const UNKNOWN_TABLE: u32 = 60;
const UNKNOWN_DATABASE: u32 = 81;
const ACCESS_DENIED: u32 = 497;
const AUTHENTICATION_FAILED: u32 = 516;

impl Error {
    pub(super) fn of(error: &ClientError, timeouts: Timeouts) -> Self {
        match error {
            ClientError::BadResponse(answer) => Self::answered(answer),
            ClientError::TimedOut => {
                Self::Unavailable(format!("no answer within {} seconds", timeouts.statement.as_secs()))
            }
            ClientError::Network(cause) => Self::Unavailable(sources(cause.as_ref())),
            other => Self::Unavailable(other.to_string()),
        }
    }

    /// From what it said: `Code: 252. DB::Exception: Too many parts ... (TOO_MANY_PARTS) (version ...)`. What comes
    /// from something between us and it has no code.
    fn answered(answer: &str) -> Self {
        let said = first_line(answer);
        match code(answer) {
            Some(AUTHENTICATION_FAILED) => Self::Unavailable(format!(
                "it does not know this user or password: check clickhouse.user and clickhouse.password ({said})"
            )),
            Some(ACCESS_DENIED) => {
                Self::Unavailable(format!("the user of clickhouse.user may not do this: grant it ({said})"))
            }
            Some(UNKNOWN_TABLE | UNKNOWN_DATABASE) => Self::Schema(format!(
                "the tables of Milepost are not in the database that clickhouse.database names: run `milepost migrate` ({said})"
            )),
            Some(code) if ROWS.iter().any(|(known, _)| *known == code) => Self::Rejected(said),
            _ => Self::Unavailable(said),
        }
    }

    /// Whether the user may not do it.
    pub(super) fn is_denied(&self) -> bool {
        matches!(self, Self::Unavailable(message) if message.contains("(ACCESS_DENIED)"))
    }
}

fn code(answer: &str) -> Option<u32> {
    let digits = answer.split_once("Code: ")?.1;
    digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Enough to know what it was, not a page of a proxy or a statement.
fn first_line(answer: &str) -> String {
    answer.lines().next().unwrap_or_default().chars().take(500).collect()
}

/// With what it was caused by: a connection that was refused says so only there.
fn sources(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        match error {
            Error::Unavailable(_) => Self::Unavailable(error.to_string()),
            Error::Corrupt(message) => Self::Corrupt(message),
            Error::Rejected(_) | Error::Setting(_) | Error::Schema(_) => Self::Io(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(answer: &str) -> Error {
        Error::of(&ClientError::BadResponse(answer.to_owned()), Timeouts::default())
    }

    #[test]
    fn f18_what_may_pass_is_tried_again_and_what_is_wrong_is_not() {
        for (code, name) in [
            (159, "TIMEOUT_EXCEEDED"),
            (202, "TOO_MANY_SIMULTANEOUS_QUERIES"),
            (209, "SOCKET_TIMEOUT"),
            (241, "MEMORY_LIMIT_EXCEEDED"),
            (242, "TABLE_IS_READ_ONLY"),
            (243, "NOT_ENOUGH_SPACE"),
            (252, "TOO_MANY_PARTS"),
            (319, "UNKNOWN_STATUS_OF_INSERT"),
            (999, "KEEPER_EXCEPTION"),
            (16, "NO_SUCH_COLUMN_IN_TABLE"),
            (516, "AUTHENTICATION_FAILED"),
            (497, "ACCESS_DENIED"),
        ] {
            let error =
                answered(&format!("Code: {code}. DB::Exception: so it is. ({name}) (version 26.7.2.1)"));
            assert!(matches!(&error, Error::Unavailable(said) if said.contains(name)), "{error}");
            assert_eq!(error.is_denied(), name == "ACCESS_DENIED");
        }
        for (code, name) in ROWS {
            let error = answered(&format!("Code: {code}. DB::Exception: so it is. ({name})"));
            assert!(matches!(&error, Error::Rejected(said) if said.contains(name)), "{error}");
        }
        for answer in ["502 Bad Gateway", "<html>\n<p>busy</p>", "", "Code: ", "Code: x"] {
            assert!(matches!(answered(answer), Error::Unavailable(_)), "{answer}");
        }
        assert!(matches!(answered("Code: 60. DB::Exception: m.events (UNKNOWN_TABLE)"), Error::Schema(_)));
    }
}
