//! The programs of endurance: what each can be told, and its quick forms. It depends on nothing, so that the test of the README
//! includes it.

/// One program.
#[derive(Debug)]
pub struct Program {
    /// What `--bin` calls it.
    pub name: &'static str,
    /// Its options, each with a name for its value where it takes one.
    pub options: &'static [&'static str],
    /// The arguments with which `cargo test` runs it.
    pub quick: &'static [&'static str],
}

/// All of them.
pub const PROGRAMS: [Program; 3] = [
    Program {
        name: "soak",
        options: &[
            "--minutes N",
            "--seconds N",
            "--rate N",
            "--seed N",
            "--memory",
            "--protocol NAME",
        ],
        quick: &["--seconds 60 --rate 500", "--seconds 30 --rate 500 --protocol grpc"],
    },
    Program {
        name: "outage",
        options: &[
            "--minutes N",
            "--seconds N",
            "--rate N",
            "--how MOOD",
            "--spool",
            "--memory",
            "--protocol NAME",
            "--loose",
        ],
        quick: &[
            "--seconds 20 --rate 2000 --loose --spool",
            "--seconds 20 --rate 2000 --loose --spool --how silent",
            "--seconds 20 --rate 2000 --loose --memory",
            "--seconds 10 --rate 2000 --loose --memory --how drip",
            "--seconds 10 --rate 2000 --loose --memory --how huge",
            "--seconds 20 --rate 2000 --loose --spool --how reset --protocol grpc",
        ],
    },
    Program {
        name: "kills",
        options: &["--times N", "--seed N"],
        quick: &["--times 20"],
    },
];

impl Program {
    /// The program of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        PROGRAMS.iter().find(|program| program.name == name)
    }

    /// Whether it knows what to do with these words.
    ///
    /// # Errors
    /// The word that it does not know, and what it knows.
    pub fn understands<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> Result<(), String> {
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let wrong = |word: &str| format!("{}: `{word}` is none of {}", self.name, self.options.join(", "));
            let option = self
                .options
                .iter()
                .find(|option| option.split(' ').next() == Some(word));
            let takes = option.ok_or_else(|| wrong(word))?.split(' ').nth(1);
            let number = |value: &str| value.parse::<f64>().is_ok();
            match (takes, takes.and_then(|_| words.next())) {
                (None, _) => {}
                (Some(takes), Some(value)) if takes != "N" || number(value) => {}
                (Some(takes), value) => return Err(wrong(&format!("{word} {}", value.unwrap_or(takes)))),
            }
        }
        Ok(())
    }
}
