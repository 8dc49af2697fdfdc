//! A real ClickHouse over HTTP: rows in and out, users, `Distributed` over two, SIGKILL and restart.

use std::path::Path;

use milepost_services::{Service, clickhouse, free_port, shared};

fn server(directory: &Path) -> Service {
    clickhouse::start(directory, &clickhouse::Options::default()).expect("ClickHouse starts")
}

/// What it answers to a query, an error included.
fn query(url: &str, query: &str) -> String {
    let request = ureq::post(url).config().http_status_as_error(false).build();
    let mut response = request.send(query).expect("it answers");
    response.body_mut().read_to_string().expect("text").trim_end().to_owned()
}

#[track_caller]
fn done(url: &str, statement: &str) {
    assert_eq!(query(url, statement), "", "{statement}");
}

#[test]
fn what_is_inserted_is_selected() {
    let clickhouse = shared::clickhouse().unwrap();
    let (url, database) = (clickhouse.address(), shared::unique("rows"));
    done(url, &format!("CREATE DATABASE {database}"));
    done(
        url,
        &format!("CREATE TABLE {database}.t (k UInt32, v String) ENGINE = ReplacingMergeTree ORDER BY k"),
    );
    done(url, &format!("INSERT INTO {database}.t VALUES (1, 'a'), (2, 'b')"));
    done(url, &format!("INSERT INTO {database}.t VALUES (1, 'c')"));
    assert_eq!(query(url, &format!("SELECT k, v FROM {database}.t FINAL ORDER BY k")), "1\tc\n2\tb");
    done(url, &format!("DROP DATABASE {database}"));
}

#[test]
fn a_killed_server_keeps_its_rows() {
    let directory = tempfile::tempdir().unwrap();
    let mut clickhouse = server(directory.path());
    let url = clickhouse.url();
    done(&url, "CREATE DATABASE kept");
    done(&url, "CREATE TABLE kept.t (k UInt32) ENGINE = MergeTree ORDER BY k");
    done(&url, "INSERT INTO kept.t SELECT number FROM numbers(1000)");
    clickhouse.kill().unwrap();
    clickhouse.restart().unwrap();
    assert_eq!(query(&url, "SELECT count(), sum(k) FROM kept.t"), "1000\t499500");
    // Asked to end, it ends by itself.
    clickhouse.stop().unwrap();
    clickhouse.restart().unwrap();
    assert_eq!(query(&url, "SELECT count() FROM kept.t"), "1000");
}

#[test]
fn two_servers_are_shards_of_one_table() {
    let ports = [free_port(), free_port()];
    let shards = ports
        .map(|port| format!("<shard><replica><host>127.0.0.1</host><port>{port}</port></replica></shard>"));
    let config = format!("<remote_servers><both>{}</both></remote_servers>", shards.concat());
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let servers: Vec<_> = directories
        .iter()
        .zip(ports)
        .map(|(directory, port)| {
            let options =
                clickhouse::Options { tcp_port: Some(port), config: config.clone(), ..Default::default() };
            clickhouse::start(directory.path(), &options).unwrap()
        })
        .collect();
    for server in &servers {
        done(&server.url(), "CREATE DATABASE m");
        done(&server.url(), "CREATE TABLE m.local (k UInt64) ENGINE = MergeTree ORDER BY k");
    }
    let first = servers[0].url();
    done(&first, "CREATE TABLE m.whole AS m.local ENGINE = Distributed(both, m, local, k)");
    done(
        &first,
        "INSERT INTO m.whole SETTINGS distributed_foreground_insert = 1 SELECT number FROM numbers(1000)",
    );
    assert_eq!(query(&first, "SELECT count(), sum(k) FROM m.whole"), "1000\t499500");
    for server in &servers {
        assert_eq!(query(&server.url(), "SELECT count() FROM m.local"), "500");
    }
}

#[test]
fn users_have_their_passwords() {
    let users = "<writer><password>right</password><profile>default</profile><quota>default</quota>\
                 <networks><ip>127.0.0.1</ip></networks></writer>";
    let directory = tempfile::tempdir().unwrap();
    let options = clickhouse::Options { users: users.to_owned(), ..Default::default() };
    let clickhouse = clickhouse::start(directory.path(), &options).unwrap();
    let with = |password: &str| {
        query(&format!("{}/?user=writer&password={password}", clickhouse.url()), "SELECT currentUser()")
    };
    assert_eq!(with("right"), "writer");
    assert!(with("wrong").contains("AUTHENTICATION_FAILED"), "{}", with("wrong"));
}
