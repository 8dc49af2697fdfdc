//! What a process did to its files and said to its clients, as `strace` saw it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::binary;

/// Something that matters to what a power cut leaves, or to what a client was told, in the order in which it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A file was opened for writing, and made if it was not there.
    Opened {
        /// Which.
        path: PathBuf,
        /// Whether it was emptied.
        truncated: bool,
    },
    /// A directory was made.
    MadeDirectory(PathBuf),
    /// Bytes were written.
    Wrote {
        /// Where.
        path: PathBuf,
        /// From which byte on.
        offset: u64,
        /// Which.
        bytes: Vec<u8>,
    },
    /// A file was given another length.
    Truncated {
        /// Which.
        path: PathBuf,
        /// Bytes.
        length: u64,
    },
    /// An entry has another name in its directory.
    Renamed {
        /// Its name before.
        from: PathBuf,
        /// Its name now.
        to: PathBuf,
    },
    /// An entry is gone.
    Removed(PathBuf),
    /// A sync of a file or directory was asked for. What was done before is covered by it.
    SyncBegan {
        /// Of which thread.
        thread: u32,
        /// Of what.
        path: PathBuf,
    },
    /// It has returned: what it covers is durable.
    SyncEnded {
        /// Of which thread.
        thread: u32,
    },
    /// Something was sent to a client.
    Sent {
        /// The port of the client.
        port: u16,
        /// What.
        bytes: Vec<u8>,
    },
}

/// System calls that matter.
const CALLS: &str = "trace=open,openat,creat,mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat,rmdir,truncate,\
                     ftruncate,fallocate,write,pwrite64,writev,pwritev,pwritev2,copy_file_range,sendfile,sendto,sendmsg,\
                     fsync,fdatasync,sync_file_range,link,linkat,symlink,symlinkat";

/// A command that runs `program` under `strace`, to which its arguments are to be added. The process that is started is the
/// program; the trace is whole once its standard error is closed.
pub fn traced(program: &Path, trace: &Path) -> Command {
    let mut command = binary::unconfigured(Command::new("strace"));
    command
        .args(["-D", "-f", "--seccomp-bpf", "-q", "-yy", "-xx", "-s", "16777216"])
        .args(["-e", "signal=none", "-e", CALLS, "-o"])
        .arg(trace)
        .arg(program);
    command
}

/// Reads a trace, as far as it is about files below `root` and about clients.
pub fn read(text: &str, root: &Path) -> Vec<Event> {
    let mut reader = Reader { root, events: Vec::new(), begun: HashMap::new(), positions: HashMap::new() };
    text.lines().for_each(|line| reader.line(line));
    reader.events
}

struct Reader<'a> {
    root: &'a Path,
    events: Vec<Event>,
    /// Calls that have not returned, by thread.
    begun: HashMap<u32, String>,
    /// Where the next `write` of a descriptor goes.
    positions: HashMap<u32, u64>,
}

const UNFINISHED: &str = " <unfinished ...>";

