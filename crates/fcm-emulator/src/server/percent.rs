//! Percent-encoding in a path's segments, where a plus is a plus (RFC 3986).

/// A segment as it was meant. What is no escape, or makes no UTF-8, stays as it is and fits no name.
pub(super) fn decode(segment: &str) -> String {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let [first, after @ ..] = rest {
        let escape = match (first, after) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)),
            _ => None,
        };
        match escape {
            Some((high, low)) => {
                bytes.push(high << 4 | low);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| segment.to_owned())
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments() {
        for (segment, expected) in [
            ("plain", "plain"),
            ("a%3Ab%3ac", "a:b:c"),
            ("100%25", "100%"),
            ("a+b", "a+b"),
            ("%", "%"),
            ("%zz%4", "%zz%4"),
            ("%C3%A9", "é"),
            ("%ff", "%ff"),
        ] {
            assert_eq!(decode(segment), expected);
        }
    }
}
