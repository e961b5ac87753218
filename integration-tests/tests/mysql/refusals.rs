//! What waits for somebody: said once, with what to do, and without secrets.

use integration_tests::stack::APP_PASSWORD;
use millstream_engine::{SinkError, Target};
use millstream_sinks::mysql::{Mysql, MysqlTable};

use crate::events::{PIPELINE, assignment, connect, held, last, noted, put, range_of, schema};
use crate::place::{Place, ROOT, server};

on_both!(
    a_wrong_password_names_the_setting,
    missing_rights_come_with_their_grant,
    databases_are_made_only_where_that_is_allowed,
    a_server_that_is_not_there_is_waited_for,
    the_rights_that_are_asked_for_are_enough,
);

fn table(place: &Place<'_>, server: Mysql) -> MysqlTable {
    MysqlTable::upsert(server, &place.database, "users", &["id"])
}

async fn refused(table: &MysqlTable) -> String {
    match table.connect(PIPELINE, &schema()).await {
        Err(error @ SinkError::Refused { .. }) => error.to_string(),
        Err(error) => panic!("that is to be refused: {error}"),
        Ok(_) => panic!("that is to be refused"),
    }
}

async fn a_wrong_password_names_the_setting(place: Place<'_>) {
    let wrong = server(&place.server.address(), ROOT, "hunter2", "").unwrap();
    let text = refused(&table(&place, wrong)).await;
    assert!(text.contains("stores.tables_password") && !text.contains("hunter2"), "{text}");
}

async fn missing_rights_come_with_their_grant(place: Place<'_>) {
    let open = |user: &str| server(&place.server.address(), user, APP_PASSWORD, "").unwrap();
    connect(&place.upsert("users")).await;
    let nobody = place.user("").await;
    let text = refused(&table(&place, open(&nobody))).await;
    assert!(text.contains("GRANT SELECT, INSERT") && text.contains(&nobody), "{text}");

    let reader = place.user("SELECT").await;
    let mut visit = |_| Ok(());
    table(&place, open(&reader)).scan(PIPELINE, &mut visit).await.expect("reading takes no more");
    let mut sink =
        table(&place, open(&reader)).connect(PIPELINE, &schema()).await.expect("all is there");
    let error = sink.open(&assignment(0)).await.unwrap_err();
    assert!(!error.is_retryable() && error.to_string().contains("GRANT"), "{error}");

    let writer = place.user("SELECT, INSERT, UPDATE, DELETE").await;
    let mut sink =
        table(&place, open(&writer)).connect(PIPELINE, &schema()).await.expect("all is there");
    put(&mut sink, 0, &[("a", 1, 1)]).await;
    let other = MysqlTable::upsert(open(&writer), &place.database, "others", &["id"]);
    assert!(refused(&other).await.contains("CREATE"));
    // Taken away while it works.
    place.ask(&format!("REVOKE INSERT ON `{}`.* FROM '{writer}'@'%'", place.database)).await;
    // Connections keep the rights they have.
    let mut sink = connect(&table(&place, open(&writer))).await;
    let range = range_of(&last(&mut sink, 0).await, 1, &[("b", 1, 2)]);
    let error = sink.commit(&assignment(0), &range).await.unwrap_err();
    assert!(!error.is_retryable() && error.to_string().contains("GRANT"), "{error}");
}

async fn databases_are_made_only_where_that_is_allowed(place: Place<'_>) {
    let open = |options| server(&place.server.address(), ROOT, APP_PASSWORD, options).unwrap();
    let text = refused(&table(&place, open("create=off"))).await;
    assert!(text.contains("CREATE DATABASE") && text.contains("create=on"), "{text}");
    connect(&table(&place, open("create=on"))).await;
    connect(&table(&place, open("create=off"))).await;
}

async fn a_server_that_is_not_there_is_waited_for(place: Place<'_>) {
    let port = integration_tests::stack::free_port();
    let nobody = server(&format!("127.0.0.1:{port}"), ROOT, APP_PASSWORD, "").unwrap();
    let error = table(&place, nobody).connect(PIPELINE, &schema()).await.err().unwrap();
    assert!(error.is_retryable(), "{error}");
    // The next of several hosts takes over.
    let two =
        server(&format!("127.0.0.1:{port},{}", place.server.address()), ROOT, APP_PASSWORD, "");
    connect(&table(&place, two.unwrap())).await;
}

async fn the_rights_that_are_asked_for_are_enough(place: Place<'_>) {
    let user = place.user("SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER").await;
    let server = server(&place.server.address(), &user, APP_PASSWORD, "").unwrap();
    let table = table(&place, server);
    let mut sink = connect(&table).await;
    put(&mut sink, 0, &[("a", 1, 1)]).await;
    table.connect(PIPELINE, &noted()).await.unwrap();
    assert_eq!(held(&table).await.len(), 1);
}
