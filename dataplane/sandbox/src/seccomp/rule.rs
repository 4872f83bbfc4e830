//! Decision trees over the arguments of a system call (`seccomp(2)`, `struct seccomp_data`).

/// What the kernel does with a call (`SECCOMP_RET_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Runs natively.
    Allow,
    /// Is answered by the supervisor.
    Notify,
    /// Fails with this errno; 0 succeeds without doing anything.
    Errno(u16),
}

impl Action {
    /// Value that the filter returns.
    #[must_use]
    pub fn encode(self) -> u32 {
        match self {
            Self::Allow => libc::SECCOMP_RET_ALLOW,
            Self::Notify => libc::SECCOMP_RET_USER_NOTIF,
            Self::Errno(errno) => libc::SECCOMP_RET_ERRNO | u32::from(errno),
        }
    }
}

/// A 32-bit word that a filter may load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Number of the call.
    Number,
    /// `AUDIT_ARCH_*` of the entry used.
    Arch,
    /// Low half of argument 0 to 5: enough for what the kernel itself takes as an `int`.
    Low(u8),
    /// High half of argument 0 to 5, needed for pointers.
    High(u8),
}

impl Word {
    /// Offset in `struct seccomp_data` on a little-endian machine, in bytes.
    #[must_use]
    pub fn offset(self) -> u32 {
        match self {
            Self::Number => 0,
            Self::Arch => 4,
            Self::Low(argument) => 16 + 8 * u32::from(argument),
            Self::High(argument) => 20 + 8 * u32::from(argument),
        }
    }
}

/// A question about one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    /// `word & mask == value`.
    Masked(u32, u32),
    /// `word >= value`, unsigned.
    AtLeast(u32),
    /// `word & mask != 0`.
    AnyBit(u32),
}

/// A decision tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The decision.
    Then(Action),
    /// A question with the trees for yes and no.
    If(Word, Test, Box<Rule>, Box<Rule>),
}

/// The call runs natively.
pub const ALLOW: Rule = Rule::Then(Action::Allow);
/// The call is answered by the supervisor.
pub const NOTIFY: Rule = Rule::Then(Action::Notify);

/// The call fails with `errno` (0: succeeds and does nothing).
#[must_use]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Errno values are 0..4095.
pub const fn errno(errno: i32) -> Rule {
    Rule::Then(Action::Errno(errno as u16))
}

/// `word == value` ? `yes` : `no`.
#[must_use]
pub fn equals(word: Word, value: u32, yes: Rule, no: Rule) -> Rule {
    Rule::If(
        word,
        Test::Masked(u32::MAX, value),
        Box::new(yes),
        Box::new(no),
    )
}

/// `word & mask == value` ? `yes` : `no`.
#[must_use]
pub fn masked(word: Word, mask: u32, value: u32, yes: Rule, no: Rule) -> Rule {
    Rule::If(word, Test::Masked(mask, value), Box::new(yes), Box::new(no))
}

/// `word` is one of `values` ? `yes` : `no`.
#[must_use]
pub fn one_of(word: Word, values: &[u32], yes: &Rule, no: Rule) -> Rule {
    values
        .iter()
        .rev()
        .fold(no, |rest, value| equals(word, *value, yes.clone(), rest))
}

/// `word >= value` ? `yes` : `no`, unsigned.
#[must_use]
pub fn at_least(word: Word, value: u32, yes: Rule, no: Rule) -> Rule {
    Rule::If(word, Test::AtLeast(value), Box::new(yes), Box::new(no))
}

/// `word & mask != 0` ? `yes` : `no`.
#[must_use]
pub fn any_bit(word: Word, mask: u32, yes: Rule, no: Rule) -> Rule {
    Rule::If(word, Test::AnyBit(mask), Box::new(yes), Box::new(no))
}

/// Pointer argument is not NULL ? `yes` : `no`.
#[must_use]
pub fn pointer(argument: u8, yes: &Rule, no: Rule) -> Rule {
    let low = any_bit(Word::Low(argument), u32::MAX, yes.clone(), no);
    any_bit(Word::High(argument), u32::MAX, yes.clone(), low)
}
