use super::*;

fn path(name: &str) -> PathBuf {
    Path::new("/d").join(name)
}

fn open(name: &str) -> Event {
    Event::Opened { path: path(name), truncated: false }
}

fn wrote(name: &str, bytes: &[u8]) -> Event {
    Event::Wrote { path: path(name), offset: 0, bytes: bytes.to_vec() }
}

fn sync(name: &str) -> [Event; 2] {
    let path = if name.is_empty() { PathBuf::from("/d") } else { path(name) };
    [Event::SyncBegan { thread: 1, path }, Event::SyncEnded { thread: 1 }]
}

fn disk(events: impl IntoIterator<Item = Event>) -> Disk {
    let mut disk = Disk::default();
    events.into_iter().for_each(|event| disk.follow(&event));
    disk
}

/// All that a power cut may leave of a file, in many throws.
fn left(disk: &Disk, name: &str) -> Vec<Option<Vec<u8>>> {
    let mut all: Vec<_> =
        (0..400).map(|seed| disk.cut(&mut Dice::new(seed)).get(&path(name)).cloned().flatten()).collect();
    all.sort_unstable();
    all.dedup();
    all
}

#[test]
fn what_is_synced_stays_and_what_is_not_may() {
    let both = disk([open("a"), wrote("a", b"x")].into_iter().chain(sync("a")).chain(sync("")));
    assert_eq!(left(&both, "a"), [Some(b"x".to_vec())]);
    let without_bytes = disk([open("a"), wrote("a", b"x")].into_iter().chain(sync("")));
    assert_eq!(left(&without_bytes, "a"), [Some(Vec::new()), Some(b"x".to_vec())]);
    let without_name = disk([open("a"), wrote("a", b"x")].into_iter().chain(sync("a")));
    assert_eq!(left(&without_name, "a"), [None, Some(b"x".to_vec())]);
}

#[test]
fn a_sync_covers_what_was_before_it_and_counts_once_it_has_returned() {
    let [began, ended] = sync("a");
    let named = || [open("a"), wrote("a", b"x")].into_iter().chain(sync(""));
    let under_way = disk(named().chain([began.clone()]));
    assert_eq!(left(&under_way, "a").len(), 2);
    let later = disk(named().chain([began, wrote("a", b"y"), ended]));
    assert_eq!(left(&later, "a"), [Some(b"x".to_vec()), Some(b"y".to_vec())]);
}

#[test]
fn a_name_that_is_not_synced_may_be_the_old_one() {
    let renamed = Event::Renamed { from: path("a"), to: path("b") };
    let events = [open("a"), wrote("a", b"x")].into_iter().chain(sync("a")).chain(sync(""));
    let disk = disk(events.chain([renamed]));
    assert_eq!(left(&disk, "b"), [None, Some(b"x".to_vec())]);
    assert_eq!(left(&disk, "a"), [None, Some(b"x".to_vec())]);
    for seed in 0..100 {
        let cut = disk.cut(&mut Dice::new(seed));
        assert_eq!(cut.len(), 1, "it has one of its names: {cut:?}");
    }
}

#[test]
fn writes_are_torn_between_sectors() {
    let events = [open("a")].into_iter().chain(sync("")).chain([wrote("a", &[7; 3 * SECTOR])]);
    let disk = disk(events);
    let torn = left(&disk, "a")
        .into_iter()
        .flatten()
        .filter(|bytes| bytes.len() == 3 * SECTOR && bytes[..SECTOR] == [0; SECTOR]);
    assert!(torn.count() > 0, "the end may be there without the beginning");
}
