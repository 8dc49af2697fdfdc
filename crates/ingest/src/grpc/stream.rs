//! `PublishStream`: batches in, answers out in the same order.
//!
//! Law: a batch is submitted whole or leaves no trace, whatever becomes of the stream. So a stream cut anywhere harms
//! nothing: its sender repeats what was not answered, and what was kept already is a duplicate then.

use std::sync::Arc;

use futures::stream::{self, BoxStream};
use futures::{FutureExt as _, Stream, StreamExt as _};
use milepost_wire::pb;
use tokio::sync::watch;
use tonic::Status;

use super::raw::RawBatch;
use super::{check_size, refused, take};
use crate::{Grant, Intake, Share};

/// The answers to the batches of a stream. At most the configured number of batches is unanswered; no further one is
/// read meanwhile, so that flow control holds up the sender. An answered batch gives back its part of the share.
pub(super) fn answers(
    intake: Arc<Intake>,
    (grant, share): (Grant, Option<Share>),
    batches: impl Stream<Item = Result<RawBatch, Status>> + Send + 'static,
    mut closing: watch::Receiver<bool>,
) -> BoxStream<'static, Result<pb::PublishStreamResponse, Status>> {
    let unanswered = intake.limits().stream_batches;
    let closed = closing.clone();
    let close = async move {
        // An error means that whoever could say so is gone, and the process with it.
        let _ = closing.wait_for(|closing| *closing).await;
    };
    let farewell = stream::once(async move { *closed.borrow() }).filter_map(|closed| async move {
        closed.then(|| Err(Status::unavailable("shutting down; send the unanswered batches again later")))
    });
    batches
        .take_until(close)
        .map(move |batch| match batch {
            Ok(batch) => {
                let (bytes, share) = (batch.bytes, share.clone());
                let answered = answer(Arc::clone(&intake), grant.clone(), batch);
                answered.inspect(move |_| give_back(share.as_ref(), bytes)).map(Ok).left_future()
            }
            Err(status) => std::future::ready(Err(status)).right_future(),
        })
        .buffered(unanswered)
        .chain(farewell)
        .boxed()
}

fn give_back(share: Option<&Share>, bytes: usize) {
    if let Some(share) = share {
        share.give_back(bytes);
    }
}

async fn answer(intake: Arc<Intake>, grant: Grant, batch: RawBatch) -> pb::PublishStreamResponse {
    let answer = pb::PublishStreamResponse { sequence: batch.sequence, ..Default::default() };
    if let Err(refusal) = check_size(&intake, &batch) {
        return pb::PublishStreamResponse { refused: Some(refused(refusal)), ..answer };
    }
    match take(&intake, grant, batch.events).await {
        Ok(results) => pb::PublishStreamResponse { results, ..answer },
        Err(_) => pb::PublishStreamResponse { retry: true, ..answer },
    }
}
