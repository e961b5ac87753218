use reqwest::Url;

/// Names of query parameters that hold secrets, or parts of such names.
const SECRET: [&str; 7] = ["appid", "key", "token", "secret", "password", "signature", "auth"];
const MASK: &str = "***";

/// The URL with the values of secret query parameters (`appid`, `key`, `token`, …) and the password
/// replaced by `***`, fit for messages.
pub fn masked(url: &str) -> String {
    match Url::parse(url) {
        Ok(url) => masked_url(&url),
        // Not a URL, and yet it may hold a key: show what comes before the query.
        Err(_) => url.split('?').next().unwrap_or_default().to_owned(),
    }
}

pub(crate) fn masked_url(url: &Url) -> String {
    let mut shown = url.clone();
    if url.password().is_some() {
        let _ = shown.set_password(Some(MASK));
    }
    if let Some(query) = url.query() {
        let masked: Vec<String> = query.split('&').map(masked_pair).collect();
        shown.set_query(Some(&masked.join("&")));
    }
    shown.into()
}

/// `text` (an answer of the server, say) without the URL's secrets.
pub(crate) fn without_secrets(text: &str, url: &Url) -> String {
    let secrets = url.query_pairs().filter(|(name, value)| is_secret(name) && value.len() > 3);
    let mut text = text.to_owned();
    for (_, value) in secrets {
        text = text.replace(value.as_ref(), MASK);
    }
    text
}

fn masked_pair(pair: &str) -> String {
    match pair.split_once('=') {
        Some((name, _)) if is_secret(name) => format!("{name}={MASK}"),
        _ => pair.to_owned(),
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_never_show() {
        let cases = [
            (
                "https://h.example/w?id=1&appid=abc&units=si",
                "https://h.example/w?id=1&appid=***&units=si",
            ),
            ("http://h/?API_KEY=x%20y&b", "http://h/?API_KEY=***&b"),
            ("http://u:pw@h/p?access_token=1", "http://u:***@h/p?access_token=***"),
            ("http://h/plain", "http://h/plain"),
            ("no url?appid=abc", "no url"),
        ];
        for (url, shown) in cases {
            assert_eq!(masked(url), shown);
        }
    }

    #[test]
    fn a_server_that_echoes_the_key_is_masked_too() {
        let url = Url::parse("http://h/?appid=s3cret&id=4887").unwrap();
        assert_eq!(without_secrets("bad key s3cret for 4887", &url), "bad key *** for 4887");
    }
}
