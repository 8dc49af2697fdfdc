//! The Rust code of the contract, from `proto/`, without a protoc.
//!
//! `cargo xtask gen` calls this; so does the drift test of the crate `wire` (`tests/drift.rs`), which takes this very
//! file in, so that what is compared is what would be written.

use std::path::Path;
use std::{fs, io};

use prost::Message as _;

/// The root of the repository, from any crate of the workspace.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Where the generated code is kept, from the root.
#[allow(dead_code, reason = "the drift test writes elsewhere")]
pub(crate) const GENERATED: &str = "crates/wire/src/generated";

const FILES: [&str; 3] = ["milepost/v1/event.proto", "milepost/v1/ingest.proto", "milepost/v1/metrics.proto"];

/// Writes `milepost.v1.rs` (messages, clients and servers) and `milepost.v1.bin` (the descriptors that reflection
/// serves) into the folder `out`.
pub(crate) fn generate(out: &Path) -> io::Result<()> {
    let mut compiler = protox::Compiler::new([Path::new(ROOT).join("proto")]).map_err(io::Error::other)?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(FILES).map_err(io::Error::other)?;
    let mut descriptors = compiler.file_descriptor_set();

    fs::create_dir_all(out)?;
    tonic_prost_build::configure()
        .out_dir(out)
        .emit_rerun_if_changed(false)
        // Ordered maps, so that equal answers are equal bytes.
        .btree_map(".milepost.v1")
        .codec_path("crate::codec::Codec")
        .compile_fds(descriptors.clone())?;

    for file in &mut descriptors.file {
        // Comments and positions are for the generator; clients that ask by reflection have no use for them.
        file.source_code_info = None;
    }
    fs::write(out.join("milepost.v1.bin"), descriptors.encode_to_vec())
}
