//! HMAC-SHA256 as every scheme here uses it: keyed once, compared in constant time.
//!
//! Must not know what is signed, nor how a tag is written.

use super::SIGNATURES_MAX;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Bytes of a tag.
pub(super) const TAG_BYTES: usize = 32;

/// A tag as the sender claims it, decoded.
pub(super) type Tag = [u8; TAG_BYTES];

/// A key with its two first blocks already hashed; a request clones that state,
/// which is cheaper than hashing the key again.
#[derive(Clone)]
pub(super) struct MacKey(Hmac<Sha256>);

impl MacKey {
    pub(super) fn new(key: &[u8]) -> Self {
        Self(Hmac::new_from_slice(key).expect("HMAC takes a key of any length"))
    }
    /// Takes in a message, given in parts so that nobody has to copy a body.
    pub(super) fn over(&self, parts: &[&[u8]]) -> Message {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(part);
        }
        Message(mac)
    }
}

/// A message taken in under a key.
pub(super) struct Message(Hmac<Sha256>);

impl Message {
    /// Whether the tag is the message's, all of it, in constant time.
    pub(super) fn has(&self, tag: &[u8]) -> bool {
        self.0.clone().verify_slice(tag).is_ok()
    }
    /// The message's tag.
    pub(super) fn tag(self) -> Tag {
        self.0.finalize().into_bytes().into()
    }
    /// Whether the tag is the first bytes of the message's. No scheme of ours
    /// shortens tags; known answers do.
    #[cfg(test)]
    fn begins(&self, tag: &[u8]) -> bool {
        self.0.clone().verify_truncated_left(tag).is_ok()
    }
}

/// The tags claimed by one delivery, bounded.
pub(super) struct Claimed {
    tags: [Tag; SIGNATURES_MAX],
    count: usize,
}

impl Claimed {
    pub(super) const fn none() -> Self {
        Self { tags: [[0; TAG_BYTES]; SIGNATURES_MAX], count: 0 }
    }
    pub(super) const fn is_empty(&self) -> bool {
        self.count == 0
    }
    /// Adds a tag; `false` when there are too many.
    #[must_use]
    pub(super) fn push(&mut self, tag: Tag) -> bool {
        let Some(place) = self.tags.get_mut(self.count) else { return false };
        *place = tag;
        self.count += 1;
        true
    }
    /// The first key under which any of the tags is right. The body is hashed once
    /// per key, however many tags are claimed.
    pub(super) fn matching_key(&self, keys: &[MacKey], parts: &[&[u8]]) -> Option<usize> {
        keys.iter().position(|key| {
            let message = key.over(parts);
            self.tags[..self.count].iter().any(|tag| message.has(tag))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn unhex(value: &Value) -> Vec<u8> {
        let text = value.as_str().expect("a hex text");
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    /// The very functions the verifiers use, against every vector of Project Wycheproof.
    #[test]
    fn inv_01_hmac_agrees_with_every_wycheproof_vector() {
        let suite: Value =
            serde_json::from_str(include_str!("../../tests/data/wycheproof/hmac_sha256_test.json")).unwrap();
        let mut run = 0;
        for group in suite["testGroups"].as_array().unwrap() {
            let tag_bytes = usize::try_from(group["tagSize"].as_u64().unwrap() / 8).unwrap();
            for test in group["tests"].as_array().unwrap() {
                let (key, tag) = (MacKey::new(&unhex(&test["key"])), unhex(&test["tag"]));
                let text = unhex(&test["msg"]);
                let halves = text.split_at(text.len() / 2);
                let message = key.over(&[halves.0, halves.1]);
                let valid = match test["result"].as_str().unwrap() {
                    "valid" => true,
                    "invalid" => false,
                    other => panic!("unknown result {other}"),
                };
                let accepted = if tag_bytes == TAG_BYTES { message.has(&tag) } else { message.begins(&tag) };
                assert_eq!(accepted && tag.len() == tag_bytes, valid, "tcId {}", test["tcId"]);
                if tag_bytes == TAG_BYTES {
                    let mut claimed = Claimed::none();
                    assert!(claimed.push(tag.clone().try_into().unwrap()));
                    assert_eq!(claimed.matching_key(std::slice::from_ref(&key), &[&text]).is_some(), valid);
                    assert_eq!(key.over(&[&text]).tag().as_slice() == tag, valid);
                } else {
                    assert!(!message.has(&tag), "a shortened tag never passes for a whole one");
                }
                run += 1;
            }
        }
        assert_eq!(run, suite["numberOfTests"].as_u64().unwrap());
        assert_eq!(run, 174);
    }

    #[test]
    fn inv_09_tags_are_bounded() {
        let mut claimed = Claimed::none();
        for _ in 0..SIGNATURES_MAX {
            assert!(claimed.push([1; TAG_BYTES]));
        }
        assert!(!claimed.push([1; TAG_BYTES]));
    }
}
