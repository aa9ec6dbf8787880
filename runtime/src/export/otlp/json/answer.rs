//! What a collector answers in JSON.

use crate::export::transport::Accepted;

/// What a JSON answer says of rejected items. `None` when it is no JSON object.
pub(crate) fn response(body: &[u8]) -> Option<Accepted> {
    let text = std::str::from_utf8(body).ok()?;
    let mut reader = Reader { text, at: 0 };
    let mut accepted = Accepted::default();
    reader.object(0, &mut |key, value| match key {
        "rejectedSpans" | "rejectedDataPoints" | "rejectedLogRecords" => {
            accepted.rejected = value.parse().unwrap_or(0);
        }
        "errorMessage" => value.clone_into(&mut accepted.message),
        _ => {}
    })?;
    reader.space();
    (reader.at == text.len()).then_some(accepted)
}

/// Reads JSON and reports each scalar with its key.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    fn eat(&mut self, c: char) -> Option<()> {
        self.space();
        self.text[self.at..].starts_with(c).then(|| self.at += c.len_utf8())
    }

    fn object(&mut self, depth: usize, tell: &mut dyn FnMut(&str, &str)) -> Option<()> {
        if depth > 32 {
            return None;
        }
        self.eat('{')?;
        if self.eat('}').is_some() {
            return Some(());
        }
        loop {
            self.space();
            let key = self.string()?;
            self.eat(':')?;
            self.value(&key, depth, tell)?;
            if self.eat(',').is_none() {
                return self.eat('}');
            }
        }
    }

    fn value(&mut self, key: &str, depth: usize, tell: &mut dyn FnMut(&str, &str)) -> Option<()> {
        self.space();
        match self.text[self.at..].chars().next()? {
            '{' => self.object(depth + 1, tell),
            '[' if depth < 32 => {
                self.eat('[')?;
                if self.eat(']').is_some() {
                    return Some(());
                }
                loop {
                    self.value("", depth + 1, tell)?;
                    if self.eat(',').is_none() {
                        return self.eat(']');
                    }
                }
            }
            '"' => {
                let value = self.string()?;
                tell(key, &value);
                Some(())
            }
            _ => {
                let rest = &self.text[self.at..];
                let end = rest
                    .find(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c)))
                    .unwrap_or(rest.len());
                tell(key, &rest[..end]);
                self.at += end;
                (end > 0).then_some(())
            }
        }
    }

    fn string(&mut self) -> Option<String> {
        let mut out = String::new();
        let mut chars = self.text[self.at..].char_indices();
        if chars.next()?.1 != '"' {
            return None;
        }
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.at += at + 1;
                    return Some(out);
                }
                '\\' => match chars.next()?.1 {
                    'n' => out.push('\n'),
                    't' => out.push('\t'),
                    'r' | 'b' | 'f' => out.push(' '),
                    'u' => {
                        let code = (0..4).try_fold(0, |code, _| Some(code << 4 | chars.next()?.1.to_digit(16)?))?;
                        out.push(char::from_u32(code).unwrap_or('\u{fffd}'));
                    }
                    c => out.push(c),
                },
                c => out.push(c),
            }
        }
        None
    }
}
