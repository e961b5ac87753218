//! What `millstream doctor` is told of a bucket.

use millstream_config::{Finding, Health};
use millstream_sinks::lake::Store;

use crate::place::Place;
use crate::proxy::{Fault, dated};

fn worst(findings: &[Finding]) -> Health {
    findings.iter().map(|finding| finding.state).max().expect("something is told")
}

fn tells(findings: &[Finding], state: Health, words: &str) -> bool {
    let all = |finding: &Finding| {
        format!("{} {}", finding.told, finding.remedy.as_deref().unwrap_or_default())
    };
    findings.iter().any(|finding| finding.state == state && all(finding).contains(words))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_can_be_used_is_good() {
    let place = Place::new("doctor").await;
    let findings = place.store().examine().await;
    assert!(worst(&findings) <= Health::Warning, "{findings:#?}");
    for words in ["is there, in region", "If-None-Match", "clock", "written and read", "remove"] {
        assert!(tells(&findings, Health::Good, words), "{words}: {findings:#?}");
    }
    assert!(tells(&findings, Health::Warning, "put-bucket-versioning"), "{findings:#?}");
    assert_eq!(place.store().list("_millstream/probe/", None, 99).await.unwrap(), vec![], "tidy");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_told_with_what_to_do() {
    let place = Place::new("doctor-bad").await;
    let missing = place.open(&place.server, "", "").examine().await;
    assert!(tells(&missing, Health::Bad, "aws s3 mb s3://doctor-bad"), "{missing:#?}");
    let nobody = place.open("127.0.0.1:9", "", "timeout=1").examine().await;
    assert!(tells(&nobody, Health::Bad, "endpoint"), "{nobody:#?}");
    let secret = place.open_as(&place.server, "", "", "wrong").examine().await;
    assert_eq!(worst(&secret), Health::Bad, "{secret:#?}");
    let proxy = place.proxy().await;
    let store = place.through(proxy.address(), "");
    store.list("t/", None, 1).await.unwrap();
    proxy.set(|asked| match asked.method.as_str() {
        "GET" if asked.path.contains("list-type=2") => dated("Tue, 01 Jan 2030 00:00:00 GMT"),
        "PUT" => Fault::Pretend,
        "DELETE" => Fault::Say(403, "AccessDenied"),
        _ => Fault::None,
    });
    let findings = store.examine().await;
    assert!(tells(&findings, Health::Bad, "behind S3's"), "{findings:#?}");
    assert!(tells(&findings, Health::Bad, "If-None-Match"), "{findings:#?}");
    assert!(tells(&findings, Health::Good, "may not remove"), "{findings:#?}");
    assert!(tells(&findings, Health::Bad, "not what is read"), "{findings:#?}");
}
