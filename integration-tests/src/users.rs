//! Users as they stand in a topic, read without our code.

/// `name$address$year`; a backslash takes the meaning from what follows it.
pub fn user(text: &str) -> [String; 3] {
    let mut fields = vec![String::new()];
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match c {
            '$' => fields.push(String::new()),
            '\\' => fields.last_mut().unwrap().extend(characters.next()),
            other => fields.last_mut().unwrap().push(other),
        }
    }
    fields.try_into().unwrap()
}
