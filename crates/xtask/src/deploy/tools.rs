//! The programs that judge, fetched or built once.

use std::path::PathBuf;

use milepost_services::{go, tools};

use crate::needs::python_environment;
use crate::run::{Problem, cargo, checkout, run};

/// Where their versions are pinned.
const PINNED: &str = "crates/xtask/deploy-tools";

/// Where each is.
pub(super) struct Tools {
    pub(super) helm: PathBuf,
    /// compose-go, the library that reads files for `docker compose`.
    pub(super) compose: PathBuf,
    /// A Python whose module `kubernetes_validate` holds YAML against Kubernetes' own schemas.
    pub(super) python: PathBuf,
    pub(super) hadolint: PathBuf,
    pub(super) promtool: PathBuf,
    pub(super) amtool: PathBuf,
    /// The binary, which knows best what it can be configured with.
    pub(super) milepost: PathBuf,
}

impl Tools {
    pub(super) fn fetch() -> Result<Self, Problem> {
        let built = go::tools("helm-and-compose-go", &checkout().join(PINNED))?;
        let python = python_environment(
            "python-deploy",
            "a Python with kubernetes-validate and hadolint",
            &format!("{PINNED}/requirements.txt"),
        )?;
        Ok(Self {
            helm: built.join("helm"),
            compose: built.join("cmd"),
            python: python.join("python"),
            hadolint: python.join("hadolint"),
            promtool: tools::prometheus()?.1,
            amtool: tools::amtool()?,
            milepost: milepost()?,
        })
    }
}

/// `MILEPOST_BIN`, else the binary of this checkout, built as `cargo test --workspace` builds it: with the same features of
/// all dependencies, so that none is built again. Cargo puts it beside this program.
fn milepost() -> Result<PathBuf, Problem> {
    if let Some(given) = std::env::var_os("MILEPOST_BIN") {
        return Ok(given.into());
    }
    run(&mut cargo(&["build", "--bin", "milepost", "--workspace", "--test", "doors"]))?;
    let own = std::env::current_exe();
    own.map(|own| own.with_file_name("milepost")).map_err(|error| {
        Problem::Check(format!("the target directory cannot be told ({error}): set MILEPOST_BIN"))
    })
}
