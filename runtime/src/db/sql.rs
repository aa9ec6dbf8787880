//! Statements without what they carry: every literal becomes `?`, comments go.
//!
//! One pass over the text, by tokens, without regular expressions. What cannot be understood to its end (a string that is not
//! closed) is dropped from there on, so nothing that might be a value is left.

/// How a database quotes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Dialect {
    /// `"name"`, `$tag$text$tag$`, `E'\n'`.
    Postgres,
    /// The same, and backslashes in `b'…'`.
    Cockroach,
    /// That of `PostgreSQL`, and backslashes in every text.
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
            "postgresql" => Some(Self::Postgres),
            "cockroachdb" => Some(Self::Cockroach),
            "aws.redshift" => Some(Self::Redshift),
            "mysql" | "mariadb" => Some(Self::MySql),
            "sqlite" => Some(Self::Sqlite),
            _ => None,
        }
    }

    fn like_postgres(self) -> bool {
        matches!(self, Self::Postgres | Self::Cockroach | Self::Redshift)
    }

    /// Texts behind that prefix know backslashes.
    fn escapes(self, prefix: &str) -> bool {
        self.like_postgres() && prefix.eq_ignore_ascii_case("e")
            || self == Self::Cockroach && prefix.eq_ignore_ascii_case("b")
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
                    let escaped = self.dialect.escapes(word);
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

fn is(list: &[&str], token: Option<Token<'_>>) -> bool {
    matches!(token, Some(Token::Word(word)) if list.iter().any(|listed| word.eq_ignore_ascii_case(listed)))
}

/// `SQLite` takes a quoted name that names nothing for a text. So one is shown only where nothing but a name may stand: beside a
/// dot, where a table is named, for a column that is listed or set, and behind `AS`.
fn hide_texts(tokens: &mut [Token<'_>]) {
    const BEFORE_NAME: [&str; 4] = ["INDEX", "AS", "REFERENCES", "EXISTS"];
    const ENDS_TABLES: [&str; 13] = [
        "WHERE",
        "SET",
        "ON",
        "USING",
        "GROUP",
        "HAVING",
        "ORDER",
        "LIMIT",
        "VALUES",
        "SELECT",
        "DEFAULT",
        "RETURNING",
        "WITH",
    ];
    // Tables are being named; in so many brackets columns are being set; of each open bracket whether columns are listed in it, and
    // whether tables are being named around it.
    let (mut tables, mut setting, mut open) = (false, None, Vec::new());
    for at in 0..tokens.len() {
        let token = tokens[at];
        let before = at.checked_sub(1).map(|before| tokens[before]);
        let after = tokens.get(at + 1).copied();
        match token {
            Token::Symbol('(') => {
                let lists = lists_columns(&tokens[..at]);
                open.push((lists, std::mem::take(&mut tables) && !lists));
            }
            Token::Symbol(')') => tables = open.pop().is_some_and(|(_, tables)| tables),
            Token::Symbol(';') => (tables, setting) = (false, None),
            // `IS DISTINCT FROM` compares.
            Token::Word(_) if is(&["FROM"], Some(token)) && is(&["DISTINCT"], before) => {}
            Token::Word(_) if is(&BEFORE_TABLE, Some(token)) => tables = true,
            Token::Word(_) if is(&ENDS_TABLES, Some(token)) => {
                tables = false;
                if is(&["SET"], Some(token)) {
                    setting = Some(open.len());
                } else if setting >= Some(open.len()) {
                    setting = None;
                }
                // A query stands in the bracket, no list.
                if is(&["SELECT", "VALUES", "WITH"], Some(token))
                    && let Some((lists, _)) = open.last_mut()
                {
                    *lists = false;
                }
            }
            Token::Name(name) if name.starts_with('"') => {
                let comma = before == Some(Token::Symbol(','));
                let qualified = before == Some(Token::Symbol('.')) || after == Some(Token::Symbol('.'));
                let listed = matches!(open.last(), Some((true, _))) && (comma || before == Some(Token::Symbol('(')));
                let set =
                    setting == Some(open.len()) && after == Some(Token::Symbol('=')) && (comma || is(&["SET"], before));
                if !(qualified || tables || listed || set || is(&BEFORE_NAME, before)) {
                    tokens[at] = Token::Literal;
                }
            }
            _ => {}
        }
    }
}

/// A bracket behind these opens a list of columns: they end in the name of a table that is made or inserted into. Behind one that is
/// read from, it holds the arguments of a function.
fn lists_columns(mut tokens: &[Token<'_>]) -> bool {
    while let [rest @ .., Token::Word(_) | Token::Name(_)] = tokens {
        if let [rest @ .., Token::Symbol('.')] = rest {
            tokens = rest;
            continue;
        }
        let rest = match rest {
            [rest @ .., r#if, not, exists]
                if is(&["IF"], Some(*r#if)) && is(&["NOT"], Some(*not)) && is(&["EXISTS"], Some(*exists)) =>
            {
                rest
            }
            rest => rest,
        };
        return is(&["INTO", "TABLE", "VIEW"], rest.last().copied());
    }
    false
}

/// Where a value ends that begins there, its sign and its cast included: `-1`, `$1::int`.
fn value(tokens: &[Token<'_>], mut at: usize) -> Option<usize> {
    if matches!(tokens.get(at), Some(Token::Symbol('-' | '+'))) {
        at += 1;
    }
    if !matches!(tokens.get(at), Some(Token::Literal | Token::Placeholder)) {
        return None;
    }
    at += 1;
    while let (Some(Token::Word("::")), Some(Token::Word(_))) = (tokens.get(at), tokens.get(at + 1)) {
        at += 2;
    }
    Some(at)
}

/// The closing bracket of a list of nothing but values that is opened there.
fn values(tokens: &[Token<'_>], open: usize) -> Option<usize> {
    if tokens.get(open) != Some(&Token::Symbol('(')) {
        return None;
    }
    let mut at = value(tokens, open + 1)?;
    while tokens.get(at) == Some(&Token::Symbol(',')) {
        at = value(tokens, at + 1)?;
    }
    (tokens.get(at) == Some(&Token::Symbol(')'))).then_some(at)
}

/// Two signs of one operator.
fn joined(first: char, second: char) -> bool {
    matches!(
        (first, second),
        ('<' | '>' | '!' | '=', '=')
            | ('<', '>' | '<' | '@')
            | ('>' | '-' | '#', '>')
            | ('|', '|')
            | ('&', '&')
            | ('!', '~')
            | ('~', '*')
    )
}

fn text(tokens: &[Token<'_>]) -> String {
    let mut out = String::new();
    let mut glued = true;
    let mut i = 0;
    while i < tokens.len() && out.len() < MAX_TEXT {
        let before = i.checked_sub(1).map(|before| tokens[before]);
        match tokens[i] {
            Token::Symbol(c @ (',' | ')' | '.' | ';')) => {
                out.push(c);
                glued = c == '.';
            }
            Token::Symbol(c) => {
                let called = c == '(' && matches!(before, Some(Token::Word(_)));
                let goes_on = matches!(before, Some(Token::Symbol(first)) if joined(first, c));
                if !glued && !called && !goes_on {
                    out.push(' ');
                }
                out.push(c);
                glued = matches!(c, '(' | '[' | ':' | '@' | '-' | '+');
                // A list of values is as long as it likes: `IN (?, ?, ?)` and `VALUES (?), (?)` show one.
                if let Some(mut end) = values(tokens, i) {
                    while tokens.get(end + 1) == Some(&Token::Symbol(','))
                        && let Some(next) = values(tokens, end + 2)
                    {
                        end = next;
                    }
                    out.push('?');
                    i = end;
                    continue;
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
const BETWEEN: [&str; 7] = ["IF", "NOT", "EXISTS", "ONLY", "OR", "IGNORE", "TABLE"];
/// Operations that name their table right behind them.
const OF_TABLE: [&str; 2] = ["COPY", "TRUNCATE"];

fn summary(tokens: &[Token<'_>]) -> (String, String, Option<String>) {
    let operation = tokens.iter().find_map(|token| match token {
        Token::Word(word) => Some(*word),
        _ => None,
    });
    let sql = |word: &&str| word.len() <= MAX_OPERATION && word.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_');
    let Some(operation) = operation.filter(sql).map(str::to_ascii_uppercase) else {
        return (String::new(), String::new(), None);
    };
    let copies = operation == "COPY";
    let mut targets: Vec<String> = Vec::new();
    // Of each open bracket whether it is that of a function with `FROM` among its arguments.
    let mut open = Vec::new();
    // What was taken for a list of tables is not read again.
    let mut read = 0;
    for (i, token) in tokens.iter().enumerate() {
        let token = *token;
        let before = i.checked_sub(1).map(|before| tokens[before]);
        let (from, update) = (is(&["FROM"], Some(token)), is(&["UPDATE"], Some(token)));
        match token {
            Token::Symbol('(') => open.push(is(&["EXTRACT", "TRIM", "SUBSTRING", "OVERLAY"], before)),
            Token::Symbol(')') => {
                open.pop();
            }
            _ => {}
        }
        // `FOR UPDATE`, `ON DUPLICATE KEY UPDATE`, `DO UPDATE`, `ON UPDATE CASCADE`; `IS DISTINCT FROM`, `EXTRACT(x FROM y)`,
        // `COPY t FROM STDIN`.
        let other = update && is(&["FOR", "KEY", "DO", "ON"], before)
            || from && (is(&["DISTINCT"], before) || open.last() == Some(&true) || (copies && open.is_empty()));
        let named = is(&BEFORE_TABLE, Some(token)) || (before.is_none() && is(&OF_TABLE, Some(token)));
        if i < read || other || !named {
            continue;
        }
        let mut next = i + 1;
        while is(&BETWEEN, tokens.get(next).copied()) {
            next += 1;
        }
        while let Some((name, mut after)) = name(tokens, next) {
            // Functions are no tables.
            let called = tokens.get(after) == Some(&Token::Symbol('('));
            if called && !is(&["INTO", "TABLE", "VIEW", "COPY"], Some(token)) {
                break;
            }
            if targets.len() < MAX_TARGETS && !targets.contains(&name) {
                targets.push(name);
            }
            // `a, b`, `a x, b AS y`
            after += usize::from(is(&["AS"], tokens.get(after).copied()));
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
