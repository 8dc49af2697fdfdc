//! Members of a group come and go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::FutureExt as _;
use milepost_log::{Consumer, Fetched, Logged, Options, prepare};
use milepost_model::{Partition, Positions};
use milepost_services::shared;
use parking_lot::Mutex;

use crate::support::{append, ids, is_exactly, next, options, quick, read, with};

/// What all members have done, as ClickHouse would have it: where a partition is begun.
type Progress = Arc<Mutex<Positions>>;

struct Member {
    consumer: Consumer<Logged>,
    progress: Progress,
    owned: BTreeSet<Partition>,
    seen: BTreeMap<usize, usize>,
}

impl Member {
    fn join(options: &Options, progress: &Progress) -> Self {
        let asked = Arc::clone(progress);
        let ask = move |_| {
            let positions = asked.lock().clone();
            async move { Ok(positions) }.boxed()
        };
        let consumer = Consumer::start(options, quick(), ask).unwrap();
        Self { consumer, progress: Arc::clone(progress), owned: BTreeSet::new(), seen: BTreeMap::new() }
    }

    /// Takes the next thing that happens, and holds it against what is owned.
    async fn step(&mut self) {
        match next(&mut self.consumer).await {
            Fetched::Assigned(positions) => {
                for (partition, _) in positions.iter() {
                    assert!(self.owned.insert(partition.clone()), "{partition:?} is assigned twice");
                }
            }
            Fetched::Revoked(partitions) => self.owned.retain(|partition| !partitions.contains(partition)),
            Fetched::Batch(batch) => {
                for part in &batch.parts {
                    assert!(self.owned.contains(&part.partition), "{:?} is not ours", part.partition);
                }
                for id in ids(&batch) {
                    *self.seen.entry(id).or_default() += 1;
                }
                let done = batch.positions();
                let mut progress = self.progress.lock();
                done.iter().for_each(|(partition, next)| progress.advance(partition, next));
                self.consumer.commit(&done);
            }
        }
    }
}

async fn members_come_and_go(strategy: &str) {
    let kafka = shared::kafka().unwrap();
    let options = options(kafka.address(), "group", 6);
    let options = with(&options, &[("partition.assignment.strategy", strategy)]);
    prepare(&options).await.unwrap();
    let progress = Progress::default();
    // Six of events, and that of refusals.
    let all = 7;
    append(&options, 0..2_000).await;
    let mut first = Member::join(&options, &progress);
    while first.owned.len() < all {
        first.step().await;
    }
    let mut second = Member::join(&options, &progress);
    let appending = append(&options, 2_000..4_000);
    let shared_out = async {
        while second.owned.is_empty() || first.owned.len() + second.owned.len() != all {
            tokio::select! {
                () = first.step() => {}
                () = second.step() => {}
            }
        }
    };
    tokio::join!(appending, shared_out);
    assert!(first.owned.is_disjoint(&second.owned) && !first.owned.is_empty());
    // The second one goes with work unfinished: the first one gets its partitions, from where they were done.
    let left = second.seen.clone();
    drop(second);
    append(&options, 4_000..5_000).await;
    while first.owned.len() < all {
        first.step().await;
    }
    let everything = |first: &Member| {
        let ids: BTreeSet<_> = first.seen.keys().chain(left.keys()).copied().collect();
        ids.len() == 5_000
    };
    while !everything(&first) {
        first.step().await;
    }
    first.consumer.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f08_cooperative_rebalance_hands_out_nothing_of_what_is_revoked() {
    members_come_and_go("cooperative-sticky").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f08_eager_rebalance_hands_out_nothing_of_what_is_revoked() {
    members_come_and_go("range").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f08_a_member_that_was_paused_goes_on_with_what_it_is_given_back() {
    let kafka = shared::kafka().unwrap();
    let options = options(kafka.address(), "paused", 2);
    let options = with(&options, &[("partition.assignment.strategy", "range")]);
    prepare(&options).await.unwrap();
    append(&options, 0..1_000).await;
    let progress = Progress::default();
    let mut first = Member::join(&options, &progress);
    while first.owned.len() < 3 {
        first.step().await;
    }
    // It takes no batch for as long as a rebalance takes, so what it has is full, and of nobody when all is revoked.
    let mut second = Member::join(&options, &progress);
    while second.owned.is_empty() {
        second.step().await;
    }
    let seen = second.seen.clone();
    drop(second);
    while first.seen.keys().chain(seen.keys()).collect::<BTreeSet<_>>().len() < 1_000 {
        first.step().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_committed_is_where_the_group_goes_on() {
    use milepost_log::{Start, Subscription};
    let kafka = shared::kafka().unwrap();
    let options = options(kafka.address(), "committed", 3);
    prepare(&options).await.unwrap();
    append(&options, 0..300).await;
    let subscription = Subscription {
        topics: vec![options.topic.clone()],
        group: options.group.clone(),
        start: Start::Committed,
        limits: quick(),
    };
    let join =
        || Consumer::subscribe(&options, subscription.clone(), |record| Logged::read(record.value)).unwrap();
    let mut first = join();
    assert!(is_exactly(&read(&mut first, 300).await, 0..300));
    first.close().await;
    append(&options, 300..350).await;
    let seen = read(&mut join(), 50).await;
    assert!(is_exactly(&seen, 300..350), "{seen:?}");
}
