//! Tests.
use serde_json::Value;
use crate::domain::EventKind;
pub(in super::super) fn valid() -> Vec<(EventKind, Value)> { Vec::new() }
