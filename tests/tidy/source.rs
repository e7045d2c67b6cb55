//! A Rust file as the checks see it: its lines, its code without comments and literals, its comments, its
//! functions and its paths. A scanner that is good enough for formatted code, *not* a parser.

/// One file. `code` has as many lines as the file; what stands in comments, strings and character literals
/// is blanked there.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) lines: Vec<String>,
    pub(crate) code: String,
    /// The comments of each line, with their `//`.
    pub(crate) comments: Vec<String>,
    pub(crate) tokens: Vec<Token>,
}

/// A word, `::`, a lifetime, or any other single character. Lines count from 1.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// A path of at least two segments, or one of a `use` declaration, whose groups are written out.
#[derive(Debug)]
pub(crate) struct Path {
    pub(crate) line: usize,
    pub(crate) segments: Vec<String>,
    pub(crate) alias: Option<String>,
    pub(crate) is_import: bool,
    /// How many inline modules (`mod tests { … }`) it stands in.
    pub(crate) nesting: usize,
}

/// A function with a body.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) line: usize,
    /// From the line of its `fn` to that of its closing brace.
    pub(crate) length: usize,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let (code, comments) = Splitter::new(text).split();
        Self {
            path: path.to_owned(),
            lines: text.lines().map(str::to_owned).collect(),
            tokens: tokens(&code),
            code,
            comments,
        }
    }

    pub(crate) fn is_in(&self, folder: &str) -> bool {
        self.path.starts_with(folder)
    }

    pub(crate) fn complain(&self, line: usize, what: impl std::fmt::Display) -> String {
        format!("{}:{line}: {what}", self.path)
    }

    /// The token `back` places before the one at `idx`, or nothing.
    pub(crate) fn before(&self, idx: usize, back: usize) -> &str {
        idx.checked_sub(back)
            .map_or("", |idx| self.tokens[idx].text.as_str())
    }

    pub(crate) fn functions(&self) -> Vec<Function> {
        let text = |idx: usize| self.tokens.get(idx).map_or("", |token| token.text.as_str());
        (0..self.tokens.len())
            .filter(|&idx| text(idx) == "fn" && is_word(text(idx + 1)))
            .filter_map(|idx| {
                let end = self.closing_brace(self.opening_brace(idx)?)?;
                let line = self.tokens[idx].line;
                Some(Function {
                    name: text(idx + 1).to_owned(),
                    line,
                    length: self.tokens[end].line - line + 1,
                })
            })
            .collect()
    }

    /// Where the body of the function at `start` begins; none if a semicolon comes first.
    fn opening_brace(&self, start: usize) -> Option<usize> {
        let mut depth = 0usize;
        for (idx, token) in self.tokens.iter().enumerate().skip(start) {
            match token.text.as_str() {
                "(" | "[" => depth += 1,
                ")" | "]" => depth = depth.saturating_sub(1),
                ";" if depth == 0 => return None,
                "{" if depth == 0 => return Some(idx),
                _ => {}
            }
        }
        None
    }

    fn closing_brace(&self, opening: usize) -> Option<usize> {
        let mut depth = 0usize;
        for (idx, token) in self.tokens.iter().enumerate().skip(opening) {
            match token.text.as_str() {
                "{" => depth += 1,
                "}" if depth == 1 => return Some(idx),
                "}" => depth -= 1,
                _ => {}
            }
        }
        None
    }

    pub(crate) fn paths(&self) -> Vec<Path> {
        let text = |idx: usize| self.tokens.get(idx).map_or("", |token| token.text.as_str());
        let mut paths = Vec::new();
        let mut braces = Vec::new(); // for each open one: is it a module's?
        let mut idx = 0;
        while idx < self.tokens.len() {
            let nesting = braces.iter().filter(|&&of_module| of_module).count();
            match text(idx) {
                "{" => braces.push(self.before(idx, 2) == "mod"),
                "}" => drop(braces.pop()),
                "use" if text(idx + 1) != "<" => {
                    idx = self.use_tree(idx + 1, &[], nesting, &mut paths);
                    continue;
                }
                word if is_word(word) => {
                    let start = idx;
                    while text(idx + 1) == "::" && is_word(text(idx + 2)) {
                        idx += 2;
                    }
                    let continues = self.before(start, 1) == "::"
                        && (is_word(self.before(start, 2)) || self.before(start, 2) == ">");
                    if idx > start && !continues {
                        paths.push(Path {
                            line: self.tokens[start].line,
                            segments: (start..=idx)
                                .step_by(2)
                                .map(|idx| text(idx).into())
                                .collect(),
                            alias: None,
                            is_import: false,
                            nesting,
                        });
                    }
                }
                _ => {}
            }
            idx += 1;
        }
        paths
    }

    /// Writes out the tree that starts at `idx`; returns where it ends: at its `,`, `}` or `;`.
    fn use_tree(
        &self,
        mut idx: usize,
        prefix: &[String],
        nesting: usize,
        paths: &mut Vec<Path>,
    ) -> usize {
        let mut segments = prefix.to_vec();
        let mut alias = None;
        while let Some(Token { text, line }) = self.tokens.get(idx) {
            match text.as_str() {
                "{" => {
                    idx += 1;
                    while self.tokens.get(idx).is_some_and(|token| token.text != "}") {
                        idx = self.use_tree(idx, &segments, nesting, paths);
                        idx += usize::from(self.tokens.get(idx).is_some_and(|t| t.text == ","));
                    }
                    return idx + 1;
                }
                "," | "}" | ";" => {
                    if segments.len() > 1 && segments.last().is_some_and(|last| last == "self") {
                        segments.pop();
                    }
                    let line = *line;
                    paths.push(Path {
                        line,
                        segments,
                        alias,
                        is_import: true,
                        nesting,
                    });
                    return idx;
                }
                "as" => {
                    idx += 1;
                    alias = self.tokens.get(idx).map(|token| token.text.clone());
                }
                "::" => {}
                segment => segments.push(segment.to_owned()),
            }
            idx += 1;
        }
        idx
    }
}

