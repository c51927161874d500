//! The figures of each member that scores are made of, each with its name, the way it may
//! point, its family of evidence and what it says in words.

pub mod acts;
pub mod fine;
pub mod group;
pub mod lockstep;
pub mod member;
pub mod pair;
pub mod trust;

use super::found::Found;
use super::network::Builder;

/// Which way a figure may point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// More is never better.
    More,
    /// Less is never better.
    Less,
    /// Either.
    Free,
}

/// A figure.
#[derive(Debug, PartialEq, Eq)]
pub struct Feature {
    /// As in a model's file.
    pub name: &'static str,
    /// Which way it may point.
    pub sign: Sign,
    /// What kind of evidence it is.
    pub family: &'static str,
    /// What it is, for people.
    pub words: &'static str,
}

/// Declares features: a name, its sign, its family, its words.
macro_rules! features {
    ($($constant:ident = $name:literal, $sign:ident, $family:literal, $words:literal;)*) => {
        $(static $constant: crate::graph::features::Feature = crate::graph::features::Feature {
            name: $name, sign: crate::graph::features::Sign::$sign, family: $family, words: $words
        };)*
    };
}
pub(crate) use features;

/// Every feature of this program, whatever the network.
#[must_use]
pub fn all() -> Vec<&'static Feature> {
    Table::of(&Found::of(&Builder::new().build())).features
}

/// Figures by feature and row.
#[derive(Debug, Default)]
pub struct Table {
    /// The features.
    pub features: Vec<&'static Feature>,
    /// A value per member, in the order of the features; missing ones are not numbers.
    pub columns: Vec<Vec<f64>>,
}

impl Table {
    /// All features of a network.
    #[must_use]
    pub fn of(found: &Found) -> Self {
        let mut table = Self::default();
        let own = member::figures(found);
        group::add(found, &own, &mut table);
        fine::add(found, &own, &mut table);
        member::add(found, own, &mut table);
        pair::add(found, &mut table);
        acts::add(found, &mut table);
        trust::add(found, &mut table);
        table
    }

    /// Adds a column.
    pub fn push(&mut self, feature: &'static Feature, values: Vec<f64>) {
        self.features.push(feature);
        self.columns.push(values);
    }

    /// The feature of a name with its column.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<(&'static Feature, &[f64])> {
        let place = self.features.iter().position(|feature| feature.name == name)?;
        Some((self.features[place], &self.columns[place]))
    }
}
