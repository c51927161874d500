use crate::domain::EventKind;
use serde_json::Value;

pub(in super::super) fn valid() -> Vec<(EventKind, Value)> {
    Vec::new()
}
