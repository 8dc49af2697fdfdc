//! The form with shards, on two servers.

use std::path::Path;

use milepost_services::{Service, clickhouse, free_port};
use milepost_store::clickhouse::{Agreement, ClickHouse, Error, Options};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::history::said;
use crate::support::{Log, Replica, of_server, runtime, some, sql, used};

struct Cluster {
    runtime: Runtime,
    servers: Vec<Service>,
    _directories: [TempDir; 2],
}

impl Cluster {
    fn start() -> Self {
        let ports = [free_port(), free_port()];
        let shards = ports.map(|port| {
            format!(
                "<shard><internal_replication>true</internal_replication>\
                 <replica><host>127.0.0.1</host><port>{port}</port></replica></shard>"
            )
        });
        let config = format!("<remote_servers><both>{}</both></remote_servers>", shards.concat());
        let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let start = |(directory, port): (&Path, u16)| {
            let options =
                clickhouse::Options { tcp_port: Some(port), config: config.clone(), ..Default::default() };
            clickhouse::start(directory, &options).unwrap()
        };
        let servers = directories.iter().map(TempDir::path).zip(ports).map(start).collect();
        Self { runtime: runtime(), servers, _directories: directories }
    }

    /// Those of the servers in this order.
    fn options(&self, order: &[usize]) -> Options {
        let urls: Vec<_> = order.iter().map(|server| self.servers[*server].url()).collect();
        Options { url: urls.join(","), cluster: Some("both".to_owned()), ..of_server(&self.servers[0].url()) }
    }

    fn clickhouse(&self, order: &[usize]) -> ClickHouse {
        ClickHouse::new(&self.options(order)).unwrap()
    }

    fn sql(&self, server: usize, statement: &str) -> String {
        let options = of_server(&self.servers[server].url());
        self.runtime.block_on(sql(&options, statement)).unwrap()
    }
}

#[test]
fn events_are_spread_and_every_server_gives_all() {
    let mut cluster = Cluster::start();
    let [first, second] = [cluster.clickhouse(&[0, 1]), cluster.clickhouse(&[1, 0])];
    let half = cluster.runtime.block_on(cluster.clickhouse(&[0]).migrate());
    assert!(
        matches!(&half, Err(Error::Schema(said) | Error::Unavailable(said)) if !said.is_empty()),
        "{half:?}"
    );
    cluster.runtime.block_on(first.migrate()).unwrap();
    cluster.runtime.block_on(second.check_schema()).unwrap();
    assert_eq!(cluster.runtime.block_on(second.migrate()).unwrap(), []);

    let mut log = Log::of(some(1_000));
    let mut replica = Replica::new(cluster.runtime.block_on(second.load(|_, _| {})).unwrap());
    cluster.runtime.block_on(async {
        first.insert(&log.batch()).await.unwrap();
        first.advance(&log.end(), 0).await.unwrap();
        replica.follow(10_000).await.unwrap();
        // Half of them get another team; they come through the other server, some of them twice.
        for n in 0..500 {
            log.push(n % 3, used(&n.to_string(), 1, "moved"));
        }
        second.insert(&Log::encoded(&log.0[900..])).await.unwrap();
        second.advance(&log.end(), 0).await.unwrap();
        replica.follow(10_000).await.unwrap();
    });
    let spread: Vec<u64> = (0..2)
        .map(|n| cluster.sql(n, "SELECT count() FROM milepost.events_local").parse().unwrap())
        .collect();
    assert!(spread.iter().all(|rows| (500..1_100).contains(rows)), "{spread:?}");
    assert_eq!((&replica.winners, replica.counts), (&log.winners(), log.counts()));
    for clickhouse in [&first, &second] {
        let loaded = cluster.runtime.block_on(clickhouse.load(|_, _| {})).unwrap();
        assert_eq!((loaded.counts, loaded.model.fingerprint()), (log.counts(), log.fingerprint()));
        let sizes = cluster.runtime.block_on(clickhouse.sizes()).unwrap();
        assert_eq!((sizes.versions, sizes.winners(), sizes.quarantined), (1_500, 1_000, 0));
        assert!(sizes.bytes > 0);
        assert!(cluster.runtime.block_on(clickhouse.newest_refused(None, 10)).unwrap().is_empty());
    }
    assert_eq!(cluster.sql(1, "SELECT count(), countIf(team = 'moved') FROM milepost.winners"), "1000\t500");
    cluster.runtime.block_on(async {
        assert_eq!(first.agree_on_config("a", false).await.unwrap(), Agreement::Same);
        assert_eq!(second.agree_on_config("b", false).await.unwrap(), Agreement::Other("a".to_owned()));
        first.record(&[said(1)]).await.unwrap();
        second.record(&[said(2)]).await.unwrap();
        let recorded = first.recorded(None, None).await.unwrap();
        assert_eq!(recorded.iter().map(|row| row.edition.records).collect::<Vec<_>>(), [2]);
        let progress = first.rewind(&log.end()).await.unwrap();
        assert_eq!(second.progress().await.unwrap(), progress);
    });

    assert_eq!(cluster.sql(1, "SELECT metric FROM milepost.metric_history"), "nps");

    // A shard that does not answer is an error, not half an answer.
    cluster.servers[1].kill().unwrap();
    let half = cluster.runtime.block_on(first.load(|_, _| {}));
    assert!(matches!(&half, Err(Error::Unavailable(_))), "{half:?}");
    let lost = cluster.runtime.block_on(first.insert(&log.batch()));
    assert!(matches!(&lost, Err(Error::Unavailable(_))), "{lost:?}");
    cluster.servers[1].restart().unwrap();
    cluster.runtime.block_on(first.insert(&log.batch())).unwrap();
    let loaded = cluster.runtime.block_on(first.load(|_, _| {})).unwrap();
    assert_eq!((loaded.counts, loaded.model.fingerprint()), (log.counts(), log.fingerprint()));

    // A server that cannot be reached is left for the next one.
    cluster.servers[0].kill().unwrap();
    let asked = || cluster.runtime.block_on(first.check_schema());
    assert!(matches!(asked(), Err(Error::Unavailable(_))));
    cluster.servers[0].restart().unwrap();
    asked().unwrap();
}
