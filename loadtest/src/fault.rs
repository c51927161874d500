//! Why a run ended early, in words for a person. Nobody branches on it.

/// See the module.
#[derive(Debug)]
pub struct Fault(String);

/// A fault with these words.
pub fn fault(words: impl Into<String>) -> Fault {
    Fault(words.into())
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Self(error.to_string())
    }
}
