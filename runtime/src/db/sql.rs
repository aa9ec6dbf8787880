//! Statements without what they carry: every literal becomes `?`, comments go.
//!
//! One pass over the text, by tokens, without regular expressions. What cannot be understood to its end (a string that is not
//! closed) is dropped from there on, so nothing that might be a value is left.

/// How a database quotes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Dialect {
    /// `"name"`, `$tag$text$tag$`, `E'\n'`.
    Postgres,
    /// The same, and backslashes in every text.
    Redshift,
    /// `` `name` ``, `"text"`, backslashes, `#` comments.
    MySql,
    /// `"name"`, `` `name` ``, `[name]`.
    Sqlite,
}

impl Dialect {
    /// That of a system by its name in the semantic conventions; `None` where we do not know how it quotes.
    pub(crate) fn of(system: &str) -> Option<Self> {
        match system {
            "postgresql" | "cockroachdb" => Some(Self::Postgres),
            "aws.redshift" => Some(Self::Redshift),
            "mysql" | "mariadb" => Some(Self::MySql),
            "sqlite" => Some(Self::Sqlite),
            _ => None,
        }
    }

    fn like_postgres(self) -> bool {
        matches!(self, Self::Postgres | Self::Redshift)
    }

    /// Texts without a prefix know backslashes.
    fn backslashes(self) -> bool {
        matches!(self, Self::MySql | Self::Redshift)
    }

    /// `--` begins a comment; to `MySQL` only where a blank follows, else it is two signs.
    fn line_comment(self, rest: &str) -> bool {
        match rest.strip_prefix("--") {
            Some(after) if self == Self::MySql => {
                after.starts_with(|c: char| c.is_ascii_whitespace() || c.is_ascii_control()) || after.is_empty()
            }
            Some(_) => true,
            None => self == Self::MySql && rest.starts_with('#'),
        }
    }
}

/// A statement as it may be shown, and its summary.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Shown {
    pub(crate) text: String,
    /// `SELECT orders customers`: the operation and what it touches, of low cardinality.
    pub(crate) summary: String,
    /// `SELECT`
    pub(crate) operation: String,
    /// The one table, where it is one.
    pub(crate) collection: Option<String>,
}

/// A longer text is cut.
const MAX_TEXT: usize = 8 * 1024;
/// A longer summary is cut (the conventions' bound).
const MAX_SUMMARY: usize = 255;
/// More do not fit.
const MAX_TARGETS: usize = MAX_SUMMARY / 2;
/// No word of SQL is longer.
const MAX_OPERATION: usize = 32;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Token<'a> {
    Word(&'a str),
    /// A quoted name, quotes included.
    Name(&'a str),
    Literal,
    /// `?`, `$1`, `:name`, `@name`
    Placeholder,
    Symbol(char),
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    dialect: Dialect,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn skip_while(&mut self, keep: impl Fn(char) -> bool) -> &'a str {
        let start = self.at;
        let rest = self.rest();
        self.at += rest.find(|c| !keep(c)).unwrap_or(rest.len());
        &self.text[start..self.at]
    }

    /// Blanks and comments.
    fn skip_space(&mut self) {
        loop {
            self.skip_while(is_blank);
            let rest = self.rest();
            if self.dialect.line_comment(rest) {
                let returns = self.dialect.like_postgres();
                self.skip_while(|c| c != '\n' && !(returns && c == '\r'));
            } else if rest.starts_with("/*") {
                self.at += comment_len(rest, self.dialect);
            } else {
                return;
            }
        }
    }

    /// Past the closing quote; doubled quotes stay inside. To the end if it is not closed: then it is false.
    fn quoted(&mut self, quote: char, backslash: bool) -> bool {
        let mut chars = self.rest().char_indices().skip(1).peekable();
        while let Some((i, c)) = chars.next() {
            if backslash && c == '\\' {
                chars.next();
            } else if c == quote {
                if chars.peek().is_some_and(|(_, next)| *next == quote) {
                    chars.next();
                } else {
                    self.at += i + c.len_utf8();
                    return true;
                }
            }
        }
        self.at = self.text.len();
        false
    }

    /// A quoted name from there to here; one that is not closed may hold anything.
    fn quoted_name(&self, start: usize, closed: bool) -> Token<'a> {
        if closed {
            Token::Name(&self.text[start..self.at])
        } else {
            Token::Literal
        }
    }

    /// A dollar-quoted text; `None` where it is none.
    fn dollar_quoted(&mut self) -> Option<()> {
        let rest = self.rest();
        let tag_end = rest[1..].find('$')? + 2;
        let tag = &rest[..tag_end];
        let inner = &tag[1..tag.len() - 1];
        let is_tag = inner.chars().all(|c| is_word(c) && c != '$') && !inner.starts_with(|c: char| c.is_ascii_digit());
        if !is_tag {
            return None;
        }
        let body = &rest[tag_end..];
        self.at += body.find(tag).map_or(rest.len(), |end| tag_end + end + tag.len());
        Some(())
    }
}