pub(crate) fn is_word(text: &str) -> bool {
    text.chars().next().is_some_and(is_word_char)
}

fn is_word_char(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

fn tokens(code: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    for (idx, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let word_end = |from: usize| {
                let length = rest[from..].find(|char| !is_word_char(char));
                length.map_or(rest.len(), |length| from + length)
            };
            let end = match first {
                '\'' => word_end(1),
                _ if is_word_char(first) => word_end(0),
                _ if rest.starts_with("::") => 2,
                _ => first.len_utf8(),
            };
            tokens.push(Token {
                text: rest[..end].to_owned(),
                line: idx + 1,
            });
            rest = rest[end..].trim_start();
        }
    }
    tokens
}

/// Takes a text apart into code and comments.
struct Splitter {
    chars: Vec<char>,
    at: usize,
    code: String,
    comments: Vec<String>,
}

impl Splitter {
    fn new(text: &str) -> Self {
        Self {
            chars: text.chars().collect(),
            at: 0,
            code: String::new(),
            comments: vec![String::new()],
        }
    }

    fn split(mut self) -> (String, Vec<String>) {
        while self.at < self.chars.len() {
            match (self.peek(0), self.peek(1)) {
                ('/', '/') => self.comment_until(|splitter| splitter.peek(0) == '\n'),
                ('/', '*') => self.block_comment(),
                ('"', _) => self.string(),
                ('\'', _) => self.quote(),
                ('r' | 'b' | 'c', _) if !self.in_word() && self.raw_hashes().is_some() => {
                    self.raw_string();
                }
                _ => self.keep(),
            }
        }
        (self.code, self.comments)
    }

    fn peek(&self, ahead: usize) -> char {
        self.chars.get(self.at + ahead).copied().unwrap_or('\n')
    }

    fn in_word(&self) -> bool {
        self.at > 0 && is_word_char(self.chars[self.at - 1])
    }

    /// One character into the code.
    fn keep(&mut self) {
        self.put(self.peek(0), false);
    }

    /// A blank in place of one character.
    fn blank(&mut self) {
        self.put(' ', false);
    }

    fn put(&mut self, char: char, comment: bool) {
        let original = self.peek(0);
        if comment && original != '\n' {
            if let Some(line) = self.comments.last_mut() {
                line.push(original);
            }
        }
        if original == '\n' {
            self.comments.push(String::new());
        }
        self.code.push(if original == '\n' { '\n' } else { char });
        self.at += 1;
    }

