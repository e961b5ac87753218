//! The binaries under test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The apps, as packages and as binaries.
pub const APPS: [&str; 5] = ["wordcount", "users", "health", "weather", "recalls"];

/// `millstream` or an app, built from the tree as it is now.
pub fn path(name: &str) -> PathBuf {
    directory().join(name)
}

/// Where all of them are.
pub fn directory() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(build)
}

/// The workspace's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace")
}

/// Beside the test's own program, in its profile. MILLSTREAM_BUILT: they are there, as `scripts/run-tests` built them.
fn build() -> PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    let profile = test.ancestors().nth(2).expect("<profile>/deps/<test>").to_owned();
    if std::env::var_os("MILLSTREAM_BUILT").is_some() {
        return profile;
    }
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root()).args(["build", "--quiet", "-p", "millstream-cli"]);
    for app in APPS {
        cargo.args(["-p", app]);
    }
    match profile.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => {}
        Some("release") => _ = cargo.arg("--release"),
        Some(other) => _ = cargo.args(["--profile", other]),
    }
    // What `cargo test` tells the test of its package: build scripts that look at it would be taken for stale, and half of
    // all crates be built anew.
    for (name, _) in std::env::vars_os() {
        let is_told =
            |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST");
        if name.to_str().is_some_and(is_told) {
            cargo.env_remove(name);
        }
    }
    cargo.env("CARGO_TARGET_DIR", profile.parent().expect("<target>/<profile>"));
    let built = cargo.output().expect("run cargo");
    assert!(
        built.status.success(),
        "build the binaries:\n{}",
        String::from_utf8_lossy(&built.stderr)
    );
    profile
}
