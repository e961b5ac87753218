//! What `millstream doctor` is told of a search server.

use integration_tests::stack;
use millstream_config::{Finding, Health};

use crate::place::{Place, curl, open};
use crate::proxy::Fault;

fn tells(findings: &[Finding], state: Health, words: &str) -> bool {
    let all = |finding: &Finding| {
        format!("{} {}", finding.told, finding.remedy.as_deref().unwrap_or_default())
    };
    findings.iter().any(|finding| finding.state == state && all(finding).contains(words))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_can_be_used_is_good() {
    let place = Place::new("doctor").await;
    let findings = place.open().examine().await;
    // The disk may really be nearly full.
    let is_fine =
        |finding: &Finding| finding.state == Health::Good || finding.told.contains("disk");
    assert!(findings.iter().all(is_fine), "{findings:#?}");
    for words in ["OpenSearch 3.", "the cluster is", "can be made", "clock"] {
        assert!(tells(&findings, Health::Good, words), "{words}: {findings:#?}");
    }
    let left = curl(stack::opensearch().await, "GET", &format!("{}*", place.prefix), "").await;
    assert_eq!(left, serde_json::json!({}), "it tidies up");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_told_with_what_to_do() {
    let nobody = open("http://127.0.0.1:9").examine().await;
    assert!(tells(&nobody, Health::Bad, "start it, or correct stores.search"), "{nobody:#?}");
    let place = Place::new("doctor-bad").await;
    let proxy = place.proxy().await;
    for (at, words) in
        [("PUT", "make an index"), ("_bulk", "write documents"), ("_aliases", "change aliases")]
    {
        let at = at.to_owned();
        proxy.set(move |asked| {
            let is = asked.method == at || asked.path.contains(&at);
            if is { Fault::Say(403, "security_exception") } else { Fault::None }
        });
        let findings = place.through(proxy.address()).examine().await;
        assert!(tells(&findings, Health::Bad, words), "{words}: {findings:#?}");
        assert!(tells(&findings, Health::Bad, "create_index"), "{words}: {findings:#?}");
    }
    proxy.set(|asked| match asked.path.as_str() {
        "/" => Fault::Say(401, "security_exception"),
        _ => Fault::None,
    });
    let locked = place.through(proxy.address()).examine().await;
    assert!(tells(&locked, Health::Bad, "set stores.search_password"), "{locked:#?}");
}
