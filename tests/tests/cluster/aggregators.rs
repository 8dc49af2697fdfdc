//! Aggregators come and go, are killed, and are stopped in their tracks.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use milepost_tests::cluster::{send, send_to};
use milepost_tests::delivery::{chance, shuffled};
use milepost_tests::proxy::{Harm, Proxy};
use milepost_tests::{Cluster, Installation, Served, events, eventually, state};

use crate::lines::{recent_days, troubled};

fn set(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().map_or(default, |text| text.parse().expect("a number"))
}

/// Aggregators, of which some are stopped in their tracks.
struct Crowd<'a> {
    cluster: &'a Cluster,
    going: Vec<Served>,
    stopped: Vec<Served>,
    done: u64,
}

impl<'a> Crowd<'a> {
    fn new(cluster: &'a Cluster) -> Self {
        Self { cluster, going: vec![cluster.aggregate(), cluster.aggregate()], stopped: Vec::new(), done: 0 }
    }

    /// Something happens to one of them. At most four go, and two are stopped.
    fn harm(&mut self, dice: u64) {
        self.done += 1;
        let one = dice as usize / 8;
        let some = self.going.len();
        match dice % 8 {
            0 | 1 if some > 0 => drop(self.going.swap_remove(one % some)),
            2 if some > 0 => {
                let mut asked = self.going.swap_remove(one % some);
                asked.terminate();
                assert!(asked.wait().success(), "{}", asked.log());
            }
            3 | 4 if some > 0 && self.stopped.len() < 2 => {
                let one = self.going.swap_remove(one % some);
                one.pause();
                self.stopped.push(one);
            }
            5 if !self.stopped.is_empty() => {
                let one = self.stopped.remove(0);
                one.resume();
                self.going.push(one);
            }
            _ if some < 4 => self.going.push(self.cluster.start("aggregate", &[])),
            _ => {}
        }
    }

    /// All that are stopped go on, and one at least goes.
    fn calm(&mut self) {
        for one in self.stopped.drain(..) {
            one.resume();
            self.going.push(one);
        }
        if self.going.is_empty() {
            self.going.push(self.cluster.aggregate());
        }
    }
}

/// Uses of a capability by forty teams, in the course of two months, some of them corrected: event by event another one.
fn uses(seed: u64, count: u64) -> Vec<String> {
    let now = events::ago(events::now(), 1, 0);
    let used = |n: u64| {
        let dice = chance(seed, n);
        let at = events::ago(now, dice % 60, dice / 60 % 86_400);
        let team = |dice: u64| format!("team-{}", dice % 40);
        let mut versions = vec![events::used(&format!("use-{n}"), at, &team(dice / 7))];
        if dice.is_multiple_of(10) {
            let mut corrected = events::used(&format!("use-{n}"), at, &team(dice / 11));
            corrected["customData"]["revision"] = 1.into();
            versions.push(corrected);
        }
        events::lines(&versions)
    };
    (0..count).flat_map(used).collect()
}

/// **F7**, **F8**, **F2.** Aggregators are killed, asked to end, stopped past their session, let go and added at random while
/// events flow. At every moment what is committed is said to be kept, and what is said to be kept is there; in the end nothing is
/// lost and nothing there twice. `MILEPOST_EVENTS` says how many events (30,000), `MILEPOST_SEED` with which chance.
#[test]
fn f07_offsets_are_never_past_what_is_kept() {
    let (count, seed) = (set("MILEPOST_EVENTS", 30_000), set("MILEPOST_SEED", 1));
    let cluster = Cluster::new("f07");
    let (ingest, replica) = (cluster.ingest(), cluster.query());
    let mut crowd = Crowd::new(&cluster);
    let lines = uses(seed, count);
    let again: Vec<_> = lines.iter().step_by(9).cloned().collect();
    let deliveries: Vec<_> = lines.iter().cloned().chain(again).collect();
    // Versions of an event come in any order, and most of them far apart.
    let deliveries = shuffled(seed, &deliveries);
    let (done, is_done) = mpsc::channel();
    thread::scope(|scope| {
        let url = ingest.url();
        scope.spawn(move || {
            deliveries.chunks(deliveries.len().div_ceil(100)).for_each(|part| {
                send_to(&url, part, 500);
                // The test may have failed meanwhile.
                let _ = done.send(());
            });
        });
        // A hundred moments, spread over the events and, where these are few, over ten seconds: no event says when one is.
        for (moment, ()) in (0..).zip(is_done.iter()) {
            if moment % 4 == 0 {
                crowd.harm(chance(seed, moment));
            }
            cluster.check_order();
            if moment % 10 == 9 {
                println!("{} of 100 parts sent, {} times something happened", moment + 1, crowd.done);
            }
            thread::sleep(Duration::from_millis(100));
        }
    });
    assert!(crowd.done >= 20);
    crowd.calm();
    cluster.caught_up(&replica);
    cluster.kept(&cluster.topic);
    cluster.check_order();
    assert_eq!(cluster.versions(), lines.len() as u64);

    let installation = Installation::new(&cluster.embedded());
    let served = installation.serve();
    send(&served, &lines, 5_000);
    let days = recent_days();
    state::assert_same(&served, &[&replica, &cluster.query()], &[&days[0], &days[1]]);
}

/// **F9.** An aggregator is stopped while its insert is on the way, until another has taken its partitions over and kept the same
/// and more; then its insert arrives, and it goes on: nothing changes, and what comes later is kept by either.
#[test]
fn f09_a_zombie_changes_nothing() {
    let cluster = Cluster::new("f09");
    let proxy = Proxy::before(cluster.clickhouse.url());
    let (ingest, replica) = (cluster.ingest(), cluster.query());
    let zombie = cluster.aggregate_through(&proxy.url());
    let lines = troubled(5);
    let (first, rest) = lines.split_at(lines.len() / 3);
    let (second, third) = rest.split_at(rest.len() / 2);

    proxy.harm(&["INSERT INTO", ".events"], Harm::Hold);
    send(&ingest, first, 20);
    proxy.wait_harmed(1);
    zombie.pause();
    let _heir = cluster.aggregate();
    send(&ingest, second, 20);
    cluster.caught_up(&replica);
    cluster.kept(&cluster.topic);
    let progress = cluster.progress(&cluster.topic);
    let answers = || state::numbers(&replica, &[&recent_days()[0]]);
    let before = answers();

    proxy.relent();
    proxy.wait_let_go(1);
    zombie.resume();
    eventually("the zombie notices", || zombie.log().contains("partitions revoked").then_some(()));
    cluster.check_order();
    assert_eq!(cluster.progress(&cluster.topic), progress);
    assert_eq!(answers(), before);

    send(&ingest, third, 20);
    cluster.caught_up(&replica);
    cluster.kept(&cluster.topic);
    cluster.check_order();
    let installation = Installation::new(&cluster.embedded());
    let served = installation.serve();
    send(&served, &lines, 100);
    let days = recent_days();
    state::assert_same(&served, &[&replica, &cluster.query()], &[&days[0], &days[1]]);
}