    fn comment_until(&mut self, done: impl Fn(&Self) -> bool) {
        while self.at < self.chars.len() && !done(self) {
            self.put(' ', true);
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0;
        while self.at < self.chars.len() {
            let step = match (self.peek(0), self.peek(1)) {
                ('/', '*') => 1,
                ('*', '/') => -1,
                _ => 0,
            };
            depth += step;
            self.put(' ', true);
            if step != 0 {
                self.put(' ', true);
            }
            if depth == 0 {
                return;
            }
        }
    }

    fn string(&mut self) {
        self.keep();
        while self.at < self.chars.len() && self.peek(0) != '"' {
            if self.peek(0) == '\\' {
                self.blank();
            }
            self.blank();
        }
        self.keep();
    }

    /// A character literal or a lifetime.
    fn quote(&mut self) {
        let is_literal = self.peek(1) == '\\' || self.peek(2) == '\'';
        self.keep();
        if !is_literal {
            return;
        }
        if self.peek(0) == '\\' {
            self.blank();
        }
        self.blank();
        while self.at < self.chars.len() && self.peek(0) != '\'' {
            self.blank();
        }
        self.keep();
    }

    /// How many `#` the raw string that starts here has, if one starts here.
    fn raw_hashes(&self) -> Option<usize> {
        let start = usize::from(self.peek(0) != 'r');
        if self.peek(start) != 'r' {
            return None;
        }
        let hashes = (start + 1..)
            .take_while(|&ahead| self.peek(ahead) == '#')
            .count();
        (self.peek(start + 1 + hashes) == '"').then_some(hashes)
    }

    fn raw_string(&mut self) {
        let hashes = self.raw_hashes().unwrap_or(0);
        while self.peek(0) != '"' {
            self.blank();
        }
        self.keep();
        let closes = |splitter: &Self| {
            splitter.peek(0) == '"' && (1..=hashes).all(|ahead| splitter.peek(ahead) == '#')
        };
        while self.at < self.chars.len() && !closes(self) {
            self.blank();
        }
        self.keep();
        (0..hashes).for_each(|_| self.blank());
    }
}

#[test]
fn comments_and_literals_are_no_code() {
    let source = Source::new(
        "x.rs",
        "let a = \"{ // \\\" }\"; // } one\nlet b = r#\"{\"{\"#; /* { /* two */ { */ let c = '{';\n\
         let d = '\\''; let e: &'static str = b\"{\"; let f = '\\u{7b}'; let r#fn = br\"{\";\n",
    );
    assert!(!source.code.contains('{'), "{}", source.code);
    assert!(!source.code.contains('}'), "{}", source.code);
    assert_eq!(source.code.lines().count(), 3);
    assert_eq!(source.comments[0], "// } one");
    assert_eq!(source.comments[1], "/* { /* two */ { */");
    for kept in ["let c =", "let e: &'static str =", "let f =", "r#fn"] {
        assert!(
            source.code.contains(kept),
            "{kept} is gone from {}",
            source.code
        );
    }
}

#[test]
fn functions_are_measured() {
    let source = Source::new(
        "x.rs",
        "trait T { fn none(&self, a: [u8; 2]); }\nfn one() { if x { \"}\" } }\nconst fn four<T>(\n\
         f: fn(u8) -> u8,\n) -> [u8; 2] {\n}\n",
    );
    let found: Vec<_> = source
        .functions()
        .into_iter()
        .map(|function| (function.name, function.line, function.length))
        .collect();
    assert_eq!(found, [("one".to_owned(), 2, 1), ("four".to_owned(), 3, 4)]);
}

#[test]
fn paths_are_written_out() {
    let source = Source::new(
        "x.rs",
        "use crate::{sync::{self, Mutex}, topic::Topic as T};\nfn f() -> impl X + use<> { \
         ::std::mem::take::<a::B>(x) }\nmod tests { use super::*; }\n",
    );
    let found: Vec<_> = source
        .paths()
        .into_iter()
        .map(|path| {
            (
                path.line,
                path.segments.join("::"),
                path.alias,
                path.nesting,
            )
        })
        .collect();
    let plain = |line, path: &str, nesting| (line, path.to_owned(), None, nesting);
    assert_eq!(
        found,
        [
            plain(1, "crate::sync", 0),
            plain(1, "crate::sync::Mutex", 0),
            (1, "crate::topic::Topic".to_owned(), Some("T".to_owned()), 0),
            plain(2, "std::mem::take", 0),
            plain(2, "a::B", 0),
            plain(3, "super::*", 1),
        ]
    );
}
