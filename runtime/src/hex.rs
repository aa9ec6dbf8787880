//! Lower-case hexadecimal digits, eight at a time: as ids are written in headers and lines.

/// One in each byte.
const ONES: u64 = 0x0101_0101_0101_0101;

/// A word's digits.
#[inline]
pub(crate) fn digits(word: u32) -> [u8; 8] {
    // One half byte to a byte, the highest first.
    let mut spread = u64::from(word);
    spread = (spread | spread << 16) & 0x0000_ffff_0000_ffff;
    spread = (spread | spread << 8) & 0x00ff_00ff_00ff_00ff;
    spread = (spread | spread << 4) & (ONES * 0x0f);
    text_of(spread).to_be_bytes()
}

/// The digits of two words.
#[inline]
pub(crate) fn digits_of_long(long: u64) -> [u8; 16] {
    let mut text = [0; 16];
    text[..8].copy_from_slice(&digits((long >> 32) as u32));
    text[8..].copy_from_slice(&digits(long as u32));
    text
}

/// Half bytes, one to a byte, as digits: letters stand further on by the distance from behind `9` to `a`.
#[inline]
fn text_of(spread: u64) -> u64 {
    let letters = (spread + ONES * 6) >> 4 & ONES;
    spread + ONES * u64::from(b'0') + letters * u64::from(b'a' - b'9' - 1)
}

/// The word of eight digits; `None` where one is none, or a capital.
#[inline]
pub(crate) fn word(digits: [u8; 8]) -> Option<u32> {
    let text = u64::from_be_bytes(digits);
    // Letters begin at `0x61`, one off from ten in their lower halves.
    let letters = text >> 6 & ONES;
    let spread = ((text & (ONES * 0x0f)) + letters * 9) & (ONES * 0x0f);
    // Whatever else there was: the half bytes would be written otherwise.
    if text_of(spread) != text {
        return None;
    }
    let mut word = spread;
    word = (word | word >> 4) & 0x00ff_00ff_00ff_00ff;
    word = (word | word >> 8) & 0x0000_ffff_0000_ffff;
    word = (word | word >> 16) & 0xffff_ffff;
    Some(word as u32)
}

/// The same of sixteen.
#[inline]
pub(crate) fn long(digits: &[u8; 16]) -> Option<u64> {
    let (high, low) = digits.split_at(8);
    let half = |digits: &[u8]| word(digits.try_into().ok()?).map(u64::from);
    Some(half(high)? << 32 | half(low)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_of_the_formatter_and_read_back() {
        for n in 0..=u16::MAX {
            let word_of = u32::from(n).wrapping_mul(0x9e37_79b9) ^ u32::from(n);
            let text = format!("{word_of:08x}");
            assert_eq!(digits(word_of), text.as_bytes());
            assert_eq!(word(digits(word_of)), Some(word_of));
        }
        assert_eq!(long(b"00f067aa0ba902b7"), Some(0x00f0_67aa_0ba9_02b7));
    }

    #[test]
    fn nothing_else_is_a_digit() {
        for at in 0..8 {
            for byte in 0..=u8::MAX {
                let mut text = *b"0189af5e";
                text[at] = byte;
                let known = std::str::from_utf8(&text)
                    .ok()
                    .filter(|_| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
                let expected = known.and_then(|text| u32::from_str_radix(text, 16).ok());
                assert_eq!(word(text), expected, "{byte} at {at}");
            }
        }
    }
}
