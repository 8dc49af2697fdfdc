//! Attacks on a real server by raw clients: it must live, hold little memory, and serve an honest client all the while.
//!
//! Each attack runs one round, or as many as fit into `MILEPOST_ATTACK_SECONDS`, on a server of its own.
#![allow(clippy::unwrap_used, reason = "tests")]

mod http1;
mod http2;
mod target;

/// One test an attack, named like it.
macro_rules! attacks {
    ($($from:ident: $($name:ident),+;)+) => {$($(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            target::under(stringify!($name), $from::$name).await;
        }
    )+)+};
}

attacks! {
    http1: oversize, gzip_bomb, packed_events, header_flood, idle_connections, slow_connections, unfinished_bodies,
        unread_answers;
    http2: tiny_events, continuation_flood, ping_flood, settings_flood, rapid_reset, provoked_resets, idle_streams,
        unfinished_batches, unread_messages, watches;
}
