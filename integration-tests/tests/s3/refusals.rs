//! What stays as it is until somebody acts: told at once, with what to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use integration_tests::stack::{self, Certificates, S3_SECRET};
use millstream_sinks::lake::{Put, Store, Stored};

use crate::place::Place;
use crate::proxy::Fault;

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_bucket_is_not_made_unless_asked_for() {
    let place = Place::new("missing").await;
    let store = place.open(&place.server, "", "");
    let error = store.put("t/x", Bytes::new(), Put::IfAbsent).await.unwrap_err();
    let told = error.to_string();
    assert!(!error.is_retryable() && told.contains("aws s3 mb s3://missing"), "{told}");
    assert!(told.contains("create=on") && told.contains("stores.lake"), "{told}");
    let made = place.open(&place.server, "", "create=on");
    assert_eq!(made.put("t/x", Bytes::new(), Put::IfAbsent).await.unwrap(), Stored::Created);
    // It doesn't have to be new.
    let again = place.open(&place.server, "", "create=on");
    assert_eq!(again.put("t/x", Bytes::new(), Put::IfAbsent).await.unwrap(), Stored::Exists);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_is_named_and_may_be_put_right() {
    let place = Place::new("secret").await;
    let store = place.open_as(&place.server, "", "", "not-the-secret");
    let error = store.get("t/x").await.unwrap_err();
    let told = format!("{error}: {}", std::error::Error::source(&error).expect("a cause"));
    assert!(error.is_retryable() && told.contains("SignatureDoesNotMatch"), "{told}");
    assert!(told.contains("renew the credentials"), "{told}");
    assert!(!format!("{told} {store:?}").contains("not-the-secret"), "{told} {store:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permission_that_is_missing_is_named_with_its_resource() {
    let place = Place::new("denied").await;
    let proxy = place.proxy().await;
    let store = place.through(proxy.address(), "");
    store.put("t/x", Bytes::new(), Put::IfAbsent).await.unwrap();
    proxy.set(|_| Fault::Say(403, "AccessDenied"));
    let bucket = &place.bucket;
    let put = store.put("t/y", Bytes::new(), Put::IfAbsent).await.unwrap_err();
    let get = store.get("t/x").await.unwrap_err();
    let list = store.list("t/", None, 1).await.unwrap_err();
    for (error, expected) in [
        (put, format!("allow s3:PutObject on arn:aws:s3:::{bucket}/t/y")),
        (get, format!("allow s3:GetObject on arn:aws:s3:::{bucket}/t/x")),
        (list, format!("allow s3:ListBucket on arn:aws:s3:::{bucket} ")),
    ] {
        assert!(!error.is_retryable() && error.to_string().contains(&expected), "{error}");
    }
}

/// What ignores `If-None-Match` would let two workers commit one range.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_without_the_fence_is_refused_before_anything_is_written() {
    let place = Place::new("unfenced").await;
    let proxy = place.proxy().await;
    proxy.set(|asked| match (asked.method.as_str(), asked.path.contains("/probe/")) {
        ("PUT", true) => Fault::Pretend,
        _ => Fault::None,
    });
    let store = place.through(proxy.address(), "");
    for _ in 0..2 {
        let error = store.put("t/x", Bytes::new(), Put::IfAbsent).await.unwrap_err();
        assert!(!error.is_retryable() && error.to_string().contains("If-None-Match"), "{error}");
    }
    assert_eq!(place.store().list("t/", None, 9).await.unwrap(), vec![]);
}

/// The races are run once; later processes only see that what is there can't be written again.
#[tokio::test(flavor = "multi_thread")]
async fn the_fence_is_tried_again_by_each_process() {
    let place = Place::new("fence").await;
    place.store().put("t/x", Bytes::new(), Put::IfAbsent).await.unwrap();
    let proxy = place.proxy().await;
    let asked_again = Arc::new(AtomicBool::new(false));
    let seen = asked_again.clone();
    proxy.set(move |asked| match (asked.method.as_str(), asked.path.contains("/probe/")) {
        ("PUT", true) => {
            seen.store(true, Ordering::SeqCst);
            Fault::Pretend
        }
        _ => Fault::None,
    });
    let store = place.through(proxy.address(), "");
    let error = store.put("t/y", Bytes::new(), Put::IfAbsent).await.unwrap_err();
    assert!(error.to_string().contains("wrote an object anew"), "{error}");
    assert!(asked_again.load(Ordering::SeqCst));
    proxy.set(|_| Fault::None);
    let other = place.through(proxy.address(), "");
    other.put("t/y", Bytes::new(), Put::IfAbsent).await.unwrap();
    let first = proxy.count();
    other.put("t/z", Bytes::new(), Put::IfAbsent).await.unwrap();
    assert_eq!(proxy.count(), first + 1, "checked once per process");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_region_is_named_as_such() {
    let place = Place::new("region").await;
    place.store().put("t/x", Bytes::new(), Put::IfAbsent).await.unwrap();
    let store = place.open(&place.server, "", "region=eu-central-1");
    let error = store.get("t/x").await.unwrap_err();
    let told = error.to_string();
    assert!(!error.is_retryable() && told.contains("set region="), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_of_ones_own_is_trusted_by_its_file_only() {
    let certificates = Certificates::new();
    let own = certificates.of(&["localhost", "127.0.0.1"]);
    let tls = ["--cert", "/tls/server.pem", "--key", "/tls/key.pem"];
    let command = [&["--port", ":7070"], &tls[..], &["posix", "/data"]].concat();
    let wanted = stack::wanted_s3("s3-tls")
        .file("/tls/server.pem", own.certificate)
        .file("/tls/key.pem", own.key)
        .command(&command);
    let server = wanted.start().await;
    let place = Place::on(&server, "tls");
    let endpoint = format!("https://localhost:{}", server.port());
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("ca.pem");
    std::fs::write(&ca, certificates.ca()).unwrap();
    let options = format!("create=on&ca={}", ca.display());
    let store = place.open_by(&endpoint, "", &options, S3_SECRET);
    store.put("t/x", Bytes::from_static(b"1"), Put::IfAbsent).await.unwrap();
    assert_eq!(store.get("t/x").await.unwrap(), Some(Bytes::from_static(b"1")));
    let stranger = place.open_by(&endpoint, "", "", S3_SECRET);
    let error = stranger.get("t/x").await.unwrap_err();
    let told = format!("{error}: {}", std::error::Error::source(&error).expect("a cause"));
    assert!(told.contains("certificate"), "{told}");
}
