//! What is kept of texts that are suggested.

#[test]
fn long_texts_are_suggested_by_their_beginning() {
    use crate::search::fields::suggested_text;
    let long = "word ".repeat(50);
    let cut = suggested_text(&long);
    assert_eq!((cut.chars().count(), cut.ends_with("word")), (99, true));
    assert_eq!(suggested_text(&"ü".repeat(500)).chars().count(), 100);
    assert_eq!(suggested_text(" a\n b\t"), "a b");
}
