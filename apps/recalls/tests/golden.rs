use std::path::Path;

#[test]
fn every_case_gives_what_is_expected() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let checked = millstream_app::golden::check(&recalls::APP, &cases);
    assert!(checked.unwrap_or_else(|error| panic!("{error:#}")) > 0);
}