/// Nested comments are known to `PostgreSQL` only. What `MySQL` executes in `/*! … */` may hold a text with the comment's end in it, by the
/// server's version: then nothing after it is understood.
fn comment_len(text: &str, dialect: Dialect) -> usize {
    let nested = dialect.like_postgres();
    let executed = dialect == Dialect::MySql && (text.starts_with("/*!") || text.starts_with("/*M!"));
    let bytes = text.as_bytes();
    let mut depth = 0;
    let mut i = 0;
    while i + 1 < bytes.len() {
        match &bytes[i..i + 2] {
            b"/*" if nested || depth == 0 => {
                depth += 1;
                i += 2;
            }
            b"*/" => {
                depth -= 1;
                i += 2;
                if depth == 0 {
                    let unclear =
                        executed && (text[..i].contains(['\'', '"', '`', '#', '-']) || text[2..i].contains("/*"));
                    return if unclear { text.len() } else { i };
                }
            }
            _ => i += 1,
        }
    }
    text.len()
}

/// Whatever is not ASCII belongs to a name, to all of them, blanks of Unicode as well.
fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$' || !c.is_ascii()
}

fn is_blank(c: char) -> bool {
    c.is_ascii_whitespace() || c == '\u{b}'
}

impl<'a> Iterator for Lexer<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.skip_space();
        let c = self.peek()?;
        let start = self.at;
        let token = match c {
            '\'' => {
                self.quoted(c, self.dialect.backslashes());
                Token::Literal
            }
            '"' if self.dialect == Dialect::MySql => {
                self.quoted(c, true);
                Token::Literal
            }
            '"' | '`' if c == '"' || !self.dialect.like_postgres() => {
                let closed = self.quoted(c, false);
                self.quoted_name(start, closed)
            }
            '[' if self.dialect == Dialect::Sqlite => {
                let rest = self.rest();
                let end = rest.find(']');
                self.at += end.map_or(rest.len(), |end| end + 1);
                self.quoted_name(start, end.is_some())
            }
            '$' if self.dialect.like_postgres() && self.dollar_quoted().is_some() => Token::Literal,
            '$' | '@' | ':' | '?' => {
                self.at += 1;
                if c == ':' && matches!(self.peek(), Some(':' | '=')) {
                    // A cast or an assignment.
                    self.at += 1;
                    return Some(Token::Word(&self.text[start..self.at]));
                }
                if self.placeholder(c) {
                    Token::Placeholder
                } else {
                    Token::Symbol(c)
                }
            }
            c if c.is_ascii_digit() || (c == '.' && self.rest()[1..].starts_with(|c: char| c.is_ascii_digit())) => {
                self.number();
                Token::Literal
            }
            c if is_word(c) => {
                let word = self.skip_while(is_word);
                let prefix = ["e", "b", "x", "n", "u"].iter().any(|p| word.eq_ignore_ascii_case(p));
                if prefix && self.rest().starts_with('\'') {
                    let escaped = self.dialect.like_postgres() && word.eq_ignore_ascii_case("e");
                    self.quoted('\'', escaped || self.dialect.backslashes());
                    if escaped {
                        self.continued();
                    }
                    Token::Literal
                } else if word.eq_ignore_ascii_case("u") && self.rest().starts_with("&'") {
                    self.at += 1;
                    self.quoted('\'', false);
                    Token::Literal
                } else if ["true", "false"].iter().any(|l| word.eq_ignore_ascii_case(l)) {
                    Token::Literal
                } else {
                    Token::Word(word)
                }
            }
            c => {
                self.at += c.len_utf8();
                Token::Symbol(c)
            }
        };
        Some(token)
    }
}

impl Lexer<'_> {
    /// What follows `$`, `@`, `:` or `?`, where the four are a placeholder; a quote behind it is that of a text.
    fn placeholder(&mut self, sign: char) -> bool {
        let start = self.at;
        let postgres = self.dialect.like_postgres();
        match sign {
            '?' => {
                self.skip_while(|c| c.is_ascii_digit());
                return true;
            }
            '$' if postgres => self.skip_while(|c| c.is_ascii_digit()),
            // An operator, as at the end of `@@`.
            '@' if postgres => "",
            _ => self.skip_while(is_word),
        };
        if postgres && (self.text[start..].starts_with('$') || self.rest().starts_with(['\'', '&'])) {
            self.at = start;
        }
        self.at > start
    }

    /// An `E'…'` goes on in the next quotes if only a new line is between them, and its backslashes with it.
    fn continued(&mut self) {
        loop {
            let end = self.at;
            self.skip_space();
            let lines = self.text[end..self.at].contains(['\n', '\r']);
            if !lines || !self.rest().starts_with('\'') {
                self.at = end;
                return;
            }
            self.quoted('\'', true);
        }
    }

    /// `1`, `1.5e-3`, `0xFF`, `1_000`, and whatever letters follow.
    fn number(&mut self) {
        self.skip_while(|c| c.is_alphanumeric() || c == '.' || c == '_');
        let before = self.text[..self.at].chars().next_back();
        let rest = self.rest().as_bytes();
        if matches!(before, Some('e' | 'E')) && matches!(rest, [b'+' | b'-', b'0'..=b'9', ..]) {
            self.at += 1;
            self.skip_while(char::is_alphanumeric);
        }
    }
}

