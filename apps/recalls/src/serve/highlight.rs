//! Words of a search, marked where they occur in a text. Markup is made by maud, so that a text stays a text.

use maud::{Markup, html};

const TERMS_MAX: usize = 16;

/// The words that are looked for, in lower case.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Terms(Vec<String>);

impl Terms {
    pub fn of(text: &str) -> Terms {
        let words = pieces(text).filter(|(_, word)| *word).map(|(piece, _)| piece.to_lowercase());
        Terms(words.filter(|word| word.chars().count() > 1).take(TERMS_MAX).collect())
    }

    /// `text` with the words marked.
    pub fn mark(&self, text: &str) -> Markup {
        html! {
            @for (piece, word) in pieces(text) {
                @if word && self.means(piece) { mark { (piece) } } @else { (piece) }
            }
        }
    }

    /// At most `max` characters of `text`, line breaks as spaces, beginning near the first word that is looked for.
    pub fn excerpt(&self, text: &str, max: usize) -> Markup {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if text.chars().count() <= max {
            return self.mark(&text);
        }
        let from = self.first(&text).filter(|at| *at > max * 2 / 3).map_or(0, |at| at - max / 4);
        let part: String = text.chars().skip(from).take(max).collect();
        // Cut where a word ends, if one ends near.
        let end = part.rfind(' ').filter(|end| *end > part.len() / 2).unwrap_or(part.len());
        let start = if from > 0 { part.find(' ').map_or(0, |at| at + 1) } else { 0 };
        let whole = part.get(start..end).unwrap_or(&part);
        html! { @if from > 0 { "… " } (self.mark(whole)) " …" }
    }

    /// Where the first word that is looked for begins, in characters.
    fn first(&self, text: &str) -> Option<usize> {
        let mut at = 0;
        for (piece, word) in pieces(text) {
            if word && self.means(piece) {
                return Some(at);
            }
            at += piece.chars().count();
        }
        None
    }

    fn means(&self, word: &str) -> bool {
        let word = word.to_lowercase();
        self.0.iter().any(|term| alike(term, &word))
    }
}

/// The same word as the index sees it, nearly: a beginning, another ending, or a slip of the fingers.
fn alike(term: &str, word: &str) -> bool {
    if word.starts_with(term) {
        return true;
    }
    let (long, off) = (term.chars().count(), term.chars().count().abs_diff(word.chars().count()));
    let shared = term.chars().zip(word.chars()).take_while(|(a, b)| a == b).count();
    let slips = match long {
        0..=3 => 0,
        4..=7 => 1,
        _ => 2,
    };
    (shared >= 4 && shared + 3 >= long && off <= 3)
        || (slips > 0 && off <= slips && strsim::damerau_levenshtein(term, word) <= slips)
}

/// A text cut into words (true) and what stands between them, nothing left out.
fn pieces(text: &str) -> impl Iterator<Item = (&str, bool)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let word = rest.chars().next()?.is_alphanumeric();
        let end = rest.find(|c: char| c.is_alphanumeric() != word).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some((piece, word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(search: &str, text: &str) -> String {
        Terms::of(search).mark(text).into_string()
    }

    #[test]
    fn words_are_marked_and_texts_stay_texts() {
        assert_eq!(
            marked("pump", "Infusion PUMPS & more"),
            "Infusion <mark>PUMPS</mark> &amp; more"
        );
        assert_eq!(marked("script", "<script>"), "&lt;<mark>script</mark>&gt;");
        assert_eq!(marked("<b>", "a <b> c"), "a &lt;b&gt; c");
        assert_eq!(marked("", "as it is"), "as it is");
        assert_eq!(marked("Ödem", "ein ödem"), "ein <mark>ödem</mark>");
    }

    #[test]
    fn slips_and_endings_are_marked_too() {
        assert_eq!(marked("cathetr", "catheter"), "<mark>catheter</mark>");
        assert_eq!(marked("leaking", "leakage"), "<mark>leakage</mark>");
        assert_eq!(marked("cat", "cut"), "cut");
    }

    #[test]
    fn an_excerpt_shows_what_was_found() {
        let text = format!("{} needle {}", "straw ".repeat(200), "hay ".repeat(200));
        let excerpt = Terms::of("needle").excerpt(&text, 120).into_string();
        assert!(
            excerpt.contains("<mark>needle</mark>") && excerpt.starts_with("… straw"),
            "{excerpt}"
        );
        assert!(excerpt.len() < 160, "{excerpt}");
        assert_eq!(Terms::default().excerpt("a\n\tb", 120).into_string(), "a b");
        let unbroken = Terms::of("é").excerpt(&"é".repeat(500), 100).into_string();
        assert!(unbroken.chars().count() < 120, "{unbroken}");
    }
}
