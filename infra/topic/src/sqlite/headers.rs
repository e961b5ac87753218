use bytes::Bytes;

type Headers = Vec<(String, Bytes)>;

/// Headers as one blob: per header the lengths of name and value as little-endian `u32`, then both.
/// `None` for no headers.
pub(super) fn encode(headers: &[(String, Bytes)]) -> Option<Vec<u8>> {
    if headers.is_empty() {
        return None;
    }
    let size = headers.iter().map(|(name, value)| 8 + name.len() + value.len()).sum();
    let mut blob = Vec::with_capacity(size);
    for (name, value) in headers {
        for part in [name.as_bytes(), value] {
            blob.extend_from_slice(&(part.len() as u32).to_le_bytes());
        }
        blob.extend_from_slice(name.as_bytes());
        blob.extend_from_slice(value);
    }
    Some(blob)
}

/// `None`: these bytes were not made by [`encode`].
pub(super) fn decode(mut blob: &[u8]) -> Option<Headers> {
    let mut headers = Vec::new();
    while !blob.is_empty() {
        let (name, value) = (length(&mut blob)?, length(&mut blob)?);
        let name = blob.split_off(..name)?;
        let value = blob.split_off(..value)?;
        headers.push((std::str::from_utf8(name).ok()?.to_owned(), Bytes::copy_from_slice(value)));
    }
    Some(headers)
}

fn length(blob: &mut &[u8]) -> Option<usize> {
    let bytes = blob.split_off(..4)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?) as usize)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn come_back_as_they_went(
            headers in prop::collection::vec((".{0,9}", prop::collection::vec(any::<u8>(), 0..9)), 1..5),
            cut in 1_usize..9,
        ) {
            let headers: Headers = headers.into_iter().map(|(name, value)| (name, value.into())).collect();
            let blob = encode(&headers).unwrap();
            prop_assert_eq!(decode(&blob), Some(headers.clone()));
            let cut = decode(&blob[..blob.len().saturating_sub(cut)]);
            prop_assert!(cut.is_none_or(|rest| rest.len() < headers.len()));
        }
    }
}