/// The statement without its values.
pub(crate) fn show(statement: &str, dialect: Dialect) -> Shown {
    let mut tokens: Vec<Token<'_>> = Lexer {
        text: statement,
        at: 0,
        dialect,
    }
    .collect();
    if dialect == Dialect::Sqlite {
        hide_texts(&mut tokens);
    }
    let (summary, operation, collection) = summary(&tokens);
    Shown {
        text: text(&tokens),
        summary,
        operation,
        collection,
    }
}

/// A quoted name that could do without its quotes.
fn plain(name: &str) -> bool {
    name.trim_matches('"').chars().all(is_word)
}

/// `SQLite` takes a quoted name that names nothing for a text. So where a value may stand, after an operator and in a list of
/// values, only a name with its table is shown.
fn hide_texts(tokens: &mut [Token<'_>]) {
    const BEFORE_VALUE: [&str; 14] = [
        "LIKE", "GLOB", "MATCH", "REGEXP", "IS", "NOT", "WHEN", "THEN", "ELSE", "BETWEEN", "ESCAPE", "LIMIT", "OFFSET",
        "KEY",
    ];
    const BEFORE_NAME: [&str; 8] = ["FROM", "INTO", "UPDATE", "JOIN", "TABLE", "VIEW", "INDEX", "AS"];
    let is = |list: &[&str], token: Option<Token<'_>>| matches!(token, Some(Token::Word(word)) if list.iter().any(|w| word.eq_ignore_ascii_case(w)));
    // Of each open bracket whether it holds values; and whether the one closed last did.
    let (mut open, mut closed) = (Vec::new(), false);
    let mut between = false;
    for at in 0..tokens.len() {
        let before = at.checked_sub(1).map(|before| tokens[before]);
        match tokens[at] {
            Token::Symbol('(') => {
                open.push(is(&["IN", "VALUES"], before) || (closed && before == Some(Token::Symbol(','))));
            }
            Token::Symbol(')') => closed = open.pop().unwrap_or(false),
            Token::Word(word) if word.eq_ignore_ascii_case("BETWEEN") => between = true,
            Token::Name(name) if name.starts_with('"') && tokens.get(at + 1) != Some(&Token::Symbol('.')) => {
                let operator = matches!(before, Some(Token::Symbol('=' | '<' | '>' | '|' | '+' | '%' | '/')));
                let in_list = open.last() == Some(&true) && matches!(before, Some(Token::Symbol('(' | ',')));
                let upper_bound = between && is(&["AND"], before);
                let odd = !plain(name) && !is(&BEFORE_NAME, before) && before != Some(Token::Symbol('.'));
                if operator || in_list || upper_bound || odd || is(&BEFORE_VALUE, before) {
                    tokens[at] = Token::Literal;
                }
            }
            _ => {}
        }
        if is(&["AND"], before) {
            between = false;
        }
    }
}

fn text(tokens: &[Token<'_>]) -> String {
    let mut out = String::new();
    let mut glued = true;
    let mut i = 0;
    while i < tokens.len() && out.len() < MAX_TEXT {
        let value = |token: &Token<'_>| matches!(token, Token::Literal | Token::Placeholder);
        match tokens[i] {
            Token::Symbol(c @ (',' | ')' | '.' | ';')) => {
                out.push(c);
                glued = c == '.';
            }
            Token::Symbol(c) => {
                let called = c == '(' && matches!(tokens.get(i.wrapping_sub(1)), Some(Token::Word(_)));
                if !glued && !called {
                    out.push(' ');
                }
                out.push(c);
                glued = matches!(c, '(' | '[' | ':' | '@' | '-' | '+');
                // A list of values is as long as it likes: `IN (?, ?, ?)` and `VALUES (?), (?)` show one.
                if c == '(' && tokens.get(i + 1).is_some_and(value) {
                    let mut end = i + 1;
                    while tokens.get(end).is_some_and(|t| value(t) || *t == Token::Symbol(',')) {
                        end += 1;
                    }
                    if tokens.get(end) == Some(&Token::Symbol(')')) {
                        out.push('?');
                        i = end;
                        continue;
                    }
                }
            }
            token => {
                if !glued {
                    out.push(' ');
                }
                glued = false;
                match token {
                    Token::Word(word) | Token::Name(word) => out.push_str(word),
                    _ => out.push('?'),
                }
            }
        }
        i += 1;
    }
    if out.len() > MAX_TEXT {
        let end = (0..=MAX_TEXT).rev().find(|&i| out.is_char_boundary(i)).unwrap_or(0);
        out.truncate(end);
    }
    out
}

/// Words after which a table's name comes.
const BEFORE_TABLE: [&str; 6] = ["FROM", "INTO", "UPDATE", "JOIN", "TABLE", "VIEW"];
/// Words that may stand between.
const BETWEEN: [&str; 6] = ["IF", "NOT", "EXISTS", "ONLY", "OR", "IGNORE"];

fn summary(tokens: &[Token<'_>]) -> (String, String, Option<String>) {
    let operation = tokens.iter().find_map(|token| match token {
        Token::Word(word) => Some(*word),
        _ => None,
    });
    let sql = |word: &&str| word.len() <= MAX_OPERATION && word.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_');
    let Some(operation) = operation.filter(sql).map(str::to_ascii_uppercase) else {
        return (String::new(), String::new(), None);
    };
    let is = |list: &[&str], token: Option<&Token<'_>>| matches!(token, Some(Token::Word(word)) if list.iter().any(|w| word.eq_ignore_ascii_case(w)));
    let mut targets: Vec<String> = Vec::new();
    // Of each open bracket whether it is that of a function with `FROM` among its arguments.
    let mut open = Vec::new();
    // What was taken for a list of tables is not read again.
    let mut read = 0;
    for (i, token) in tokens.iter().enumerate() {
        let before = i.checked_sub(1).map(|before| &tokens[before]);
        let (from, update) = (is(&["FROM"], Some(token)), is(&["UPDATE"], Some(token)));
        match token {
            Token::Symbol('(') => open.push(is(&["EXTRACT", "TRIM", "SUBSTRING", "OVERLAY"], before)),
            Token::Symbol(')') => {
                open.pop();
            }
            _ => {}
        }
        // `FOR UPDATE`, `ON DUPLICATE KEY UPDATE`, `DO UPDATE`, `ON UPDATE CASCADE`; `IS DISTINCT FROM`, `EXTRACT(x FROM y)`.
        let other = update && is(&["FOR", "KEY", "DO", "ON"], before)
            || from && (is(&["DISTINCT"], before) || open.last() == Some(&true));
        if i < read || other || !is(&BEFORE_TABLE, Some(token)) {
            continue;
        }
        let mut next = i + 1;
        while is(&BETWEEN, tokens.get(next)) {
            next += 1;
        }
        while let Some((name, mut after)) = name(tokens, next) {
            // Functions are no tables.
            let called = tokens.get(after) == Some(&Token::Symbol('('));
            if called && !is(&["INTO", "TABLE", "VIEW"], Some(token)) {
                break;
            }
            if targets.len() < MAX_TARGETS && !targets.contains(&name) {
                targets.push(name);
            }
            // `a, b`, `a x, b AS y`
            after += usize::from(is(&["AS"], tokens.get(after)));
            let comma = |at: usize| tokens.get(at) == Some(&Token::Symbol(','));
            let alias = matches!(tokens.get(after), Some(Token::Word(_) | Token::Name(_))) && comma(after + 1);
            after += usize::from(alias);
            read = after;
            if !comma(after) {
                break;
            }
            next = after + 1;
        }
    }
    let collection = match &targets[..] {
        [one] => Some(one.clone()),
        _ => None,
    };
    let mut summary = operation.clone();
    for target in targets {
        if summary.len() + 1 + target.len() > MAX_SUMMARY {
            break;
        }
        summary.push(' ');
        summary.push_str(&target);
    }
    (summary, operation, collection)
}

/// A table's name at a position, with its schema, and what comes after it.
fn name(tokens: &[Token<'_>], at: usize) -> Option<(String, usize)> {
    let part = |token: Option<&Token<'_>>| match token {
        Some(Token::Word(word)) => Some((*word).to_owned()),
        Some(Token::Name(name)) => Some(name.trim_matches(['"', '`', '[', ']']).to_owned()),
        _ => None,
    };
    let mut name = part(tokens.get(at))?;
    if ["SELECT", "SET", "VALUES", "LATERAL"]
        .iter()
        .any(|word| name.eq_ignore_ascii_case(word))
    {
        return None;
    }
    let mut at = at + 1;
    while tokens.get(at) == Some(&Token::Symbol('.'))
        && let Some(next) = part(tokens.get(at + 1))
    {
        name = format!("{name}.{next}");
        at += 2;
    }
    Some((name, at))
}

#[cfg(test)]
mod tests;
