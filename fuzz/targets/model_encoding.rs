//! An encoded Model that was damaged, under checksums that fit: it is refused, or it is a Model like any other, which answers
//! and can be encoded again. The first byte says how many of the next ones say what is damaged; the others are the events.
#![no_main]

use libfuzzer_sys::fuzz_target;
use milepost_fuzz::damage::damage;
use milepost_fuzz::now;
use milepost_model::model::HEADER;
use milepost_model::{AsOf, Config, Model, Selector, metrics};
use milepost_wire::{pb, proto};
use prost::Message as _;

/// The same blocks, with lengths and checksums that are right: what is behind those is to be reached.
fn sealed(mut bytes: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(bytes.len());
    while let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() {
        let said = u32::from_le_bytes([header[1], header[2], header[3], header[4]]);
        let (payload, rest) = rest.split_at(rest.len().min(said as usize));
        let length = (payload.len() as u32).to_le_bytes();
        let mut checksum = crc32fast::Hasher::new();
        [&header[..1], &length, payload].into_iter().for_each(|part| checksum.update(part));
        sealed.push(header[0]);
        sealed.extend_from_slice(&length);
        sealed.extend_from_slice(&checksum.finalize().to_le_bytes());
        sealed.extend_from_slice(payload);
        bytes = rest;
    }
    sealed
}

fuzz_target!(|data: &[u8]| {
    let Some((count, rest)) = data.split_first() else { return };
    let (orders, events) = rest.split_at(rest.len().min(usize::from(*count)));
    let Ok(request) = pb::PublishRequest::decode(events) else { return };
    let mut model = Model::new();
    for event in request.events.into_iter().filter_map(|event| proto::decode(event).ok()) {
        model.insert(&event);
    }
    let mut bytes = model.encode();
    damage(&mut bytes, orders);
    let Ok(model) = Model::decode(&sealed(&bytes)) else { return };
    for metric in metrics::registry() {
        let _ =
            metrics::query(&model, &Config::default(), *metric, &Selector::default(), AsOf::Instant(now()));
    }
    let again = Model::decode(&model.encode());
    assert_eq!(again.map(|model| model.fingerprint()), Ok(model.fingerprint()));
});