impl Reader<'_> {
    fn line(&mut self, line: &str) {
        let Some((thread, rest)) = line.split_once(' ') else { return };
        let Ok(thread) = thread.parse() else { panic!("no line of a trace: {line}") };
        let rest = rest.trim_start();
        if let Some(begin) = rest.strip_suffix(UNFINISHED) {
            self.begins(thread, begin);
            self.begun.insert(thread, begin.to_owned());
        } else if let Some(resumed) = rest.strip_prefix("<... ") {
            let (_, end) = resumed.split_once(" resumed>").expect("a call that goes on");
            let whole = self.begun.remove(&thread).unwrap_or_default() + end;
            self.ends(thread, &whole);
        } else if rest.contains('(') && rest.contains(" = ") {
            self.begins(thread, rest);
            self.ends(thread, rest);
        }
    }

    /// What counts from the moment it is asked for: a client may have an answer before the call that sent it returns.
    fn begins(&mut self, thread: u32, call: &str) {
        let (name, arguments) = call.split_once('(').expect("a call");
        match name {
            "fsync" | "fdatasync" => {
                if let Some(path) = self.descriptor(arguments).1 {
                    self.events.push(Event::SyncBegan { thread, path });
                }
            }
            "write" | "writev" | "sendto" | "sendmsg" => {
                if let Some(port) = client(arguments) {
                    self.events.push(Event::Sent { port, bytes: strings(arguments).concat() });
                }
            }
            _ => {}
        }
    }

    /// What counts once it has returned.
    fn ends(&mut self, thread: u32, call: &str) {
        let (name, rest) = call.split_once('(').expect("a call");
        let (arguments, result) = rest.rsplit_once(" = ").expect("a result");
        let result = number(result);
        if result < 0 {
            return;
        }
        match name {
            "open" | "openat" | "creat" => self.opened(arguments, result as u32),
            "fsync" | "fdatasync" => {
                if self.descriptor(arguments).1.is_some() {
                    self.events.push(Event::SyncEnded { thread });
                }
            }
            "write" | "writev" | "pwrite64" | "pwritev" | "pwritev2" => {
                self.wrote(name, arguments, result as usize);
            }
            "ftruncate" => {
                if let (_, Some(path)) = self.descriptor(arguments) {
                    let length = number(arguments.rsplit(", ").next().unwrap_or_default()) as u64;
                    self.events.push(Event::Truncated { path, length });
                }
            }
            "mkdir" | "mkdirat" => self.events.extend(self.named(arguments).pop().map(Event::MadeDirectory)),
            "unlink" | "unlinkat" | "rmdir" => {
                self.events.extend(self.named(arguments).pop().map(Event::Removed));
            }
            "rename" | "renameat" | "renameat2" => {
                if let [from, to] = &self.named(arguments)[..] {
                    self.events.push(Event::Renamed { from: from.clone(), to: to.clone() });
                }
            }
            "sendto" | "sendmsg" => {}
            // What is not understood must not be passed over in silence.
            other => {
                let ours = self.descriptor(arguments).1.is_some() || !self.named(arguments).is_empty();
                assert!(!ours, "{other} was never needed before: teach the trace to read it");
            }
        }
    }

    fn opened(&mut self, arguments: &str, descriptor: u32) {
        self.positions.insert(descriptor, 0);
        let Some(path) = self.named(arguments).pop() else { return };
        let writes = arguments.contains("O_WRONLY") || arguments.contains("O_RDWR");
        assert!(!writes || !arguments.contains("O_APPEND"), "the trace does not know where an append goes");
        if writes {
            self.events.push(Event::Opened { path, truncated: arguments.contains("O_TRUNC") });
        }
    }

    fn wrote(&mut self, name: &str, arguments: &str, written: usize) {
        let (descriptor, Some(path)) = self.descriptor(arguments) else { return };
        let mut bytes = strings(arguments).concat();
        bytes.truncate(written);
        let offset = if name.starts_with('p') {
            assert_eq!(name, "pwrite64", "the trace does not read offsets of {name}");
            number(arguments.rsplit(", ").next().unwrap_or_default()) as u64
        } else {
            let position = self.positions.entry(descriptor).or_default();
            *position += written as u64;
            *position - written as u64
        };
        self.events.push(Event::Wrote { path, offset, bytes });
    }

    /// The descriptor that comes first, and the file below the root that it is.
    fn descriptor(&self, arguments: &str) -> (u32, Option<PathBuf>) {
        let (descriptor, rest) = arguments.split_once('<').unwrap_or((arguments, ""));
        let hex: String =
            rest.split(|c: char| !(c == '\\' || c.is_ascii_alphanumeric())).next().unwrap_or_default().into();
        (number(descriptor) as u32, self.below(&decoded(&hex)))
    }

    /// The paths below the root that are written out.
    fn named(&self, arguments: &str) -> Vec<PathBuf> {
        strings(arguments).iter().filter_map(|name| self.below(name)).collect()
    }

    fn below(&self, name: &[u8]) -> Option<PathBuf> {
        let path = PathBuf::from(String::from_utf8_lossy(name).into_owned());
        path.starts_with(self.root).then_some(path)
    }
}

/// The port of the client, if the descriptor that comes first is a connection.
fn client(arguments: &str) -> Option<u16> {
    let connection = arguments.split_once("<TCP:[")?.1.split_once("]>")?.0;
    connection.rsplit(':').next()?.parse().ok()
}

fn number(text: &str) -> i64 {
    let text = text.trim_start();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(text.len());
    text[..end].parse().unwrap_or(-1)
}

/// What stands in quotation marks, decoded.
fn strings(arguments: &str) -> Vec<Vec<u8>> {
    arguments.split('"').skip(1).step_by(2).map(decoded).collect()
}

/// `\x41\x42` -> `AB`.
fn decoded(hex: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or_default() as u8;
    hex.as_bytes()
        .chunks_exact(4)
        .take_while(|one| one.starts_with(b"\\x"))
        .map(|one| digit(one[2]) << 4 | digit(one[3]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_read_in_the_order_in_which_they_count() {
        let text = "\
1 openat(AT_FDCWD<\\x2f>, \"\\x2f\\x64\\x2f\\x61\", O_RDWR|O_CREAT, 0600) = 3<\\x2f\\x64\\x2f\\x61>
1 write(3<\\x2f\\x64\\x2f\\x61>, \"\\x41\\x42\", 2) = 2
2 write(9<TCP:[127.0.0.1:7->127.0.0.1:39]>, \"\\x48\", 1 <unfinished ...>
1 fsync(3<\\x2f\\x64\\x2f\\x61> <unfinished ...>
3 pwrite64(3<\\x2f\\x64\\x2f\\x61>, \"\\x43\", 1, 8) = 1
1 <... fsync resumed>) = 0
2 <... write resumed>) = 1
1 rename(\"\\x2f\\x64\\x2f\\x61\", \"\\x2f\\x64\\x2f\\x62\") = 0
1 unlink(\"\\x2f\\x64\\x2f\\x63\") = -1 ENOENT (No such file or directory)
1 +++ exited with 0 +++";
        let (a, b) = (PathBuf::from("/d/a"), PathBuf::from("/d/b"));
        let expected = [
            Event::Opened { path: a.clone(), truncated: false },
            Event::Wrote { path: a.clone(), offset: 0, bytes: b"AB".to_vec() },
            Event::Sent { port: 39, bytes: b"H".to_vec() },
            Event::SyncBegan { thread: 1, path: a.clone() },
            Event::Wrote { path: a.clone(), offset: 8, bytes: b"C".to_vec() },
            Event::SyncEnded { thread: 1 },
            Event::Renamed { from: a, to: b },
        ];
        assert_eq!(read(text, Path::new("/d")), expected);
    }
}
