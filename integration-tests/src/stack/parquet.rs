//! Parquet as somebody else reads it: PyArrow, in a container.

use std::process::Command;

use serde_json::Value;

use super::images;

/// Every row of the Parquet files below `place` (`s3://bucket/prefix` or a directory), one JSON object each. `environment`:
/// how S3 is reached.
pub fn rows(place: &str, environment: &[(String, String)]) -> Vec<Value> {
    let image = images::made("PARQUET_READER");
    let mut docker = Command::new("docker");
    // The host's network: the S3 server is at a port of this machine.
    docker.args(["run", "--rm", "--network", "host"]);
    for (name, value) in environment {
        docker.arg("--env").arg(format!("{name}={value}"));
    }
    if place.starts_with('/') {
        docker.arg("--volume").arg(format!("{place}:{place}:ro"));
    }
    let ran = docker.arg(image).args(["rows", place]).output().expect("run docker");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "read {place} with PyArrow: {said}");
    let lines = String::from_utf8(ran.stdout).expect("UTF-8");
    lines.lines().map(|line| serde_json::from_str(line).expect("a JSON object")).collect()
}

/// Makes a bucket of the S3 server that `environment` names, unless it is there.
pub fn make_bucket(bucket: &str, environment: &[(String, String)]) {
    let image = images::made("PARQUET_READER");
    let mut docker = Command::new("docker");
    docker.args(["run", "--rm", "--network", "host"]);
    for (name, value) in environment {
        docker.arg("--env").arg(format!("{name}={value}"));
    }
    let ran = docker.arg(image).args(["bucket", bucket]).output().expect("run docker");
    assert!(ran.status.success(), "make bucket {bucket}: {}", String::from_utf8_lossy(&ran.stderr));
}
