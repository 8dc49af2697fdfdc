//! Refused events as they are listed: one JSON object a line, the same on the command line and over HTTP.

use milepost_model::Payload;
use milepost_store::Quarantined;
use milepost_wire::pb;
use prost::Message as _;
use serde_json::{Value, json};

/// One of them.
pub fn listed(one: &Quarantined) -> Value {
    let rejected = &one.rejected;
    json!({
        "number": one.number,
        "at": one.at,
        "door": rejected.door.as_str(),
        "reason": rejected.refusal.reason.as_str(),
        "field": rejected.refusal.field,
        "message": rejected.refusal.message,
        "source": rejected.source,
        "id": rejected.id,
        "sent": rejected.payload.as_ref().map(sent),
    })
}

/// All of them, a line each.
pub fn lines<'a>(all: impl IntoIterator<Item = &'a Value>) -> String {
    all.into_iter().flat_map(|one| [one.to_string(), "\n".to_owned()]).collect()
}

/// As JSON; what came as protobuf, in a text that people can read.
fn sent(payload: &Payload) -> Value {
    match payload {
        Payload::Json(text) => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
        Payload::Protobuf(bytes) => {
            json!({"protobuf": pb::Event::decode(bytes.as_slice()).map(|event| format!("{event:?}")).ok()})
        }
    }
}
