//! Agreement on a configuration.

use milepost_store::clickhouse::Agreement;

use crate::support::Database;

#[test]
fn the_first_one_counts_until_it_is_overwritten() {
    let database = Database::new("config");
    database.runtime.block_on(async {
        let agree = async |digest: &str, overwrite| {
            database.clickhouse.agree_on_config(digest, overwrite).await.unwrap()
        };
        assert_eq!(agree("b", false).await, Agreement::Same);
        assert_eq!(agree("b", false).await, Agreement::Same);
        assert_eq!(agree("a", false).await, Agreement::Other("b".to_owned()));
        assert_eq!(agree("c", true).await, Agreement::Same);
        assert_eq!(agree("b", false).await, Agreement::Other("c".to_owned()));
        assert_eq!(agree("b", true).await, Agreement::Same);
    });
}

#[test]
fn of_several_at_the_same_time_all_name_one() {
    let database = Database::new("config");
    let digests: Vec<_> = (0..8).map(|n| format!("digest-{n}")).collect();
    let handles: Vec<_> = digests
        .iter()
        .map(|digest| {
            let (clickhouse, digest) = (database.clickhouse.clone(), digest.clone());
            database.runtime.spawn(async move { clickhouse.agree_on_config(&digest, false).await })
        })
        .collect();
    database.runtime.block_on(async {
        for handle in handles {
            handle.await.unwrap().unwrap();
        }
        let mut same = 0;
        for digest in &digests {
            same += usize::from(
                database.clickhouse.agree_on_config(digest, false).await.unwrap() == Agreement::Same,
            );
        }
        assert_eq!(same, 1);
    });
}
