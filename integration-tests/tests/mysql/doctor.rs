//! What `millstream doctor` is told.

use integration_tests::stack::APP_PASSWORD;
use millstream_config::{Finding, Health};

use crate::place::{KEY, Place, ROOT, server};

on_both!(a_server_is_examined);

async fn a_server_is_examined(place: Place<'_>) {
    let address = place.server.address();
    let findings = place.mysql_server().examine().await;
    println!("{findings:#?}");
    assert!(
        findings.iter().all(|finding| finding.what == KEY && finding.state != Health::Bad),
        "{findings:#?}"
    );
    let told = |findings: &[Finding], state: Health, text: &str| {
        let seen =
            findings.iter().any(|finding| finding.state == state && finding.told.contains(text));
        assert!(seen, "nothing {state:?} about {text:?}: {findings:#?}");
    };
    told(&findings, Health::Good, if place.is_maria() { "MariaDB 10.11" } else { "MySQL 9" });
    told(&findings, Health::Good, "its clock is within");
    told(&findings, Health::Good, "may read, write");
    assert!(!format!("{findings:?}").contains(APP_PASSWORD));
    assert_eq!(
        place.ask(&format!("SHOW DATABASES LIKE '{}'", place.database)).await,
        "",
        "it changes nothing"
    );

    let wrong = server(&address, ROOT, "hunter2", "").unwrap().examine().await;
    told(&wrong, Health::Bad, "Access denied");
    assert!(wrong.len() == 1 && !format!("{wrong:?}").contains("hunter2"), "{wrong:?}");
    let port = integration_tests::stack::free_port();
    let nobody = server(&format!("127.0.0.1:{port}"), ROOT, "", "").unwrap().examine().await;
    told(&nobody, Health::Bad, "connect in mysql://");
    place.ask(&format!("CREATE DATABASE `{}`", place.database)).await;
    let reader = place.user("SELECT").await;
    let reader = server(&address, &reader, APP_PASSWORD, "").unwrap().examine().await;
    told(&reader, Health::Warning, "may not INSERT, UPDATE, DELETE, CREATE, ALTER");
}
